"""What an operator does outside Slack: reap, migrate, teams."""

from __future__ import annotations

import signal
import threading

import structlog
import typer

from bot.home import reading, settled, writing
from bot.machines import enders
from bot.timekeeper import Timekeeper
from jobs.clock import RandomIds, SystemClock
from jobs.db import Database
from jobs.model import Channel, Team
from jobs.policy import Person
from jobs.reaper import Reaper
from jobs.service import Service
from jobs.settings import Settings, load

# Whoever can run commands on the bot's machine stands above the leads.
OPERATOR = Person(id="operator", lead=True)

log = structlog.get_logger(__name__)


def reap(every: float) -> None:
    """Run the reaper's rounds until SIGTERM or Ctrl-C; once when `every` is 0."""
    settings = settled(load())
    clock = SystemClock()
    reference = Timekeeper(settings.slack_api_url)  # any host that tells the time; no token is sent
    reaper = Reaper(enders(settings, clock), clock, str(settings.home), reference=reference)
    leaving = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: leaving.set())
    while True:
        report = reaper.round()
        log.info("reaped", report=str(report))
        if not every or leaving.wait(every):
            return


def migrate() -> None:
    """Bring the schema up to date."""
    settings = load()
    with writing(settings):
        Database.open(settings.database()).close()
    typer.echo(f"The database is at this version's schema: {_shown(settings)}")


def team_add(name: str, channels: list[str], leads: list[str], group: str, zone: str) -> None:
    """Write a team, its channels and its leads."""
    settings = load()
    with writing(settings):
        database = Database.open(settings.database())
        service = Service(
            db=database,
            clock=SystemClock(),
            ids=RandomIds(),
            settings=settings,
            traits={},
            mover=lambda job, deadline: None,
            wake=lambda job_id: None,
        )
        service.add_team(name, name=name, zone=zone)
        if leads:
            service.set_budget(name, OPERATOR, "leads", leads)
        if group:
            service.set_budget(name, OPERATOR, "lead_group", group)
        for channel in channels:
            service.map_channel(channel, name)
        database.close()
    typer.echo(f"Team {name}: next, a lead types `/budget cap 300` in one of its channels.")


def team_list() -> None:
    """Print every team with its channels and leads."""
    from sqlmodel import select

    settings = load()
    with reading(settings) as database, database.read() as tx:
        for team in tx.exec(select(Team).order_by(Team.id)):
            channels = [c.id for c in tx.exec(select(Channel).where(Channel.team_id == team.id))]
            if team.id == settings.team:
                channels.append("all others")
            leads = ", ".join([*team.leads, *([team.lead_group] if team.lead_group else [])])
            typer.echo(f"{team.id}: channels {', '.join(channels) or 'none'}; leads {leads or 'as configured'}")


def _shown(settings: Settings) -> str:
    url = settings.database()
    return url if url.startswith("sqlite") else url.split("@")[-1]
