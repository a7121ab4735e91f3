"""What leads decide about a team once: its cap, its limits, who leads it, where its months begin."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import TypeAlias
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from sqlalchemy import func
from sqlmodel import Session, col, select, update

from jobs import db, ledger, policy
from jobs.errors import BadRequest, NotAllowed
from jobs.model import Channel, Note, NoteKind, Team
from jobs.policy import Person
from jobs.values import DOLLAR

Value: TypeAlias = int | str | Sequence[str] | None

MOST = 10_000_000 * DOLLAR  # a month; more is a slip of the hand
LONGEST = 31 * 24 * 60  # minutes

_SLUG = re.compile(r"[a-z0-9][a-z0-9_-]{0,39}")
_USER = re.compile(r"[UW][A-Z0-9]{2,20}")
_GROUP = re.compile(r"S[A-Z0-9]{2,20}")


def set_budget(tx: Session, team_id: str, by: Person, field: str, value: Value, at: datetime) -> Team:
    """Set one of `FIELDS` for a team; the cap changes the month that has begun too.

    Amounts are micro-dollars, spans minutes. Raises `NotAllowed` for who does not lead, `BadRequest` quoting what
    cannot be set.
    """
    _must_lead(by)
    if field not in FIELDS:
        raise BadRequest(f"There is no `{field}` in a budget. There are: {', '.join(FIELDS)}.", fix="/budget cap 300")
    checked = FIELDS[field](value)
    team = db.get_team(tx, team_id)
    old = getattr(team, field)
    tx.exec(update(Team).where(col(Team.id) == team_id).values({field: checked}))
    tx.refresh(team)
    if field == "cap" and isinstance(checked, int):
        ledger.set_cap(tx, team=team, period=db.period_of(tx, team, at), cap=checked)
    _noted(tx, team, by, field, old, checked, at)
    return team


def freeze(tx: Session, team_id: str, by: Person, on: bool, at: datetime) -> Team:
    """Stop new rentals, or let them start again; raises `NotAllowed` for who does not lead."""
    _must_lead(by)
    team = db.get_team(tx, team_id)
    if team.frozen != on:
        tx.exec(update(Team).where(col(Team.id) == team_id).values(frozen=on))
        tx.refresh(team)
        _noted(tx, team, by, "frozen", not on, on, at)
    return team


def add_team(tx: Session, team_id: str, *, name: str, zone: str, at: datetime) -> Team:
    """Return the team, created without a budget where it does not exist; raises `BadRequest`."""
    if not _SLUG.fullmatch(team_id):
        raise BadRequest(f"`{team_id}` cannot name a team: up to 40 lower-case letters, digits, `-` and `_`.")
    return db.ensure_team(tx, team_id, name=name or team_id, zone=str(_zone(zone)), at=at)


def map_channel(tx: Session, channel: str, team_id: str) -> Team:
    """Let a channel spend for a team from now on; raises `NotFound` for a team that does not exist."""
    team = db.get_team(tx, team_id)
    tx.merge(Channel(id=channel, team_id=team_id))
    return team


def _must_lead(by: Person) -> None:
    if by.guest or not by.lead:
        raise NotAllowed("Only a lead of this team may change its budget.")


def _noted(tx: Session, team: Team, by: Person, field: str, old: object, new: object, at: datetime) -> None:
    changes = tx.exec(select(func.count()).where(Note.team_id == team.id, Note.kind == NoteKind.BUDGET.value)).one()
    db.note(
        tx,
        key=f"{team.id}:budget:{changes + 1}",
        kind=NoteKind.BUDGET,
        at=at,
        team_id=team.id,
        by=by.id,
        data={"field": field, "old": old, "new": new},
    )


# ---------------------------------------------------------------- what may be set to what


def _whole(value: Value, low: int, high: int, say: Callable[[int], str], line: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        given = say(value) if isinstance(value, int) else value
        raise BadRequest(f"`{given}` cannot be set: it has to lie between {say(low)} and {say(high)}.", fix=line)
    return value


def _cap(value: Value) -> Value:
    return _whole(value, 0, MOST, policy.dollars, "/budget cap 300")


def _auto_approve(value: Value) -> Value:
    return _whole(value, 0, MOST, policy.dollars, "/budget auto-approve 20")


def _longest(value: Value) -> Value:
    return _whole(value, 1, LONGEST, policy.duration, "/budget longest 24h")


def _share(value: Value) -> Value:
    return _whole(value, 1, 100, lambda percent: f"{percent} %", "/budget share 50")


def _leads(value: Value) -> Value:
    ids = [] if value is None or isinstance(value, (int, str)) else list(dict.fromkeys(value))
    if not ids:
        raise BadRequest("Name at least one lead, or nobody could approve anything.", fix="/budget leads @ada")
    for each in ids:
        if not _USER.fullmatch(each):
            raise BadRequest(f"`{each}` is not a person of this workspace. Pick the name from the list as you type @.")
    return ids


def _group(value: Value) -> Value:
    if value is not None and not (isinstance(value, str) and _GROUP.fullmatch(value)):
        raise BadRequest(f"`{value}` is not a user group's id; one looks like S0123ABCD.")
    return value


def _zone(value: Value) -> Value:
    try:
        return "UTC" if value == "UTC" else ZoneInfo(str(value)).key
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise BadRequest(
            f"`{value}` is not a time zone; one is written like `Europe/Berlin`.", fix="/budget zone Europe/Berlin"
        ) from None


FIELDS: dict[str, Callable[[Value], Value]] = {
    "cap": _cap,
    "auto_approve": _auto_approve,
    "longest_minutes": _longest,
    "share_percent": _share,
    "leads": _leads,
    "lead_group": _group,
    "zone": _zone,
}
