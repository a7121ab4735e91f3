"""A database that falls back to an old backup in mid-season: rebuilt as an operator does it, then audited.

The bot is down while that happens. `hourglass recover`'s own code runs over the backup, the store and the clouds until
every cloud has answered, and only then does a bot start. What the audit holds the rebuilt rows against is not what
that code reports, but every entry that was ever seen, what really lies in the store, and the machines that stand.
"""

from __future__ import annotations

import json
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

from bot.retelling import doubt
from jobs.errors import NotWritten, StoreError
from jobs.providers import Provider
from jobs.recover import Found, recover
from tests.simulation.books import Book, Case, Violation, Written
from tests.simulation.cloud import CloudProvider
from tests.simulation.machine import Machine
from tests.simulation.reckoning import price
from tests.simulation.world import HOME, World
from trainer.storage import StoreFault

TRIES = 6  # until a cloud that is silent for long is left to the bot
BETWEEN = 300.0  # seconds between two tries
SECOND = timedelta(seconds=1)  # a tag has no fractions


class Setback:
    """A backup that is made now, and is all that is left some time later."""

    def __init__(self, world: World, seconds: float, *, late: float = 0.0) -> None:
        """Make the backup; it is put back after `seconds`, and `late` seconds after the bot's last pass."""
        self._world = world
        self._late = late
        world.watched += 1
        self._pass()
        self._copy: bytes = world.rows.serialize()
        world.after(seconds, "the last pass", self._last_pass)

    def _pass(self) -> None:
        """Let the pass happen that comes each 30 seconds, whatever there is to do in it."""
        if self._world.up:
            with suppress(NotWritten, StoreFault):  # as the scheduler does
                self._world.bot.rentals.enforce()

    def _last_pass(self) -> None:
        self._pass()
        self._world.after(self._late, "the database is lost", self._falls_back)

    def _falls_back(self) -> None:
        world = self._world
        if not world.up or world.db.full:
            world.after(600.0, "the last pass", self._last_pass)  # nobody puts a backup on a full disk
            return
        world.befell["the database falls back"] += 1
        world.watched -= 1
        world.stops()
        world.oracle.fallen = True
        world.rows.deserialize(self._copy)
        self._rebuild(TRIES)

    def _rebuild(self, tries: int) -> None:
        """Do what the operator types; once more where not everybody answered."""
        world = self._world
        kept, asked = _entries(world), _asked(world)
        providers: dict[str, Provider] = {cloud.traits.name: CloudProvider(cloud, HOME) for cloud in world.clouds}
        found: Found | None = None
        with suppress(StoreError, NotWritten):
            found = recover(
                db=world.db,
                store=world.shelf,
                providers=providers,
                clock=world.clock,
                home=HOME,
                zone="UTC",
                then=doubt,
            )
        if _asked(world) != asked:
            raise Violation("the recovery asked for the end of a machine")
        if found is None or (tries and not found.whole):
            world.after(BETWEEN, "recover is typed again", lambda: self._rebuild(tries - 1))
            return
        Audit(world, set(kept) | _in_the_store(world)).judge(whole=found.whole)
        world.starts()


