"""When the bot's ticks happen: on their own beat, but only where one of them could find something to do.

A tick that nothing can come of is left out, never moved: passes lie on the same 30-second grid whether or not those
between them happened.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta

from jobs.errors import NotWritten
from tests.simulation.books import Violation
from tests.simulation.cloud import Cloud
from tests.simulation.weather import Spell
from tests.simulation.world import World
from trainer.storage import StoreFault

PASS = timedelta(seconds=30)
NOTIFY = timedelta(seconds=2)
DUE = timedelta(seconds=5)
REAP = timedelta(seconds=60)
QUIET = timedelta(minutes=20)  # a pass in between, while nothing is expected: looks are stale and partial then, too
LONG_SPELL = timedelta(minutes=30)  # between passes while a cloud answers nobody for a long time
NEAR = timedelta(seconds=90)
UNTOLD = timedelta(hours=6)  # that a message may be owed while the bot runs and Slack answers
QUESTIONS = (timedelta(minutes=15), timedelta(minutes=60), timedelta(minutes=240))


class Rhythm:
    """Plans a world's ticks after each step."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._planned: dict[str, datetime] = {}
        self._triggers: set[tuple[str, str]] = set()
        self._asked: set[str] = set()
        self._life = 0
        self._changes = -1  # rows that the database had ever changed when these were read
        self._newest: int | None = None  # fact
        self._live: list[tuple[str, ...]] = []  # machines
        self._jobs: list[tuple[str, ...]] = []
        self._versions = 0  # of all jobs together
        self._noted: int | None = None
        self._recorded: int | None = None
        self._owed: tuple[int | None, datetime] = (None, world.time.now())  # the message that waits longest, since when

    def begin(self) -> None:
        """Start the beat anew: the bot has just started."""
        self._life += 1
        self._changes = -1
        self._planned.clear()
        self._triggers.clear()
        self._asked.clear()
        self._owed = None, self._world.time.now()
        self._next("notify", self._world.time.now(), self._notify)
        self._next("enforce", self._world.time.now(), self._enforce)
        self._next("due", self._world.time.now(), self._due)

    def plan(self) -> None:
        """Look at the rows and at the clouds, and plan the ticks that could matter."""
        world, now = self._world, self._world.time.now()
        if world.cast.reaper:
            self._plan_reaper(now)
        if not world.up:
            return
        for job_id in list(world.woken):
            del world.woken[job_id]
            world.at(
                now,
                f"work {job_id}",
                self._alive(lambda job_id=job_id: world.work(world.bot, job_id) if job_id else None),
            )
        self._look()
        if self._newest != self._noted:  # the notifier looks each two seconds, woken or not
            self._noted = self._newest
            self._next("notify", now + NOTIFY, self._notify)
        self._plan_passes(self._live, self._jobs, now)
        self._plan_jobs(self._jobs, now)

    def _look(self) -> None:
        """Read the rows that plans are made of, if any row was changed since."""
        rows = self._world.rows
        if self._changes == rows.total_changes:
            return
        self._changes = rows.total_changes
        (self._newest,) = rows.execute("SELECT max(id) FROM note").fetchone()
        self._live = rows.execute(
            "SELECT launch_key, state, absent_at, job_id FROM attempt WHERE state NOT IN ('GONE', 'NEVER')"
        ).fetchall()
        self._jobs = rows.execute(
            "SELECT id, state, deadline, not_before, asked_at, json_extract(spec, '$.minutes') FROM job WHERE state IN "
            "('REQUESTED', 'AWAITING_APPROVAL', 'QUEUED', 'PROVISIONING', 'RUNNING', 'STOPPING')"
        ).fetchall()
        (self._versions,) = rows.execute("SELECT total(version) + count(*) FROM job").fetchone()

    # ------------------------------------------------------------ passes

    def _plan_passes(self, live: list[tuple[str, ...]], jobs: list[tuple[str, ...]], now: datetime) -> None:
        moments = self._moments(live, jobs, now)
        if self._world.watched and self._changed():
            moments.append(now)
        if moments:
            first = min(moments)
            self._next("enforce", first if first > now else now + timedelta(milliseconds=1), self._enforce, PASS)

    def _changed(self) -> bool:
        """Return whether any job changed since this was asked last: the next pass writes a record of it."""
        before, self._recorded = self._recorded, self._versions
        return self._recorded != before

    def _moments(self, live: list[tuple[str, ...]], jobs: list[tuple[str, ...]], now: datetime) -> list[datetime]:
        world, moments = self._world, []
        if world.wrong_clock:
            moments.append(now)
        rows = {key: (state, absent) for key, state, absent, _ in live}
        places: dict[str, datetime] = {}  # job -> when a pass may get an answer about its machine
        for cloud in world.clouds:
            soon = self._after_spell(cloud, now)
            standing = {machine.key: machine for machine in cloud.alive()}
            for key, machine in standing.items():
                if key not in rows:
                    moments.append(soon)  # nobody knows it
                moments += [max(at, now) for at in machine.ends.values() if at > now - PASS]
                moments.append(max(soon, machine.deadline - timedelta(minutes=1)))
            places |= {job: soon for key, _, _, job in live if cloud.of_key(key)}
            for key, (state, absent) in rows.items():
                here = bool(cloud.of_key(key))
                if here and (key not in standing or state in ("ENDING", "INTENT") or absent is not None):
                    moments.append(soon)
        if any(state == "INTENT" for state, _ in rows.values()):
            moments.append(now)
        for job_id, state, deadline, _, _, minutes in jobs:
            if state == "STOPPING":
                moments.append(places.get(job_id, now))
            elif state in ("PROVISIONING", "RUNNING") and deadline is not None:
                end, long = self._true(_moment(deadline)), float(minutes)
                early = (15.0 if long >= 60 else long / 4, min(2.0, long / 10))  # the warning, the grace
                moments += [at for at in (end - timedelta(minutes=one) for one in early) if at > now]
                moments += [max(now, end - timedelta(minutes=1)), now + QUIET]
        return moments

    def _after_spell(self, cloud: Cloud, now: datetime) -> datetime:
        """Return the next moment at which a pass may get an answer of that cloud: soon, unless it is away for long."""
        spells = [cloud.weather.during(spell, now) for spell in (Spell.DOWN, Spell.DEAF, Spell.THROTTLED)]
        ends = max((one.ends for one in spells if one is not None), default=now)
        return min(now + LONG_SPELL, ends - NEAR) if ends - now > LONG_SPELL else now

    # ------------------------------------------------------------ everything else

    def _plan_jobs(self, jobs: list[tuple[str, ...]], now: datetime) -> None:
        world = self._world
        for job_id, state, deadline, not_before, asked_at, minutes in jobs:
            if state in ("REQUESTED", "QUEUED"):
                due = now if not_before is None else max(now, self._true(_moment(not_before)))
                self._next("due", due + timedelta(milliseconds=1), self._due, DUE)
            elif state == "AWAITING_APPROVAL" and asked_at is not None and job_id not in self._asked:
                self._asked.add(job_id)
                for after in QUESTIONS:
                    at = max(now, self._true(_moment(asked_at)) + after + PASS)
                    world.at(at, "approvals", self._alive(self._approvals))
            elif deadline is not None and (job_id, deadline) not in self._triggers:
                self._triggers.add((job_id, deadline))
                end = _moment(deadline)
                for at in (end - timedelta(minutes=min(2.0, float(minutes) / 10)), end):
                    if world.chance.random() < world.cast.lost_triggers:
                        world.befell["a trigger is lost"] += 1
                    elif self._true(at) > now:
                        world.at(
                            self._true(at),
                            f"trigger {job_id}",
                            self._alive(lambda one=job_id: world.work(world.bot, one)),
                        )

    def _plan_reaper(self, now: datetime) -> None:
        ends = [one.deadline for cloud in self._world.clouds for one in cloud.alive()]
        late = [self._after_spell(cloud, now) for cloud in self._world.clouds if cloud.alive()]
        if ends:
            first = max(min(ends), min(late))
            self._next("reap", max(first, now) + timedelta(milliseconds=1), self._reap, REAP)

    def _true(self, wall: datetime) -> datetime:
        """Return when the wall clock will show that, if it goes on as it does."""
        return wall - (self._world.clock.now() - self._world.time.now())

    def _next(
        self, name: str, at: datetime, act: Callable[[], None], beat: timedelta = timedelta(milliseconds=1)
    ) -> None:
        """Plan a tick at the first beat from `at` on, unless one is planned by then."""
        planned = self._planned.get(name)
        over = (at - datetime.min.replace(tzinfo=UTC)) % beat
        when = at + (beat - over) if over else at
        if planned is not None and planned <= when:
            return
        self._planned[name] = when
        self._world.at(when, name, lambda: self._tick(name, when, act))

    def _tick(self, name: str, when: datetime, act: Callable[[], None]) -> None:
        if self._planned.get(name) == when:
            del self._planned[name]
            if self._world.up or name == "reap":
                self._guarded(act)

    def _alive(self, act: Callable[[], None]) -> Callable[[], None]:
        """Return what happens only if the bot that planned it still lives."""
        life = self._life

        def run() -> None:
            if self._world.up and self._life == life:
                self._guarded(act)

        return run

    @staticmethod
    def _guarded(act: Callable[[], None]) -> None:
        """Run a tick as the scheduler does: what a locked database or an absent store stops comes again."""
        with suppress(NotWritten, StoreFault):
            act()

    # ------------------------------------------------------------ ticks

    def _enforce(self) -> None:
        self._world.bot.rentals.enforce()

    def _due(self) -> None:
        for job_id in self._world.bot.due():
            self._world.wake(job_id)

    def _approvals(self) -> None:
        self._world.bot.service.expire_due()
        self._world.bot.service.remind_due()

    def _reap(self) -> None:
        self._world.reaper.round()

    def _notify(self) -> None:
        world, bot = self._world, self._world.bot
        try:
            bot.notifier.round()
        finally:  # it goes on whatever became of this round
            if not bot.notifier.idle():
                self._judge_silence()
                pause = 2 * PASS if world.office.down or world.db.full else NOTIFY
                self._next("notify", world.time.now() + pause, self._notify)

    def _judge_silence(self) -> None:
        """Hold the notifier to telling what it owes once it can; raises `Violation` where it never will."""
        world, now = self._world, self._world.time.now()
        (first,) = world.rows.execute("SELECT min(id) FROM outbox WHERE state IN ('owed', 'uncertain')").fetchone()
        if first != self._owed[0] or world.office.down or world.db.full:
            self._owed = first, now
        elif first is not None and now - self._owed[1] > UNTOLD:
            (key,) = world.rows.execute("SELECT key FROM outbox WHERE id = ?", (first,)).fetchone()
            raise Violation(f"{key} is owed since {self._owed[1]}, Slack answers, and nobody is told")


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)
