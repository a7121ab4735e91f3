"""How something that happened reaches the app: one attempt within three seconds, retries where Slack retries.

Commands and interactions are sent once: when the app does not acknowledge in time the person is told, and
what the app still does afterwards is its own affair. Events are sent up to three times more. Each delivery
is kept, so that it can be delivered again on demand, as networks do without being asked.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal, Protocol

from bot.sandbox.clock import Clock
from bot.sandbox.ids import Ids
from bot.sandbox.records import Json, PersonError, SandboxError

ACK_S = 3.0
# Slack's own schedule: at once, after a minute, after five.
RETRY_AFTER_S = (0.0, 60.0, 300.0)
KEPT = 500

Kind = Literal["slash_commands", "interactive", "events_api"]


@dataclass(frozen=True, kw_only=True)
class Envelope:
    """One thing to be delivered; a second delivery carries the same id."""

    id: str
    kind: Kind
    payload: Json
    retry_attempt: int = 0
    retry_reason: str = ""


@dataclass(frozen=True, kw_only=True)
class Reply:
    """What the app answered; `error` is None when it acknowledged."""

    payload: Json | None = None
    error: str | None = None  # operation_timeout, app_did_not_respond, dispatch_failed, ...
    no_retry: bool = False  # the app said X-Slack-No-Retry


@dataclass(frozen=True, kw_only=True)
class Delivery:
    """An envelope and what became of it."""

    envelope: Envelope
    attempts: int = 0
    acknowledged: bool = False
    error: str | None = None

    @property
    def id(self) -> str:
        """The envelope's id."""
        return self.envelope.id

    @property
    def kind(self) -> Kind:
        """The envelope's kind."""
        return self.envelope.kind

    @property
    def payload(self) -> Json:
        """The envelope's payload."""
        return self.envelope.payload


class NotConnected(SandboxError):
    """There is no app at the other end."""


class Transport(Protocol):
    """A way to the app."""

    timeout_reason: str  # Slack's word for a missing acknowledgement on this way

    def send(self, envelope: Envelope, on_reply: Callable[[Reply], None]) -> Callable[[], None]:
        """Send without waiting; `on_reply` comes at most once, from any thread. Returns how to stop listening.

        Raises NotConnected when nobody is there to send to.
        """


class Courier:
    """Delivers envelopes over the transport of the day and keeps what became of them."""

    def __init__(self, *, clock: Clock, ids: Ids, transport: Transport) -> None:
        self.transport = transport
        self._clock = clock
        self._ids = ids
        self._news = threading.Condition()
        self._kept: dict[str, Delivery] = {}
        self._order: deque[str] = deque()
        self._couriers: list[threading.Thread] = []
        self._sending: set[str] = set()  # events with an attempt under way
        self._closed = False

    def deliver(self, kind: Kind, payload: Json) -> tuple[Delivery, Reply]:
        """Send a command or an interaction and wait up to three seconds for the acknowledgement."""
        delivery = self._keep(kind, payload)
        return self._attempt(delivery.envelope)

    def publish(self, payload: Json) -> Delivery:
        """Send an event in the background, with retries; returns at once."""
        delivery = self._keep("events_api", payload)
        thread = threading.Thread(target=self._see_through, args=(delivery.envelope,), name="sandbox-event")
        with self._news:
            self._couriers.append(thread)
            self._sending.add(delivery.id)
        thread.start()
        return delivery

    def again(self, delivery_id: str | None = None) -> tuple[Delivery, Reply]:
        """Deliver the last envelope (or that one) a second time and wait for its acknowledgement."""
        with self._news:
            if not self._order:
                raise PersonError("nothing was delivered yet: type a command or press a button first")
            chosen = delivery_id or self._order[-1]
            if chosen not in self._kept:
                raise PersonError(f"no delivery {chosen!r}: deliveries() lists the ones that can be repeated")
            envelope = self._kept[chosen].envelope
        if envelope.kind == "events_api":
            envelope = replace(envelope, retry_attempt=1, retry_reason=self.transport.timeout_reason)
        return self._attempt(envelope)

    def deliveries(self) -> list[Delivery]:
        """The kept deliveries, oldest first."""
        with self._news:
            return [self._kept[one] for one in self._order]

    def settle(self, timeout: float) -> None:
        """Wait until no event is on its way (one that waits for a retry is not); TimeoutError after `timeout` s."""
        with self._news:
            if not self._news.wait_for(lambda: not self._sending, timeout):
                raise TimeoutError(f"events are still on their way after {timeout} s")

    def close(self) -> None:
        """Stop waiting for acknowledgements and let every background thread end."""
        with self._news:
            self._closed = True
            self._news.notify_all()
            couriers = list(self._couriers)
        for thread in couriers:
            thread.join()

    def _keep(self, kind: Kind, payload: Json) -> Delivery:
        delivery = Delivery(envelope=Envelope(id=self._ids.uuid(), kind=kind, payload=payload))
        with self._news:
            self._kept[delivery.id] = delivery
            self._order.append(delivery.id)
            if len(self._order) > KEPT:
                del self._kept[self._order.popleft()]
        return delivery

    def _attempt(self, envelope: Envelope) -> tuple[Delivery, Reply]:
        sent = self._clock.monotonic()
        replies: list[tuple[float, Reply]] = []

        def on_reply(reply: Reply) -> None:
            with self._news:
                replies.append((self._clock.monotonic(), reply))
                self._news.notify_all()

        try:
            stop = self.transport.send(envelope, on_reply)
        except NotConnected:
            return self._note(envelope, Reply(error="app_did_not_respond"))
        with self._news:
            # The three seconds run from the sending: an app that was quick may have used some of them by now.
            self._clock.wait(self._news, lambda: bool(replies) or self._closed, sent + ACK_S)
        stop()
        # An answer that came late is late, even when it was already there when the waiter woke.
        if not replies or replies[0][0] - sent > ACK_S:
            return self._note(envelope, Reply(error="operation_timeout"))
        return self._note(envelope, replies[0][1])

    def _note(self, envelope: Envelope, reply: Reply) -> tuple[Delivery, Reply]:
        with self._news:
            old = self._kept.get(envelope.id, Delivery(envelope=envelope))
            new = replace(
                old,
                attempts=old.attempts + 1,
                acknowledged=old.acknowledged or reply.error is None,
                error=reply.error,
            )
            if envelope.id in self._kept:
                self._kept[envelope.id] = new
            self._news.notify_all()
        return new, reply

    def _see_through(self, envelope: Envelope) -> None:
        try:
            _, reply = self._attempt(envelope)
            for attempt, pause in enumerate(RETRY_AFTER_S, start=1):
                if reply.error is None or reply.no_retry:
                    return
                with self._news:
                    # Nobody sees it as resting before its pause is counted.
                    self._sending.discard(envelope.id)
                    self._news.notify_all()
                    self._clock.wait(self._news, lambda: self._closed, self._clock.monotonic() + pause)
                    if self._closed:
                        return
                    self._sending.add(envelope.id)
                timed_out = reply.error == "operation_timeout"
                reason = self.transport.timeout_reason if timed_out else "http_error"
                _, reply = self._attempt(replace(envelope, retry_attempt=attempt, retry_reason=reason))
        finally:
            with self._news:
                self._couriers.remove(threading.current_thread())
                self._sending.discard(envelope.id)
                self._news.notify_all()
