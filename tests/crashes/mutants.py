"""The same bot with one rule broken, as a careful person might have written it at first: each has to be caught.

A mutant is put in after the fork, so the next history is the real code's again. It lives through the same histories
as the real code and is judged by the same oracle.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlmodel import Session

from jobs import db, endings, ledger, orders, rentals
from jobs.cargo import Cargo
from jobs.choices import Choice
from jobs.endings import Sight, Step
from jobs.enforcement import Enforcement
from jobs.errors import ProviderError
from jobs.launches import Launches
from jobs.lifecycle import JobEventName, JobState
from jobs.model import Attempt, Job
from jobs.patience import Refusal
from jobs.providers import LaunchOrder, Offer, Provider
from jobs.records import parse
from jobs.search import Search
from jobs.settlements import Settlements
from tests.crashes.bot import PIECES
from tests.crashes.cloud import Asked, Driver
from tests.crashes.fate import Death
from tests.crashes.points import Position
from trainer.wire import Reason


@dataclass(frozen=True, kw_only=True)
class Mutant:
    """One broken rule, and the story in which nothing but that rule stands between a fault and its promise."""

    name: str
    scenario: str
    points: Sequence[str]  # where it is killed, beside the history in which it is not
    patch: Callable[[], None] = lambda: None
    driver: type[Driver] = Driver
    reaper: bool = True
    weather: Mapping[str, Any] = field(default_factory=dict)  # what its story needs of it
    kinds: frozenset[str] = field(default_factory=frozenset)  # of faults, by any of which it is caught

    def deaths(self) -> list[tuple[Death, ...]]:
        """Return its histories."""
        killed = [(Death(point=point, nth=1, position=position),) for point in self.points for position in Position]
        return [(), *killed]


# ---------------------------------------------------------------- call, then commit


class CallsFirst(Search):
    """Asks for the machine, and writes its intent down once it stands."""

    def _attempt(self, job: Job, cargo: Cargo, choice: Choice, rows: Sequence[Attempt]) -> None:
        offer = choice.offer
        launch = orders.Launch(
            job=job,
            spec=cargo.spec,
            source=cargo.source,
            source_sha256=cargo.source_sha256,
            number=max((row.number for row in rows), default=0) + 1,
            deadline=choice.deadline,
            grace=timedelta(seconds=60),
            resume_key=cargo.resume_key,
            traits=self._ports.providers[offer.provider].traits,
            store_uri=self._ports.store_uri,
            home=self._ports.home,
        )
        self._loader.lay_order(launch)
        order = orders.launch_order(launch, secrets={}, credentials={})
        instance = self._ports.providers[offer.provider].launch(offer, order)
        for node in self._intend(launch, offer):
            self._launches.stands(node, instance)


def _calls_first() -> None:
    rentals.Search = CallsFirst


# ---------------------------------------------------------------- no look-up by tag


class NeverLooks(Launches):
    """Takes an answer that was lost for a refusal: another machine is asked for, under another key."""

    def ask(self, launch: orders.Launch, node: Attempt) -> Refusal | None:
        """Ask once."""
        provider, offer = self._ports.providers[node.provider], parse(Offer, node.offer)
        order = orders.launch_order(launch, node.rank, secrets={}, credentials={})
        self._calling(node)
        try:
            self.stands(node, provider.launch(offer, order))
        except ProviderError as error:
            return Refusal(reason=Reason.LAUNCH_FAILED, text=str(error), passing=True)
        return None


def _never_looks() -> None:
    rentals.Launches = NeverLooks


# ---------------------------------------------------------------- a deadline layer less


def _forgets_deadlines() -> None:
    """The bot's own layer: neither its pass nor a trigger ends a machine for its deadline."""
    why_end = endings.why_end

    def without(job: Job, attempt: Attempt, now: datetime, grace: timedelta) -> str | None:
        why = why_end(job, attempt, now, grace)
        return None if why == "deadline" else why

    endings.why_end = without
    endings.turn = lambda job, minutes, now: None


