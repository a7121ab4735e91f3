"""What a training script may `import hourglass` for.

    import hourglass

    for step in range(start, steps):
        ...
        hourglass.report(step, total=steps, loss=loss, lr=lr)
        if hourglass.should_stop():
            save(); break

A call costs a microsecond or two: what is reported leaves from a thread of this module's, twenty times a second at
most, the newest of each name. Nothing here is needed: progress is read from what a script prints, and checkpoints are
found where the task file says. Nothing here ever blocks or raises (what the script's own handler of a signal raises
meanwhile goes through), and outside Hourglass everything quietly does nothing. Of several ranks only rank 0 reports and
saves: the one that torch.distributed calls so, else the one that the launcher's variables do.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import math
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import Any, SupportsFloat, TypeVar

__all__ = ["report", "resume", "save", "should_stop", "time_left"]

_T = TypeVar("_T")
_STATE_AGE = 0.25  # seconds for which the agent's last word is taken as still true
_PACE = 0.05  # seconds for which reports are held back, so that a fast loop pays for a note and not for a message
_IDLE = 40  # rounds without a report after which the thread that sends them ends
_MOST_HELD = 64
# What launchers number their processes by, where they set no RANK: Lightning's own, mpirun, srun. One that is not 0 is
# enough to be silent, for srun numbers what it starts, and not what that starts in turn.
_NUMBERS = ("LOCAL_RANK", "OMPI_COMM_WORLD_RANK", "PMI_RANK", "SLURM_PROCID")
_FIRST = ("", "0", "-1")  # -1: of no group
_BOOT_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


class _Line:
    """The connection to the agent: a datagram socket out, a small file in."""

    def __init__(self) -> None:
        self.address = os.environ.get("HOURGLASS_SOCKET", "")
        self._rank: int | None = None  # as torch.distributed told it last
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
        # Asked each time: a spawned process is told its number after its imports.
        if not self.address or not self._is_first():
            return
        try:
            if self._socket is None or self._owner != os.getpid():  # a fork must not share its parent's socket
                self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
                self._socket.setblocking(False)
                self._owner = os.getpid()
            self._socket.sendto(json.dumps(message).encode(), self.address)
        except (OSError, ValueError, TypeError):
            pass  # a full or vanished socket must not cost the training anything

    def _is_first(self) -> bool:
        """Return whether this process speaks for all of the run's."""
        with contextlib.suppress(Exception):  # of a torch without it, or one that is being imported just now
            group = sys.modules.get("torch.distributed")  # looked at, never imported
            if group is not None and group.is_initialized():
                self._rank = int(group.get_rank())
        if self._rank is not None:
            return self._rank == 0
        if rank := os.environ.get("RANK"):
            return rank in _FIRST
        return all(os.environ.get(name, "") in _FIRST for name in _NUMBERS)

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


def report(step: Any = None, total: Any = None, /, *unnamed: Any, **values: SupportsFloat | None) -> None:
    """Tell that `step` was reached, with named measurements: `report(step, total=steps, loss=loss, lr=lr)`.

    A value is anything that `float()` takes, a one-element tensor too (which waits for the GPU, as `.item()` does);
    NaN and infinities are passed on as such, what is not a number is left out. Measurements may come as a dict:
    `report(step, metrics)`. Without a step they are told where the run stands by what it prints. A `total` that cannot
    be a number of steps is a measurement of that name.
    """
    if not _line.address:
        return
    try:
        named = values.pop("total", None)
        if total is None and not unnamed and (named is None or type(named) is int):
            total = named
        elif unnamed or named is not None or type(total) is not int:
            total = _sorted_out(step, named, (total, *unnamed), values)
        if step is None or "step" in values:
            step = values.pop("step", None) if step is None else step
            values.pop("step", None)
        numbers: dict[str, float] = {}
        for name, value in values.items():
            try:
                numbers[name] = float(value)  # type: ignore[arg-type]  # None, and whatever else comes, is left out
            except Exception as error:  # the value's own code runs here, and may raise anything
                if _is_the_scripts(error):
                    raise
        if type(step) is not int:
            step = _as(int, step)
        if step is not None or numbers:
            message = {"step": step, "total": total, "values": numbers}
            _line.hold(message, not all(map(math.isfinite, numbers.values())))
    except Exception as error:  # whatever it is, a training does not end because of what it tells
        if _is_the_scripts(error):
            raise


def _sorted_out(step: Any, total: Any, unnamed: Sequence[Any], values: dict[str, Any]) -> int | None:
    """Return the number of steps out of what was given for it or without a name; the rest goes into `values`."""
    for given in unnamed:
        if isinstance(given, Mapping):
            values.update({name: value for name, value in given.items() if name not in values})
    total = values.pop("total", None) if total is None else total
    counted = _count(total, step)
    if total is not None and counted is None:
        values["total"] = total
    counts = [counted, *(_count(given, step) for given in unnamed)]
    return next((count for count in counts if count is not None), None)


def _count(given: Any, step: Any) -> int | None:
    """Return `given` as the number of steps that a run has, or None where it cannot be one."""
    count = _as(int, given)
    if count is None or isinstance(given, int | str):
        return count
    return count if count == _as(float, given) and count >= (_as(int, step) or 0) else None


def _as(kind: Callable[[Any], _T], given: Any) -> _T | None:
    try:
        return kind(given)
    except Exception as error:  # what stands there is anybody's object
        if _is_the_scripts(error):
            raise
        return None


def _is_the_scripts(error: Exception) -> bool:
    """Return whether a signal's handler raised it while we happened to run, as a script may that is asked to stop."""
    trace = error.__traceback__ and error.__traceback__.tb_next  # the first frame is ours
    handlers = {getattr(signal.getsignal(n), "__code__", None) for n in signal.valid_signals()} if trace else set()
    while trace and trace.tb_frame.f_code not in handlers:
        trace = trace.tb_next
    return trace is not None


def save(path: str | os.PathLike[str]) -> None:
    """Tell that a checkpoint, a file or a folder, stands complete at `path`; it is uploaded from there.

    `path` lies under the task file's `checkpoints.path`. Returns at once; do not change the file in place while it
    is being copied.
    """
    try:
        _line.flush()
        _line.send({"save": str(Path(os.fspath(path)).absolute())})
    except Exception as error:  # `path` is anybody's object
        if _is_the_scripts(error):
            raise


def resume() -> Path | None:
    """Return the folder that holds the checkpoint to continue from, or None for a fresh start."""
    folder = os.environ.get("HOURGLASS_RESUME", "")
    try:
        return Path(folder) if folder and Path(folder).is_dir() else None
    except (OSError, ValueError):  # no path at all
        return None


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
