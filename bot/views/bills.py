"""The last word of a thread: what the job cost, what spot saved, what was given back; estimates named as such."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from bot.catalogue import Catalogue
from bot.markup import Markup, dollars, size
from bot.views.blocks import Message, context


def settled(say: Catalogue, data: Mapping[str, Any]) -> Message:
    """Return the bill of a job whose money is closed; `data` is its note."""

    def money(name: str) -> Markup:
        return Markup(dollars(int(data.get(name, 0))))

    lines = [_cost(say, data, money)]
    if data.get("saved"):
        lines.append(say("Spot saved {saved} against the same machines on demand.", saved=money("saved")))
    if data.get("free"):
        lines.append(say("What its provider took back within the first hour is not charged for."))
    if data.get("unmetered"):
        lines.append(say("The market's prices could not be had: it is charged at the price at the launch."))
    if data.get("disk"):
        lines.append(say("In that, by estimate: {disk} for its disk.", disk=money("disk")))
    if data.get("egress"):
        lines.append(
            say(
                "Not in that, by estimate: {egress} when its files ({size}) are downloaded once.",
                egress=money("egress"),
                size=size(int(data.get("egress_bytes", 0))),
            )
        )
    return Message(text=Markup(" ".join(lines)), blocks=[context(Markup("💵  " + "\n".join(lines)))])


def _cost(say: Catalogue, data: Mapping[str, Any], money: Callable[[str], Markup]) -> Markup:
    if data.get("overrun"):
        return say("It cost {cost}; {held} were held.", cost=money("charged"), held=money("held"))
    if not data.get("released"):
        return say("It cost {cost}, all that was held.", cost=money("charged"))
    return say(
        "It cost {cost} of the {held} that were held; {released} are free again.",
        cost=money("charged"),
        held=money("held"),
        released=money("released"),
    )
