"""What YOLO prints, of Ultralytics and before: rows whose columns a header names, others for each task."""

from __future__ import annotations

import re
from collections.abc import Sequence

from trainer.formats import Reading
from trainer.names import series_name
from trainer.numbers import NUMBER, number

_NUMBERS = rf"(?P<numbers>{NUMBER}(?:\s+{NUMBER})*)"
# The columns of an epoch, and those of its evaluation.
_TRAINS = re.compile(
    r"^Epoch\s+gpu_mem\s+(?P<names>\w+(?:\s+\w+)*?)\s+(?:Instances|labels)\s+(?:Size|img_size)$", re.IGNORECASE
)
_TRAINED = re.compile(rf"^(?P<epoch>\d+)/(?P<epochs>\d+)\s+[\d.]+[GM]?\s+{_NUMBERS}\s+\d+\s+\d+:\s")
_JUDGES = re.compile(
    r"^Class\s+Images\s+(?:Instances|Labels)\s+"
    r"(?:\w+\(P\s[^()]*\)(?:\s+(?P<two>\w+)\(P\s[^()]*\))?|P\s+R\s+mAP\S+\s+mAP\S+):",
    re.IGNORECASE,
)
_CLASSIFIES = re.compile(r"^classes\s+(?P<names>top1_acc\s+top5_acc):")
_JUDGED = re.compile(rf"^all\s+(?P<counts>\d+\s+\d+\s+)?{_NUMBERS}$")
_SCORES = ("precision", "recall", "map50", "map50_95")
_LOSSES = ("box_loss", "cls_loss", "dfl_loss")  # of a detection, where no header was seen
_ROWS = "0123456789a"  # characters that its rows begin with
_TOP = re.compile(r"metrics/accuracy_(top\d)$")
_OF = re.compile(r"metrics/(?P<name>.+)\((?P<part>[BMP])\)$")
_PARTS = {"B": "", "M": "mask_", "P": "pose_"}


def row(text: str, losses: Sequence[str] = _LOSSES, scores: Sequence[str] = _SCORES) -> Reading | None:
    """Return what one row says, of the training under the names `losses`, of an evaluation under `scores`."""
    if text[0] not in _ROWS:
        return None
    if judged := _JUDGED.match(text):
        values = [number(one) for one in judged["numbers"].split()]
        if len(values) != len(scores) or (judged["counts"] is None) != (len(scores) == 2):
            return None
        return Reading(values=dict(zip(scores, values, strict=True)))
    found = _TRAINED.match(text)
    values = [number(one) for one in found["numbers"].split()] if found else []
    if found is None or len(values) != len(losses):
        return None
    epoch = int(found["epoch"])
    told = dict(zip(losses, values, strict=True))
    return Reading(step=epoch, total=int(found["epochs"]), epoch=epoch, values=told)


def column_name(column: str) -> str:
    """Return what a column of `results.csv` is called in the lines."""
    part, _, name = column.partition("/")
    if top := _TOP.match(column):
        return f"{top[1]}_acc"
    if of := _OF.match(column):
        return f"{_PARTS[of['part']]}{of['name']}"
    return name if part == "train" else column


class Yolo:
    """Follows a run's headers."""

    def __init__(self) -> None:
        self._losses: Sequence[str] = _LOSSES
        self._scores: Sequence[str] = _SCORES

    def read(self, text: str) -> Reading | None:
        """Return what a row says by the last header, nothing of a header itself, and None of anything else."""
        if "/" in text[:9] or text[:4] == "all ":
            return row(text, self._losses, self._scores)
        if text[:5] == "Epoch" and (trains := _TRAINS.match(text)):
            self._losses = tuple(map(series_name, trains["names"].split()))
            return Reading()
        if text[:5] == "Class" and (judges := _JUDGES.match(text)):
            of = f"{judges['two'].lower()}_" if judges["two"] else ""
            self._scores = (*_SCORES, *(f"{of}{name}" for name in _SCORES if of))
            return Reading()
        if text[:7] == "classes" and (classifies := _CLASSIFIES.match(text)):
            self._scores = tuple(classifies["names"].split())
            return Reading()
        return None
