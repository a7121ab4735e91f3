"""`hourglass reconcile MONTH`: the ledger beside Amazon's bill, job by job."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Sequence
from datetime import date, datetime

import typer

from bot.home import reading, settled
from bot.markup import clean
from jobs import reconcile
from jobs.clock import Clock, SystemClock
from jobs.errors import BadRequest
from jobs.policy import dollars
from jobs.providers.aws import sdk_clients
from jobs.providers.aws_costs import ACTIVATE, PAGE, Billed, billed
from jobs.providers.aws_request import Clients
from jobs.reconcile import FLAGGED, Booked, Row, Verdict
from jobs.settings import Settings, load

PROVIDER = "aws"


def run(
    month: str,
    percent: float,
    *,
    clients: Clients | None = None,
    settings: Settings | None = None,
    clock: Clock | None = None,
) -> int:
    """Print the comparison, a table on a terminal and lines of JSON elsewhere; return 1 where something is flagged.

    Raises `jobs.errors.HourglassError`.
    """
    settings, now = settled(settings or load()), (clock or SystemClock()).now()
    with reading(settings) as database, database.read() as tx:
        jobs = reconcile.booked(tx, month, PROVIDER)
        known = reconcile.known_jobs(tx)
    since, until = _days(month, jobs, now)
    if not jobs:
        typer.echo(f"The ledger has no machine of {PROVIDER} in {month}; the bill may have one.", err=True)
    typer.echo(f"Asking Cost Explorer about {since} to {until}: {PAGE} a page, one page or a few.", err=True)
    answer = [one for one in billed(clients or sdk_clients(), since, until) if one.home in ("", str(settings.home))]
    costs: Counter[str] = Counter()
    for one in answer:
        if one.job not in known and one.day.strftime("%Y-%m") != month:
            continue  # a stranger of another month
        costs[one.job] += one.micros
    rows = reconcile.compare(jobs, costs, known=known, tolerance=percent / 100, now=now)
    _print(rows)
    for line in _remarks(rows, jobs, answer):
        typer.echo(line, err=True)
    return int(any(row.verdict in FLAGGED for row in rows))


def _days(month: str, jobs: Sequence[Booked], now: datetime) -> tuple[date, date]:
    try:
        since, until = reconcile.days_of(month, jobs, now)
    except ValueError as error:
        raise BadRequest(f"{clean(month)!r} is no month: write it as 2026-11.") from error
    if since >= until:
        raise BadRequest(f"{month} has not begun yet.")
    return since, until


def _remarks(rows: Sequence[Row], jobs: Sequence[Booked], answer: Sequence[Billed]) -> list[str]:
    """Return what has to be known to read the table."""
    count = Counter(row.verdict for row in rows)
    said = [f"{len(rows)} jobs: " + (", ".join(f"{count[each]} {each}" for each in Verdict if count[each]) or "none.")]
    if count[Verdict.TOO_NEW]:
        said.append("Too new: the machine stands or went less than 24 hours ago; Cost Explorer lags by as much.")
    if not answer and any(job.micros for job in jobs):
        said.append(f"Cost Explorer knows no job at all. {ACTIVATE}")
    if any(one.estimated for one in answer):
        said.append(
            "Amazon calls some of these days estimated: they may still change until the month's bill is closed."
        )
    return said


def _print(rows: Sequence[Row]) -> None:
    if not sys.stdout.isatty():
        for row in rows:
            micros = {"booked": row.booked, "billed": row.billed, "difference": row.difference}
            typer.echo(json.dumps({"job": row.job, "team": row.team, **micros, "verdict": row.verdict.value}))
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table("job", "team", box=None, pad_edge=False)
    for name in ("booked", "billed", "difference"):
        table.add_column(name, justify="right")
    table.add_column("")
    for row in rows:
        amounts = [dollars(row.booked), dollars(row.billed), dollars(row.difference)]
        table.add_row(
            *(Text(clean(cell)) for cell in (row.job, row.team, *amounts)),
            Text(row.verdict.value, style="bold red" if row.verdict in FLAGGED else ""),
        )
    Console().print(table)
