"""What a training script may `import hourglass` for.

    import hourglass

    for step in range(start, steps):
        ...
        hourglass.report(step, total=steps, loss=loss, lr=lr)
        if hourglass.should_stop():
            save(); break

A call costs a microsecond or two: what is reported leaves from a thread of this module's, twenty times a second at
most, the newest of each name. Nothing here is needed: progress is read from what a script prints, and checkpoints are
found where the task file says. Nothing here ever blocks or raises, and outside Hourglass everything quietly does
nothing. Of several ranks only rank 0 reports.
"""

from __future__ import annotations

import atexit
import json
import math
import os
import signal
import socket
import threading
import time
from pathlib import Path
from types import FrameType
from typing import Any, SupportsFloat

__all__ = ["report", "resume", "save", "should_stop", "time_left"]

_STATE_AGE = 0.25  # seconds for which the agent's last word is taken as still true
_PACE = 0.05  # seconds for which reports are held back, so that a fast loop pays for a note and not for a message
_IDLE = 40  # rounds without a report after which the thread that sends them ends
_MOST_HELD = 64
_BOOT_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


class _Line:
    """The connection to the agent: a datagram socket out, a small file in."""

    def __init__(self) -> None:
        self.address = os.environ.get("HOURGLASS_SOCKET", "")
        # torchrun and its like number the processes; the first one speaks for all.
        self.speaks = bool(self.address) and os.environ.get("RANK", "0") == "0"
        self._socket: socket.socket | None = None
        self._owner = 0
        self._state: dict[str, Any] = {}
        self._read_at = float("-inf")
        self.listens = 0  # the process that takes SIGTERM as a wish
        self.asked = False
        self.forked()

    def forked(self) -> None:
        """Begin anew in a forked child, which has no such thread, and whose parent's words are not its own."""
        self._lock = threading.RLock()  # a signal's handler may report in the midst of a report
        self._held: list[dict[str, Any]] = []
        self._sends = False

    def hold(self, message: dict[str, Any], at_once: bool) -> None:
        """Take a report; it is sent within `_PACE`, unless the same names are told again before."""
        values = message["values"]
        with self._lock:
            last = self._held[-1] if self._held else None
            if last is not None and last["values"].keys() <= values.keys():
                self._held[-1] = message
            elif last is not None and last["step"] == message["step"]:
                last["values"].update(values)
            else:
                self._held.append(message)
            if at_once or len(self._held) > _MOST_HELD:
                self.flush()
            if not self._sends:
                self._sends = True
                threading.Thread(target=self._send_held, name="hourglass", daemon=True).start()

    def flush(self) -> bool:
        """Send what is held; return whether there was something."""
        with self._lock:
            held, self._held = self._held, []
            for message in held:
                self.send(message)
        return bool(held)

    def _send_held(self) -> None:
        idle = 0
        while True:
            time.sleep(_PACE)
            idle = 0 if self.flush() else idle + 1
            with self._lock:
                if idle >= _IDLE and not self._held:
                    self._sends = False
                    return

    def send(self, message: dict[str, Any]) -> None:
        if not self.speaks:
            return
        try:
            if self._socket is None or self._owner != os.getpid():  # a fork must not share its parent's socket
                self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
                self._socket.setblocking(False)
                self._owner = os.getpid()
            self._socket.sendto(json.dumps(message).encode(), self.address)
        except (OSError, ValueError, TypeError):
            pass  # a full or vanished socket must not cost the training anything

    def state(self) -> dict[str, Any]:
        now = time.monotonic()
        if self.address and now - self._read_at > _STATE_AGE:
            self._read_at = now
            try:
                state = json.loads(Path(f"{self.address}.state").read_bytes())
                self._state = state if isinstance(state, dict) else {}
            except (OSError, ValueError):
                pass  # the last known state stands
        return self._state

    def listen(self) -> None:
        """Take SIGTERM as a wish, where the script has no handler of its own."""
        ours = self.listens == os.getpid() or not self.address
        if ours or threading.current_thread() is not threading.main_thread():
            return
        if signal.getsignal(signal.SIGTERM) == signal.SIG_DFL:
            signal.signal(signal.SIGTERM, self._wished)
        self.listens = os.getpid()

    def _wished(self, number: int, frame: FrameType | None) -> None:
        if self.listens == os.getpid():
            self.asked = True
        else:  # a forked worker, which its parent ends this way
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)


_line = _Line()
atexit.register(_line.flush)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_line.forked)


def report(step: int, total: int | None = None, **values: SupportsFloat) -> None:
    """Tell that `step` (of `total`) was reached, with named measurements: `report(step, loss=loss, lr=lr)`.

    A value is anything that `float()` takes, a one-element tensor too (which waits for the GPU, as `.item()` does);
    NaN and infinities are passed on as such, what is not a number is left out.
    """
    if not _line.speaks:
        return
    try:
        numbers: dict[str, float] = {}
        for name, value in values.items():
            try:
                numbers[name] = float(value)
            except (TypeError, ValueError, RuntimeError):  # RuntimeError: a tensor with more than one element
                continue
        message = {"step": int(step), "total": None if total is None else int(total), "values": numbers}
        _line.hold(message, not all(map(math.isfinite, numbers.values())))
    except (TypeError, ValueError, OverflowError, RuntimeError):  # RuntimeError: no thread can be started any more
        return


def save(path: str | os.PathLike[str]) -> None:
    """Tell that a checkpoint, a file or a folder, stands complete at `path`; it is uploaded from there.

    `path` lies under the task file's `checkpoints.path`. Returns at once; do not change the file in place while it
    is being copied.
    """
    try:
        _line.flush()
        _line.send({"save": str(Path(os.fspath(path)).absolute())})
    except (OSError, TypeError, ValueError):
        return


def resume() -> Path | None:
    """Return the folder that holds the checkpoint to continue from, or None for a fresh start."""
    folder = os.environ.get("HOURGLASS_RESUME", "")
    return Path(folder) if folder and Path(folder).is_dir() else None


def time_left() -> float | None:
    """Return the seconds until the rental ends, 0.0 when it has; None where nothing is rented.

    The script is asked to save and stop (SIGTERM) a little earlier; an extension makes it longer.
    """
    ends = _line.state().get("ends")
    if isinstance(ends, int | float):
        return max(0.0, float(ends) - time.clock_gettime(_BOOT_CLOCK))
    try:
        return max(0.0, float(os.environ["HOURGLASS_DEADLINE"]) - time.time())
    except (KeyError, ValueError):
        return None


def should_stop() -> bool:
    """Return whether the script should save and leave now: Stop was pressed, or the end is near.

    From the first call on, SIGTERM no longer ends a script that has no handler for it: ask once in every step. A
    script that does not leave is killed when three quarters of its grace are over.
    """
    _line.listen()
    return _line.asked or bool(_line.state().get("stop"))
