"""Bots that can be killed: a fork of a process that has everything imported, at the other end of a pipe.

`Local` is the same bot in this very process, for rehearsals: it shows which points a story passes, and leaves
SQLAlchemy's compiled statements behind, which every fork then has.
"""

from __future__ import annotations

import contextlib
import gc
import os
import signal
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from typing import Any

from jobs.errors import ProviderError
from tests.crashes.bot import Bot, Order, Report
from tests.crashes.cloud import Line
from tests.crashes.fate import Death, Fate
from tests.crashes.points import Position
from tests.support.clock import FakeClock

Serve = Callable[..., Any]  # (verb, *arguments) -> the cloud's answer
Build = Callable[[Line, Fate], Bot]


class Broken(Exception):
    """The harness, or the product in a place where nothing may fail, broke: no history was tried."""


@dataclass(frozen=True, kw_only=True)
class Killed:
    """Where a bot was killed."""

    point: str
    position: Position


class Local:
    """A bot in this process; it cannot be killed."""

    def __init__(self, build: Build, serve: Serve) -> None:
        self._serve = serve
        self._answers: list[Any] = []
        self._bot = build(self, Fate())

    def send(self, message: Any) -> None:
        """Answer a call at once."""
        _, verb, arguments = message
        self._answers.append(_answer(self._serve, verb, arguments))

    def recv(self) -> Any:
        """Return the answer."""
        return self._answers.pop()

    def ask(self, now: datetime, order: Order) -> Report | Killed:
        """Have something done."""
        return self._bot.do(order)

    def end(self) -> None:
        """Let go of the database."""
        self._bot.db.close()


class Forked:
    """A bot in a child of its own, which serves one order after another until it is killed or ended."""

    def __init__(self, build: Build, serve: Serve, clock: FakeClock, death: Death | None) -> None:
        self._serve = serve
        self._line, theirs = Pipe()
        self._pid = os.fork()
        if self._pid == 0:
            self._line.close()
            _child(theirs, build, clock, death)
        theirs.close()

    def ask(self, now: datetime, order: Order) -> Report | Killed:
        """Have something done; calls of the cloud are served meanwhile. Raises `Broken`."""
        killed: Killed | None = None
        self._line.send((now, order))
        while True:
            try:
                message = self._line.recv()
            except (EOFError, ConnectionResetError):
                return self._buried(killed)
            match message:
                case ("call", verb, arguments):
                    answer = _answer(self._serve, verb, arguments)
                    with contextlib.suppress(BrokenPipeError):  # it died between its call and our answer
                        self._line.send(answer)
                case ("dying", point, position):
                    killed = Killed(point=point, position=position)
                case ("done", report):
                    return report
                case ("broke", trace):
                    raise Broken(trace)

    def end(self) -> None:
        """End it as a deployment does that is in a hurry: nothing is closed."""
        os.kill(self._pid, signal.SIGKILL)
        self._wait()

    def _buried(self, killed: Killed | None) -> Killed:
        status = self._wait()
        if killed is None or not os.WIFSIGNALED(status) or os.WTERMSIG(status) != signal.SIGKILL:
            raise Broken(f"A bot ended by itself, with status {status}.")
        return killed

    def _wait(self) -> int:
        self._line.close()
        return os.waitpid(self._pid, 0)[1]


def _answer(serve: Serve, verb: str, arguments: tuple[Any, ...]) -> Any:
    try:
        return serve(verb, *arguments)
    except ProviderError as error:
        return error


def _child(line: Connection, build: Build, clock: FakeClock, death: Death | None) -> None:
    """Be the bot until the end; never returns."""
    gc.disable()  # it lives for a moment, and what it would collect is its parent's
    try:
        fate = Fate(death=death, last_word=lambda point, position: line.send(("dying", point, position)))
        bot: Bot | None = None
        while True:
            now, order = line.recv()
            clock.advance(now - clock.now())
            bot = bot or build(line, fate)
            line.send(("done", bot.do(order)))
    except (EOFError, ConnectionResetError):
        os._exit(0)  # the watcher is gone
    except BaseException:  # noqa: BLE001  whatever it is, the watcher has to hear of it
        line.send(("broke", traceback.format_exc()))
    os._exit(1)
