"""Why it ended, decided from what was seen.

When we asked the command to stop, our own record decides: torchrun leaves with 1 although every worker saved and
left with 0, and a script that was killed after its grace says nothing of use.
"""

from __future__ import annotations

import re
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trainer.wire import Reason

_SAID = r"(?:CUDA|HIP) out of memory"  # PyTorch's sentence, which scripts that do without the memory print too
_GPU_MEMORY = re.compile(
    _SAID + r"|(?:CUDA|HIP) (?:driver )?error: out of memory|OutOfMemoryError: (?:CUDA|HIP)|cuda runtime error \(2\)"
    r"|cudaErrorMemoryAllocation|hipErrorOutOfMemory|CUDA_ERROR_OUT_OF_MEMORY|CU[A-Z]+_STATUS_ALLOC_FAILED"
    r"|Failed to CUDA \w*alloc|C[Uu][Dd][Aa] failure (?:2:? )?'?out of memory"  # NCCL
    r"|RESOURCE_EXHAUSTED: Out of memory (?:while trying to allocate|allocating)"  # JAX
    r"|OOM when allocating tensor.*\bGPU[:_]\d"  # TensorFlow
    r"|cupy\S*OutOfMemoryError|Out of memory error on GPU"  # CuPy, Paddle
)
# The host's memory, where a request was refused and nobody was killed for it.
_HOST_MEMORY = re.compile(
    r"^(?:\[rank\d+\]:\s*)?MemoryError\b|DefaultCPUAllocator: (?:can't allocate|not enough) memory|std::bad_alloc"
    r"|(?:\[Errno 12\]|fork:) Cannot allocate memory|numpy\._?core\._exceptions\.(?:_Array)?MemoryError"
    r"|ArrowMemoryError|OOM when allocating tensor|memory allocation of \d+ bytes failed"
)
_RAISED = re.compile(r"(?:Error|Exception)\b[^:]*: |what\(\):")
# Another error, but those in which launchers tell of the first.
_OTHER = re.compile(
    r"(?:\[(?:rank|default)\d+\]:\s*)?(?!\S*(?:ChildFailed|CalledProcess|ProcessExited))[\w.]*(?:Error|Exception)\b"
)
_FIGURES = "Tried to allocate"
_SIGKILL, _SIGTERM = 9, 15
_BY_SIGNAL = 128  # what a shell adds to the signal that ended what it ran
_WIDEST = 600  # characters of a line that is carried
_LAST = 5  # lines; what was caught and survived lies further back
_LAST_RAISED = 20  # the other ranks' last words may come after it
# What a program prints while it ends, and what launchers print about that; no sign that it went on.
_DYING = re.compile(
    r"(?:\[default\d+\]:)?"  # torchrun's `--tee`, before every line
    r"(?:\s+(?=[^\s\d])|\s*$|Traceback |\[(?:rank)?\d+\]:|[EWIF]\d{4} |[=*-]{4}"
    r"|[\w.]*(?:Error|Exception|Interrupt|Warning)\b|Root Cause|Failures:|During handling|The above exception"
    r"|terminate called|-- Process|Process \S+:|hourglass: )"
)


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How the machine's work ended."""

    reason: Reason
    code: int | None = None  # exit code, where the command left by itself
    signal: int | None = None  # signal that ended it, where one did
    tail: Sequence[str] = ()
    memory: str = ""  # the line that told of memory that was refused, where that is the reason

    def data(self, steps: int | None) -> dict[str, Any]:
        """Return the outcome event's data."""
        return {
            "reason": self.reason.value,
            "code": self.code,
            "signal": self.signal,
            "tail": list(self.tail),
            "steps": steps,
            "memory": self.memory[:_WIDEST] or None,
        }


class Refused:
    """The memory that a command was refused, in its own words: kept as long as that may be why it ends."""

    def __init__(self) -> None:
        self.gpu = self.host = ""
        self._gpu_left = self._host_left = 0  # lines of another kind until it was survived
        self._raised = False

    def take(self, line: str) -> None:
        """Take a line that was printed."""
        about = "emory" in line or "lloc" in line or "MEMORY" in line or "ALLOC" in line  # as each of the forms has
        if about and _GPU_MEMORY.search(line):
            figures = _FIGURES in self.gpu and _FIGURES not in line  # told again with less
            self.gpu = self.gpu if figures else line
            self._raised = bool(not re.search(_SAID, line) or _RAISED.search(line))
            self._gpu_left = _LAST_RAISED if self._raised else _LAST
        elif about and _HOST_MEMORY.search(line):
            self.host, self._host_left = line, _LAST
        elif not (self.gpu or self.host):
            return
        elif not _DYING.match(line):
            self._gpu_left, self._host_left = self._gpu_left - 1, self._host_left - 1
            self.gpu, self.host = self.gpu if self._gpu_left > 0 else "", self.host if self._host_left > 0 else ""
        elif not self._raised and _OTHER.match(line):
            self.gpu = ""


def decide(*, asked: Reason | None, returncode: int, oom_kills: int, refused: Refused, tail: Sequence[str]) -> Outcome:
    """Return the outcome of a command.

    `returncode` as `subprocess` gives it: negative for a signal. `oom_kills` is how many processes the kernel
    killed for memory while it ran.
    """
    code, number = _code_and_signal(returncode)
    memory = ""
    if asked is not None:
        reason = asked
    elif returncode == 0:
        reason = Reason.FINISHED
    elif refused.gpu:
        reason, memory = Reason.GPU_OOM, refused.gpu
    elif oom_kills > 0 or refused.host:
        reason, memory = Reason.OOM, refused.host
    else:
        reason = Reason.ERROR
    return Outcome(reason=reason, code=code, signal=number, tail=tail, memory=memory)


def was_killed(returncode: int, *, asked: bool) -> bool:
    """Return whether a signal ended the command, or what a shell of it ran: it leaves with 128 and the signal.

    143 does not say so of a command that was `asked`: our shell leaves with it after every stop, also of a script that
    saved and left.
    """
    if asked and returncode == _BY_SIGNAL + _SIGTERM:
        return False
    return returncode < 0 or returncode - _BY_SIGNAL in signal.valid_signals()  # 255 is `sys.exit(-1)`


def _code_and_signal(returncode: int) -> tuple[int | None, int | None]:
    if returncode < 0:
        return None, -returncode
    if returncode == _BY_SIGNAL + _SIGKILL:  # how a shell says that what it ran was killed
        return returncode, _SIGKILL
    return returncode, None


def oom_kills(proc: Path = Path("/proc"), cgroup: Path = Path("/sys/fs/cgroup")) -> int:
    """Return how often the kernel killed for memory here so far; 0 where nothing tells.

    The container's own counter where there is one (cgroup 2, then 1), else the whole machine's.
    """
    own = _lines(proc / "self" / "cgroup")
    unified = [line.split(":", 2)[2] for line in own if line.startswith("0::")]
    memory = [line.split(":", 2)[2] for line in own if "memory" in line.split(":", 2)[1].split(",")]
    places = [cgroup / path.lstrip("/") / "memory.events" for path in unified]
    places += [cgroup / "memory.events"]
    places += [cgroup / "memory" / path.lstrip("/") / "memory.oom_control" for path in memory]
    places += [cgroup / "memory" / "memory.oom_control", proc / "vmstat"]
    for place in places:
        for line in _lines(place):
            name, _, count = line.partition(" ")
            if name == "oom_kill" and count.strip().isdecimal():
                return int(count)
    return 0


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(errors="replace").splitlines()
    except OSError:
        return []
