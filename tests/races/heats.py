"""Processes that start together and race for one thing on one SQLite file, opened below `serve`'s lock.

`serve` lets one process write; these are what stands behind that lock if it ever fails. Each racer opens the file
itself, waits at the barrier, and tells what it met: every outcome is counted where it happens.
"""

from __future__ import annotations

import queue
import random
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.synchronize import Barrier
from typing import Any

from sqlmodel import func, select

from jobs import db as rows
from jobs import ledger
from jobs.db import Database
from jobs.errors import HourglassError, NotWritten
from jobs.model import Entry, EntryKind
from jobs.values import DOLLAR
from tests.support.clock import START
from tests.support.racer import processes

START_PATIENCE = 120.0  # seconds until every process stands at the barrier
LOOKS = 0.05  # of its turns after which a racer reads what stands
TRIES = 50  # of a person who is told that nothing was written, and asks again
PAIRED = 10  # each tenth reservation comes from two processes under one key

LEVEL, MIXED = "level", "mixed"  # teams: the one reserves a dollar each time, the other any sum
TEAMS = (LEVEL, MIXED)


@dataclass(kw_only=True)
class Told:
    """What one racer met."""

    counts: Counter[str] = field(default_factory=Counter)
    refused: dict[str, int] = field(default_factory=dict)  # team -> the smallest sum that did not fit
    broke: list[str] = field(default_factory=list)  # errors that no caller is meant to see


def race(racer: Callable[..., None], each: Sequence[Sequence[Any]], limit: float = 900.0) -> list[Any]:
    """Run `racer(*arguments, barrier, results)` in a process for each row of arguments; return what each told.

    Raises `AssertionError` where one does not come to its end in `limit` seconds; none is left running.
    """
    context = processes()
    start, results = context.Barrier(len(each)), context.Queue()
    racers = [context.Process(target=racer, args=(*arguments, start, results), daemon=True) for arguments in each]
    for process in racers:
        process.start()
    told: list[Any] = []
    try:
        end = time.monotonic() + limit
        while len(told) < len(racers):
            with suppress(queue.Empty):
                told.append(results.get(timeout=1.0))
            fell = [process.name for process in racers if process.exitcode]
            assert not fell, f"{', '.join(fell)} came to no end; the trace is above."
            assert time.monotonic() < end, f"{len(racers) - len(told)} racers told nothing in {limit:.0f} s."
        for process in racers:
            process.join(START_PATIENCE)
    finally:
        for process in racers:
            process.kill()
    return told


Taking = Callable[[Database, str, str, str, int], bool]  # team, job, person, micros


def reserve(url: str, number: int, reservations: int, seed: int, start: Barrier, results: Any) -> None:
    """Hold for `reservations` jobs, turn and turn about for each team; the real ledger in the real transaction."""
    _reserve(_hold, url, number, reservations, seed, start, results)


def reserve_naively(url: str, number: int, reservations: int, seed: int, start: Barrier, results: Any) -> None:
    """Do the same with a mistake that others made: look at what is free, then hold."""
    _reserve(_look_then_hold, url, number, reservations, seed, start, results)


def _reserve(take: Taking, url: str, number: int, reservations: int, seed: int, start: Barrier, results: Any) -> None:
    database, told = Database.open(url, migrate=False), Told()
    draw = random.Random(f"{seed}:{number}")
    start.wait(START_PATIENCE)
    for turn in range(reservations):
        team = TEAMS[turn % len(TEAMS)]
        # Both of a pair ask for the same hold: the second one finds it written, and takes nothing more.
        job_id = f"pair-{number // 2}-{turn}" if turn % PAIRED < len(TEAMS) else f"own-{number}-{turn}"
        micros = DOLLAR if team is LEVEL else random.Random(f"{seed}:{job_id}").randrange(1, 3 * DOLLAR)
        try:
            held = _patiently(take, database, team, job_id, f"U{number}", micros, told)
        except Exception as error:  # noqa: BLE001  whatever reaches a caller is what is counted here
            told.broke.append(f"{type(error).__name__}: {error}")
            continue
        told.counts["held" if held else "refused"] += 1
        if not held:
            told.refused[team] = min(micros, told.refused.get(team, micros))
        if draw.random() < LOOKS:
            told.counts["looks"] += 1
            told.counts["torn"] += not _adds_up(database, team)
    results.put(told)
    database.close()


def _adds_up(database: Database, team: str) -> bool:
    """Say whether a reader in the middle of the race sees a month that is the sum of its entries."""
    with database.read() as tx:
        period = rows.find_period(tx, rows.get_team(tx, team), START)
        if period is None:
            return tx.exec(select(Entry)).first() is None
        held = tx.exec(select(func.sum(Entry.micros)).where(Entry.period_id == period.id)).one()
    return period.held == (held or 0)


def _patiently(take: Taking, database: Database, team: str, job_id: str, person: str, micros: int, told: Told) -> bool:
    """Do as a caller does who is told that nothing was written: ask again."""
    for _ in range(TRIES):
        try:
            return take(database, team, job_id, person, micros)
        except NotWritten:
            told.counts["not written"] += 1
    raise HourglassError("The database took nothing in fifty tries.")


def _hold(database: Database, team: str, job_id: str, person: str, micros: int) -> bool:
    with database.write() as tx:
        period = rows.period_of(tx, rows.get_team(tx, team), START)
        return ledger.open_hold(
            tx, job_id=job_id, person=person, period=period, micros=micros, key=f"{job_id}:hold:1", at=START
        )


def _look_then_hold(database: Database, team: str, job_id: str, person: str, micros: int) -> bool:
    with database.read() as tx:
        period = rows.find_period(tx, rows.get_team(tx, team), START)
        if period is not None and period.cap - period.held < micros:
            return False
    with database.write() as tx:
        period = rows.period_of(tx, rows.get_team(tx, team), START)
        key = f"{job_id}:hold:1"
        if tx.exec(select(Entry).where(Entry.key == key)).first() is not None:
            return True
        entry = Entry(
            key=key, period_id=period.id, job_id=job_id, person=person, kind=EntryKind.HOLD, micros=micros, at=START
        )
        tx.add(entry)
        period.held += micros
        tx.add(period)
        return True
