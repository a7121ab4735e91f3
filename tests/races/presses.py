"""Twenty presses on one Approve button, in threads, by everybody who may and may not press it.

A trial is one job that waits for a lead. Some press together, some come late, some press Deny; who may decide wins
once, and each of the others gets an error of the family's own whose sentence fits who he is and what has happened.
The job is then launched by two workers at once, as a wake-up that came twice would have it.
"""

from __future__ import annotations

import random
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from jobs.errors import HourglassError, NotAllowed, TooLate
from jobs.lifecycle import JobState
from jobs.model import Job
from jobs.policy import Person
from jobs.rentals import Rentals
from jobs.values import DOLLAR
from tests.races.renting import rentals_over
from tests.support.builders import some_traits
from tests.support.fake_provider import FakeProvider
from tests.support.house import BOB, GUEST, LEAD, OTHER_LEAD, House

PRESSES = 20
TOGETHER = 14  # the others come when these have been answered
ASKS = 900.0  # minutes: $30, which a lead has to agree to
REQUESTER = "U1ADA"
LIMIT = 60.0  # seconds for twenty presses


class Story(StrEnum):
    """What happens to a question."""

    APPROVE = "approve"  # everybody presses Approve
    SHORTER = "shorter"  # as before, and leads press "approve for less time", too
    ONLY_LEAD = "only lead"  # the requester is the team's only lead
    AGAINST = "against"  # leads press Approve and Deny at the same time
    DENIED = "denied"  # a lead has denied it before
    EXPIRED = "expired"  # nobody decided in time


WON = frozenset({Story.APPROVE, Story.SHORTER, Story.ONLY_LEAD})  # stories with one winner, one launch


