"""The team's keys on this machine, asked for before anything is trained: without them the work would be lost later."""

from __future__ import annotations

from collections.abc import Mapping

from trainer import aes, sealed, wire
from trainer.fetch import CannotStart
from trainer.sealed import BadKey, Key, Ring
from trainer.wire import AgentOrder, Reason


def ring(env: Mapping[str, str]) -> Ring:
    """Return the keys that the machine was given; raises `CannotStart` where they are none."""
    try:
        return sealed.ring_from(env.get(wire.ENV_KEYS, ""))
    except BadKey as error:
        raise CannotStart(Reason.BAD_SPEC, f"The keys that this machine was given cannot be used: {error}") from error


def sealing(order: AgentOrder, env: Mapping[str, str]) -> Key | None:
    """Return the key that checkpoints are sealed with, None where they are not; raises `CannotStart`."""
    if not order.checkpoints.encrypt:
        return None
    key = ring(env).first
    if key is None:
        text = "Checkpoints are to be encrypted, and this machine was given no key: the bot needs HOURGLASS_DATA_KEY."
        raise CannotStart(Reason.BAD_SPEC, text)
    try:
        aes.cipher(key.secret)
    except aes.NoCipher as error:
        raise CannotStart(Reason.BAD_IMAGE, f"Checkpoints cannot be encrypted on this machine. {error}") from error
    return key
