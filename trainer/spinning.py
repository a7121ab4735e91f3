"""Does a GPU that looks busy work? One that waits in a collective operation runs a kernel which only polls.

The driver counts such a kernel as 100 % of the GPU's time. What it does not do is read memory, and draw power: both
are needed for any training, and NVML tells both. Who runs such machines knows a hang by 100 % at a very low power, some
70 W of a large card (NVIDIA/nccl issue 968, nebius/soperator issue 796).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

_IDLE = 1  # percent of the time under which a GPU runs nothing
_ALWAYS = 95  # percent of the time that a kernel which waits for something takes
_UNTOUCHED = 1  # percent of the time in which memory is read or written: polling a flag may be told as that
_LOW = 0.5  # of the power that it may draw: small cards take a third of theirs for nothing


@dataclass(frozen=True, kw_only=True)
class Load:
    """What a GPU did of late."""

    busy: int  # percent of the time in which it ran something
    memory: int  # percent of the time in which its memory was read or written
    power: float | None  # share of what it may draw; None where it does not tell


class Spinning:
    """The looks at all GPUs in a row that found some of them spinning, and none at work."""

    def __init__(self) -> None:
        self.since: float | None = None  # the first of these looks, in the seconds of its clock
        self._count = self._memory = 0
        self._power = 0.0

    def seen(self, loads: Sequence[Load] | None, now: float) -> None:
        """Take a look; one that fails, or does not tell enough, ends the row like one at a GPU that works."""
        waiting = [load for load in loads or () if load.busy >= _IDLE]
        if not waiting or not all(map(_spins, waiting)):
            self.since, self._memory, self._power = None, 0, 0.0
            return
        self.since = now if self.since is None else self.since
        self._count = len(waiting)
        self._memory = max(self._memory, *(load.memory for load in waiting))
        self._power = max(self._power, *(load.power or 0.0 for load in waiting))

    @property
    def told(self) -> str:
        """What was seen, as the end of a sentence."""
        gpus = "the GPU is" if self._count == 1 else f"{self._count} GPUs are"
        text = f", and {gpus} busy all the time without working (memory touched in {self._memory} % of it at most,"
        return f"{text} {100 * self._power:.0f} % of its power drawn), as where ranks wait for each other"


def _spins(load: Load) -> bool:
    power = load.power
    return load.busy >= _ALWAYS and load.memory <= _UNTOUCHED and power is not None and power < _LOW
