"""What a team does all month: asks for machines, approves, denies, stops, extends, changes its mind and its budget.

People are as they are: a command arrives twice, two leads press at once, somebody presses too late, somebody who may
not. Everybody is told something; nobody breaks anything. What was understood is told to the oracle.
"""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from jobs.errors import HourglassError, NotWritten
from jobs.policy import Person
from jobs.values import DOLLAR, Request
from tests.simulation import months
from tests.simulation.books import Violation
from tests.simulation.office import LEADERS
from tests.simulation.oracle import AUTO_APPROVE
from tests.simulation.reckoning import Ask
from tests.simulation.world import World
from tests.support.mortal import Killed

TEAMS = ("vision", "nlp")
GPUS = ("a100", "a100", "h100", "l4")
MARKETS = {"on-demand": (False,), "spot": (True,), "auto": (False, True)}


@dataclass(frozen=True, kw_only=True)
class Habits:
    """How a team lives. Chances are of one job, unless they say otherwise."""

    every: float = 3 * 3600.0  # mean seconds between two requests
    hours: tuple[float, ...] = (0.25, 0.5, 1, 1, 2, 3, 4, 8)
    twice: float = 0.1  # a delivery comes twice
    bad: float = 0.04  # names a commit that is none, or a machine that nobody has
    spot: float = 0.25
    several: float = 0.12  # asks for two machines that train together
    patient: float = 0.4  # asks to be tried again
    max_cost: float = 0.1
    max_price: float = 0.1
    denied: float = 0.1
    ignored: float = 0.08  # nobody presses in time; then somebody does
    shorter: float = 0.2
    crowd: float = 0.3  # several people press
    stopped: float = 0.12
    extended: float = 0.15
    budget_every: float = 5 * 86_400.0  # seconds between two changes of a budget
    eve: int = 6  # requests of each team in the last hours of a month, which then ends while they run


