"""Who of a command's processes is asked to save and stop, and in which order. Pure but for what it is given.

A signal to all of them at once ends what a save still needs: the workers that load data, a `tee` that is printed to.
So the programs are asked first, each by itself, and what stands around them when they have ended. A launcher of ranks
would end the whole group of each: the ranks are asked, and not the launcher.
"""

from __future__ import annotations

import re
import signal
from collections.abc import Callable, Collection, Mapping, Sequence

from trainer.procs import Process

_DRAIN = 1.0  # seconds after the end of those that were asked: pipes run empty, and launchers leave by themselves
_SHELL = re.compile(r"(?:ba|da|a|z|m?k|fi)?sh")
# What runs other programs and waits for their end.
_LAUNCHER = re.compile(
    r"timeout|time|g?make|xargs|parallel|script|strace|tini|dumb-init"
    r"|uvx?|poetry|pdm|pipenv|hatch|pixi|conda|(?:micro)?mamba"
    r"|torchrun|torch\.distributed\.(?:run|launch)|accelerate(?:-launch|\.commands\..*)?|deepspeed(?:\.launcher\..*)?"
    r"|composer|fabric|horovodrun|mpirun|mpiexec(?:\.hydra)?|orterun|prterun"
)
_INTERPRETER = re.compile(r"(?:python|pypy|perl)[\d.]*\w?$")
_SPAWNED = "multiprocessing.spawn import spawn_main"
_LOADER = (signal.SIGBUS, signal.SIGSEGV, signal.SIGFPE)  # which torch has handlers for in the workers that load data


def name(process: Process) -> str:
    """Return what runs: a program's name, or of an interpreter the script's or the module's."""
    words = [word.rpartition("/")[2] for word in process.words] or [""]
    program = process.program or words[0].lstrip("-")  # another user's may not be looked at closely
    if program == "busybox":
        return words[1] if words[0] == "busybox" and len(words) > 1 else words[0]
    if not _INTERPRETER.match(program):
        return re.sub(r"-[\d.]+$", "", program)  # zsh-5.9
    at = 1
    while at < len(words) and words[at].startswith("-"):
        if words[at] == "-c":
            return ""
        at += 2 if words[at] in ("-W", "-X") else 1
    return words[at] if at < len(words) else ""  # after `-m` stands a module


def heads(family: Sequence[Process]) -> list[Process]:
    """Return a family's topmost programs, without those that read what others print: they end by themselves.

    What `multiprocessing` has spawned, with a handler of its own, is a rank: nobody hands the signal on to it. Where
    the program above it has no handler, that would end and take its ranks along: it is left out.
    """
    members = {one.pid: one for one in family}
    shells = {one.pid for one in family if _is_shell(one)}
    above = {one.pid: _above(one, members) for one in family}
    programs = {pid for pid, one in members.items() if pid not in shells and not _LAUNCHER.fullmatch(name(one))}
    ranks = {pid for pid in programs if above[pid] & programs and _is_rank(members[pid], members[members[pid].parent])}
    led = {pid for rank in ranks for pid in above[rank] if not members[pid].catches(signal.SIGTERM)}
    top = {pid for pid in programs if not above[pid] & programs} - led | ranks
    writers = [one for one in family if one.writes and one.pid not in shells]
    return [
        members[pid]
        for pid in sorted(top)
        if not any(members[pid].reads in one.writes and pid not in above[one.pid] | {one.pid} for one in writers)
    ]


def _above(one: Process, members: Mapping[int, Process]) -> set[int]:
    found = {one.pid}
    at = one
    while (parent := members.get(at.parent)) is not None and parent.pid not in found:
        found.add(parent.pid)
        at = parent
    return found - {one.pid}


def _is_shell(one: Process) -> bool:
    return bool(_SHELL.fullmatch(name(one)))


def _is_rank(one: Process, parent: Process) -> bool:
    spawned = any(_SPAWNED in word for word in one.words) and one.words != parent.words  # which a fork keeps
    return spawned and one.catches(signal.SIGTERM) and not all(map(one.catches, _LOADER))


class Asking:
    """The asking of one command: `step` is called again and again until it has ended."""

    def __init__(
        self,
        *,
        family: Callable[[], Sequence[Process]],
        alive: Callable[[int, int], bool],
        ask: Callable[[int], None],
        writing: Callable[[int], Collection[tuple[int, int]]] = lambda pid: (),
        patient: int = 0,
    ) -> None:
        """`patient` is a shell that waits for its child when it is asked, and may be asked at once.

        `writing` tells which files a process has open to write, by device and inode.
        """
        self._family = family
        self._alive = alive
        self._ask = ask
        self._patient = patient
        self._writing = writing
        # Of each program that was asked and has no handler, so that the signal ends it: what it was writing then.
        # None: that may be anything, since no other was asked that saves by a handler of its own.
        self.cuts: list[Collection[tuple[int, int]] | None] = []
        self._one_handles = False
        self._asked: set[tuple[int, int]] = set()
        self._awaited: set[tuple[int, int]] = set()
        self._since: float | None = None  # when the last of the awaited had ended

    def step(self, now: float) -> None:
        """Ask those whose turn it is at `now`, in seconds."""
        if any(self._alive(*each) for each in self._awaited):
            return
        if self._asked:
            self._since = now if self._since is None else self._since
            if now - self._since < _DRAIN:
                return
        family = self._family()
        programs = self._unasked(heads(family))
        shells = [one for one in family if _is_shell(one) and (self._asked or one.pid == self._patient)]
        due = [*programs, *self._unasked(shells)] if self._asked or programs else []
        self._awaited, self._since = {(one.pid, one.born) for one in programs}, None
        self._one_handles |= any(one.catches(signal.SIGTERM) for one in programs)
        ended = [one for one in programs if not one.catches(signal.SIGTERM)]
        self.cuts += [self._writing(one.pid) if self._one_handles else None for one in ended]
        for one in due or self._unasked(family):
            self._asked.add((one.pid, one.born))
            self._ask(one.pid)

    def _unasked(self, some: Sequence[Process]) -> list[Process]:
        return [one for one in some if (one.pid, one.born) not in self._asked]