@dataclass(kw_only=True)
class Tally:
    """What was counted over many trials."""

    trials: int = 0
    presses: int = 0
    winners: int = 0  # presses that returned a job
    explained: int = 0  # presses that raised an error which names who decided, or why not
    launches: int = 0  # calls of the cloud
    machines: int = 0
    broken: list[str] = field(default_factory=list)  # trials that did not come out as they had to

    def add(self, other: Tally) -> None:
        """Count another tally in."""
        for name in ("trials", "presses", "winners", "explained", "launches", "machines"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.broken += other.broken


@dataclass(frozen=True, kw_only=True)
class Press:
    """One press, and what it was answered."""

    by: Person
    minutes: float | None = None
    denies: bool = False
    said: Job | HourglassError | None = None


class Trials:
    """Trials one after the other in one house; each has a job of its own."""

    def __init__(self, folder: Path, seed: int) -> None:
        # The first ten jobs fit; every later one needs a one-off grant in the transaction of the press.
        self.house = House(cap=300 * DOLLAR)
        self._cloud = FakeProvider(self.house.clock, traits=some_traits(idempotent=False))
        self._rentals: Rentals = rentals_over(self.house.db, self.house.clock, self._cloud, folder)
        self._random = random.Random(seed)
        self._threads = ThreadPoolExecutor(PRESSES, thread_name_prefix="press")

    def close(self) -> None:
        """End the threads and the house."""
        self._threads.shutdown()
        self.house.db.close()

    def run(self, story: Story) -> Tally:
        """Play one trial and judge it."""
        job = self.house.priced(minutes=ASKS, person=REQUESTER)
        assert job.state is JobState.AWAITING_APPROVAL
        self._before(story, job)
        self.house.woken.clear()
        presses = self._people(story)
        answered = self._pressed(job, presses[:TOGETHER]) + self._pressed(job, presses[TOGETHER:])
        launched = len(self._cloud.calls)
        self._woken(job)
        calls = [call for call in self._cloud.calls[launched:] if call[0] == "launch"]
        machines = [machine for machine in self._cloud.machines if machine.order.job == job.id]
        won = [press for press in answered if isinstance(press.said, Job)]
        explained = sum(_explained(press, story, won, job.id) for press in answered)
        tally = Tally(
            trials=1,
            presses=len(answered),
            winners=len(won),
            explained=explained,
            launches=len(calls),
            machines=len(machines),
        )
        if fault := _fault(story, tally, won):
            said = Counter(str(press.said) for press in answered)
            tally.broken.append(f"{story.value}, {job.id}: {fault}; {dict(said)}")
        return tally

    # ------------------------------------------------------------ inside

    def _before(self, story: Story, job: Job) -> None:
        if story is Story.DENIED:
            self.house.service.deny(job.id, OTHER_LEAD, "Not this month.")
        if story is Story.EXPIRED:
            self.house.clock.advance(minutes=self.house.settings.approval_minutes)
            if self._random.random() < 0.5:  # by the clock alone, or by the tick as well
                self.house.service.expire_due()

    def _people(self, story: Story) -> list[Press]:
        """Return who presses, in the order of the draw; somebody who may decide is always among them."""
        leads = self._random.random() < 0.5  # whether the requester leads this team
        requester = Person(id=REQUESTER, lead=leads)
        crowd, deciding = [requester, BOB, GUEST, LEAD, OTHER_LEAD], [LEAD, OTHER_LEAD]
        if story is Story.ONLY_LEAD:
            crowd, deciding = [Person(id=REQUESTER, lead=True, only_lead=True), BOB, GUEST], []
        drawn = [*deciding, *crowd, *self._random.choices(crowd, k=PRESSES - len(deciding) - len(crowd))]
        first, late = drawn[: len(deciding) + len(crowd)], drawn[len(deciding) + len(crowd) :]
        together = first + late[: TOGETHER - len(first)]
        self._random.shuffle(together)
        return [self._press(by, story) for by in (*together, *late[TOGETHER - len(first) :])]

    def _press(self, by: Person, story: Story) -> Press:
        coin = self._random.random() < 0.5
        shorter = story is Story.SHORTER and coin
        minutes = self._random.choice((60.0, 480.0)) if shorter else None
        return Press(by=by, minutes=minutes, denies=story is Story.AGAINST and coin)

    def _pressed(self, job: Job, presses: Sequence[Press]) -> list[Press]:
        start = threading.Barrier(len(presses))
        answers = [
            self._threads.submit(self._one, job.id, press, number, start) for number, press in enumerate(presses)
        ]
        return [answer.result(LIMIT) for answer in answers]

    def _one(self, job_id: str, press: Press, number: int, start: threading.Barrier) -> Press:
        service = self.house.service
        delivery = f"{job_id}:{id(start)}:{number}"
        act: Callable[[], Job] = (
            (lambda: service.deny(job_id, press.by, "No."))
            if press.denies
            else (lambda: service.approve(job_id, press.by, minutes=press.minutes, delivery=delivery))
        )
        start.wait(LIMIT)
        try:
            said: Job | HourglassError = act()
        except HourglassError as error:
            said = error
        return Press(by=press.by, minutes=press.minutes, denies=press.denies, said=said)

    def _woken(self, job: Job) -> None:
        """Let two workers look for the machine of a job as often as somebody woke them."""
        looks = [self._threads.submit(self._rentals.launch, job.id) for _ in range(2 * self.house.woken.count(job.id))]
        for look in looks:
            look.result(LIMIT)


def _fault(story: Story, tally: Tally, won: Sequence[Press]) -> str:
    """Return what a trial did that it must not, "" where nothing."""
    winners = 1 if story in WON or story is Story.AGAINST else 0
    launches = sum(not press.denies for press in won) if winners else 0
    found = (tally.winners, tally.explained, tally.launches, tally.machines)
    wanted = (winners, PRESSES - winners, launches, launches)
    return "" if found == wanted else f"{found} instead of {wanted} winners, explained, launches, machines"


def _explained(press: Press, story: Story, won: Sequence[Press], job_id: str) -> bool:
    """Say whether a loser was told what is true of him: who was first, or why he may not decide."""
    error = press.said
    if isinstance(error, TooLate):
        return any(words in str(error) for words in _fates(story, won, job_id))
    if not isinstance(error, NotAllowed):
        return False
    if press.by.guest:
        return "guest" in str(error)
    if not press.by.lead:
        return "Only a lead" in str(error)
    # A lead is turned away for one reason alone: it is his own job, and another lead could say.
    own = press.by.id == REQUESTER and not press.by.only_lead
    return own and not press.denies and "another lead" in str(error)


def _fates(story: Story, won: Sequence[Press], job_id: str) -> list[str]:
    """Return the sentences of which one has to stand in the answer of whoever came too late."""
    if story is Story.EXPIRED:
        return [f"ob {job_id} expired"]
    if story is Story.DENIED:
        return [f"{OTHER_LEAD.id} denied job {job_id}"]
    return [f"{press.by.id} {'denied' if press.denies else 'approved'} job {job_id}" for press in won]
