"""Why it ended, decided from what was seen.

When we asked the command to stop, our own record decides: torchrun leaves with 1 although every worker saved and
left with 0, and a script that was killed after its grace says nothing of use.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trainer.wire import Reason

_GPU_MEMORY = re.compile(
    r"CUDA out of memory|OutOfMemoryError: (CUDA|HIP)|HIP out of memory|CUBLAS_STATUS_ALLOC_FAILED"
    r"|cudaErrorMemoryAllocation|CUDA error: out of memory|CUDNN_STATUS_ALLOC_FAILED"
    r"|RESOURCE_EXHAUSTED: Out of memory (?:while trying to allocate|allocating)"  # JAX
)
# The host's memory, where a request was refused and nobody was killed for it: as the last word of a program.
_HOST_MEMORY = re.compile(
    r"^(?:\[rank\d+\]:\s*)?MemoryError\b|DefaultCPUAllocator: (?:can't allocate|not enough) memory|std::bad_alloc"
    r"|\[Errno 12\] Cannot allocate memory|numpy\._core\._exceptions\._ArrayMemoryError"
)
_SIGKILL = 9
_LAST = 5  # lines; what was caught and survived lies further back


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How the machine's work ended."""

    reason: Reason
    code: int | None = None  # exit code, where the command left by itself
    signal: int | None = None  # signal that ended it, where one did
    tail: Sequence[str] = ()

    def data(self, steps: int | None) -> dict[str, Any]:
        """Return the outcome event's data."""
        return {
            "reason": self.reason.value,
            "code": self.code,
            "signal": self.signal,
            "tail": list(self.tail),
            "steps": steps,
        }


def decide(*, asked: Reason | None, returncode: int, oom_kills: int, tail: Sequence[str]) -> Outcome:
    """Return the outcome of a command.

    `returncode` as `subprocess` gives it: negative for a signal. `oom_kills` is how many processes the kernel
    killed for memory while it ran.
    """
    code, number = _code_and_signal(returncode)
    if asked is not None:
        reason = asked
    elif returncode == 0:
        reason = Reason.FINISHED
    elif any(_GPU_MEMORY.search(line) for line in tail):
        reason = Reason.GPU_OOM
    elif oom_kills > 0 or any(_HOST_MEMORY.search(line) for line in tail[-_LAST:]):
        reason = Reason.OOM
    else:
        reason = Reason.ERROR
    return Outcome(reason=reason, code=code, signal=number, tail=tail)


def _code_and_signal(returncode: int) -> tuple[int | None, int | None]:
    if returncode < 0:
        return None, -returncode
    if returncode == 128 + _SIGKILL:  # how a shell says that what it ran was killed
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
