"""`kill -9` in mid-launch, with real processes: the next bot finds the machine, and it is the only one."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from jobs import db, policy, withdrawal
from jobs.endings import CALLS_APART
from jobs.lifecycle import AttemptState, JobState
from tests.support import killed_bot
from tests.support.killed_bot import JOB

LIMIT = 120.0


def until(condition: Callable[[], object]) -> None:
    """Wait until the condition holds; fails after a limit."""
    end, pause = time.monotonic() + LIMIT, threading.Event()
    while not condition():
        assert time.monotonic() < end, "the condition was not met in time"
        pause.wait(0.1)


def killed_in(folder: Path, point: str) -> None:
    """Start a bot over the folder and kill it when it says that it is there."""
    command = [sys.executable, "-m", "tests.support.killed_bot", str(folder), point]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as doomed:
        assert doomed.stdout is not None
        try:
            assert doomed.stdout.readline().strip() == "here"
        finally:
            doomed.send_signal(signal.SIGKILL)


@pytest.mark.slow
@pytest.mark.parametrize("point", ["before launch", "after launch"])
def test_a_bot_killed_in_mid_launch_leaves_one_machine_that_the_next_one_knows(tmp_path: Path, point: str) -> None:
    killed_in(tmp_path, point)
    provider = killed_bot.practice(tmp_path)
    ports, follow, rentals = killed_bot.bot(tmp_path, provider, killed_bot.Later(CALLS_APART))
    try:
        assert (0 if point == "before launch" else 1) == len(provider.list())

        rentals.enforce()
        (machine,) = provider.list()
        with ports.db.read() as tx:
            (attempt,) = db.attempts(tx, JOB)
        assert (AttemptState.LAUNCHED, machine.id) == (attempt.state, attempt.instance_id)

        def state() -> JobState:
            follow.round()
            with ports.db.read() as tx:
                return db.get_job(tx, JOB).state

        until(lambda: state() is JobState.RUNNING)
        with ports.db.write() as tx:
            withdrawal.cancel(tx, JOB, policy.Person(id="U1ADA", lead=False), ports.clock.now())

        def over() -> bool:
            rentals.attend(JOB)
            return state() is JobState.CANCELLED

        until(over)
        assert [seen.state.value for seen in provider.list()] == ["gone"]
    finally:
        for left in provider.list():
            provider.terminate(left)
        ports.db.close()
