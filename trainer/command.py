"""One command of the team's, in a session of its own, so that all of it can be signalled and ended."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from trainer import procs
from trainer.asking import Asking
from trainer.output import Output, Pump

_LEFTOVERS = 2.0  # seconds to take what a finished command left in the pipe
NOT_FOUND = 127  # a shell's code for a command that is not there
NOT_RUNNABLE = 126
_TRAP = "trap 'exit 143' TERM"


def shell(lines: Sequence[str], path: str | None) -> list[str]:
    """Return the argument list that runs `lines` in one shell, in order, up to the first that fails.

    One shell for all of them: a `cd`, an `export` or an activated environment holds for the lines after it. It
    waits for its child when asked to stop, and then starts no further line.
    """
    program = shutil.which("bash", path=path) or shutil.which("sh", path=path) or "/bin/sh"
    return [program, "-c", "\n".join([_TRAP, "set -e", *lines])]


class Command:
    """A started command; `returncode` is as `subprocess` has it once it has ended."""

    def __init__(self, argv: Sequence[str], *, cwd: Path, env: Mapping[str, str], output: Output) -> None:
        reader, writer = os.pipe()
        self._process: subprocess.Popen[bytes] | None = None
        self.returncode: int | None = None
        program = shutil.which(argv[0], path=env.get("PATH")) if os.sep not in argv[0] else argv[0]
        try:
            self._process = subprocess.Popen(
                [program or argv[0], *argv[1:]],
                cwd=cwd,
                env=dict(env),
                stdin=subprocess.DEVNULL,
                stdout=writer,
                stderr=writer,
                start_new_session=True,
            )
        except (OSError, ValueError) as error:  # ValueError: a NUL byte in a word
            output.say(f"hourglass: {argv[0]!r} could not be started: {error}")
            self.returncode = NOT_FOUND if isinstance(error, FileNotFoundError) else NOT_RUNNABLE
        finally:
            os.close(writer)
        self._pump = Pump(reader, output)
        self._asking: Asking | None = None
        self._patient = any(word.startswith(_TRAP) for word in argv[1:])

    def poll(self) -> bool:
        """Return whether the command itself has ended; its children may still run."""
        if self.returncode is None and self._process is not None:
            self.returncode = self._process.poll()
        return self.returncode is not None

    def group_alive(self) -> bool:
        """Return whether anything of its process group is left."""
        if self._process is None:
            return False
        try:
            os.killpg(self._process.pid, 0)
        except ProcessLookupError:
            return False
        except PermissionError:
            return True
        return True

    def ask(self, now: float) -> None:
        """Ask it to save and stop; to be called again and again until it has ended, with the time in seconds."""
        if self._process is None:
            return
        pid, first = self._process.pid, self._asking is None
        if self._asking is None:
            self._asking = Asking(
                family=lambda: procs.family(pid),
                alive=procs.alive,
                ask=_ask,
                writing=procs.being_written,
                patient=pid if self._patient else 0,
            )
        if sys.platform.startswith("linux"):
            self._asking.step(now)
        elif first:  # nothing tells who is who
            self._send(signal.SIGTERM)

    @property
    def cuts(self) -> Sequence[Collection[tuple[int, int]] | None]:
        """Return what each of its programs was writing that being asked ended where it was (`Asking.cuts`)."""
        return () if self._asking is None else tuple(self._asking.cuts)

    def _send(self, number: int) -> None:
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, number)

    def finish(self) -> int:
        """End what is left of it, in groups of their own too; take the last output, and return the return code."""
        left = procs.family(self._process.pid) if self._process is not None else ()
        self._send(signal.SIGKILL)
        for one in left:
            _send(one.pid, signal.SIGKILL)
        if self._process is not None:
            self.returncode = self._process.wait()
        give_up = time.monotonic() + _LEFTOVERS
        self._pump.finish(max(0.1, give_up - time.monotonic()))
        return self.returncode if self.returncode is not None else NOT_RUNNABLE


def _ask(pid: int) -> None:
    _send(pid, signal.SIGTERM)


def _send(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, number)