class Audit:
    """Holds rebuilt rows against the truth, and lets the oracle go on from there."""

    def __init__(self, world: World, kept: set[str]) -> None:
        """Take the keys of the entries that backup and store have between them."""
        self._world, self._oracle, self._kept = world, world.oracle, kept
        self._found = _entries(world)

    def judge(self, *, whole: bool) -> None:
        """Judge entries, months, minutes, deadlines and holds; `whole` says that every cloud has answered."""
        self._judge_entries()
        self._judge_caps()
        for job, case in self._oracle.cases.items():
            _replay(case, [(key, one) for key, one in self._found.items() if one.job == job])
            self._judge_job(job, case)
        if whole:
            for cloud in self._world.clouds:
                for machine in cloud.alive():
                    self._judge_machine(machine)
        self._oracle.resumes(self._books())

    def _judge_entries(self) -> None:
        written = self._oracle.written
        for key in self._kept - self._found.keys():
            raise Violation(f"{key} is in the backup or in the store, and was not rebuilt")
        for key, one in self._found.items():
            if ":recovered:" in key:
                written[key] = one
            elif written.get(key) != one:
                raise Violation(f"{key} was rebuilt as {one}, and it was {written.get(key)}")
        lost = [key for key in written if key not in self._found]
        tally, now = self._oracle.tally, self._world.time.now()
        for key in lost:
            seen = written.pop(key).seen  # it may be written once more
            if seen is not None:
                tally.forgotten_age = max(tally.forgotten_age, (now - seen).total_seconds())
        tally.forgotten += len(lost)

    def _judge_caps(self) -> None:
        for team, cap in self._world.rows.execute("SELECT id, cap FROM team"):
            if (team, cap) not in self._oracle.known_caps:
                raise Violation(f"{team} has a cap of {cap}, which no lead ever set")
            self._oracle.caps[team] = cap

    def _judge_job(self, job: str, case: Case) -> None:
        row = self._world.rows.execute("SELECT spec, deadline FROM job WHERE id = ?", (job,)).fetchone()
        if row is None:
            if case.first is not None or self._standing(job):
                raise Violation(f"{job} is not there any more, and its money or its machine is")
            return
        spec = json.loads(row[0] or "null")
        minutes = next(iter(case.agreed)) if spec is None else float(spec["minutes"])
        tags = [machine.deadline for machine in self._standing(job)]
        # Before there is a machine nobody was promised anything, and after the last one a deadline guards nothing.
        if row[1] is not None and self._machines(job) and case.charged is None:
            deadline = datetime.fromisoformat(row[1]).replace(tzinfo=UTC)
            known = [case.deadline, *(one.order.deadline for one in self._machines(job)), *tags]
            if not any(one is not None and abs(one - deadline) < SECOND for one in known):
                raise Violation(f"{job} has the deadline {deadline}, and people were told {case.deadline}")
            case.deadline = deadline
        nearest = min(case.agreed, key=lambda one: abs(one - minutes))
        moved = any(":recovered:" in key for key in self._found if key.startswith(f"{job}:"))
        if abs(nearest - minutes) * 60 > 2 and not moved:
            raise Violation(f"{job} may last {minutes} minutes, and {list(case.agreed)} were agreed")
        case.allows(minutes)

    def _judge_machine(self, machine: Machine) -> None:
        """Its hold pays for it to the deadline that its cloud was told last, and people were promised no later one."""
        now, job = self._world.time.now(), machine.order.job
        case = self._oracle.cases[job]
        if machine.accepted_at is not None or machine.deadline <= now or machine.key != case.keys[-1]:
            return
        cloud = next(one for one in self._world.clouds if machine in one.machines)
        span = machine.deadline - SECOND - machine.launched_at + cloud.traits.hard_lag
        most = price(machine.offer.micros_per_hour, machine.order.disk_gb, span, cloud.traits)
        if case.held < most:
            raise Violation(f"{machine.key} may cost {most} to its deadline, and {case.held} was rebuilt of its hold")
        state, deadline = self._world.rows.execute("SELECT state, deadline FROM job WHERE id = ?", (job,)).fetchone()
        ends = datetime.fromisoformat(deadline).replace(tzinfo=UTC)
        if state in ("PROVISIONING", "RUNNING") and ends < machine.deadline - SECOND:
            raise Violation(f"{job} ends at {ends}, and its cloud was told {machine.deadline}")

    def _machines(self, job: str) -> list[Machine]:
        return [one for cloud in self._world.clouds for one in cloud.machines if one.order.job == job]

    def _standing(self, job: str) -> list[Machine]:
        now = self._world.time.now()
        return [one for one in self._machines(job) if one.alive(now)]

    def _books(self) -> dict[int, Book]:
        books = {}
        rows = self._world.rows.execute("SELECT id, team_id, month, cap, alerted FROM period").fetchall()
        for number, team, month, cap, alerted in rows:
            if (team, cap) not in self._oracle.known_caps:
                raise Violation(f"{team} has a cap of {cap} in {month}, which no lead ever set")
            of: dict[str, int] = {}
            for one in self._found.values():
                if (one.team, one.month) == (team, month):
                    of[one.kind] = of.get(one.kind, 0) + one.micros
            total: Any = of.get
            books[number] = Book(
                team=team,
                month=month,
                cap=cap,
                granted=total("GRANT", 0) - total("REVOKE", 0),
                held=total("HOLD", 0) - total("RELEASE", 0) - total("CHARGE", 0),
                spent=total("CHARGE", 0) + total("OVERRUN", 0),
                alerted=alerted,
            )
        return books


def _replay(case: Case, entries: list[tuple[str, Written]]) -> None:
    """Let a case be what its entries make of it."""
    case.period, case.first, case.charged, case.held, case.granted, case.extending = None, None, None, 0, 0, 0.0
    for key, one in entries:
        if one.kind == "HOLD":
            case.held += one.micros
            case.first = one.micros if key.endswith(":hold:1") else case.first
        elif one.kind == "GRANT":
            case.granted += one.micros
        elif one.kind == "RELEASE" and not key.endswith(":release"):
            case.held -= one.micros
        elif one.kind in ("CHARGE", "OVERRUN"):
            case.charged = (case.charged or 0) + one.micros
    if case.charged is not None:
        case.held = 0


def _entries(world: World) -> dict[str, Written]:
    """Return the ledger as the rows have it now, by keys, in its order."""
    rows = world.rows.execute(
        "SELECT entry.key, job_id, team_id, month, kind, micros FROM entry JOIN period ON period.id = period_id "
        "ORDER BY entry.id"
    )
    return {
        key: Written(job=job, team=team, month=month, kind=kind, micros=micros)
        for key, job, team, month, kind, micros in rows
    }


def _in_the_store(world: World) -> set[str]:
    """Return the keys of the entries that lie in the store's records and receipts."""
    found: set[str] = set()
    for name, data in world.shelf.objects.items():
        if name.startswith(("records/jobs/", "receipts/")):
            rows = json.loads(data).get("rows") or {}
            found |= {entry["key"] for entry in rows.get("entries", ())}
    return found


def _asked(world: World) -> list[datetime | None]:
    return [machine.accepted_at for cloud in world.clouds for machine in cloud.machines]
