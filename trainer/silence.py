"""Does a command that runs do nothing any more? Told, not ended: a long evaluation looks the same from outside.

A sign of life is a line of output, a report, a checkpoint, or a GPU that works. A look at the GPU that fails counts
as one, so that nobody is called because a driver was slow to answer.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

_LOOKS = 20  # in the time after which people are told, at least
_EVERY = 10.0  # seconds between looks, where that leaves room for so many
_BUSY = 1  # percent; a GPU that waits for a rank that is gone is at nothing or at a hundred


class Silence:
    """The judgement, and who listens; all times are seconds on one clock that only goes forward."""

    def __init__(
        self,
        patience: float,
        *,
        probe: Callable[[], Sequence[int] | None] | None,
        clock: Callable[[], float],
        told: Callable[[str], None],
    ) -> None:
        """Tell once after `patience` seconds without a sign; `probe` is None where there is no GPU to ask."""
        self._patience = patience
        self._probe = probe
        self._clock = clock
        self._told = told
        self._last = clock()
        self._closed = threading.Event()
        self._every = min(_EVERY, patience / _LOOKS)

    def watch(self) -> None:
        """Begin to look, from a thread of its own."""
        threading.Thread(target=self._run, name="silence", daemon=True).start()

    def heard(self) -> None:
        """Take a sign of life, from any thread."""
        self._last = self._clock()

    def close(self) -> None:
        """Stop looking; a look under way may outlive this call, untold."""
        self._closed.set()

    def look(self) -> str | None:
        """Return what is wrong, in words, once nothing was heard for too long; the GPU is asked only then."""
        if self._clock() - self._last < self._patience:
            return None
        if self._probe is not None:
            percents = self._probe()
            if percents is None or any(percent >= _BUSY for percent in percents):
                self.heard()
                return None
        idle = ", and the GPU idle" if self._probe is not None else ""
        return f"No line and no checkpoint for {self._patience / 60:g} min{idle}: it may hang."

    def _run(self) -> None:
        while not self._closed.wait(self._every):
            if (told := self.look()) and not self._closed.is_set():
                self._told(told)
                return
