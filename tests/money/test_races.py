"""Many processes at one budget on one file: exactly what fits is held, whoever dies in between."""

from __future__ import annotations

import time
from collections import Counter
from pathlib import Path

import pytest
from sqlmodel import func, select

from jobs import ledger
from jobs.lifecycle import JobState
from jobs.model import Job
from jobs.values import DOLLAR
from tests.support.house import House
from tests.support.racer import ask_for_ever, processes, race

pytestmark = pytest.mark.slow

PROCESSES, JOBS = 8, 25


def test_eight_processes_hold_the_last_dollar_once(tmp_path: Path) -> None:
    """200 jobs of $3 race for $300: one hundred start, one hundred are put before a lead, not a micro is lost."""
    url = f"sqlite:///{tmp_path / 'hourglass.db'}"
    house = House(url=url, cap=300 * DOLLAR)
    many = processes()
    start, results = many.Barrier(PROCESSES), many.SimpleQueue()
    racers = [many.Process(target=race, args=(url, f"U{number}", JOBS, start, results)) for number in range(PROCESSES)]
    for racer in racers:
        racer.start()
    for racer in racers:
        racer.join(100)
    assert [racer.exitcode for racer in racers] == [0] * PROCESSES
    total: Counter[str] = sum((results.get() for _ in racers), Counter())
    assert total == Counter({"queued": 100, "awaiting_approval": 100})
    assert house.period().held == 300 * DOLLAR
    assert house.service.budget("vision").free == 0
    house.balanced()
    house.db.close()


@pytest.mark.parametrize("jobs", [3, 8])
def test_a_process_that_is_killed_leaves_every_row_and_the_money_consistent(tmp_path: Path, jobs: int) -> None:
    url = f"sqlite:///{tmp_path / 'hourglass.db'}"
    house = House(url=url, cap=10_000 * DOLLAR)
    victim = processes().Process(target=ask_for_ever, args=(url,))
    victim.start()
    try:
        _until_there_are(house, jobs)
    finally:
        victim.kill()
        victim.join(10)
    house.balanced()
    with house.db.read() as tx:
        for job in tx.exec(select(Job)):
            held = ledger.open_of(ledger.entries(tx, job.id))
            assert held == (job.hold if job.state in (JobState.QUEUED, JobState.AWAITING_APPROVAL) else 0), job.state
            assert (job.period_id is None) == (job.hold == 0)
    for job_id in house.intake.due():  # whoever died between the request and its price is worked on now
        house.intake.work(job_id)
        assert house.job(job_id).state is JobState.QUEUED
    house.balanced()
    house.db.close()


def _until_there_are(house: House, jobs: int) -> None:
    limit = time.monotonic() + 60
    while time.monotonic() < limit:
        with house.db.read() as tx:
            if tx.exec(select(func.count()).select_from(Job)).one() >= jobs:
                return
    raise AssertionError(f"The other process made no {jobs} jobs in a minute.")