class WithoutLimit(Driver):
    """Leaves the cloud's own limit out of the request."""

    def asked(self, offer: Offer, order: LaunchOrder, timer: datetime) -> Asked:
        """Return the request."""
        return dataclasses.replace(super().asked(offer, order, timer), limit=None)


class WithoutTimer(Driver):
    """Tells the machine's first process no deadline."""

    def asked(self, offer: Offer, order: LaunchOrder, timer: datetime) -> Asked:
        """Return the request."""
        return dataclasses.replace(super().asked(offer, order, timer), timer=None)


# ---------------------------------------------------------------- settled too early, or in two steps


class BelievesTheAnswer(Enforcement):
    """Takes the accepted terminate for the machine's end."""

    def _take(self, provider: Provider, row: Attempt, step: Step, sight: Sight, now: datetime, trusted: bool) -> None:
        super()._take(provider, row, step, sight, now, trusted)
        if step is Step.TERMINATE:
            self._settlements.gone(row, until=now)


def _believes_the_answer() -> None:
    rentals.Enforcement = BelievesTheAnswer


class ClosesInTwo(Settlements):
    """Makes the job terminal in one transaction and closes its money in the next."""

    def _close(
        self, tx: Session, job: Job, event: JobEventName | None, reason: Reason | None, text: str, now: datetime
    ) -> bool:
        if event is not None or job.state is not JobState.STOPPING:
            return super()._close(tx, job, event, reason, text, now)
        if any(row.state in endings.LIVE for row in db.attempts(tx, job.id)):
            return False
        why = Reason(job.stop_reason or Reason.INTERNAL)
        db.move(tx, job, endings.closing_event(why), now, stop_reason=why.value)
        return True

    def receipt(self, job_id: str) -> None:
        """Close the money, then write the receipt."""
        with self._ports.db.write() as tx:
            job = db.get_job(tx, job_id)
            charge = sum(row.billed or 0 for row in db.attempts(tx, job_id))
            closed = ledger.close(tx, job=job, charge=charge, at=self._ports.clock.now())
            db.touch(tx, job, self._ports.clock.now(), charged=closed.charged)
        super().receipt(job_id)


def _closes_in_two() -> None:
    rentals.Settlements = ClosesInTwo


LAUNCHING = ("call launch",)
RUNNING = ("jobs.follow.Follow._apply",)

MUTANTS = (
    Mutant(
        name="call, then commit",
        scenario="not idempotent",
        points=LAUNCHING,
        patch=_calls_first,
        # A new bot looks first, and adopts what it sees by its tags: the listing has to come late, as listings do.
        weather={"pieces": ("launch", *(piece for piece in PIECES if piece != "launch"))},
        kinds=frozenset({"doubled", "leaked"}),
    ),
    Mutant(
        name="no look-up by tag",
        scenario="answer lost, not idempotent",
        points=LAUNCHING,
        patch=_never_looks,
        kinds=frozenset({"doubled", "leaked"}),
    ),
    Mutant(
        name="the bot forgets deadlines",
        scenario="deadline",
        points=RUNNING,
        patch=_forgets_deadlines,
        kinds=frozenset({"late", "leaked"}),
    ),
    Mutant(
        name="no limit of the cloud's",
        scenario="dead for a day, the cloud's limit left",
        points=RUNNING,
        driver=WithoutLimit,
        kinds=frozenset({"late"}),
    ),
    Mutant(
        name="no timer on the machine",
        scenario="dead for a day, the machine's timer left",
        points=RUNNING,
        driver=WithoutTimer,
        kinds=frozenset({"late"}),
    ),
    Mutant(
        name="no reaper",
        scenario="dead for a day, the reaper left",
        points=RUNNING,
        reaper=False,
        kinds=frozenset({"late"}),
    ),
    Mutant(
        name="settled before it is gone",
        scenario="deadline",
        points=("call terminate",),
        patch=_believes_the_answer,
        weather={"lag": timedelta(seconds=40)},
        kinds=frozenset({"early"}),
    ),
    Mutant(
        name="over first, paid next",
        scenario="plain run",
        points=("jobs.settlements.Settlements.close",),
        patch=_closes_in_two,
        kinds=frozenset({"held", "closed"}),
    ),
)
