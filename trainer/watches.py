"""What is looked at beside a command while it runs: the files that it writes, its GPU, and whether it lives at all."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path

from trainer import gpu
from trainer.deadline import boot_clock
from trainer.formats import Row
from trainer.idle import IdleWatch
from trainer.silence import Silence
from trainer.sources import FileWatch, written
from trainer.wire import AgentOrder

_CLOCKS_APART = 60.0  # seconds by which a file server's clock may go before this one


class Watches:
    """Looks from threads of their own until it is closed; a look under way may outlive that, untold."""

    def __init__(
        self,
        order: AgentOrder,
        folder: Path,
        *,
        filed: Callable[[float, Sequence[Row]], None],
        idle: Callable[[str], None],
        hung: Callable[[str], None],
    ) -> None:
        """Watch the command in `folder`. `idle` and `hung` are told in words, each once at most."""
        gpus = order.gpu.required and order.gpu.count > 0
        self._filed = filed
        self._silence: Silence | None = None
        # Of several machines the first one's script prints: of another one only its GPU says whether it works.
        if order.hang_timeout and (gpus or order.rank == 0):
            self._silence = Silence(
                order.hang_timeout,
                probe=gpu.utilization if gpus else None,
                clock=boot_clock,
                told=hung,
                loads=gpu.loads if gpus else None,
                moved=lambda seconds: _moved(folder, seconds),
                # Where a GPU that idles as long ends the rental anyway, nobody need be told before.
                idle_ends=bool(gpus and order.idle and order.idle.window <= order.hang_timeout),
            )
            self._silence.watch()
        self._files = FileWatch(folder, take=self._take)
        self._idle = (
            IdleWatch(order.idle, probe=gpu.utilization, clock=boot_clock, idle=idle)
            if order.idle and order.gpu.required
            else None
        )

    def _take(self, at: float, rows: Sequence[Row]) -> None:
        if rows:
            self.sign()
        self._filed(at, rows)

    def sign(self) -> None:
        """Take a sign of life: a line, a report, a checkpoint, a row of a file; from any thread."""
        if self._silence is not None:
            self._silence.heard()

    def close(self) -> None:
        """Stop looking."""
        self._files.close()
        if self._idle is not None:
            self._idle.close()
        if self._silence is not None:
            self._silence.close()


def _moved(folder: Path, seconds: float) -> float | None:
    """Return how long ago a file was last written, in seconds, where it was within the last so many."""
    now = time.time()
    at = written(folder, now - seconds, now + _CLOCKS_APART)
    return None if at is None else max(0.0, now - at)
