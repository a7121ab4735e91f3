"""Owed messages, sent: marked before, settled after, looked up when in doubt, and never said twice on purpose."""

from __future__ import annotations

import logging
from collections.abc import Callable
from concurrent.futures import Future
from datetime import UTC, datetime, timedelta

from structlog.contextvars import bound_contextvars

from bot import outbox
from bot.catalogue import Catalogue
from bot.delivery import BlocksRefused, Delivery, Limited, NotDelivered, Shut, Uncertain, Unreachable
from bot.facts import JobFacts
from bot.markup import room
from bot.pace import BETWEEN_POSTS, EVERYTHING, Pace
from bot.plots import Drawing, PlotFailed
from bot.telling import Picture, Teller
from bot.views import replies
from bot.views.blocks import Message
from jobs import db
from jobs.clock import Clock
from jobs.db import Database
from jobs.model import Card, Outbox

log = logging.getLogger(__name__)

TRIES = 8  # for what Slack refuses with a word we do not know; an outage is not counted
UNCERTAIN_SECONDS = 3.0
LONGEST_PAUSE = 60.0
SHUT_SECONDS = 30.0


class Postbox:
    """Sends the rows of the outbox. One thread's."""

    def __init__(
        self,
        *,
        db: Database,
        clock: Clock,
        delivery: Delivery,
        teller: Teller,
        pace: Pace,
        plotter: Drawing,
        say: Catalogue,
        wake: Callable[[], None],
    ) -> None:
        self._db = db
        self._clock = clock
        self._delivery = delivery
        self._teller = teller
        self._pace = pace
        self._plotter = plotter
        self._say = say
        self._wake = wake
        self._drawn: dict[int, tuple[Picture, Future[bytes]]] = {}

    def ready(self, row: Outbox, head: Card | None) -> bool:
        """Return whether this row can be sent now; a plot is set to be drawn and is ready when it is."""
        if row.not_before is not None and row.not_before > self._clock.now():
            return False
        if row.kind in ("reply", "plot"):
            if head is None or head.ts is None:
                # A card that cannot be shown has no thread; what is owed there goes to the requester instead.
                return head is not None and head.error == "gone"
            if row.kind == "plot" and not self._is_drawn(row):
                return False
        return self._pace.open(self._gate(row, head))

    def send(self, row: Outbox, head: Card | None) -> int:
        """Send one row; return how many messages that was."""
        try:
            with bound_contextvars(job=row.job_id or "-"):
                send = {"plot": self._send_plot, "edit": self._send_edits}.get(row.kind, self._send)
                sent = send(row, head)
            self._pace.went_well()
            return sent
        except NotDelivered as error:
            self._not_delivered(row, head, error)
        except Exception:
            # A mistake of ours about one message must not silence all the others; and where we fell, it may stand.
            log.exception("%s could not be rendered or sent.", row.key)
            self._put_off(row, "our mistake", state="uncertain")
        return 0

    # ------------------------------------------------------------ messages

    def _send(self, row: Outbox, head: Card | None, message: Message | None = None) -> int:
        message = message or self._render(row)
        if message is None:
            self._settle(row, state="dropped", error="overtaken")
            return 0
        channel, thread_ts = self._place(row, head)
        if row.state == "uncertain" and row.kind != "whisper":
            ts = self._delivery.find(channel, row.key, thread_ts=thread_ts, since=self._since(row))
            if ts is not None:
                self._settle(row, state="done", ts=ts)
                return 0
        self._intend(row)
        try:
            ts = self._post(row, channel, thread_ts, message)
        except BlocksRefused as error:
            log.warning("Slack refuses the blocks of %s (%s); it is said as text.", row.key, error)
            ts = self._post(row, channel, thread_ts, Message(text=message.text))
        self._pace.shut(f"post {channel}", BETWEEN_POSTS)
        self._settle(row, state="done", ts=ts, error="")
        return 1

    def _send_edits(self, row: Outbox, head: Card | None) -> int:
        """Say anew, without their buttons, what replies say. An edit that may have been made is simply made again."""
        facts = self._facts(row)
        with self._db.read() as tx:
            stand = [told for told in outbox.pressable(tx, row.job_id or "") if told.ts]
        for told in stand:
            self._delivery.edit(self._place(told, head)[0], told.ts or "", self._teller.afterwards(facts, told))
        self._settle(row, state="done" if stand else "dropped", error="")
        return len(stand)

    def _post(self, row: Outbox, channel: str, thread_ts: str | None, message: Message) -> str | None:
        if row.kind == "whisper":
            self._delivery.whisper(channel, row.channel, message, thread_ts=thread_ts)
            return None
        return self._delivery.post(channel, message, key=row.key, thread_ts=thread_ts)

    def _render(self, row: Outbox) -> Message | None:
        if "text" in row.payload:  # an answer, rendered when it was asked for
            return Message(text=row.payload["text"], blocks=row.payload.get("blocks") or ())
        if row.job_id is None:
            with self._db.read() as tx:
                team = db.get_team(tx, str(row.payload["data"]["team"]))
            return self._teller.alert(team, row.payload["data"])
        facts = self._facts(row)
        message = self._teller.message(facts, row)
        if message is not None and row.payload.get("moved"):
            return replies.unreachable(self._say, facts, room(facts.job.channel), message)
        return message

    def _facts(self, row: Outbox) -> JobFacts:
        with self._db.read() as tx:
            return self._teller.facts(tx, row.job_id or "")

    # ------------------------------------------------------------ plots

    def _is_drawn(self, row: Outbox) -> bool:
        """Return whether the row's plot is drawn, or turned out not to be needed; sets it to be drawn."""
        known = self._drawn.get(row.id or 0)
        if known is not None:
            return known[1].done()
        facts = self._facts(row)
        with self._db.read() as tx:
            picture = self._teller.picture(tx, facts, row)
        if picture is None:
            return True
        drawing = self._plotter.draw(picture.plot)
        self._drawn[row.id or 0] = (picture, drawing)
        drawing.add_done_callback(lambda _: self._wake())
        return drawing.done()

    def _send_plot(self, row: Outbox, head: Card | None) -> int:
        known = self._drawn.get(row.id or 0)
        if known is None or head is None or head.ts is None:
            self._settle(row, state="dropped", error="nothing new to show")
            return 0
        if self._stands(row, head):
            return 0
        picture, drawing = known
        try:
            png = drawing.result()
        except PlotFailed as error:
            return self._in_words(row, head, picture, error)
        # What is drawn after a crash may show more, under another name: what is looked for is what was begun.
        self._intend(row, payload={**row.payload, "name": picture.name, "step": picture.step})
        try:
            self._delivery.upload(
                head.channel, head.ts, png, name=picture.name, caption=picture.caption, alt=picture.alt
            )
        except (Limited, Uncertain, Shut):
            raise
        except NotDelivered as error:
            return self._in_words(row, head, picture, error)
        self._pace.shut(f"post {head.channel}", BETWEEN_POSTS)
        self._shown(row, picture, None)
        return 1

    def _stands(self, row: Outbox, head: Card) -> bool:
        """Return whether an upload or its words that were begun before came to stand; settles the row then."""
        if row.state != "uncertain" or head.ts is None:
            return False
        name, since = str(row.payload.get("name", "")), self._since(row)
        ts = self._delivery.find_file(head.channel, name, thread_ts=head.ts, since=since) if name else None
        ts = ts or self._delivery.find(head.channel, row.key, thread_ts=head.ts, since=since)
        if ts is None:
            return False
        self._drawn.pop(row.id or 0, None)
        self._settle(row, state="done", ts=ts, error="")
        return True

    def _in_words(self, row: Outbox, head: Card, picture: Picture, error: Exception) -> int:
        """Say what the plot would have shown: the training goes on, and so does its thread."""
        log.warning("The plot of %s could not be shown: %s", row.job_id, error)
        self._intend(row, payload={**row.payload, "step": picture.step})
        ts = self._delivery.post(head.channel, picture.words, key=row.key, thread_ts=head.ts)
        self._pace.shut(f"post {head.channel}", BETWEEN_POSTS)
        self._shown(row, picture, ts)
        return 1

    def _shown(self, row: Outbox, picture: Picture, ts: str | None) -> None:
        self._drawn.pop(row.id or 0, None)
        told = {**row.payload, "name": picture.name, "step": picture.step}
        self._settle(row, state="done", ts=ts, error="", payload=told)

    # ------------------------------------------------------------ when it does not work

    def _not_delivered(self, row: Outbox, head: Card | None, error: NotDelivered) -> None:
        match error:
            case Limited():
                self._pace.shut(self._gate(row, head), error.seconds)
                self._settle(row, state=row.state)  # nothing was posted: what was marked for this try is taken back
            case Uncertain():
                log.warning("Slack did not answer whether %s stands (%s).", row.key, error)
                self._pace.stumbled()
                self._settle(row, state="uncertain", not_before=self._later(row), error=str(error))
            case Shut():
                log.error("Slack does not accept the bot's token: %s. Nobody is told anything until it does.", error)
                self._pace.shut(EVERYTHING, SHUT_SECONDS)
            case Unreachable() if row.kind in ("reply", "whisper") and row.job_id:
                self._to_requester(row, error)
            case Unreachable():
                log.error("%s is given up: %s.", row.key, error)
                self._settle(row, state="dropped", error=str(error))
            case _:
                self._put_off(row, str(error), state=row.state)  # as it was read: Slack has refused this try

    def _put_off(self, row: Outbox, why: str, *, state: str) -> None:
        if row.tries + 1 >= TRIES:
            log.error("%s is given up after %s tries: %s.", row.key, TRIES, why)
            self._settle(row, state="dropped", error=why)
        else:
            self._settle(row, state=state, tries=row.tries + 1, not_before=self._later(row), error=why)

    def _to_requester(self, row: Outbox, error: Unreachable) -> None:
        """Say it to the requester directly: the channel is closed to us."""
        log.warning("%s cannot be said where it belongs (%s); its requester is told directly.", row.key, error)
        person = self._facts(row).job.person
        payload = {**row.payload, "moved": True}
        self._settle(row, state="owed", kind="dm", channel=person, payload=payload, error=str(error))

    def _later(self, row: Outbox) -> datetime:
        pause = min(LONGEST_PAUSE, UNCERTAIN_SECONDS * 2 ** min(row.tries, 6))
        return self._clock.now() + timedelta(seconds=pause)

    @staticmethod
    def _since(row: Outbox) -> datetime:
        """Return when the message was first owed: it was not posted before."""
        return datetime.fromtimestamp(float(row.payload["at"]), UTC)

    # ------------------------------------------------------------ where, and what is written down

    def _gate(self, row: Outbox, head: Card | None) -> str:
        if row.kind == "edit":
            return "edit"
        if row.kind in ("reply", "plot") and head is not None:
            return f"post {head.channel}"
        return f"post {row.channel}"

    def _place(self, row: Outbox, head: Card | None) -> tuple[str, str | None]:
        """Return the channel and the thread in which this row is said."""
        if row.kind == "dm":
            return self._delivery.direct(row.channel), None
        if row.kind == "whisper":
            return self._facts(row).job.channel, None
        if "text" in row.payload:  # an answer, rendered when it was asked for
            return row.channel, row.payload.get("thread_ts")
        if head is None or head.ts is None:
            raise Unreachable("no card stands")
        return head.channel, head.ts

    def _intend(self, row: Outbox, **columns: object) -> None:
        self._settle(row, state="uncertain", tries=row.tries + 1, **columns)

    def _settle(self, row: Outbox, **columns: object) -> None:
        with self._db.write() as tx:
            outbox.settle(tx, row, **columns)
