"""Modals: why not, how long instead, how much longer. Each is opened at once as "loading" and filled in after."""

from __future__ import annotations

from collections.abc import Mapping

from bot.catalogue import Catalogue, later
from bot.facts import JobFacts
from bot.markup import dollars, span
from bot.views.blocks import Block, entry, modal, option, section
from bot.views.card import title
from jobs.values import Micros

REASONS = {
    "cost": later("Too expensive for what it is for"),
    "shorter": later("Try a shorter run first"),
    "smaller": later("Try a smaller GPU first"),
    "later": later("The budget is needed for something else this month"),
    "duplicate": later("Somebody runs the same already"),
    "other": later("Another reason (write it below)"),
}


def loading(say: Catalogue, callback: str) -> Block:
    """Return the modal that is open while the real one is looked up."""
    return modal(callback=callback, title=say("Hourglass"), blocks=[section(say("One moment…"))], close=say("Close"))


def sorry(say: Catalogue, text: str) -> Block:
    """Return why there is nothing to fill in."""
    return modal(callback="sorry", title=say("Hourglass"), blocks=[section(text)], close=say("Close"))


def deny(say: Catalogue, facts: JobFacts) -> Block:
    """Return the form for a denial: a ready-made reason, and room for words."""
    reasons = [option(say.plain(text), name) for name, text in REASONS.items()]
    chosen = {"type": "radio_buttons", "action_id": "reason", "options": reasons, "initial_option": reasons[0]}
    words = {"type": "plain_text_input", "action_id": "words", "multiline": True, "max_length": 400}
    return modal(
        callback="deny",
        title=say("Deny"),
        submit=say("Deny"),
        close=say("Cancel"),
        about=facts.job.id,
        blocks=[
            section(say("{title} for up to {hold}", title=title(say, facts), hold=dollars(facts.job.hold, up=True))),
            entry("reason", say("Why?"), chosen),
            entry("words", say("In your words"), words, optional=True, hint=say.plain("The requester reads this.")),
        ],
    )


def shorter(say: Catalogue, facts: JobFacts, holds: Mapping[float, Micros]) -> Block:
    """Return the form for a shorter approval; `holds` is what each length in minutes would hold."""
    lengths = [
        option(say.plain("{span}, up to {cost}", span=span(minutes), cost=dollars(cost, up=True)), f"{minutes:g}")
        for minutes, cost in list(holds.items())[:100]
    ]
    if not lengths:
        return sorry(say, say("There is nothing shorter to offer than what was asked for."))
    chosen = {"type": "static_select", "action_id": "minutes", "options": lengths, "initial_option": lengths[0]}
    return modal(
        callback="shorter",
        title=say("Approve shorter"),
        submit=say("Approve"),
        close=say("Cancel"),
        about=facts.job.id,
        blocks=[
            section(say("{title}, asked for {span}", title=title(say, facts), span=_asked(facts))),
            entry("minutes", say("How long instead?"), chosen),
        ],
    )


def extend(say: Catalogue, facts: JobFacts, costs: Mapping[int, str]) -> Block:
    """Return the form for more time; `costs` is what so many minutes more may cost."""
    lengths = [option(say.plain("{span} more, up to {cost}", span=span(m), cost=c), str(m)) for m, c in costs.items()]
    chosen = {"type": "radio_buttons", "action_id": "minutes", "options": lengths, "initial_option": lengths[0]}
    return modal(
        callback="extend",
        title=say("Extend"),
        submit=say("Extend"),
        close=say("Cancel"),
        about=facts.job.id,
        blocks=[section(title(say, facts)), entry("minutes", say("How much longer?"), chosen)],
    )


def denial(say: Catalogue, reason: str, words: str) -> str:
    """Return the reason as the requester reads it: the ready-made one, the lead's own words, or both."""
    ready = say.plain(REASONS[reason]) if reason in REASONS and reason != "other" else ""
    return ". ".join(part for part in (ready, words.strip()) if part)


def missing_words(say: Catalogue) -> dict[str, str]:
    """Return the error of a form whose reason is "another" and has no words."""
    return {"words": say.plain("Please say why.")}


def _asked(facts: JobFacts) -> str:
    return span(facts.spec.minutes) if facts.spec else "?"
