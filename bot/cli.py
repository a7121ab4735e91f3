"""`hourglass`: every command of the operator's. It reads the settings, builds what the command needs, and runs it."""

from __future__ import annotations

import logging
import os
import sys
import threading
from pathlib import Path
from typing import Annotated

import typer

from bot.logs import catch_the_rest, configure
from jobs.errors import HourglassError
from jobs.settings import mask_of, secrets_of

log = logging.getLogger(__name__)

cli = typer.Typer(
    name="hourglass",
    help="A Slack bot with which a team rents GPUs by the hour. Start with `hourglass demo`; go on with "
    "`hourglass manifest` and `hourglass doctor`.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
team_cli = typer.Typer(help="Which channels spend for which team, and who leads it.", no_args_is_help=True)
cli.add_typer(team_cli, name="team")
data_cli = typer.Typer(help="Data that jobs take along, and the keys that it is encrypted with.", no_args_is_help=True)
cli.add_typer(data_cli, name="data")

aws_cli = typer.Typer(help="What a deployment needs at Amazon.", no_args_is_help=True)
cli.add_typer(aws_cli, name="aws")

Team = Annotated[str, typer.Option(help="Whose keys are used; default: HOURGLASS_TEAM.")]


@cli.command()
def serve() -> None:
    """Run the bot: Slack, the deadlines, the machines, the links. One process for one SQLite database."""
    from bot.compose import serve as run

    run()


@cli.command()
def demo(
    once: Annotated[bool, typer.Option("--once", help="Run one job and leave; no page afterwards.")] = False,
    out: Annotated[Path, typer.Option(help="Where thread.json, the plots and the checkpoint go.")] = Path("demo-out"),
    port: Annotated[int, typer.Option(help="The page's port; 0 takes a free one.")] = 8400,
    provider: Annotated[str, typer.Option(help="practice (this computer) or docker (its engine).")] = "practice",
    image: Annotated[str, typer.Option(help="With docker: an image with Python and torch in it.")] = "",
    steps: Annotated[int, typer.Option(help="Steps of the training; 0 leaves it to the script.")] = 0,
) -> None:
    """Run one real training job through the bot, in a stand-in Slack, and then serve its page until Ctrl-C."""
    from bot.demo.run import run

    once = once or not sys.stdout.isatty()
    sys.exit(run(once=once, out=out, port=port, provider=provider, image=image, steps=steps))


@cli.command()
def reap(
    every: Annotated[float, typer.Option(help="Seconds between rounds; 0 does one round and leaves.")] = 0,
) -> None:
    """End every machine of this home that is past its deadline, from its tags alone; the database stays shut."""
    from bot.operator import reap as run

    run(every)


@cli.command()
def recover(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and change nothing.")] = False,
    copy: Annotated[
        Path | None, typer.Option("--from", help="First put this copy, which `hourglass backup` wrote, in its place.")
    ] = None,
) -> None:
    """Rebuild a lost or older database from the store and the machines' tags; nothing is ended. Not beside `serve`."""
    from bot.recovery import run

    sys.exit(run(dry=dry_run, copy=copy))


@cli.command()
def backup(file: Annotated[Path, typer.Argument(help="The copy to write; it must not be there yet.")]) -> None:
    """Copy the SQLite database to a file, whole and checked, while `serve` goes on."""
    from bot.recovery import backup as run

    run(file)


@cli.command()
def doctor() -> None:
    """Say what is configured, try each part, and name what to do about what does not work."""
    from bot.doctor import run

    sys.exit(run())


@cli.command()
def manifest() -> None:
    """Print the Slack app's manifest: api.slack.com/apps, Create New App, From a manifest."""
    import json

    from bot.manifest import manifest as build

    typer.echo(json.dumps(build(), indent=2))


@cli.command()
def migrate() -> None:
    """Bring the database to this version's schema. `serve` does it too."""
    from bot.operator import migrate as run

    run()


@cli.command()
def audit(job: Annotated[str, typer.Argument(help="A job's id, as its card shows it.")]) -> None:
    """Print what was decided, asked for and booked about a job: a table on a terminal, else lines of JSON."""
    from bot.audit import run

    run(job)


@cli.command()
def reconcile(
    month: Annotated[str, typer.Argument(help="The month of the ledger: 2026-11")],
    tolerance: Annotated[float, typer.Option(help="Percent by which a job may differ; five cents always may.")] = 2.0,
) -> None:
    """Compare what the ledger charged for machines of `aws` with Amazon's bill, job by job; 1 where they differ.

    Asks Cost Explorer by the tag `job`, at $0.01 a page of its answer. `hourglass aws setup` prints the right to.
    """
    from bot.reconcile import run

    sys.exit(run(month, tolerance))


@cli.command()
def progress(
    log: Annotated[str, typer.Argument(help="What a script printed: a file, or - for the standard input.")],
    line: Annotated[
        list[str] | None, typer.Option(help="A line described: 'ep {epoch} L {loss}'; may be repeated.")
    ] = None,
    task_file: Annotated[
        Path | None, typer.Option(help="Whose `progress:` is tried; default: .hourglass.yml in this folder, if any.")
    ] = None,
    code: Annotated[
        Path, typer.Option(help="The script or its folder: what its code prints is known, and what it calls that.")
    ] = Path(),
    points: Annotated[bool, typer.Option("--points", help="Print each point with its step, too.")] = False,
) -> None:
    """Show what is read out of a script's output: series, steps, and lines that the task file could describe.

    In a description `{step}` counts from the start, `{epoch}` epochs, `{batch}` within one; `{steps}`, `{epochs}` and
    `{batches}` are how many there are; `{}` is whatever is there; any other name is a series. One without a name is of
    lines to be left alone.

    `python train.py 2>&1 | hourglass progress -` tries a script. The exit code is 1 where nothing was measured.
    """
    from bot.progress import run

    sys.exit(run(log, line or [], task_file, code, points=points))


@team_cli.command("add")
def team_add(
    name: Annotated[str, typer.Argument(help="A short name: vision")],
    channel: Annotated[list[str] | None, typer.Option(help="A channel's id (C…); may be repeated.")] = None,
    lead: Annotated[list[str] | None, typer.Option(help="A lead's user id (U…); may be repeated.")] = None,
    group: Annotated[str, typer.Option(help="A user group (S…) whose members lead it.")] = "",
    zone: Annotated[str, typer.Option(help="The zone in which its months begin: Europe/Berlin")] = "UTC",
) -> None:
    """Add a team or change one: its channels, leads and zone."""
    from bot.operator import team_add as run

    run(name, channel or [], lead or [], group, zone)


@team_cli.command("list")
def team_list() -> None:
    """Print the teams, their channels and their leads."""
    from bot.operator import team_list as run

    run()


@aws_cli.command("setup")
def aws_setup(
    apply: Annotated[bool, typer.Option("--apply", help="Make it, with the rights of whoever runs this.")] = False,
    bot: Annotated[str, typer.Option(help="ARN of whom the bot runs as; default: whoever runs this.")] = "",
    reaper: Annotated[str, typer.Option(help="ARN of whom the reaper runs as; default: the bot's.")] = "",
    instance_type: Annotated[list[str] | None, typer.Option(help="A type that may be rented; default: any.")] = None,
    vpc: Annotated[str, typer.Option(help="The VPC for machines; default: each region's own, else a new one.")] = "",
    subnet: Annotated[list[str] | None, typer.Option(help="A subnet for machines; default: all of the VPC's.")] = None,
    keep_days: Annotated[int, typer.Option(help="Days that attempts' files are kept; 0: for ever.")] = 90,
    accountant: Annotated[
        str, typer.Option(help="ARN of whom `hourglass reconcile` runs as; default: no role is made for it.")
    ] = "",
) -> None:
    """Print the policies, bucket, roles and network that `aws` needs, least privilege; make them with --apply."""
    from bot.aws import setup as run

    run(
        apply=apply,
        bot=bot,
        reaper=reaper,
        types=instance_type or [],
        vpc=vpc,
        subnets=subnet or [],
        keep_days=keep_days,
        accountant=accountant,
    )


@aws_cli.command("smoke")
def aws_smoke(
    max_cost: Annotated[float, typer.Option(help="Dollars that it may cost in the worst case.")],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask before renting.")] = False,
    out: Annotated[Path, typer.Option(help="The folder for the report.")] = Path(),
) -> None:
    """Rent the cheapest GPU for minutes and see each layer of the hard stop end it alone; needs the bot's rights."""
    from bot.smoke import run

    sys.exit(run(max_cost, out, yes=yes))


@data_cli.command("push")
def data_push(
    folder: Annotated[Path, typer.Argument(help="The folder to send; what is there already is not sent again.")],
    name: Annotated[str, typer.Option(help="What it is called; default: the folder's name.")] = "",
    encrypt: Annotated[bool, typer.Option("--encrypt", help="Seal it with the team's key before it leaves.")] = False,
    team: Team = "",
) -> None:
    """Send a folder into the store, and print the line of the task file with which a job takes it along."""
    from bot.data import push as run

    sys.exit(run(folder, name, encrypt=encrypt, team=team))


@data_cli.command("list")
def data_list(team: Team = "") -> None:
    """Print what was pushed: name and version, size, files, when, and whether it is encrypted."""
    from bot.data import show as run

    run(team=team)


@data_cli.command("key")
def data_key() -> None:
    """Print a new key for HOURGLASS_DATA_KEY."""
    from bot.data import new_key as run

    run()


@cli.command()
def decrypt(
    file: Annotated[Path, typer.Argument(help="A downloaded file whose name ends in .sealed.")],
    to: Annotated[Path | None, typer.Option(help="Where it goes; default: beside it, without .sealed.")] = None,
    team: Annotated[str, typer.Option(help="Try this team's keys alone; default: every key that is set.")] = "",
) -> None:
    """Decrypt a file with the keys in HOURGLASS_DATA_KEY."""
    from bot.data import decrypt as run

    run(file, to, team=team)


def main() -> None:
    """Run the command line; an error that we raised on purpose is one sentence, anything else is loud in the log."""
    configure(secrets_of(os.environ))
    catch_the_rest()
    # What nobody caught ends in the one sink, too: a traceback quotes what it broke on.
    threading.excepthook = lambda broken: log.critical("%s broke", broken.thread, exc_info=broken.exc_value)
    try:
        cli()
    except HourglassError as error:
        sys.exit(f"hourglass: {mask_of(os.environ)(str(error))}")
    except Exception:
        log.critical("It broke", exc_info=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
