"""The first process on the machine: it reaps, forwards signals, and ends everything at the deadline.

It does little, so that little can stop it: no network, no threads, no store. Its one child is the agent. The
agent may tell it a moved deadline through a pipe that only the two of them hold; a frozen or dead agent moves
nothing. Runs as PID 1 of a container, and as an ordinary process on the practice machine.

Exit codes: the agent's own (0 finished, 1 ended otherwise, both reported; 75 could not report), and

    70   the agent died without a word
    78   a variable that the provider sets is missing or wrong
    124  the deadline had passed
"""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import signal
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from trainer import procs, wire
from trainer.deadline import Deadline
from trainer.machine import BadMachine, machine_from

EXIT_AGENT_DIED = 70
EXIT_BAD_MACHINE = 78
EXIT_DEADLINE = 124
ENV_INIT_FD = "HOURGLASS_INIT_FD"  # between init and agent only: where a moved deadline is told

_FORWARDED = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2)
_TICK = 1.0  # the longest look away from the clock, should a timeout run on a clock that sleeps


def say(text: str) -> None:
    """Write one line for whoever reads the machine's own console."""
    with contextlib.suppress(OSError, ValueError):
        sys.stderr.write(f"hourglass: {text}\n")
        sys.stderr.flush()


class Init:
    """The loop around one child."""

    def __init__(self, deadline: Deadline) -> None:
        self._deadline = deadline
        self._agent: int | None = None
        self._status: int | None = None
        self._heard = b""
        self._signals, writer = os.pipe()
        self._reports, self._reports_writer = os.pipe()
        for fd in (self._signals, writer, self._reports):
            os.set_blocking(fd, False)
        for number in (*_FORWARDED, signal.SIGCHLD):
            signal.signal(number, lambda *_: None)  # a handler must stand for the wake-up below to be written
        signal.set_wakeup_fd(writer)

    def run(self, argv: Sequence[str], env: Mapping[str, str]) -> int:
        """Start `argv` as the agent and stay until it ends or the deadline passes; return the exit code."""
        procs.adopt_orphans()
        os.set_inheritable(self._reports_writer, True)
        try:
            told = {**env, ENV_INIT_FD: str(self._reports_writer)}
            self._agent = os.posix_spawn(argv[0], list(argv), told)
            os.close(self._reports_writer)
            return self._watch()
        finally:
            survivors = procs.end_all(os.getpid())
            if survivors:
                say(f"{len(survivors)} processes could not be ended.")

    def _watch(self) -> int:
        watched = [self._signals, self._reports]
        while True:
            left = self._deadline.left()
            ready, _, _ = select.select(watched, [], [], max(0.0, min(left, _TICK)))
            if self._reports in ready and not self._listen():
                watched.remove(self._reports)
            if self._signals in ready:
                self._forward(os.read(self._signals, 4096))
            if self._agent is not None and self._agent in (ended := procs.reap()):
                self._status = ended[self._agent]
                self._agent = None
            if self._status is not None:
                return self._agent_code(self._status)
            if self._deadline.left() <= 0:
                say("the deadline has passed; everything here is ended now.")
                return EXIT_DEADLINE

    def _listen(self) -> bool:
        data = os.read(self._reports, 4096)
        *lines, self._heard = (self._heard + data).split(b"\n")
        for line in lines:
            with contextlib.suppress(ValueError):  # what is not a time leaves the deadline where it is
                self._deadline.move(float(line))
        return bool(data)

    def _forward(self, numbers: bytes) -> None:
        for number in numbers:
            if number in _FORWARDED and self._agent is not None:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(self._agent, number)

    @staticmethod
    def _agent_code(status: int) -> int:
        code = os.waitstatus_to_exitcode(status)
        if code < 0:
            say(f"the agent was ended by {signal.Signals(-code).name}; everything here is ended now.")
            return EXIT_AGENT_DIED
        return code


def main(archive: str) -> int:
    """Run as the machine's first process; `archive` is what the agent is started from."""
    try:
        machine = machine_from(os.environ)
    except BadMachine as error:
        say(str(error))
        return EXIT_BAD_MACHINE
    deadline = Deadline(machine.deadline)
    scratch = machine.workdir or Path(tempfile.mkdtemp(prefix="hourglass-"))
    try:
        scratch.mkdir(parents=True, exist_ok=True)
        env = {**os.environ, wire.ENV_WORKDIR: str(scratch)}
        # -I: a module in the team's PYTHONPATH must not stand in for one of the agent's own. -B: leave no litter.
        return Init(deadline).run([sys.executable, "-IB", archive, "agent"], env)
    finally:
        if machine.workdir is None:
            shutil.rmtree(scratch, ignore_errors=True)
