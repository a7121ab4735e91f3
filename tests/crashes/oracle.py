"""What has to be true of every history, counted from the cloud's machines and the bare rows of the file.

Nothing of the product's own arithmetic is used: bills are made here of the times that the cloud has, and the rows
are read with the `sqlite3` module.
"""

from __future__ import annotations

import math
import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from tests.crashes.bot import JOB
from tests.crashes.cloud import market_price
from tests.crashes.world import Told
from tests.support.clock import START
from tests.support.fake_provider import Machine

# Between a deadline and the terminate that the cloud accepts, the bot killed and started anew on the way.
LATE = timedelta(seconds=120)
# What a machine has to save and to upload once another one of its attempt is gone: its grace, and as much again.
ALONE = timedelta(seconds=120)
Row = dict[str, Any]


def faults(told: Told, file: Path) -> list[str]:
    """Return everything that is wrong with a history, each as `kind: words`; empty where its promises were kept."""
    rows = _read(file)
    found = [f"stumbled: {said}" for said in told.stumbled]
    found += _machines(told)
    found += _lateness(told, rows)
    if told.state not in told.scenario.end:
        found.append(f"ended: the job is {told.state}, not {' or '.join(told.scenario.end)}")
    found += _money(told, rows)
    found += _papers(told, rows)
    return found


def _read(file: Path) -> dict[str, list[Row]]:
    with closing(sqlite3.connect(file)) as connection:
        connection.row_factory = sqlite3.Row
        tables = ("job", "attempt", "entry", "period", "note", "outbox")
        return {table: [dict(row) for row in connection.execute(f"SELECT * FROM {table}")] for table in tables}  # noqa: S608


def _machines(told: Told) -> Iterator[str]:
    """No machine is left, none has a twin, no two attempts cost money at the same time, and none waits in vain."""
    machines = told.cloud.machines
    for machine in machines:
        if machine.ends_at is None or machine.ends_at > told.now:
            yield f"leaked: {machine.id} ({machine.order.launch_key}) is alive at the end"
    for key, count in Counter(machine.order.launch_key for machine in machines).items():
        if count > 1:
            yield f"doubled: {count} machines under {key}"
    for index, one in enumerate(machines):
        for other in machines[index + 1 :]:
            if one.order.attempt == other.order.attempt:
                yield from _lonely(told, one, other)
            elif other.launched_at < (one.ends_at or told.now) and one.launched_at < (other.ends_at or told.now):
                yield f"doubled: {one.id} and {other.id} lived at the same time"


def _lonely(told: Told, one: Machine, other: Machine) -> Iterator[str]:
    """Of two that train together neither goes on for long without the other."""
    ends = sorted(machine.ends_at or told.now for machine in (one, other))
    if told.scenario.down is None and ends[1] - ends[0] > ALONE + LATE + told.weather.lag:
        yield f"lonely: of {one.id} and {other.id} one lived {ends[1] - ends[0]} longer than the other"


def _lateness(told: Told, rows: dict[str, list[Row]]) -> Iterator[str]:
    """A machine ends by what was asked for from the first one on, and by what an extension added that came about."""
    machines = told.cloud.machines
    if not machines:
        return
    minutes = told.scenario.setting.spec.minutes
    if any(note["kind"] == "extended" for note in rows["note"]):
        minutes += sum(press.minutes for press in told.scenario.presses if press.press == "extend")
    latest = min(machine.launched_at for machine in machines) + timedelta(minutes=minutes)
    latest += LATE + told.weather.lag + told.cloud.deaf_for
    for machine in machines:
        if (machine.ends_at or told.now) > latest:
            yield f"late: {machine.id} lived {(machine.ends_at or told.now) - latest} past its deadline and the lag"


