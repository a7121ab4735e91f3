"""A line after `/budget` -> what it asks for. Pure.

/budget                     show the month
/budget cap 300             dollars a month         auto-approve 20    dollars that need nobody
/budget longest 24h         of one job              share 50           percent of the cap, one person's
/budget leads @a @b         who approve             zone Europe/Berlin in which months begin
/budget freeze | unfreeze   no new rentals, or again
/budget help                these lines
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from difflib import get_close_matches
from types import MappingProxyType
from typing import Final
from zoneinfo import available_timezones

from bot.correction import corrected
from bot.normalise import normalise
from bot.verbs import BudgetCommand, BudgetField, Freeze, HelpBudget, SetBudget, ShowBudget
from bot.words import split
from jobs.errors import BadRequest, BadSpec
from jobs.quantities import parse_count, parse_dollars, parse_minutes

_VERBS: Final = ("show", "cap", "auto-approve", "longest", "share", "leads", "zone", "freeze", "unfreeze", "help")
_MEANT: Final[Mapping[str, str]] = MappingProxyType(
    {
        **dict.fromkeys(("status", "list"), "show"),
        **dict.fromkeys(("limit", "set", "max", "month", "monthly"), "cap"),
        **dict.fromkeys(("autoapprove", "auto_approve", "auto", "free"), "auto-approve"),
        **dict.fromkeys(("hours", "duration", "max-hours", "longest-job"), "longest"),
        **dict.fromkeys(("person", "percent"), "share"),
        **dict.fromkeys(("lead", "approver", "admins"), "leads"),
        **dict.fromkeys(("timezone", "tz"), "zone"),
        **dict.fromkeys(("pause", "lock", "stop"), "freeze"),
        **dict.fromkeys(("thaw", "unlock", "resume"), "unfreeze"),
    }
)
_SAME: Final = {"approvers": "leads"}


def parse_budget(text: str) -> BudgetCommand:
    """Read what followed `/budget`; raises `BadRequest`, whose fix begins with `/budget`."""
    return corrected(_parse, text, "/budget")


def _parse(text: str) -> BudgetCommand:
    line = split(normalise(text))
    words = [word.text for word in line.words]
    if line.tail is not None:
        raise BadRequest("`/budget` takes no command. What follows ` -- ` belongs to `/train`.")
    if words and words[0].lower() in ("/budget", "budget"):
        words = words[1:]
    if not words:
        return ShowBudget()
    verb, rest = words[0].lower(), words[1:]
    if "=" in verb:  # cap=300
        verb, _, value = verb.partition("=")
        raise BadRequest(f"`{words[0]}`: write it with a space, `{verb} {value}`.", fix=" ".join([verb, value, *rest]))
    verb = _SAME.get(verb, verb)
    if verb in _SETTERS:
        field, read, example = _SETTERS[verb]
        if not rest:
            # A number is as good a guess as the next; a person is not.
            fix = None if field is BudgetField.LEADS else f"{verb} {example}"
            raise BadRequest(f"`{verb}` to what? Like `/budget {verb} {example}`.", fix=fix)
        return SetBudget(field=field, value=read(verb, rest, example))
    if rest and verb in _VERBS:
        raise BadRequest(f"`{verb}` takes nothing more; `{rest[0]}` is too much.", fix=verb)
    if verb == "show":
        return ShowBudget()
    if verb == "help":
        return HelpBudget()
    if verb in ("freeze", "unfreeze"):
        return Freeze(on=verb == "freeze")
    raise _unknown(words[0], rest)


def _unknown(word: str, rest: Sequence[str]) -> BadRequest:
    if re.fullmatch(r"\$?\d[\d.]*\$?", word):
        return BadRequest(f"`{word}` of what? A month's cap is `/budget cap {word}`.", fix=f"cap {word}")
    near = _MEANT.get(word.lower()) or next(iter(get_close_matches(word.lower(), _VERBS, n=1)), None)
    if near is None:
        return BadRequest(f"`{word}` is nothing that a budget has. There are {', '.join(_VERBS)}.", fix="show")
    return BadRequest(f"`{word}` is nothing that a budget has; did you mean `{near}`?", fix=" ".join([near, *rest]))


def _dollars(verb: str, rest: Sequence[str], example: str) -> int:
    try:
        return parse_dollars(_single(verb, rest, example))
    except BadSpec as error:
        without = rest[0].replace(",", "")
        raise BadRequest(str(error), fix=f"{verb} {without if without != rest[0] else example}") from error


def _minutes(verb: str, rest: Sequence[str], example: str) -> int:
    said = "".join(rest)
    try:
        minutes = parse_minutes(said)
    except BadSpec as error:
        raise BadRequest(str(error), fix=f"{verb} {example}") from error
    if len(rest) > 1:
        raise BadRequest(f"Write the time as one word: `{said}`.", fix=f"{verb} {said}")
    return round(minutes)


def _percent(verb: str, rest: Sequence[str], example: str) -> int:
    try:
        return parse_count(_single(verb, rest, example).removesuffix("%"), least=1, most=100)
    except BadSpec as error:
        raise BadRequest(f"{error} It is percent of the cap.", fix=f"{verb} {example}") from error


def _leads(verb: str, rest: Sequence[str], example: str) -> tuple[str, ...]:
    found = []
    for word in filter(None, ",".join(rest).split(",")):
        mention = re.fullmatch(r"<@([UW][A-Z0-9]{1,20})>", word) or re.fullmatch(r"@?([UW][A-Z0-9]{8,20})", word)
        # A command's text is not escaped: a name picked from Slack's list arrives as it was shown.
        name = re.fullmatch(r"@(?!(?:channel|here|everyone)$)[A-Za-z0-9][A-Za-z0-9._-]{0,79}", word)
        if mention is None and name is None:
            raise BadRequest(
                f"`{word}` is not somebody whom Slack named. Pick each person from the list that opens after `@`."
            )
        found.append(mention[1] if mention else word)
    return tuple(dict.fromkeys(found))


def _zone(verb: str, rest: Sequence[str], example: str) -> str:
    name = "_".join(rest)
    zones = {zone.lower(): zone for zone in available_timezones()}
    if name.lower() in zones:
        return zones[name.lower()]
    cities = {zone.rpartition("/")[2].lower(): zone for zone in sorted(zones.values())}
    near = cities.get(name.lower()) or next(iter(get_close_matches(name.lower(), list(zones), n=1)), None)
    hint = f"did you mean `{zones.get(near.lower(), near)}`?" if near else f"one is written like `{example}`."
    fix = f"{verb} {zones.get(near.lower(), near)}" if near else f"{verb} {example}"
    raise BadRequest(f"`{name}` is not a time zone; {hint}", fix=fix)


def _single(verb: str, rest: Sequence[str], example: str) -> str:
    if len(rest) > 1:
        raise BadRequest(f"`{verb}` takes one value; `{rest[1]}` is too much.", fix=f"{verb} {rest[0]}")
    return rest[0]


_Read = Callable[[str, Sequence[str], str], "int | str | tuple[str, ...]"]
_SETTERS: Final[Mapping[str, tuple[BudgetField, _Read, str]]] = MappingProxyType(
    {
        "cap": (BudgetField.CAP, _dollars, "300"),
        "auto-approve": (BudgetField.AUTO_APPROVE, _dollars, "20"),
        "longest": (BudgetField.LONGEST_MINUTES, _minutes, "24h"),
        "share": (BudgetField.SHARE_PERCENT, _percent, "50"),
        "leads": (BudgetField.LEADS, _leads, "@ada"),
        "zone": (BudgetField.ZONE, _zone, "Europe/Berlin"),
    }
)
