"""`hourglass aws smoke`: rent the cheapest GPU for minutes, see each layer end it alone, and keep a report."""

from __future__ import annotations

import json
import signal
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

import typer

from bot.markup import dollars
from jobs.clock import Clock, SystemClock
from jobs.errors import Refused
from jobs.gpus import MEMORY_GB
from jobs.prices import Prices
from jobs.providers import Need, Offer
from jobs.providers.aws import Aws, sdk_clients
from jobs.providers.aws_errors import translated
from jobs.providers.aws_prices import Prices as Live
from jobs.providers.aws_request import Clients
from jobs.providers.aws_schedule import Schedules
from jobs.providers.registry import NoScripts
from jobs.settings import Settings, load
from jobs.smoke import Layer, Outcome, Plan, Smoke, Trial, plan
from jobs.values import DOLLAR

PROVES = {
    Layer.SCHEDULE: "EventBridge Scheduler alone: set, read back, fired, and EC2 did what it asked",
    Layer.WARDEN: "the machine's own timers alone: the real boot script under its cloud-init and systemd",
    Layer.REAPER: "the reaper alone, from the machine's tags",
    Layer.BOT: "the call alone that the bot makes at the deadline, by trigger or by pass",
}


@dataclass(frozen=True, kw_only=True)
class World:
    """What a test puts in the place of."""

    clients: Clients
    clock: Clock
    wait: Callable[[float], None]
    home: str


def run(max_cost: float, out: Path, *, yes: bool, settings: Settings | None = None, world: World | None = None) -> int:
    """Try what `max_cost` dollars pay for; return 1 where a layer failed. Raises `jobs.errors.HourglassError`."""
    settings = settings or load()
    world = world or World(clients=sdk_clients(), clock=SystemClock(), wait=time.sleep, home=str(uuid.uuid4()))
    role = settings.aws_scheduler_role
    plain = _provider(settings, world, None)
    timed = None
    if role:
        timed = _provider(
            settings, world, Schedules(role=role, group=settings.aws_schedule_group, clients=world.clients)
        )
    planned = plan(_offers(plain), plain.traits, scheduled=timed is not None, most=round(max_cost * DOLLAR))
    _say(planned, max_cost)
    if not planned.layers:
        raise Refused(
            f"One machine may cost {dollars(planned.worst, up=True)}, more than --max-cost {max_cost:g}. "
            "Nothing was rented."
        )
    if not yes and not typer.confirm("Rent them?"):
        typer.echo("Nothing was rented.")
        return 1
    account = _account(world.clients, settings.aws_regions[0])
    smoke = Smoke(plain=plain, timed=timed, home=world.home, clock=world.clock, wait=world.wait, tell=typer.echo)
    began = world.clock.now()
    before = signal.signal(signal.SIGTERM, _interrupt)
    try:
        smoke.run(planned)
    except KeyboardInterrupt:
        typer.echo("It was cut off; what was rented has been ended.")
    finally:
        signal.signal(signal.SIGTERM, before)
        _keep(out, began, account, world.home, planned, smoke.trials)
    return int(any(trial.outcome is Outcome.FAILED for trial in smoke.trials))


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def _provider(settings: Settings, world: World, schedules: Schedules | None) -> Aws:
    prices = Prices(settings.prices)
    return Aws(
        home=world.home,
        regions=settings.aws_regions,
        prices=prices.of("aws"),
        own_prices=prices.own("aws"),
        boot=NoScripts(),  # each order brings its own
        clients=world.clients,
        image=settings.aws_image,
        subnets=settings.aws_subnets,
        security_group=settings.aws_security_group,
        live=Live(clients=world.clients, clock=world.clock),
        schedules=schedules,
        monotonic=world.clock.monotonic,
    )


def _offers(provider: Aws) -> list[Offer]:
    """Return every machine on demand with a GPU, the cheapest first: nobody else may end what is on trial."""
    found: list[Offer] = []
    for gpu in MEMORY_GB:
        found += provider.offers(Need(gpu=gpu, memory_gb=None, count=1, spot=False, disk_gb=0))
    return sorted(found, key=lambda offer: offer.micros_per_hour)


def _account(clients: Clients, region: str) -> str:
    with translated("the question who runs this", region):
        return str(clients("sts", region).get_caller_identity()["Account"])


def _say(planned: Plan, max_cost: float) -> None:
    if planned.layers:
        first = planned.offers[0]
        typer.echo(
            f"{len(planned.layers)} × {first.name} ({dollars(first.micros_per_hour)} an hour), one after the other, "
            f"about ten minutes each at most: {dollars(planned.worst, up=True)} in the worst case, "
            f"of {dollars(round(max_cost * DOLLAR))} that it may cost."
        )
    for layer in planned.layers:
        typer.echo(f"  {layer}: {PROVES[layer]}")
    for layer, why in planned.left_out.items():
        typer.echo(f"  left out: {layer}. {why}")


def _keep(out: Path, began: datetime, account: str, home: str, planned: Plan, trials: Sequence[Trial]) -> None:
    """Write the report, for people and for programs."""
    out.mkdir(parents=True, exist_ok=True)
    name = f"aws-smoke-{began:%Y%m%dT%H%M%SZ}"
    cost = sum(trial.micros for trial in trials)
    lines = [
        f"# hourglass aws smoke, {began:%Y-%m-%d %H:%M} UTC",
        "",
        f"Account {account}, {planned.offers[0].name}, home {home}. It cost about {dollars(cost, up=True)}.",
        "",
        "| layer | proves | outcome | machine | launched | deadline | seen to end | late | EC2's word |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for trial in trials:
        late = "" if trial.late is None else f"{trial.late:.0f} s"
        times = [f"{at:%H:%M:%S}" if at else "" for at in (trial.launched, trial.deadline, trial.ended)]
        outcome = f"**{trial.outcome}** {trial.why}".strip()
        cells = [str(trial.layer), PROVES[trial.layer], outcome, trial.instance, *times, late, trial.said]
        lines.append("| " + " | ".join(" ".join(cell.replace("|", "/").split()) for cell in cells) + " |")
    lines += ["", "Seen by looking every five seconds; *late* is counted from the deadline."]
    (out / f"{name}.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    plain = {"began": began.isoformat(), "account": account, "home": home, "micros": cost}
    told = [{key: _plain(value) for key, value in asdict(trial).items()} for trial in trials]
    (out / f"{name}.json").write_text(json.dumps({**plain, "trials": told}, indent=2) + "\n", encoding="utf-8")
    typer.echo(f"The report: {out / name}.md and .json")


def _plain(value: object) -> object:
    return value.isoformat() if isinstance(value, datetime) else value
