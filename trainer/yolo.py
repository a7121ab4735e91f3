"""What Ultralytics prints: rows whose columns a header names, other ones for each task, with a bar behind."""

from __future__ import annotations

import re
from collections.abc import Sequence

from trainer.formats import Reading
from trainer.names import series_name
from trainer.numbers import NUMBER, number

_NUMBERS = rf"(?P<numbers>{NUMBER}(?:\s+{NUMBER})*)"
_TRAINS = re.compile(r"^Epoch\s+GPU_mem\s+(?P<names>\w+(?:\s+\w+)*?)\s+Instances\s+Size$")
_TRAINED = re.compile(rf"^(?P<epoch>\d+)/(?P<epochs>\d+)\s+[\d.]+[GM]?\s+{_NUMBERS}\s+\d+\s+\d+:\s")
_JUDGES = re.compile(r"^Class\s+Images\s+Instances\s+(?P<one>\w+)\(P\s[^()]*\)(?:\s+(?P<two>\w+)\(P\s[^()]*\))?:")
_CLASSIFIES = re.compile(r"^classes\s+(?P<names>top1_acc\s+top5_acc):")
_JUDGED = re.compile(rf"^all\s+(?P<counts>\d+\s+\d+\s+)?{_NUMBERS}$")
_SCORES = ("precision", "recall", "map50", "map50_95")
_LOSSES = ("box_loss", "cls_loss", "dfl_loss")  # of a detection, where no header was seen
_TOP = re.compile(r"metrics/accuracy_(top\d)$")
_OF = re.compile(r"metrics/(?P<name>.+)\((?P<part>[BMP])\)$")
_PARTS = {"B": "", "M": "mask_", "P": "pose_"}
_FIRST = frozenset("0123456789EaCc")  # characters that its lines begin with


def line(text: str, losses: Sequence[str] = _LOSSES, scores: Sequence[str] = _SCORES) -> Reading | None:
    """Return what one row says, of the training under the names `losses`, of an evaluation under `scores`."""
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


def named(column: str) -> str:
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
        """Return what a row says, None of anything else."""
        if text[0] not in _FIRST:
            return None
        if trains := _TRAINS.match(text):
            self._losses = tuple(map(series_name, trains["names"].split()))
        elif judges := _JUDGES.match(text):
            of = f"{judges['two'].lower()}_" if judges["two"] else ""
            self._scores = (*_SCORES, *(f"{of}{name}" for name in _SCORES if of))
        elif classifies := _CLASSIFIES.match(text):
            self._scores = tuple(classifies["names"].split())
        else:
            return line(text, self._losses, self._scores)
        return None
