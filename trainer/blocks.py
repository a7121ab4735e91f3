"""What takes more than one line: tables whose header names the columns, and blocks that a first line begins.

Pure: each function takes one line, and what the lines before it left behind as a value.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from trainer.formats import Reading
from trainer.numbers import NUMBER, is_companion, is_outcome, number, series_name

_COUNTERS = {
    "epoch": True,
    "epochs": True,
    "step": False,
    "steps": False,
    "iter": False,
    "iteration": False,
    "round": False,
    "episode": False,
    "counter": False,
    "#": False,
}
_WORD = re.compile(r"(?:[A-Za-z][\w ./@%\-]*|#)$")
_CELL = re.compile(NUMBER + r"%?$")
_OF = re.compile(r"(\d+)/(\d+)$")
_MOST_COLUMNS = 24


@dataclass(frozen=True, kw_only=True)
class Columns:
    """A table's header: what stands in which column."""

    names: Sequence[str]
    counter: int  # the column that counts
    epochs: bool  # it counts epochs


def _judges(name: str) -> bool:
    return is_outcome(name) or name.startswith("loss_")  # spaCy's "LOSS TEXTCAT"


_RULES = str.maketrans(dict.fromkeys("│┃║", "|"))


def _ruled(text: str) -> str:
    """Return the text with the rules between columns as they are typed."""
    return text.translate(_RULES)


def header(text: str) -> Columns | None:
    """Return the columns if `text` is the header of a table of progress: one column counts, one is an outcome."""
    lower = text.lower()
    if not any(name in lower for name in ("epoch", "step", "iter", "#", "round", "episode", "counter")):
        return None
    words = re.split(r"\s{2,}|\t|,", _ruled(text).replace("|", "  ").strip())  # "Train Loss" is one column
    words = [word.strip() for word in words]
    words = words if len(words) > 1 else text.split()
    if not 2 <= len(words) <= _MOST_COLUMNS or not all(_WORD.match(word) for word in words):
        return None
    names = [series_name(word) for word in words]
    counter = next((at for at, name in enumerate(names) if name in _COUNTERS), None)
    if counter is None or not any(_judges(name) for name in names):
        return None
    return Columns(names=names, counter=counter, epochs=_COUNTERS[names[counter]])


def row(columns: Columns, text: str) -> Reading | None:
    """Return what a line under that header says; None if it is not a row of that table."""
    cells = _ruled(text).replace("|", " ").replace(",", " ").split()
    if len(cells) < len(columns.names):
        return None
    count, total = cells[columns.counter], None
    if of := _OF.match(count):
        count, total = of[1], of[2]
    if not count.isdecimal():
        return None
    values = {
        name: number(cell.rstrip("%"))
        for name, cell in zip(columns.names, cells, strict=False)  # a bar may stand behind the last column
        if (_judges(name) or is_companion(name)) and _CELL.match(cell)
    }
    if not any(map(_judges, values)):
        return None
    return Reading(
        step=int(count),
        total=None if total is None else int(total),
        epoch=float(count) if columns.epochs else None,
        values=values,
    )


# Composer: "[epoch=1][batch=4/8]:", then a line for each value: "	 Train loss/train/total: 0.6931".
_BLOCK = re.compile(
    r"^\[(?P<eval>Eval )?(?:epoch=(?P<epoch>\d+)(?:/(?P<epochs>\d+))?\]\[)?"
    r"(?:batch|iteration)=(?P<n>\d+)(?:/(?P<total>\d+))?\]"
)
_ITEM = re.compile(rf"^(?:Train|Eval) (?P<name>[\w./\-]+): (?P<value>{NUMBER})$")


def begins(text: str) -> bool:
    """Return whether `text` begins a block, of the training or of an evaluation."""
    return bool(_BLOCK.match(text))


def within(text: str) -> bool:
    """Return whether `text` may stand within a block, whatever it brings."""
    return text.startswith(("Train ", "Eval "))


def block(text: str) -> Reading | None:
    """Return where the run stands by the first line of a block; it brings no values."""
    found = _BLOCK.match(text)
    if found is None or found["eval"]:
        return None
    epochs = int(found["epochs"]) if found["epochs"] else None
    epoch = int(found["epoch"]) - (0 if epochs else 1) if found["epoch"] else None
    total = int(found["total"]) if found["total"] else None
    return Reading(
        step=int(found["n"]),
        total=total,
        epoch=epoch,
        epochs=epochs,
        within_epoch=epoch is not None,
    )


def item(text: str) -> Mapping[str, float]:
    """Return the one series that a line within a block brings, or nothing."""
    found = _ITEM.match(text)
    if found is None:
        return {}
    name = series_name(found["name"])
    return {name: number(found["value"])} if is_outcome(name) or is_companion(name) else {}


# stable-baselines3's table of one iteration: "|    value_loss           | 112          |".
_PAIR = re.compile(rf"^\|\s+(?P<name>[\w./@-]+)\s*\|\s*(?P<value>{NUMBER})\s*\|$")
_COUNTS = ("total_timesteps", "step", "global_step")


def is_pair(text: str) -> bool:
    """Return whether `text` is a row of a table of two columns."""
    return bool(_PAIR.match(text))


def pair(text: str) -> tuple[int | None, Mapping[str, float]]:
    """Return the step and the series that one row of a table of two columns brings: one of them, or neither."""
    found = _PAIR.match(text)
    if found is None:
        return None, {}
    name = series_name(found["name"])
    if name in _COUNTS and found["value"].isdecimal():
        return int(found["value"]), {}
    return None, {name: number(found["value"])} if is_outcome(name) or is_companion(name) else {}
