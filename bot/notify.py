"""Tells people: facts become owed messages in one transaction, and one thread works them off into Slack.

What is urgent goes first, a job's messages stay in their order, no channel hears more than one a second, and a
limit on one method or channel holds up no other. A card is edited to its newest version; those between are
skipped. Every post is marked before it is made, so that a crash or a lost answer leads to a look-up, not to a
second message.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from slack_sdk import WebClient
from sqlmodel import Session

from bot import fanout, outbox
from bot.cards import Cards
from bot.catalogue import Catalogue
from bot.delivery import Delivery
from bot.links import Links
from bot.outbox import CardState, Waiting
from bot.pace import EVERYTHING, Pace
from bot.people import People
from bot.plots import Drawing
from bot.postbox import Postbox
from bot.telling import Teller
from jobs import db
from jobs.clock import Clock
from jobs.db import Database
from jobs.model import Card, Note, NoteKind, Outbox
from jobs.overdue import NO_CREDENTIALS
from jobs.providers import Traits
from jobs.roomier import Market
from jobs.settings import Settings

log = logging.getLogger(__name__)

IDLE_SECONDS = 2.0  # between looks when nobody wakes us: machines' news come without a wake
_WITH_LEADS = frozenset({NoteKind.ASKED, NoteKind.ALERT, NoteKind.OVERDUE})
_ENDS = frozenset({NoteKind.ENDED, NoteKind.SETTLED})
_BROKEN_SECONDS = 5.0  # after an error that nobody foresaw


@dataclass(frozen=True, kw_only=True)
class _Next:
    """What could be sent now."""

    rank: float
    row: Outbox | None = None
    head: Card | None = None
    card: CardState | None = None


class Notifier:
    """Drains what is owed. `round` and `run` belong to one thread, `wake` to all."""

    def __init__(
        self,
        *,
        db: Database,
        clock: Clock,
        client: WebClient,
        people: People,
        links: Links,
        plotter: Drawing,
        say: Catalogue,
        traits: Mapping[str, Traits],
        settings: Settings,
        delivery: Delivery | None = None,  # another way into the workspace than the client's own
        market: Market | None = None,  # where a larger machine is looked for
    ) -> None:
        self._db = db
        self._clock = clock
        self._people = people
        self._wake = threading.Event()
        self._pace = Pace(clock)
        delivery = delivery or Delivery(client)
        teller = Teller(clock=clock, say=say, people=people, links=links, traits=traits, market=market)
        self._cards = Cards(db=db, clock=clock, delivery=delivery, teller=teller, pace=self._pace)
        self._postbox = Postbox(
            db=db,
            clock=clock,
            delivery=delivery,
            teller=teller,
            pace=self._pace,
            plotter=plotter,
            say=say,
            wake=self.wake,
        )

    def wake(self) -> None:
        """Say that something was committed: the thread looks at once."""
        self._wake.set()

    def run(self, stop: threading.Event) -> None:
        """Work until `stop` is set (and `wake` called). An error is logged, and the work goes on."""
        while not stop.is_set():
            self._wake.clear()
            try:
                self.round()
            except Exception:  # whatever it was, people are owed the rest; the trace is in the log
                log.exception("The outbox stumbled; it goes on in %s s.", _BROKEN_SECONDS)
                self._pace.shut(EVERYTHING, _BROKEN_SECONDS)
            self._wake.wait(min(IDLE_SECONDS, self._pace.wait() or IDLE_SECONDS))

    def round(self) -> int:
        """Fan out new facts and send everything that may be sent now; return how many messages that was."""
        sent = 0
        while (one := self._first()) is not None:
            if one.card is not None:
                sent += self._cards.show(one.card)
            elif one.row is not None:
                sent += self._postbox.send(one.row, one.head)
        return sent

    def _first(self) -> _Next | None:
        """Return what to send now. A backlog may take hours: what became urgent meanwhile is looked for each time."""
        while (queues := self._queues()) is None:
            self.fan_out()
        return self._next(*queues)

    def _queues(self) -> tuple[list[Waiting], list[CardState]] | None:
        """Return what is owed, None where there are facts that nobody was told of yet."""
        with self._db.read() as tx:
            if outbox.unseen(tx, 1):
                return None
            return outbox.waiting(tx), outbox.cards(tx, self._clock.now())

    def idle(self) -> bool:
        """Return whether everybody has been told everything."""
        with self._db.read() as tx:
            return outbox.at_rest(tx)

    def fan_out(self) -> int:
        """Turn the next facts into owed messages and cards, in one transaction; return how many facts."""
        with self._db.read() as tx:
            facts = outbox.unseen(tx)
            calling = [note for note in facts if _calls_leads(note) or outbox.paged(tx, note)]
            teams = {note.team_id: db.get_team(tx, note.team_id) for note in calling}
        if not facts:
            return 0
        # Slack is asked before the transaction: none is held open over the network.
        leads = {team_id: self._people.leads(team) for team_id, team in teams.items()}
        named = self._named(facts)
        with self._db.write() as tx:
            for job_id, people in named.items():
                outbox.name_people(tx, job_id, people)
            for note in facts:
                self._owe(tx, note, leads.get(note.team_id, ()))
            db.set_mark(tx, outbox.MARK, str(facts[-1].id), self._clock.now())
        return len(facts)

    def _named(self, facts: Sequence[Note]) -> dict[str, list[str]]:
        """Return the people of new jobs that were typed as names, by id; a name that nobody has stays as typed."""
        fresh = [note.job_id for note in facts if note.kind == NoteKind.REQUESTED and note.job_id]
        if not fresh:
            return {}
        with self._db.read() as tx:
            found = {job_id: db.get_job(tx, job_id).notify for job_id in fresh}
        return {
            job_id: [self._people.resolve(name) or name for name in names]
            for job_id, names in found.items()
            if any(name.startswith("@") for name in names)
        }

    def _owe(self, tx: Session, note: Note, leads: tuple[str, ...]) -> None:
        job = db.find_job(tx, note.job_id) if note.job_id else None
        carded = job is not None and outbox.head(tx, job.id) is not None
        buttons = job is not None and note.kind in _ENDS and bool(outbox.pressable(tx, job.id))
        owed = fanout.owed(note, job, leads, carded=carded, paged=outbox.paged(tx, note), buttons=buttons)
        for role, recipient in owed.cards:
            outbox.show(tx, job_id=note.job_id or "", role=role, recipient=recipient)
        for draft in owed.drafts:
            outbox.owe(
                tx,
                key=draft.key,
                kind=draft.kind,
                channel=draft.to or (job.channel if job else ""),
                priority=draft.priority,
                payload={"what": draft.what, "data": {**draft.data, "by": note.by, "team": note.team_id}},
                at=self._clock.now(),
                job_id=note.job_id,
                note_id=note.id,
            )

    def _next(self, waiting: Sequence[Waiting], cards: Sequence[CardState]) -> _Next | None:
        """Return the most urgent thing that no gate holds up."""
        ready: list[_Next] = []
        urgency: dict[str, int] = {}
        for one in waiting:
            row, head, job_id = one.row, one.head, one.row.job_id or ""
            urgency[job_id] = min(urgency.get(job_id, one.urgency), one.urgency)
            if self._postbox.ready(row, head):
                ready.append(_Next(rank=one.urgency + 0.25, row=row, head=head))
        for state in cards:
            rank = self._cards.rank(state, urgency.get(state.card.job_id))
            if rank is not None:
                ready.append(_Next(rank=rank, card=state))
        return min(ready, key=lambda one: one.rank, default=None)


def _calls_leads(note: Note) -> bool:
    return note.kind in _WITH_LEADS or note.data.get("code") == NO_CREDENTIALS
