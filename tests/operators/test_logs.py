"""A log line says which job and attempt it is about, whoever wrote it; what nobody caught goes the same way."""

from __future__ import annotations

import io
import logging
import sys
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from bot.logs import MASK, catch_the_rest, configure
from jobs.crew import Crew
from tests.support.world import World

SECRET = "planted-value-2718"


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    """What the sink wrote; everything is put back as it was."""
    root, hooks = logging.getLogger(), (sys.excepthook, threading.excepthook)
    handlers, level = list(root.handlers), root.level
    out = io.StringIO()
    configure([SECRET], stream=out)
    yield out
    logging.captureWarnings(False)
    sys.excepthook, threading.excepthook = hooks
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


def test_what_a_library_says_about_a_machine_carries_its_job_and_attempt(tmp_path: Path, lines: io.StringIO) -> None:
    world = World(tmp_path)
    job_id, _ = world.running()
    world.cloud.before("find", lambda: logging.getLogger("some.sdk").warning("slow answer"))
    world.rentals.attend(job_id)
    said = next(line for line in lines.getvalue().splitlines() if "slow answer" in line)
    assert f"job={job_id} attempt=1" in said


def test_a_thread_of_the_crew_says_what_it_works_on(lines: io.StringIO) -> None:
    done = threading.Event()

    def work(name: str) -> None:
        logging.getLogger("some.sdk").warning("deep inside")
        done.set()

    crew = Crew(work, 1)
    crew.start()
    crew.give("job0007")
    assert done.wait(10)
    assert crew.stop(10)
    assert "job=job0007" in next(line for line in lines.getvalue().splitlines() if "deep inside" in line)
    logging.getLogger("some.sdk").warning("afterwards")
    assert "job=" not in lines.getvalue().splitlines()[-1]


def test_what_nobody_caught_is_masked_like_everything(lines: io.StringIO) -> None:
    catch_the_rest()

    def fails() -> None:
        raise ValueError(f"no such token: {SECRET}")

    thread = threading.Thread(target=fails)
    thread.start()
    thread.join()
    try:
        fails()
    except ValueError as error:
        sys.excepthook(ValueError, error, error.__traceback__)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(True)  # anew: the block above keeps its own way of showing them
        warnings.warn(f"deprecated: {SECRET}", stacklevel=1)
        logging.captureWarnings(False)
    said = lines.getvalue()
    assert SECRET not in said
    assert said.count(MASK) >= 3
    assert said.count("Nobody caught this.") == 2