class Traffic:
    """Lets people act in a world."""

    def __init__(self, world: World, habits: Habits) -> None:
        self._world = world
        self._habits = habits
        self._chance = random.Random(f"{world.seed} traffic")
        self._of_several = random.Random(f"{world.seed} several")
        self._deliveries = 0
        self._pressed: set[str] = set()
        self._watched: set[str] = set()
        self.requested = 0
        self.answers: dict[str, int] = {}  # what people were told instead of a yes, by the error's name

    def begin(self) -> None:
        """Set the teams up, as operator and leads do on the first day."""
        world, lead = self._world, self._world.person("lea")
        service = world.service
        for team, zone in zip(TEAMS, months.ZONES, strict=True):
            service.add_team(team, zone=zone)
            world.oracle.zones[team] = zone
            service.map_channel(world.office.channels[team], team)
            self._set_cap(team, world.cast.cap, lead)
            service.set_budget(team, lead, "auto_approve", AUTO_APPROVE)
            self._eve(team, zone)
        self._later(self._habits.every, "command", self._ask)
        self._later(self._habits.budget_every, "budget", self._budget)

    def stops(self) -> None:
        """Let nobody ask for anything more."""
        self._habits = dataclasses.replace(self._habits, every=10**9, eve=0)

    def watch(self) -> None:
        """See which jobs wait for somebody to act, as people see it in their channel."""
        rows = self._world.rows.execute(
            "SELECT id, state FROM job WHERE state IN ('AWAITING_APPROVAL', 'QUEUED', 'RUNNING')"
        ).fetchall()
        for job_id, state in rows:
            if state == "AWAITING_APPROVAL" and job_id not in self._pressed:
                self._pressed.add(job_id)
                self._question(job_id)
            elif state != "AWAITING_APPROVAL" and job_id not in self._watched:
                self._watched.add(job_id)
                self._care(job_id)

    # ------------------------------------------------------------ commands

    def _ask(self) -> None:
        self._later(self._habits.every, "command", self._ask)
        self.ask()

    def _eve(self, team: str, zone: str) -> None:
        """Let a month end in mid-run: commands and a change of the cap in its last hours, and some just after it."""
        chance, world = self._chance, self._world
        end = months.next_end(zone, world.time.now())
        for _ in range(self._habits.eve):
            hours = f"{chance.choice((0.5, 1, 2, 4, 8)):g}"
            at = end - timedelta(seconds=chance.uniform(-600, 6 * 3600))
            world.at(at, "command", lambda hours=hours: self.ask(team=team, hours=hours))
        if self._habits.eve:
            cap = int(world.cast.cap * chance.choice((0.5, 1, 2)))
            at = end - timedelta(seconds=chance.uniform(-600, 3600))
            world.at(at, "budget", lambda: self._does(lambda: self._set_cap(team, cap, world.person("lea"))))
        world.at(end + timedelta(hours=1), "a month has ended", lambda: self._ended(team, zone))

    def _ended(self, team: str, zone: str) -> None:
        self._world.befell["a month ends"] += 1
        self._eve(team, zone)

    def ask(self, *, team: str | None = None, **fixed: object) -> None:
        """Let somebody type a command; `fixed` are overrides that are not left to chance."""
        chance, habits, world = self._chance, self._habits, self._world
        self._deliveries += 1
        overrides: dict[str, object] = {"gpu": chance.choice(GPUS), "hours": f"{chance.choice(habits.hours):g}"}
        if chance.random() < habits.spot:
            overrides["spot"] = chance.choice(("spot", "auto"))
        if chance.random() < habits.max_cost:
            overrides["max_cost"] = str(chance.choice((3, 6, 12)))
        if chance.random() < habits.max_price:
            overrides["max_price"] = chance.choice(("1.5", "2.5", "4"))
        if self._of_several.random() < habits.several:
            overrides["nodes"] = "2"
            world.befell["two machines are asked for"] += 1
        ref = "patient" if chance.random() < habits.patient else "main"
        if chance.random() < habits.bad:
            ref, overrides["gpu"] = chance.choice((("gone", "a100"), ("main", "b300")))
        overrides |= fixed
        team = team or chance.choice(TEAMS)
        request = Request(
            delivery=f"delivery-{self._deliveries}",
            channel=world.office.channels[team],
            person=world.office.users[chance.choice(("ada", "tam", "bo", "eve", "lea"))],
            repo="acme/vit",
            ref=ref,
            overrides=overrides,
            text=f"acme/vit@{ref}",
        )
        ask = _as_asked(overrides, patient=ref == "patient")
        copies = 2 if chance.random() < habits.twice else 1
        world.befell["a delivery comes twice"] += copies - 1
        for copy in range(copies):
            delay = copy * chance.choice((0.0, 1.0, 60.0, 4000.0))
            self._world.after(delay, "delivery", lambda: self._deliver(request, ask, team))
        self.requested += 1

    def _deliver(self, request: Request, ask: Ask, team: str) -> None:
        world = self._world

        def do() -> None:
            try:
                world.service.request(request)
            finally:  # a bot that died in it may have written it down
                row = world.rows.execute("SELECT id FROM job WHERE delivery = ?", (request.delivery,)).fetchone()
                if row is not None:
                    world.oracle.asked(row[0], ask, team, request.person)

        def again() -> None:
            # Slack delivers again, and so does the person.
            self._later(600, "delivery", lambda: self._deliver(request, ask, team))

        try:
            if not self._does(do):
                again()
        except Killed:
            again()
            raise

    # ------------------------------------------------------------ presses

    def _question(self, job_id: str) -> None:
        chance, habits = self._chance, self._habits
        wait = chance.choice((20.0, 300.0, 3000.0))
        if chance.random() < habits.ignored:
            wait = 4 * 3600 + chance.choice((-1.0, 1.0, 600.0))
            self._world.befell["nobody decides in time"] += 1
        draw = chance.random()
        if draw < habits.denied:
            self._later(wait, "deny", lambda: self._deny(job_id, "max"))
            return
        shorter = draw < habits.denied + habits.shorter
        pressing = ["max", "lea"]
        if chance.random() < habits.crowd:
            pressing = chance.sample(("max", "lea", "ada", "tam", "max"), k=4)
            self._world.befell["several press Approve"] += 1
        for place, name in enumerate(pressing):
            delivery = f"press-{job_id}-{name}-{place}"
            delay = wait + place * chance.choice((0.0, 0.2, 30.0))
            self._later(delay, "approve", lambda name=name, key=delivery: self._approve(job_id, name, shorter, key))

    def _approve(self, job_id: str, name: str, shorter: bool, delivery: str) -> None:
        world, case = self._world, self._world.oracle.cases[job_id]
        minutes = case.minutes / 2 if shorter and case.minutes >= 20 else None

        may = name in LEADERS and world.office.users[name] != case.person

        def do() -> None:
            old = case.minutes
            case.agreed_by += may  # told before: the rows, and a machine, are judged with it
            if minutes is not None:
                world.oracle.shortened(job_id, minutes)
            try:
                world.service.approve(job_id, world.person(name), minutes=minutes, delivery=delivery)
            except (HourglassError, Killed) as error:
                if not isinstance(error, Killed) or self._of(job_id, "state") == "AWAITING_APPROVAL":
                    world.oracle.shortened(job_id, old)
                    case.agreed_by -= may
                raise
            if not may:
                raise Violation(f"{name} may not approve {job_id}, and did")

        self._does(do)

    def _deny(self, job_id: str, name: str) -> None:
        self._does(lambda: self._world.service.deny(job_id, self._world.person(name), "not this month"))

    def _care(self, job_id: str) -> None:
        """Think of what becomes of a job that starts."""
        chance, habits, case = self._chance, self._habits, self._world.oracle.cases[job_id]
        if chance.random() < habits.stopped:
            wait = chance.uniform(0, case.minutes * 60)
            self._later(wait, "stop", lambda: self._stop(job_id, chance.choice(("ada", "lea", "bo"))))
        if chance.random() < habits.extended:
            wait = max(5.0, (case.minutes - 12) * 60 + chance.uniform(-300, 900))
            more = chance.choice((30.0, 60.0, 120.0))
            self._later(wait, "extend", lambda: self._extend(job_id, chance.choice(("ada", "lea", "bo")), more))

    def _stop(self, job_id: str, name: str) -> None:
        world, before = self._world, job_id in self._world.oracle.ends.stopping

        def do() -> None:
            world.oracle.ends.stopping.add(job_id)
            try:
                world.service.cancel(job_id, world.person(name))
            except HourglassError:
                if not before:  # nobody who was refused has stopped it
                    world.oracle.ends.stopping.discard(job_id)
                raise

        self._does(do)

    def _extend(self, job_id: str, name: str, minutes: float) -> None:
        oracle = self._world.oracle

        def do() -> None:
            oracle.extending(job_id, minutes, self._world.person(name))
            before = self._of(job_id, "deadline")
            try:
                self._world.service.extend(job_id, self._world.person(name), minutes)
            finally:  # a bot that died after its last commit has moved the deadline
                if self._of(job_id, "deadline") != before:
                    oracle.extended(job_id, minutes)

        self._does(do)

    # ------------------------------------------------------------ budgets

    def _budget(self) -> None:
        self._later(self._habits.budget_every, "budget", self._budget)
        chance, world = self._chance, self._world
        team, lead = chance.choice(TEAMS), world.person("lea")
        if chance.random() < 0.3:
            self._does(lambda: world.service.freeze(team, lead, True))
            self._later(7200, "unfreeze", lambda: self._does(lambda: world.service.freeze(team, lead, False)))
        else:
            cap = int(world.cast.cap * chance.choice((0.2, 0.5, 1, 1, 2)))
            self._does(lambda: self._set_cap(team, cap, lead))

    def _set_cap(self, team: str, cap: int, lead: Person) -> None:
        world, before = self._world, self._changes(team)
        try:
            world.service.set_budget(team, lead, "cap", cap)
        finally:  # as with a request
            if self._changes(team) != before:
                world.oracle.capped(team, cap)

    def _changes(self, team: str) -> int:
        (count,) = self._world.rows.execute(
            "SELECT count(*) FROM note WHERE team_id = ? AND kind = 'budget'", (team,)
        ).fetchone()
        return int(count)

    # ------------------------------------------------------------ inside

    def _later(self, seconds: float, name: str, act: Callable[[], None]) -> None:
        mean = name in ("command", "budget")
        self._world.after(self._chance.expovariate(1 / seconds) if mean else seconds, name, act)

    def _of(self, job_id: str, column: str) -> object:
        """Return what a job's row says; None where there is none."""
        row = self._world.rows.execute(f"SELECT {column} FROM job WHERE id = ?", (job_id,)).fetchone()  # noqa: S608  a column of ours
        return None if row is None else row[0]

    def _does(self, act: Callable[[], object]) -> bool:
        """Let somebody act; False where nothing was written down and he may as well try again."""
        if not self._world.up:
            return False
        try:
            act()
        except HourglassError as error:
            name = type(error).__name__
            self.answers[name] = self.answers.get(name, 0) + 1
            return not isinstance(error, NotWritten)
        return True


def _as_asked(overrides: dict[str, object], *, patient: bool) -> Ask:
    """Return what the words mean for the money."""
    dollars = {key: int(float(str(overrides[key])) * DOLLAR) for key in ("max_cost", "max_price") if key in overrides}
    markets = MARKETS[str(overrides.get("spot", "on-demand"))]
    plain = Ask(
        minutes=float(str(overrides["hours"])) * 60,
        gpu=str(overrides["gpu"]),
        disk_gb=100,
        spot=markets,
        max_price=None,
        max_cost=None,
        retry=patient or True in markets,  # a spot machine that is taken back is followed by another, unasked
        nodes=int(str(overrides.get("nodes", 1))),
    )
    return dataclasses.replace(plain, **dollars)
