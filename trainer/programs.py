"""What well-known programs print in their own ways: rows below a header that names them, and lines like no other's."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from trainer.formats import Reading
from trainer.names import of_part, series_name
from trainer.numbers import NUMBER, measurements, number
from trainer.yolo import Yolo

# COCO's, of many programs; -1 is what was not measured.
_COCO = re.compile(
    r"^Average (?:Precision|Recall)\s+\(A(?P<what>[PR])\) @\[ IoU=(?P<iou>0\.\d\d(?::0\.\d\d)?)\s*"
    r"\| area=\s*(?P<area>\w+)\s*\| maxDets=\s*(?P<most>\d+) \] = (?P<value>-?\d+\.\d+)$"
)
# sentence-transformers': on what it judges, and then a line for each similarity.
_JUDGING = re.compile(r"Evaluating the model on (?:the )?(?P<set>[\w-]+) dataset")
_SIMILAR = re.compile(
    r"(?P<of>(?:Cosine|Manhattan|Euclidean|Dot-Product)-(?:Similarity|Distance))\s*:\s+"
    rf"Pearson: (?P<pearson>{NUMBER})\s+Spearman: (?P<spearman>{NUMBER})$"
)
# detectron2's: names in one line, numbers in the next.
_TASK = re.compile(r"\b(?:IoU metric|copypaste: Task): (?P<task>\w+)$")  # of boxes, unless it says otherwise
_COPIED = re.compile(r"\bcopypaste: (?P<names>[A-Za-z][\w-]*(?:,[A-Za-z][\w-]*)+)$")
_COPIES = re.compile(rf"\bcopypaste: (?P<numbers>{NUMBER}(?:,{NUMBER})+)$")
# VITS' and what came of it: how much of an epoch is done, then losses without names, the step and the rate.
_PART_DONE = re.compile(r"\bepoch: \d+ \[\d+(?:\.\d+)?%\]$", re.IGNORECASE)
_PLACED = re.compile(r"(?:^|[:\s])\[(?:-?\d+\.\d+(?:e-?\d+)?, )*(?P<step>\d{1,15}), (?:0\.0\d*|\d(?:\.\d+)?e-\d+)\]$")
# verl's: "step:12 - actor/kl_loss:0.001 - critic/score/mean:0.25".
_KEYED = re.compile(r"(?:^|\])step:(?P<step>\d{1,15}) - (?=[\w-]+/)")
_KEY = re.compile(rf"(?P<name>[A-Za-z][\w@./+-]{{0,120}}):(?:np\.float\d\d\()?(?P<value>{NUMBER})\)?$")
# espnet's and wenet's, which name an epoch and a batch of it.
_SPOKEN = re.compile(
    r"\b(?:(?P<epoch>\d{1,6})epoch:train:\d+-(?P<n>\d{1,9})batch:"
    r"|(?P<judged>CV )?(?:TRAIN )?(?:\| steps/sec \d[\d.]*\| ?)?Batch (?P<of>\d{1,6})/(?P<batch>\d{1,9}) (?=loss ))"
)
_NOT_JUDGED = ("timing", "perf", "training", "global_seqlen", "prompt_length")


def keyed_line(text: str) -> Reading | None:
    """Read a step of verl's, whose measurements are named like paths."""
    found = _KEYED.search(text)
    if found is None:
        return None
    cells = [_KEY.match(cell) for cell in text[found.end() :].split(" - ")]
    values = {
        series_name(one["name"]): number(one["value"])
        for one in cells
        if one and "/" in one["name"] and not one["name"].startswith(_NOT_JUDGED)
    }
    return Reading(step=int(found["step"]), values=values) if values else None


def speech_line(text: str) -> Reading | None:
    """Read a batch of espnet's, "2epoch:train:21-40batch: loss=1.2", or of wenet's, "TRAIN Batch 1/200 loss 1.2"."""
    found = _SPOKEN.search(text) if "TRAIN" in text or "CV" in text or "epoch:train:" in text else None
    values = measurements(text[found.end() :], stepped=True) if found else {}
    if found is None or not values:
        return None
    if found["judged"]:
        return Reading(values={of_part("val", name): value for name, value in values.items() if name[:8] != "history_"})
    epoch, n = found["epoch"] or found["of"], found["n"] or found["batch"]
    return Reading(step=int(n), epoch=float(epoch), values=values, within_epoch=True, from_either=True)


def similarity_line(text: str, part: str = "eval") -> Reading | None:
    """Read one of the similarities by which sentence-transformers' evaluator judges, each in a line of its own."""
    found = _SIMILAR.search(text)
    if found is None:
        return None
    of = f"{part}_{series_name(found['of'])}"
    return Reading(values={f"{of}_{name}": number(found[name]) for name in ("pearson", "spearman")})


def coco_line(text: str) -> Reading | None:
    """Read one of the twelve lines of a COCO evaluation: AP, AP50, AP75, AP_small ..., AR_1, AR_10, AR_100 ..."""
    found = _COCO.match(text)
    if found is None:
        return None
    if float(found["value"]) < 0:
        return Reading()
    name = f"a{found['what'].lower()}"
    if found["area"] != "all":
        name = f"{name}_{found['area']}"
    elif name == "ar":
        name = f"{name}_{found['most']}"
    elif ":" not in found["iou"]:
        name = f"{name}{found['iou'][2:]}"
    return Reading(values={name: float(found["value"])})


class Programs:
    """Follows a run's lines through such headers."""

    def __init__(self) -> None:
        self._yolo = Yolo()
        self._copied: Sequence[str] = ()
        self._task, self._part = "", "eval"
        self._part_done = False

    def read(self, text: str) -> Reading | None:
        """Return what a line says by those before it, None of anything else; a place without values is of the next.

        A header says nothing by itself, not even where a bar is drawn behind it.
        """
        placed, self._part_done = self._part_done, False
        if row := self._yolo.read(text):
            return row
        if text[:8] == "Average " and (judged := coco_line(text)):
            return judged._replace(values={f"{self._task}{name}": value for name, value in judged.values.items()})
        if text[-1] == "]":
            if placed and (place := _PLACED.search(text)):
                return Reading(step=int(place["step"]))
            self._part_done = text[-2:] == "%]" and _PART_DONE.search(text) is not None
        if task := _TASK.search(text) if "IoU metric" in text or "Task: " in text else None:
            self._task = "" if task["task"] == "bbox" else f"{task['task']}_"
            return None
        if "Evaluating the model" in text and (judging := _JUDGING.search(text)):
            self._part = "test" if "test" in judging["set"] else "eval"
        if "Pearson: " in text:
            return similarity_line(text, self._part)
        return self._copies(text) if "copypaste: " in text else None

    def _copies(self, text: str) -> Reading | None:
        if names := _COPIED.search(text):
            self._copied = [f"eval_{self._task}{name.lower()}" for name in names["names"].split(",")]
            return None
        found, names_of, self._copied = _COPIES.search(text), self._copied, ()
        numbers = found["numbers"].split(",") if found else []
        if len(numbers) != len(names_of) or not numbers:
            return None
        values: Mapping[str, float] = dict(zip(names_of, map(float, numbers), strict=True))
        return Reading(values=values)
