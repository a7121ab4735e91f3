"""An owed message, rendered at the moment it is sent: with the facts as they are, and links that still work.

A message that time has overtaken (a warning after the end) is None: it is dropped, not posted late.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlmodel import Session

from bot import facts as known
from bot import logbook, outbox, plots
from bot.catalogue import Catalogue
from bot.facts import JobFacts
from bot.links import Links
from bot.logbook import Page
from bot.markup import Markup, dollars, mention
from bot.people import People
from bot.views import alt, answers, approval, bills, card, replies
from bot.views import shortage as advising
from bot.views.blocks import Block, Message
from jobs import db, shortage
from jobs.clock import Clock
from jobs.errors import StoreError
from jobs.lifecycle import AttemptState, JobState
from jobs.model import Card, Checkpoint, Outbox, Team
from jobs.providers import Traits
from jobs.roomier import Market, elsewhere, larger
from trainer.wire import Reason

LONGER = (30, 60, 120)  # minutes that the warning's buttons offer


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A plot that is owed: what to draw and what stands over and beside it."""

    plot: plots.Plot
    name: str  # the file's, by which it is found again
    caption: str
    alt: str
    words: Message  # the same without the picture
    step: int  # the last one that it shows


class Teller:
    """Renders what is owed. Reads the database and people's names, writes nothing."""

    def __init__(
        self,
        *,
        clock: Clock,
        say: Catalogue,
        people: People,
        links: Links,
        traits: Mapping[str, Traits],
        market: Market | None = None,  # without one, nobody is offered a larger machine
    ) -> None:
        self._clock = clock
        self._say = say
        self._people = people
        self._links = links
        self._traits = traits
        self._market = market

    def facts(self, tx: Session, job_id: str) -> JobFacts:
        """Return what is known about a job now."""
        return known.read(tx, job_id, self._traits, self._clock.now())

    def card(self, facts: JobFacts, row: Card) -> Message:
        """Return a card as it is to be shown now."""
        if row.role == outbox.APPROVAL:
            return approval.copy(self._say, facts)
        if row.role == outbox.TAIL:
            return answers.tail(self._say, facts, self._newest(facts))
        leads = self._people.leads(facts.team) if facts.job.state is JobState.AWAITING_APPROVAL else ()
        return card.head(self._say, facts, leads, moved=bool(row.channel) and row.channel != facts.job.channel)

    def _newest(self, facts: JobFacts) -> Page:
        try:
            return logbook.read(self._links.store, facts, None)
        except StoreError as error:
            return Page(lines=[str(error)])

    def message(self, facts: JobFacts, row: Outbox) -> Message | None:
        """Return the message that is owed about a job, None where time has overtaken it."""
        view = _VIEWS.get(str(row.payload["what"]))
        return None if view is None else view(self, facts, row.payload["data"])

    def afterwards(self, facts: JobFacts, row: Outbox) -> Message:
        """Return what a reply with buttons says once the job has ended."""
        if row.payload["what"] == "warning":
            return replies.warned(self._say, facts)
        return self._trouble(facts, row.payload["data"])

    def alert(self, team: Team, data: Mapping[str, Any]) -> Message:
        """Return a lead's message about the budget."""
        return answers.alert(self._say, team, data)

    def picture(self, tx: Session, facts: JobFacts, row: Outbox) -> Picture | None:
        """Return the plot that is owed, None where there is nothing to see, or nothing new since the last one."""
        plot = plots.of(facts, db.metrics(tx, facts.job.id))
        if plot is None:
            return None
        step = plot.series[0].steps[-1]
        # After a NaN the caption's loss is that of the last step that had one.
        at, loss = plots.last(plot.series[0]) or (step, None)
        shown = outbox.plotted(tx, facts.job.id)
        # After an outage several are owed, and one picture has all that they would show.
        if row.state == "owed" and shown is not None and shown >= step:
            return None
        return Picture(
            plot=plot,
            name=f"{facts.job.id}-{step}.png",
            caption=replies.plot_caption(self._say, facts, loss, at),
            alt=alt.describe(self._say, plot),
            words=replies.plot_failed(self._say, facts, loss, at),
            step=step,
        )

    # ------------------------------------------------------------ one method a kind of message

    def _ended(self, facts: JobFacts, data: Mapping[str, Any]) -> Message:
        newest = facts.checkpoints[-1] if facts.checkpoints else None
        advice = self._advice(facts)
        spoke = (facts.job.outcome or {}).get("attempt")
        whole = self._links.log(facts.job.id, spoke) if spoke else None
        return replies.ended(self._say, facts, self._concerned(facts), newest, self._files(newest), advice, whole)

    def _advice(self, facts: JobFacts) -> list[Block]:
        """Return what to do about a GPU that was too small or not to be had; empty where neither is told."""
        if facts.job.stop_reason == Reason.NO_CAPACITY and facts.spec is not None and self._market is not None:
            return advising.none_free(self._say, facts, elsewhere(self._market, facts.spec))
        outcome = facts.job.outcome or {}
        if outcome.get("reason") != Reason.GPU_OOM or facts.spec is None:
            return []
        missing = shortage.read([*(outcome.get("tail") or []), outcome.get("memory") or ""])
        had = facts.offer.memory_gb if facts.offer else facts.spec.gpu_memory_gb or 0
        roomier = None if self._market is None else larger(self._market, facts.spec, had, missing)
        return advising.advice(self._say, facts, missing, shortage.steps(missing, facts.spec), roomier)

    def _no_machine(self, facts: JobFacts, data: Mapping[str, Any]) -> Message | None:
        if facts.job.state is not JobState.QUEUED or facts.spec is None:
            return None
        other = None if self._market is None else elsewhere(self._market, facts.spec)
        return replies.no_machine(
            self._say, facts, self._concerned(facts), data, advising.none_free(self._say, facts, other)
        )

    def _warning(self, facts: JobFacts, data: Mapping[str, Any]) -> Message | None:
        if facts.ended or facts.job.stop_reason is not None:
            return None
        return replies.warning(self._say, facts, longer_costs(facts))

    def _checkpoint(self, facts: JobFacts, data: Mapping[str, Any]) -> Message | None:
        saved = next((one for one in facts.checkpoints if one.name == data.get("name")), None)
        return None if saved is None or facts.ended else replies.checkpoint_saved(self._say, facts, saved)

    def _asked(self, facts: JobFacts, data: Mapping[str, Any]) -> Message | None:
        if facts.job.state is not JobState.AWAITING_APPROVAL:
            return None
        instead, cost = data.get("instead_minutes"), data.get("instead_cost")
        return approval.asked(
            self._say, facts, None if instead is None else float(instead), None if cost is None else int(cost)
        )

    def _reminder(self, facts: JobFacts, data: Mapping[str, Any]) -> Message | None:
        if facts.job.state is not JobState.AWAITING_APPROVAL:
            return None
        return approval.reminder(self._say, facts, self._people.leads(facts.team))

    def _trouble(self, facts: JobFacts, data: Mapping[str, Any]) -> Message:
        if data.get("code") == outbox.UNREAD:
            return replies.hint(self._say, facts, data)
        burning = data.get("code") in outbox.BURNING and not facts.ended and facts.job.stop_reason is None
        return replies.trouble(self._say, facts, self._concerned(facts), data, burning=burning)

    def _overdue(self, facts: JobFacts, data: Mapping[str, Any]) -> Message | None:
        gone = {one.instance_id for one in facts.attempts if one.state is AttemptState.GONE}
        if facts.over or (data.get("instance") and data["instance"] in gone):
            return None
        return replies.overdue(self._say, facts, self._people.leads(facts.team), data)

    def _at_last(self, facts: JobFacts, data: Mapping[str, Any]) -> Message:
        return replies.at_last(self._say, facts, self._people.leads(facts.team), data)

    def _overrun(self, facts: JobFacts, data: Mapping[str, Any]) -> Message:
        return replies.overrun(self._say, facts, self._people.leads(facts.team), int(data.get("overrun", 0)))

    def _bill(self, facts: JobFacts, data: Mapping[str, Any]) -> Message:
        return bills.settled(self._say, data)

    def _extended(self, facts: JobFacts, data: Mapping[str, Any]) -> Message | None:
        return None if facts.ended else replies.extended(self._say, facts, str(data.get("by") or ""))

    def _refused(self, facts: JobFacts, data: Mapping[str, Any]) -> Message:
        return answers.refused(self._say, str(data.get("text", "")), data.get("fix"), mention(facts.job.person))

    def _granted(self, facts: JobFacts, data: Mapping[str, Any]) -> Message:
        return approval.granted(self._say, facts)

    def _denied(self, facts: JobFacts, data: Mapping[str, Any]) -> Message:
        return approval.denied(self._say, facts)

    def _expired(self, facts: JobFacts, data: Mapping[str, Any]) -> Message:
        return approval.expired(self._say, facts)

    def _reclaimed(self, facts: JobFacts, data: Mapping[str, Any]) -> Message | None:
        return None if facts.ended else replies.reclaimed(self._say, facts)

    def _concerned(self, facts: JobFacts) -> list[str]:
        """Return the requester and those who are to be told; a name that nobody has stands as it was typed."""
        return list(dict.fromkeys([facts.job.person, *facts.job.notify]))

    def _files(self, checkpoint: Checkpoint | None) -> list[replies.FileLink]:
        if checkpoint is None:
            return []
        base = checkpoint.manifest.rsplit("/", 1)[0]
        return [
            replies.FileLink(name=file["path"], bytes=file["size"], url=self._links.url(f"{base}/{file['path']}"))
            for file in checkpoint.files
        ]


def longer_costs(facts: JobFacts) -> dict[int, Markup]:
    """Return what so many minutes more would hold at the most."""
    rate = (facts.job.rate_ceiling or 0) * (facts.spec.nodes if facts.spec else 1)
    return {minutes: Markup(dollars(rate * minutes // 60, up=True)) for minutes in LONGER}


_View = Callable[[Teller, JobFacts, Mapping[str, Any]], Message | None]
# The names are `bot.fanout`'s: what a row's payload says is to be told.
_VIEWS: dict[str, _View] = {
    "asked": Teller._asked,
    "at_last": Teller._at_last,
    "bill": Teller._bill,
    "checkpoint": Teller._checkpoint,
    "denied": Teller._denied,
    "ended": Teller._ended,
    "expired": Teller._expired,
    "extended": Teller._extended,
    "granted": Teller._granted,
    "no_machine": Teller._no_machine,
    "overdue": Teller._overdue,
    "overrun": Teller._overrun,
    "reclaimed": Teller._reclaimed,
    "refused": Teller._refused,
    "reminder": Teller._reminder,
    "trouble": Teller._trouble,
    "warning": Teller._warning,
}
