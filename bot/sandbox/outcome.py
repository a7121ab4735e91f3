"""What came of one thing a person did."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from bot.sandbox.deliver import Courier, Delivery, Reply
from bot.sandbox.records import Json


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """Whether it worked, and what the person is shown when it did not."""

    ok: bool
    error: str | None = None  # operation_timeout, app_did_not_respond, dispatch_failed, invalid_command, ...
    said: str | None = None
    ts: str | None = None  # of a message that was typed
    delivery_id: str | None = None
    reply: Json | None = None  # what came with the app's acknowledgement
    errors: Mapping[str, str] | None = None  # block_id -> sentence, when a modal was refused


def interact(courier: Courier, payload: Json) -> Outcome:
    """Deliver an interaction whose acknowledgement carries nothing."""
    return interacted(*courier.deliver("interactive", payload))


def interacted(delivery: Delivery, reply: Reply) -> Outcome:
    """The outcome of such a delivery."""
    if reply.error is None:
        return Outcome(ok=True, delivery_id=delivery.id, reply=reply.payload)
    said = "This app did not respond. Try again."
    return Outcome(ok=False, error=reply.error, said=said, delivery_id=delivery.id)
