"""`hourglass doctor`: what is configured, whether each part answers, and what to do about what does not."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import typer
from pydantic import AliasChoices, SecretStr
from slack_sdk import WebClient
from slack_sdk.errors import SlackClientError

from bot.home import settled
from bot.machines import connected
from bot.manifest import manifest
from jobs.clock import SystemClock
from jobs.db import Database
from jobs.errors import HourglassError
from jobs.settings import Settings, load
from trainer.storage import StoreFault, open_store

PROBE_KEY = "control/doctor.txt"


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What one check saw."""

    part: str
    well: bool
    says: str  # what was seen, or what to do


def run() -> int:
    """Print the settings and the findings; return 0 when everything that `serve` needs is well."""
    settings = load()
    typer.echo("Settings (secrets are not shown)")
    for variable, value, purpose in described(settings):
        typer.echo(f"  {variable:28} {value:36} {purpose}")
    typer.echo("\nChecks")
    findings = [finding for check in CHECKS for finding in check(settings)]
    for finding in findings:
        typer.echo(f"  {'ok ' if finding.well else 'NO '} {finding.part:10} {finding.says}")
    return 0 if all(finding.well for finding in findings) else 1


def described(settings: Settings) -> Iterator[tuple[str, str, str]]:
    """Yield each setting's variable, its value as it may be shown, and what it is for."""
    for name, field in Settings.model_fields.items():
        alias = field.validation_alias
        variable = str(alias.choices[0]) if isinstance(alias, AliasChoices) else f"HOURGLASS_{name.upper()}"
        value = getattr(settings, name)
        if isinstance(value, SecretStr):
            shown = "set"
        elif isinstance(value, Mapping):
            shown = ", ".join(value) or "—"  # what it maps to may hold a token, or a password in an address
        elif name == "database_url" and value:
            shown = str(value).split("@")[-1]
        elif isinstance(value, tuple):
            shown = ",".join(value) or "—"
        else:
            shown = "—" if value in (None, "") else str(value)
        yield variable, shown, field.description or ""


def check_slack(settings: Settings) -> Sequence[Finding]:
    """Try the bot's token and the app's."""
    found = []
    if settings.slack_bot_token is None:
        return [_no("slack", "SLACK_BOT_TOKEN is not set: `hourglass manifest` prints the app to make.")]
    client = WebClient(settings.slack_bot_token.get_secret_value(), base_url=settings.slack_api_url, timeout=10)
    try:
        who = client.auth_test()
        found.append(_yes("slack", f"bot {who['user']} in {who['team']}"))
        granted = {scope.strip() for scope in str(who.headers.get("x-oauth-scopes", "")).split(",") if scope.strip()}
        wanted = set(manifest()["oauth_config"]["scopes"]["bot"])
        if granted and wanted - granted:
            missing = ", ".join(sorted(wanted - granted))
            found.append(_no("scopes", f"missing {missing}: update the app from `hourglass manifest`, reinstall it."))
        if settings.slack_app_token:
            WebClient(base_url=settings.slack_api_url, timeout=10).apps_connections_open(
                app_token=settings.slack_app_token.get_secret_value()
            )
            found.append(_yes("socket", "Socket Mode connects"))
        elif settings.slack_signing_secret is None:
            found.append(_no("socket", "set SLACK_APP_TOKEN for Socket Mode, or SLACK_SIGNING_SECRET for HTTP."))
    except (SlackClientError, OSError) as error:
        found.append(_no("slack", f"{settings.slack_api_url} says: {getattr(error, 'response', error)}"))
    return found


def check_database(settings: Settings) -> Sequence[Finding]:
    """Open the database and bring it up to date."""

    def probe() -> str:
        database = Database.open(settings.database())
        with database.read():
            pass
        database.close()
        return "opens, schema up to date"

    return [_try("database", probe)]


def check_store(settings: Settings) -> Sequence[Finding]:
    """Write, read and remove one object."""

    def probe() -> str:
        store = open_store(settings.store_uri())
        store.put(PROBE_KEY, b"hourglass doctor")
        seen = store.get(PROBE_KEY)
        store.delete(PROBE_KEY)
        if seen != b"hourglass doctor":
            raise StoreFault("It gave back something else than what was put.")
        return f"{settings.store_uri()} keeps what it is given"

    return [_try("store", probe)]


def check_providers(settings: Settings) -> Sequence[Finding]:
    """List each provider's machines."""
    if not settings.providers:
        return [_no("providers", "HOURGLASS_PROVIDERS is empty: name docker, aws, or practice to try it.")]
    try:
        providers = connected(settled(settings), SystemClock())
    except HourglassError as error:
        return [_no("providers", str(error))]

    found = []
    for name, provider in providers.items():
        guarantee = provider.traits.guarantee.value.replace("_", "-")

        def probe(ask: Callable[[], Sequence[object]] = provider.list, held: str = guarantee) -> str:
            return f"{len(ask())} machines; the deadline's guarantee is {held}"

        found.append(_try(name, probe))
    return found


def check_aws(settings: Settings) -> Sequence[Finding]:
    """Try at Amazon what the bot is going to ask for."""
    if "aws" not in settings.providers:
        return []
    from bot import checkup  # with AWS's SDK, which most can do without

    try:
        return [
            Finding(part=seen.part, well=seen.well, says=seen.says)
            for seen in checkup.aws(settings, str(settled(settings).home))
        ]
    except HourglassError as error:
        return [_no("aws", str(error))]


def check_rest(settings: Settings) -> Sequence[Finding]:
    """Look at what no connection shows."""
    found = [
        _yes("git", settings.git_hosts[0]) if shutil.which("git") else _no("git", "git is not installed."),
        _yes("leads", ", ".join([*settings.leads, *filter(None, [settings.lead_group])]))
        if settings.leads or settings.lead_group
        else _no("leads", "nobody can approve: set HOURGLASS_LEADS=U… or HOURGLASS_LEAD_GROUP=S…"),
    ]
    if settings.web_url is None and settings.store_uri().startswith("file:"):
        found.append(_yes("links", f"file links carry {settings.web_host}: set HOURGLASS_WEB_URL for other machines"))
    return found


CHECKS = (check_slack, check_database, check_store, check_providers, check_aws, check_rest)


def _yes(part: str, says: str) -> Finding:
    return Finding(part=part, well=True, says=says)


def _no(part: str, says: str) -> Finding:
    return Finding(part=part, well=False, says=says)


def _try(part: str, probe: Callable[[], str]) -> Finding:
    try:
        return _yes(part, probe())
    except (HourglassError, StoreFault, OSError) as error:
        return _no(part, str(error))
