"""`hourglass aws setup`: what a deployment needs at Amazon, printed to be read and, with `--apply`, made."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence
from urllib.parse import unquote, urlsplit

import typer

from jobs.errors import Misconfigured
from jobs.providers.aws import sdk_clients
from jobs.providers.aws_errors import translated
from jobs.providers.aws_policies import Estate, text
from jobs.providers.aws_request import Clients
from jobs.providers.aws_setup import Setup, Wanted, documents, settings
from jobs.settings import Settings, load

_SESSION = re.compile(r"arn:(?P<partition>aws[a-z-]*):sts::(?P<account>\d{12}):assumed-role/(?P<role>[^/]+)/.+")
_PRINCIPAL = re.compile(r"arn:(?P<partition>aws[a-z-]*):iam::(?P<account>\d{12}):.+")


def setup(
    *,
    apply: bool,
    bot: str,
    reaper: str,
    types: Sequence[str],
    vpc: str,
    subnets: Sequence[str],
    keep_days: int,
    accountant: str = "",
    clients: Clients | None = None,
    configured: Settings | None = None,
) -> None:
    """Print the policies and the settings, and make it all with `apply`; raises `jobs.errors.HourglassError`."""
    clients = clients or sdk_clients()
    found = configured or load()
    if accountant and _PRINCIPAL.fullmatch(accountant) is None:
        raise Misconfigured(f"{accountant!r} is nobody a role can trust: write arn:aws:iam::<account>:user/… .")
    wanted = _wanted(found, bot or _myself(clients, found.aws_regions[0]), reaper, types, vpc, subnets, keep_days)
    wanted = dataclasses.replace(wanted, accountant=accountant)
    for name, document in documents(wanted).items():
        typer.echo(f"# {name}\n{text(document)}\n")
    if apply:
        for line in Setup(wanted, clients).apply():
            typer.echo(f"  {line}")
    else:
        typer.echo("# Nothing was made: `hourglass aws setup --apply` does, with the rights of whoever runs it.")
    typer.echo("\n# Settings of the bot")
    for variable, value in settings(wanted).items():
        typer.echo(f"{variable}={value}")


def _myself(clients: Clients, region: str) -> str:
    """Return the ARN of whoever runs this, as a policy names it."""
    with translated("the question who runs this", region):
        arn = str(clients("sts", region).get_caller_identity()["Arn"])
    match = _SESSION.fullmatch(arn)
    return f"arn:{match['partition']}:iam::{match['account']}:role/{match['role']}" if match else arn


def _wanted(
    found: Settings, bot: str, reaper: str, types: Sequence[str], vpc: str, subnets: Sequence[str], keep_days: int
) -> Wanted:
    store, match = urlsplit(found.store_uri()), _PRINCIPAL.fullmatch(bot)
    if store.scheme != "s3" or not store.netloc:
        raise Misconfigured("Set HOURGLASS_STORE to s3://bucket/prefix first: policies and bucket are made for it.")
    if match is None:
        raise Misconfigured(f"{bot!r} is nobody a role can trust: write arn:aws:iam::<account>:user/… or role/… .")
    estate = Estate(
        account=match["account"],
        partition=match["partition"],
        bucket=store.netloc,
        prefix=unquote(store.path).strip("/"),
        regions=found.aws_regions,
        types=tuple(types),
        group=found.aws_schedule_group,
        kms_key=found.aws_kms_key or "",
    )
    return Wanted(estate=estate, bot=bot, reaper=reaper or bot, keep_days=keep_days, vpc=vpc, subnets=subnets)
