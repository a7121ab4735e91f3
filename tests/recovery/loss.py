"""Databases that are lost or fall back to an old copy, and what two of them have in common."""

from __future__ import annotations

from typing import Any

from sqlmodel import SQLModel, select

from jobs.model import Attempt, Checkpoint, Entry, Job, Note, Period, Team
from jobs.recover import Found, recover
from tests.support.databases import connection_of, memory_engine
from tests.support.mortal import MortalDatabase
from tests.support.world import HOME, World


def copy(world: World) -> bytes:
    """Return the whole database as it is now."""
    return connection_of(world.db.engine).serialize()


def lose(world: World, older: bytes | None = None) -> None:
    """Put an empty database in the place of the world's, or an older copy of it; the bot is down."""
    world.db = MortalDatabase(memory_engine(older), world.fate)
    world.restart()


def recovered(world: World, *, dry: bool = False) -> Found:
    """Run the recovery over the world's files and machines."""
    return recover(
        db=world.db,
        store=world.store,
        providers=world.ports.providers,
        clock=world.clock,
        home=HOME,
        zone="UTC",
        dry=dry,
    )


def books(world: World) -> dict[str, Any]:
    """Return everything about teams, money, jobs and machines, without what a database numbers by itself."""
    with world.db.read() as tx:
        months = {period.id: f"{period.team_id} {period.month}" for period in tx.exec(select(Period))}
        return {
            "teams": sorted((_plain(row, "id") | {"team": row.id} for row in tx.exec(select(Team))), key=str),
            "months": sorted((_plain(row, "id") for row in tx.exec(select(Period))), key=str),
            "entries": {
                row.key: _plain(row, "id", "period_id") | {"month": months[row.period_id]}
                for row in tx.exec(select(Entry))
            },
            "jobs": {
                row.id: _plain(row, "period_id") | {"month": months.get(row.period_id)} for row in tx.exec(select(Job))
            },
            "attempts": {row.launch_key: _plain(row, "id", "cursor") for row in tx.exec(select(Attempt))},
            "checkpoints": {row.manifest: _plain(row, "id") for row in tx.exec(select(Checkpoint))},
            "notes": {row.key: _plain(row, "id") for row in tx.exec(select(Note))},
        }


def _plain(row: SQLModel, *without: str) -> dict[str, Any]:
    return row.model_dump(mode="json", exclude=set(without))