def _money(told: Told, rows: dict[str, list[Row]]) -> Iterator[str]:
    """What is charged is what the cloud bills, and nothing stays held; every sum is the sum of its entries."""
    billed = sum(_bill(machine, told) for machine in told.cloud.machines)
    # An old copy of the rows knows no price of a machine that came after it: it is charged at the job's ceiling.
    most = billed * 3 // 2 + 1 if told.scenario.restored else billed
    sums: Counter[str] = Counter()
    for entry in rows["entry"]:
        sums[entry["kind"].lower()] += entry["micros"]
    count = Counter(entry["kind"].lower() for entry in rows["entry"])
    charged = sums["charge"] + sums["overrun"]
    if not billed <= charged <= most:
        yield f"charged: {charged} where the cloud bills {billed}"
    if sums["hold"] != sums["release"] + sums["charge"]:
        yield f"held: {sums['hold']} held, {sums['release']} released and {sums['charge']} charged"
    if count["charge"] > 1 or (sums["hold"] and count["charge"] != 1):
        yield f"closed: {count['charge']} times"
    for period in rows["period"]:
        if period["held"] != 0:
            yield f"held: the month still holds {period['held']}"
        if period["spent"] != charged:
            yield f"charged: the month has spent {period['spent']} of {charged}"
        if period["granted"] != sums["grant"] - sums["revoke"]:
            yield f"granted: the month has {period['granted']} of {sums['grant']} less {sums['revoke']}"
    for job in rows["job"]:
        if (job["charged"] or 0) != charged:
            yield f"charged: the job says {job['charged']} of {charged}"


def _bill(machine: Machine, told: Told) -> int:
    """Return what the cloud bills for a machine, in micro-dollars, as its price list says."""
    traits = told.cloud.traits
    ran = max((machine.ends_at or told.now) - machine.launched_at, traits.minimum).total_seconds()
    granule = traits.granule.total_seconds()
    if machine.note and ran < told.cloud.waives.total_seconds():
        return 0
    if machine.offer.spot:
        begun = int((machine.launched_at - START).total_seconds())
        seconds = range(begun, begun + math.ceil(ran))
        return math.ceil(sum(market_price(machine.offer, second) for second in seconds) / 3600)
    return math.ceil(machine.offer.micros_per_hour * math.ceil(ran / granule) * granule / 3600)


def _papers(told: Told, rows: dict[str, list[Row]]) -> Iterator[str]:
    """The job ended after its machines; each machine has one row; the end was written down once, and is to be told."""
    jobs = [job for job in rows["job"] if job["id"] == JOB]
    if len(jobs) != 1:
        yield f"papers: {len(jobs)} jobs of one request"
        return
    finished = _time(jobs[0]["finished_at"])
    for machine in told.cloud.machines:
        if finished is not None and (machine.ends_at is None or machine.ends_at > finished):
            yield f"early: the job was over at {finished:%H:%M:%S}, {machine.id} ended {machine.ends_at}"
    named = Counter(row["instance_id"] for row in rows["attempt"] if row["state"].lower() == "gone")
    if named != Counter(machine.id for machine in told.cloud.machines):
        yield f"papers: the rows know {dict(named)} of {[machine.id for machine in told.cloud.machines]}"
    if left := [row["launch_key"] for row in rows["attempt"] if row["state"].lower() not in ("gone", "never")]:
        yield f"papers: attempts left open: {left}"
    kinds = Counter(note["kind"].lower() for note in rows["note"])
    for kind in ("ended", "settled", "granted", "denied", "expired", "refused", "requested"):
        if kinds[kind] > 1:
            yield f"told: {kinds[kind]} notes of {kind}"
    if told.cloud.machines and not kinds["ended"]:
        yield "told: a machine stood, and nobody is told of the end"
    owed = Counter(row["key"] for row in rows["outbox"])
    if twice := [key for key, count in owed.items() if count > 1]:
        yield f"told: owed more than once: {twice}"


def _time(value: str | None) -> datetime | None:
    return None if value is None else datetime.fromisoformat(value).replace(tzinfo=UTC)
