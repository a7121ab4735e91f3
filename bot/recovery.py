"""`hourglass recover` and `hourglass backup`: the database lost, rebuilt, copied and put back."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import structlog
import typer
from sqlmodel import select

from bot.home import settled, writing
from bot.machines import connected
from bot.retelling import doubt
from jobs import backup as backups
from jobs.backup import file_of
from jobs.clock import SystemClock
from jobs.db import Database
from jobs.errors import Misconfigured
from jobs.evidence import remembered
from jobs.model import Team
from jobs.policy import dollars
from jobs.recover import Found, recover
from jobs.settings import Settings, load
from trainer.storage import Store, StoreFault, open_store

log = structlog.get_logger(__name__)


def run(*, dry: bool, copy: Path | None) -> int:
    """Rebuild the database, from a copy where one is named; return 0 when everything could be read, else 1."""
    settings = settled(load())
    clock = SystemClock()
    if dry and copy is not None:
        raise Misconfigured("--dry-run and --from do not go together: a dry run leaves the database as it is.")
    with writing(settings):
        if copy is not None:
            aside = backups.restore(copy, file_of(settings.database()), clock.now())
            typer.echo(f"{copy} is the database now." + (f" The one before it is {aside}." if aside else ""))
        try:
            store = open_store(settings.store_uri())
        except StoreFault as fault:
            raise Misconfigured(f"HOURGLASS_STORE cannot be used: {fault}") from fault
        with closing(Database.open(_address(settings, dry=dry))) as database:
            found = recover(
                db=database,
                store=store,
                providers=connected(settings, clock),
                clock=clock,
                home=str(settings.home),
                zone=settings.zone,
                dry=dry,
                then=doubt,
            )
    for line in told(found, home=str(settings.home), dry=dry):
        typer.echo(line)
    return 0 if found.whole else 1


def refuse_to_forget(database: Database, store: Store, home: str) -> None:
    """Raise `Misconfigured` where an empty database would begin to write over what the store remembers of this home.

    A store that does not answer stops nobody: deadlines have to be enforced.
    """
    with database.read() as tx:
        if tx.exec(select(Team.id)).first() is not None:
            return
    try:
        forgotten = remembered(store, home)
    except StoreFault as fault:
        log.warning("recovery.store_silent", error=str(fault))
        return
    if forgotten:
        raise Misconfigured(
            "The database is empty, and the store remembers this deployment. Run `hourglass recover` before `serve`, "
            "or give a new deployment a HOURGLASS_HOME of its own."
        )


def _address(settings: Settings, *, dry: bool) -> str:
    """Return the database to work on: where there is none, a dry run has one in memory and leaves no file behind."""
    address = settings.database()
    missing = address.startswith("sqlite") and not file_of(address).exists()
    return "sqlite://" if dry and missing else address


def told(found: Found, *, home: str, dry: bool) -> Sequence[str]:
    """Return what was found and done, and what is left to do, as lines for the operator."""
    evidence, report = found.evidence, found.report
    lines = [
        f"Found: {_count(len(evidence.teams), 'team')} and {_count(len(evidence.jobs), 'job')} in the store, "
        f"{_count(len(evidence.machines), 'machine')} of this home.",
        f"{'Would be added' if dry else 'Added'}: {_count(len(report.added), 'job')}; "
        f"brought up to date: {len(report.advanced)}; known as they are: {report.known}.",
        f"Machines with a row: {len(report.standing)}. Held: {dollars(report.held)}; spent: {dollars(report.spent)}.",
    ]
    if report.teams:
        lines.append(f"Teams with their limits, leads and channels: {', '.join(sorted(report.teams))}.")
    lines += [
        f"Nothing is left of team {team}'s limits, so nothing starts for it: a lead types `/budget cap 300`, and "
        f"whoever runs the bot `hourglass team add {team} --channel C… --lead U…`."
        for team in report.capless
    ]
    if report.from_tags:
        lines.append(
            f"Of {', '.join(report.from_tags)} only the machines' tags are left: their holds and deadlines are kept, "
            "who asked for them is not known."
        )
    if report.left:
        lines.append(f"Left as they are, for the bot's next pass: {', '.join(report.left)}.")
    if not evidence.jobs and evidence.homes:
        lines.append(
            f"The store has records of another home ({', '.join(sorted(evidence.homes))}); this one is {home}. If that "
            "was this deployment's, set HOURGLASS_HOME to it and run this again."
        )
    lines += [f"Not read: {key} ({why})." for key, why in evidence.unread.items()]
    lines += [f"{name} did not answer: {said} Run this again when it does." for name, said in evidence.silent.items()]
    lines.append("Nothing was written." if dry else "Nothing was ended. Next: `hourglass serve`.")
    return lines


def backup(file: Path) -> None:
    """Copy the database to a new file and say how to put it back; `serve` may go on meanwhile."""
    made = backups.backup(file_of(load().database()), file)
    typer.echo(
        f"{made.path}: {made.size:,} bytes, {_count(made.jobs, 'job')}, checked. To put it back, stop "
        f"`hourglass serve` and run `hourglass recover --from {made.path}`."
    )


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
