"""What a team's own description of its lines says of a run: `progress:` in the task file, read by its templates."""

from __future__ import annotations

import math
from collections.abc import Sequence

from trainer.formats import Reading
from trainer.numbers import number
from trainer.templates import COUNTS, parse


class Declared:
    """The templates of one run; empty where nobody described anything."""

    def __init__(self, texts: Sequence[str] = ()) -> None:
        """Take templates; raises `ValueError` on one that says nothing."""
        self._templates = tuple(map(parse, texts))
        self.counts = any(template.counts for template in self._templates)  # where the run stands, they say alone

    def __bool__(self) -> bool:
        return bool(self._templates)

    def read(self, text: str) -> Reading | None:
        """Return what the first template says that fits, None where none does or its count is no whole number."""
        line = " ".join(text.split())
        for template in self._templates:
            found = template.find(line)
            if found is not None and (reading := _reading({name: number(value) for name, value in found.items()})):
                return reading
        return None


def _reading(found: dict[str, float]) -> Reading | None:
    whole = {name: found.pop(name) for name in (*COUNTS, *COUNTS.values()) if name in found}
    if any(
        not math.isfinite(count) or count < 0 or (count % 1 != 0 and name != "epoch") for name, count in whole.items()
    ):
        return None
    step = whole.get("step", whole.get("batch"))
    total = whole.get("steps", whole.get("batches"))
    epochs = whole.get("epochs")
    return Reading(
        step=None if step is None else int(step),
        total=None if total is None else int(total),
        epoch=whole.get("epoch"),
        epochs=None if epochs is None else int(epochs),
        values=found,
        within_epoch="batch" in whole,
        from_either="batch" in whole,
    )
