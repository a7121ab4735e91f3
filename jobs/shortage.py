"""What a script said when its GPU was out of memory: how much it asked for, what was there, what lay unused.

Pure. PyTorch tells it in a sentence whose form has changed over the years; what a form does not say stays None.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from jobs.values import JobSpec

_UNITS = {"bytes": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40}
_SIZE = r"(\d+(?:\.\d+)?) (bytes|[KMGT]iB)"
_FORMS = {
    # PyTorch 2.1 and later, then 1.x and 2.0
    "asked": (rf"Tried to allocate {_SIZE}",),
    "total": (rf"total capacity of {_SIZE}", rf"{_SIZE} total capacity"),
    "free": (rf"of which {_SIZE} is free", rf"{_SIZE} free"),
    "allocated": (rf"{_SIZE} is allocated by PyTorch", rf"{_SIZE} already allocated"),
    "unused": (rf"{_SIZE} is reserved by PyTorch but unallocated",),
    "reserved": (rf"{_SIZE} reserved in total by PyTorch",),
}
_FRAGMENTED = 0.05  # of the GPU; less than that unused is no sign of pieces


class Step(StrEnum):
    """What to change, the cheapest first."""

    SEGMENTS = "segments"  # let the allocator put pieces together
    MICRO_BATCH = "micro_batch"  # half of it, twice the accumulation: the same global batch
    BF16 = "bf16"
    CHECKPOINTING = "checkpointing"  # activations are computed twice instead of kept
    OPTIMIZER = "optimizer"  # eight bits a moment
    LORA = "lora"
    SHARDING = "sharding"  # FSDP2, where there are several GPUs
    LARGER = "larger"


@dataclass(frozen=True, kw_only=True)
class Shortage:
    """One failed allocation, in bytes; None is what was not told."""

    asked: int | None = None
    total: int | None = None
    free: int | None = None
    allocated: int | None = None
    unused: int | None = None  # reserved by PyTorch's allocator, and not allocated

    @property
    def needed(self) -> int | None:
        """Return what the GPU would have had to hold at this point; the run may have asked for more later."""
        return None if self.allocated is None or self.asked is None else self.allocated + self.asked


def read(lines: Sequence[str]) -> Shortage:
    """Return the last failed allocation that the lines tell of; without a figure where none does as PyTorch."""
    line = next((line for line in reversed(lines) if "Tried to allocate" in line), None)
    if line is None:
        return Shortage()
    found = {name: _first(line, forms) for name, forms in _FORMS.items()}
    reserved, allocated = found.pop("reserved"), found["allocated"]
    if found["unused"] is None and reserved is not None and allocated is not None:
        found["unused"] = max(0, reserved - allocated)
    return Shortage(**found)


def _first(line: str, forms: Sequence[str]) -> int | None:
    matched = next((match for form in forms if (match := re.search(form, line))), None)
    return None if matched is None else int(float(matched[1]) * _UNITS[matched[2]])


def steps(shortage: Shortage, spec: JobSpec) -> list[Step]:
    """Return what to try for this job, in order."""
    unused, asked, total = shortage.unused or 0, shortage.asked or 0, shortage.total or 0
    ladder = [Step.SEGMENTS] if unused >= max(asked, int(_FRAGMENTED * total), 1) else []
    ladder += [Step.MICRO_BATCH, Step.BF16, Step.CHECKPOINTING, Step.OPTIMIZER, Step.LORA]
    if spec.gpus > 1:
        ladder.append(Step.SHARDING)
    return ladder
