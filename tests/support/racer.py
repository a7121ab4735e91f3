"""Processes that ask for one job after another, to race for one budget and to be killed."""

from __future__ import annotations

import itertools
import multiprocessing
from collections import Counter
from contextlib import suppress
from multiprocessing.context import ForkServerContext
from multiprocessing.queues import SimpleQueue
from multiprocessing.synchronize import Barrier

from jobs.clock import RandomIds
from jobs.errors import NotWritten
from jobs.lifecycle import JobState
from jobs.model import Job
from tests.support.house import ADA, LEAD, House


def processes() -> ForkServerContext:
    """Return a context whose processes have everything imported, and none of this process's threads."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    return context


def race(url: str, person: str, jobs: int, start: Barrier, results: SimpleQueue[Counter[str]]) -> None:
    """Ask for `jobs` jobs of $3 once everybody is ready, and tell how many came into which state."""
    house = House(url=url, cap=None, ids=RandomIds())
    start.wait(60)
    results.put(Counter(_patiently(house, person, number).state.value for number in range(jobs)))
    house.db.close()


def ask_for_ever(url: str) -> None:
    """Ask for, approve and cancel jobs until somebody ends this process."""
    house = House(url=url, cap=None, ids=RandomIds())
    for turn in itertools.count():
        job = house.priced(minutes=900 if turn % 2 else 60)
        if job.needs_lead:
            house.service.approve(job.id, LEAD)
        if turn % 3:
            house.service.cancel(job.id, ADA)


def _patiently(house: House, person: str, number: int) -> Job:
    """Do as a person does who is told that nothing was written: ask again, a few times."""
    for _ in range(20):
        with suppress(NotWritten):
            job = house.asked(person=person, delivery=f"{person}-{number}")
            house.price(job, minutes=60)
            if (job := house.job(job.id)).state is not JobState.REQUESTED:
                return job
    raise AssertionError("The database took nothing in twenty tries.")
