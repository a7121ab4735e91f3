"""What `/budget` does and answers: anybody sees the month, leads change its rules."""

from __future__ import annotations

from dataclasses import dataclass

from bot import answering
from bot.parse_budget import parse_budget
from bot.parts import Caller, Parts
from bot.verbs import BudgetCommand, BudgetField, Freeze, HelpBudget, SetBudget, ShowBudget
from bot.views import budget as views
from bot.views import manual
from bot.views.blocks import Message
from jobs.errors import BadRequest


@dataclass(frozen=True, kw_only=True)
class Done:
    """An answer, and whether something was changed that all should know."""

    message: Message
    changed: bool


def perform(parts: Parts, text: str, caller: Caller, *, typed: str) -> Done:
    """Show the month or change a rule; what goes wrong is answered in words."""
    changed = False

    def act() -> Message:
        nonlocal changed
        asked = parse_budget(text)
        message = _do(parts, asked, caller)
        changed = isinstance(asked, SetBudget | Freeze)
        return message

    message = answering.guarded(parts, typed, act)
    return Done(message=message, changed=changed)


def _do(parts: Parts, asked: BudgetCommand, caller: Caller) -> Message:
    if isinstance(asked, HelpBudget):
        return manual.budget(parts.say)
    team = parts.service.team_of(caller.channel)
    if isinstance(asked, ShowBudget):
        return views.month(parts.say, team, parts.service.budget(team.id), parts.people.leads(team))
    by = parts.people.person(caller.person, team)
    if isinstance(asked, Freeze):
        changed = parts.service.freeze(team.id, by, asked.on)
        return views.frozen(parts.say, changed, caller.person)
    changed = parts.service.set_budget(team.id, by, asked.field.value, _value(parts, asked))
    return views.changed(parts.say, changed, asked.field, caller.person)


def _value(parts: Parts, asked: SetBudget) -> int | str | list[str]:
    """Return the value with people's names made ids: a command carries them as they were typed."""
    if asked.field is not BudgetField.LEADS or not isinstance(asked.value, tuple):
        return asked.value if isinstance(asked.value, int | str) else list(asked.value)
    found = {name: parts.people.resolve(name) for name in asked.value}
    unknown = [name for name, user in found.items() if user is None]
    if unknown:
        raise BadRequest(f"I know nobody called `{unknown[0]}`. Type the name as Slack completes it after `@`.")
    return [user for user in found.values() if user is not None]
