"""Whether machines end when they have to, and not before.

The oracle's other half: it sees the clouds as they really are, and asks no row of the product's when a machine ends.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta

from tests.simulation.books import Case, Tally, Violation
from tests.simulation.cloud import Cloud
from tests.simulation.fleet import Fleet
from tests.simulation.machine import Cause, Machine

ALLOWED = timedelta(seconds=120)  # from a deadline, or the end of what excused it, to an accepted terminate


class Ends:
    """Judges the ends of all machines; what may end before its deadline, and why, it is told.

    `excused` says whether, now, the bot or that cloud cannot do what is owed: it is down, deaf, or the clock is wrong.
    """

    def __init__(self, fleet: Fleet, cases: Mapping[str, Case], tally: Tally, now: Callable[[], datetime]) -> None:
        self._fleet = fleet
        self._cases = cases
        self._tally = tally
        self._now = now
        self.excused: Callable[[Cloud], bool] = lambda cloud: False
        self.over: Callable[[Machine], bool] = lambda machine: False  # its agent has said its last word
        self.stopping: set[str] = set()  # jobs that somebody pressed Stop for
        self._unsettled: dict[str, tuple[Cloud, Machine]] = {}  # machines whose end is not judged yet
        self._excused: set[str] = set()  # clouds, at the last look
        self._excused_until: dict[str, datetime] = {}
        self._known: set[str] = set()  # machines whose lag was taken down

    def expect(self, cloud: Cloud, machine: Machine) -> None:
        """Judge that machine's end when it comes."""
        self._unsettled[machine.id] = (cloud, machine)

    def judge(self) -> None:
        """Look at every machine whose end is not judged yet; raises `Violation`."""
        now = self._now()
        for name, cloud in self._fleet.clouds.items():
            excused = self.excused(cloud)
            if excused or name in self._excused:  # it was at the last look: until this step
                self._excused_until[name] = now
            (self._excused.add if excused else self._excused.discard)(name)
        for machine_id, (cloud, machine) in list(self._unsettled.items()):
            deadline = self._deadline(machine)
            ended = machine.end(now)
            if machine.accepted_at == now:
                self._judge_early(cloud, machine, deadline)
            accepted = machine.accepted_at if machine.accepted_at and machine.accepted_at >= deadline else None
            if ended is not None or (accepted is not None and not self.excused(cloud)):
                self._settle(cloud, machine, deadline, accepted or (ended[0] if ended else now), ended is not None)
                if ended is not None:
                    self._tally.ends[ended[1].value] += 1
                    del self._unsettled[machine_id]
                continue
            if machine.accepted_at is not None and machine.ends and not self.excused(cloud):
                continue
            self._judge_lateness(cloud, machine, deadline, now)

    def _judge_early(self, cloud: Cloud, machine: Machine, deadline: datetime) -> None:
        """Judge an end that was just asked for: nobody may end what is still at work in its time."""
        now, job = self._now(), machine.order.job
        case, ended = self._cases[job], machine.end(now)
        grace = timedelta(minutes=min(2.0, case.minutes / 10))
        if now >= deadline - grace or (ended and ended[1] is not Cause.ASKED):
            return
        if not (self.over(machine) or job in self.stopping or self._superseded(case, machine) or self._alone(machine)):
            raise Violation(f"{machine.key} was ended {(deadline - now).total_seconds():.0f} s before its deadline")

    def _superseded(self, case: Case, machine: Machine) -> bool:
        return not self._fleet.together(case.keys[-1], machine)

    def _alone(self, machine: Machine) -> bool:
        """Return whether another machine of its attempt has left, gone or never come: alone it is of no use."""
        case = self._cases[machine.order.job]
        others = [
            one for _, one in self._fleet.of(case) if one.order.attempt == machine.order.attempt and one is not machine
        ]
        working = [one for one in others if one.alive(self._now()) and not self.over(one)]
        return len(working) < case.ask.nodes - 1

    def _deadline(self, machine: Machine) -> datetime:
        case = self._cases[machine.order.job]
        old = case.deadline is None or self._superseded(case, machine)
        return machine.order.deadline if old else case.deadline or machine.order.deadline

    def _judge_lateness(self, cloud: Cloud, machine: Machine, deadline: datetime, now: datetime) -> None:
        since = max(deadline, self._excused_until.get(cloud.traits.name, deadline))
        if now - since > ALLOWED:
            late = (now - deadline).total_seconds()
            raise Violation(f"{machine.key} is alive {late:.0f} s past its deadline and nobody asked for its end")

    def _settle(self, cloud: Cloud, machine: Machine, deadline: datetime, at: datetime, over: bool) -> None:
        """Take down how late an end was asked for, once, where nothing excuses it."""
        if machine.id in self._known or at < deadline:
            return
        self._known.add(machine.id)
        excused = self._excused_until.get(cloud.traits.name)
        if excused is None or excused < deadline:
            self._tally.lags.append((at - deadline).total_seconds())
