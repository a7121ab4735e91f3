"""Cards, shown and kept up to date: the newest version wins, and what people wait for comes before numbers."""

from __future__ import annotations

import logging

from structlog.contextvars import bound_contextvars

from bot import outbox
from bot.delivery import (
    BlocksRefused,
    Delivery,
    Limited,
    NotDelivered,
    Shut,
    Uncertain,
    Unreachable,
    Vanished,
)
from bot.outbox import CardState
from bot.pace import BETWEEN_EDITS, BETWEEN_POSTS, EVERYTHING, ONE_CARD, Pace
from bot.telling import Teller
from bot.views.blocks import Message
from jobs.clock import Clock
from jobs.db import Database
from jobs.lifecycle import TERMINAL, JobState
from jobs.model import Card

log = logging.getLogger(__name__)

UNCERTAIN_SECONDS = 3.0  # until a post without an answer is looked for
SHUT_SECONDS = 30.0  # until a token that does not work is tried again
_NEVER = float("-inf")
_CARDS = 2.5  # after the warnings, before the rest: what the fan-out ranks from 0 to 3
_NUMBERS = 4.0  # an edit that nobody waits for


class Cards:
    """Posts and edits cards. One thread's."""

    def __init__(self, *, db: Database, clock: Clock, delivery: Delivery, teller: Teller, pace: Pace) -> None:
        self._db = db
        self._clock = clock
        self._delivery = delivery
        self._teller = teller
        self._pace = pace
        # What each card shows, as far as this process knows; after a restart every card is simply edited once.
        self._shown: dict[int, Message] = {}
        self._faces: dict[int, str] = {}
        self._edited: dict[int, float] = {}

    def rank(self, state: CardState, behind: float | None) -> float | None:
        """Return how urgent this card is (less is more), None where it need not or may not be shown now.

        `behind` is the urgency of the messages that wait for the card to stand.
        """
        card = state.card
        gate = self._gate(card)
        if card.ts is None:
            if not self._pace.open(*gate):
                return None
            asked = state.state is JobState.AWAITING_APPROVAL
            return 0.0 if asked else min(_CARDS, _CARDS if behind is None else behind)
        fresh = self._faces.get(self._id(card)) != state.face
        rest = outbox.TAILED if card.role == outbox.TAIL else outbox.REFRESHED
        due = card.shown < state.version or self._age(card) >= rest.total_seconds()
        if not due or not self._pace.open(*gate):
            return None
        if fresh and card.shown < state.version:
            return 0.5 if card.role == outbox.APPROVAL else _CARDS
        if self._age(card) < ONE_CARD or not self._pace.open("small edits"):
            return None
        return _NUMBERS + 1.0 / (1.0 + self._age(card))  # the one that waited longest, or most would never have a turn

    def show(self, state: CardState) -> int:
        """Post or edit one card; return how many messages that was."""
        with bound_contextvars(job=state.card.job_id):
            return self._show(state)

    def _show(self, state: CardState) -> int:
        card = state.card
        try:
            with self._db.read() as tx:
                facts = self._teller.facts(tx, card.job_id)
            message = self._teller.card(facts, card)
        except Exception:
            # A mistake of ours about one card must not silence everything else.
            log.exception("The card of %s could not be rendered.", card.job_id)
            self._pace.shut(f"card {card.id}", SHUT_SECONDS)
            return 0
        version = facts.job.version
        if card.role == outbox.APPROVAL and facts.job.state is not JobState.AWAITING_APPROVAL:
            version = outbox.FINAL  # the decision is the copy's last word
        if card.role == outbox.TAIL and facts.ended:
            version = outbox.FINAL
        try:
            if card.ts is None:
                if not self._post(card, message, version, requester=facts.job.person):
                    return 0
            elif self._shown.get(self._id(card)) == message:
                self._remember(card, message, state.face)
                self._settle(card, shown=version, tried_at=self._clock.now())
                return 0
            else:
                self._edit(card, message, version, urgent=self._faces.get(self._id(card)) != state.face)
        except NotDelivered as error:
            self._not_delivered(card, error, facts.job.person)
            return 0
        self._pace.went_well()
        self._remember(card, message, state.face)
        if facts.job.state in TERMINAL:
            self._forget(card)
        return 1

    def _post(self, card: Card, message: Message, version: int, *, requester: str) -> bool:
        """Post a card where it belongs; False where its thread does not stand yet, and where it was found there."""
        key = f"card:{card.job_id}:{card.role}:{card.recipient}"
        channel = card.channel or card.recipient
        if card.role == outbox.APPROVAL and not card.channel:
            channel = self._delivery.direct(card.recipient)
        thread: str | None = None
        if card.role == outbox.TAIL:
            with self._db.read() as tx:
                head = outbox.head(tx, card.job_id)
            if head is None or head.ts is None:
                self._pace.shut(f"card {card.id}", UNCERTAIN_SECONDS)
                return False
            channel, thread = head.channel, head.ts
        # A post was begun before and never heard of again. Until it is looked up, nothing takes that mark away.
        ts = self._delivery.find(channel, key, thread_ts=thread, since=card.tried_at) if card.tried_at else None
        card.tried_at = None
        stood = ts is not None
        if ts is None:
            self._settle(card, channel=channel, tried_at=self._clock.now())
            try:
                ts = self._delivery.post(channel, message, key=key, thread_ts=thread)
            except BlocksRefused:
                log.warning("Slack refuses the blocks of the card of %s; it is shown as text.", card.job_id)
                ts = self._delivery.post(channel, Message(text=message.text), key=key, thread_ts=thread)
            self._pace.shut(f"post {channel}", BETWEEN_POSTS)
        card.ts, card.channel = ts, channel
        with self._db.write() as tx:
            # What was found shows its job as it was then: it is edited next.
            outbox.settle_card(tx, card, ts=ts, channel=channel, shown=0 if stood else version, error="")
            if card.role == outbox.HEAD:
                outbox.thread(tx, card.job_id, ts)
        return not stood

    def _edit(self, card: Card, message: Message, version: int, *, urgent: bool) -> None:
        try:
            self._delivery.edit(card.channel, card.ts or "", message)
        except BlocksRefused:
            log.warning("Slack refuses the blocks of the card of %s; it is shown as text.", card.job_id)
            self._delivery.edit(card.channel, card.ts or "", Message(text=message.text))
        if not urgent:
            self._pace.shut("small edits", BETWEEN_EDITS)
        self._settle(card, shown=version, tried_at=self._clock.now())

    def _not_delivered(self, card: Card, error: NotDelivered, requester: str) -> None:
        method = "edit" if card.ts else f"post {card.channel or card.recipient}"
        match error:
            case Limited():
                self._pace.shut(method, error.seconds)
                self._undo_intent(card)
            case Uncertain():
                # An edit may simply be made again; a post is looked for first.
                self._pace.stumbled()
                self._pace.shut(f"card {card.id}", UNCERTAIN_SECONDS)
            case Shut():
                log.error("Slack does not accept the bot's token: %s. Nobody is told anything until it does.", error)
                self._pace.shut(EVERYTHING, SHUT_SECONDS)
                self._undo_intent(card)
            case Unreachable() if card.role == outbox.HEAD and card.ts is None and not card.channel.startswith("D"):
                self._move_to_requester(card, requester, str(error))
            case Vanished() | Unreachable():
                self._settle(card, error="gone")
                log.warning("The card of %s cannot be shown in %s: %s.", card.job_id, card.channel, error)
            case _:
                self._pace.shut(f"card {card.id}", SHUT_SECONDS)
                self._undo_intent(card)
                log.error("The card of %s was not taken: %s.", card.job_id, error)

    def _move_to_requester(self, card: Card, requester: str, why: str) -> None:
        """Let the card, and with it the thread, stand where its requester can read it."""
        try:
            channel = self._delivery.direct(requester)
        except NotDelivered as error:
            self._settle(card, error="gone")
            log.error("Neither %s (%s) nor %s (%s) can be written to.", card.recipient, why, requester, error)
            return
        self._settle(card, channel=channel, tried_at=None)

    def _undo_intent(self, card: Card) -> None:
        """Take the mark of this try back; an earlier one that was not looked up (it is still there) stays."""
        if card.ts is None and card.tried_at is None:
            self._settle(card, tried_at=None)

    def _settle(self, card: Card, **columns: object) -> None:
        with self._db.write() as tx:
            outbox.settle_card(tx, card, **columns)

    def _gate(self, card: Card) -> tuple[str, str]:
        return (f"card {card.id}", "edit" if card.ts else f"post {card.channel or card.recipient}")

    def _age(self, card: Card) -> float:
        return self._clock.monotonic() - self._edited.get(self._id(card), _NEVER)

    def _remember(self, card: Card, message: Message, face: str) -> None:
        name = self._id(card)
        self._shown[name], self._faces[name], self._edited[name] = message, face, self._clock.monotonic()

    def _forget(self, card: Card) -> None:
        self._shown.pop(self._id(card), None)

    @staticmethod
    def _id(card: Card) -> int:
        return card.id or 0
