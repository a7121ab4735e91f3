"""The child process that draws. It takes a second to begin and a tenth to draw, so it stays a while after each plot.

The bot writes a plot as a line of JSON and reads `png LENGTH` and the picture, or `error WORDS`. A child that nobody
asks for a while ends by itself, as it does when the bot is gone; a plot that takes too long ends it, too.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from threading import Event, Timer

from bot.markup import short
from bot.plots import Plot, PlotFailed

PLOT_SECONDS = 60.0  # the first one on a machine builds matplotlib's font list, which takes some
REST_SECONDS = 20.0  # a job's plots come in quick succession: at its first steps and at its end


class Plotter:
    """Draws plots one at a time in a child process, each with a limit on its time."""

    def __init__(self, *, cache: Path, seconds: float = PLOT_SECONDS, rest: float = REST_SECONDS) -> None:
        self._cache = cache  # matplotlib keeps its font list here, so that only the first plot builds it
        self._seconds = seconds
        self._rest = rest
        self._child: _Child | None = None  # only the pool's one thread touches it
        self._pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="plots")

    def draw(self, plot: Plot) -> Future[bytes]:
        """Return the PNG to come; `PlotFailed` where the child failed or took too long."""
        return self._pool.submit(self._run, plot)

    def close(self) -> None:
        """Wait for the plot in hand, take no more, and end the child."""
        self._pool.shutdown(cancel_futures=True)
        self._end()

    def _run(self, plot: Plot) -> bytes:
        asked = json.dumps(asdict(plot)).encode() + b"\n"
        if self._child is not None:
            try:
                return self._ask(self._child, asked)
            except _Gone:  # to rest, or it was ended: the plot is none the worse for it
                self._end()
        self._child = _Child(self._cache, self._rest)
        try:
            return self._ask(self._child, asked)
        except _Gone as gone:
            self._end()
            raise PlotFailed(f"The plot could not be drawn: {short(str(gone), 200)}") from gone

    def _ask(self, child: _Child, asked: bytes) -> bytes:
        try:
            kind, answer = child.ask(asked, self._seconds)
        except TimeoutError as late:
            self._end()
            raise PlotFailed(f"The plot took longer than {self._seconds:g} s.") from late
        if kind != "png":
            raise PlotFailed(f"The plot could not be drawn: {short(answer.decode(errors='replace'), 200)}")
        return answer

    def _end(self) -> None:
        if self._child is not None:
            self._child.end()
            self._child = None


class _Gone(Exception):
    """The child ended before it answered; its last words."""


class _Child:
    """One process of `bot.draw`."""

    def __init__(self, cache: Path, rest: float) -> None:
        cache.mkdir(parents=True, exist_ok=True)
        # Only what a Python needs to start: no token of the bot's is in the child's environment.
        kept = {name: os.environ[name] for name in ("PATH", "PYTHONPATH", "LANG") if name in os.environ}
        self._said = tempfile.TemporaryFile()  # noqa: SIM115  open as long as the process that writes to it
        self._process = subprocess.Popen(
            [sys.executable, "-m", "bot.draw", f"{rest:g}"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._said,
            env=kept | {"MPLCONFIGDIR": str(cache), "HOME": str(cache)},
        )

    def ask(self, plot: bytes, seconds: float) -> tuple[str, bytes]:
        """Return the kind of the answer and the answer; raises `TimeoutError` after so many seconds, else `_Gone`."""
        late = Event()

        def end() -> None:
            late.set()
            self._process.kill()

        limit = Timer(seconds, end)
        limit.daemon = True
        limit.start()
        try:
            told = self._told(plot)
        except OSError:
            told = None
        finally:
            limit.cancel()
        if late.is_set():
            raise TimeoutError
        if told is None:
            raise _Gone(self._last_words())
        return told

    def _told(self, plot: bytes) -> tuple[str, bytes] | None:
        to, back = self._process.stdin, self._process.stdout
        if to is None or back is None:
            return None
        to.write(plot)
        to.flush()
        kind, _, length = back.readline().decode().partition(" ")
        answer = back.read(int(length or 0))
        return (kind, answer) if answer else None

    def _last_words(self) -> str:
        self._process.wait()
        self._said.seek(0)
        lines = self._said.read().decode(errors="replace").strip().splitlines()
        return lines[-1] if lines else f"its process ended with {self._process.returncode}"

    def end(self) -> None:
        """End the process, whatever it does."""
        self._process.kill()
        self._process.communicate()
        self._said.close()
