"""Does a command that runs do nothing any more? Told, not ended: a long evaluation looks the same from outside.

A sign of life is a line of output, a report, a checkpoint, a file that is written, or a GPU that works. A look at the
GPU that fails counts as one, so that nobody is called because a driver was slow to answer. A GPU that spins, as those
do that wait in a collective operation for a rank that is gone, looks busy and does not work (`trainer.spinning`): it
is no sign when every look of the whole silence has found it so.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

from trainer.spinning import Load, Spinning

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
        loads: Callable[[], Sequence[Load] | None] | None = None,
        moved: Callable[[float], float | None] = lambda seconds: None,
        idle_ends: bool = False,
    ) -> None:
        """Tell once after `patience` seconds without a sign; `probe` is None where there is no GPU to ask.

        `loads` says more of the GPUs, for those that spin, `moved` how many seconds ago a file was written, if in
        the last so many, and with `idle_ends` a GPU that idles is not told of: somebody else ends the rental for it.
        """
        self._patience = patience
        self._probe = probe
        self._clock = clock
        self._told = told
        self._loads = loads
        self._moved = moved
        self._idle_ends = idle_ends
        self._last = clock()
        self._spinning = Spinning()
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
        """Return what is wrong, in words, once nothing was heard for too long; if a GPU idles is asked only then."""
        now = self._clock()
        silent = now - self._last
        if silent < self._every:
            self._spinning = Spinning()
        elif self._loads is not None:
            self._spinning.seen(self._loads(), now)
        if silent < self._patience:
            return None
        seen = ", and the GPU idle" if self._probe is not None else ""
        if self._probe is not None:
            percents = self._probe()
            if percents is None or any(percent >= _BUSY for percent in percents):
                since = self._spinning.since
                if since is None:
                    self.heard()  # it works, or may
                # The first look of a silence comes a look or two after its last sign.
                if since is None or now - since < self._patience - 2 * self._every:
                    return None
                seen = self._spinning.told
            elif self._idle_ends:
                return None
        if (ago := self._moved(silent)) is not None:
            self._last = max(self._last, now - ago)
            return None
        return f"No line and no checkpoint for {self._patience / 60:g} min{seen}: it may hang."

    def _run(self) -> None:
        while not self._closed.wait(self._every):
            if (told := self.look()) and not self._closed.is_set():
                self._told(told)
                return
