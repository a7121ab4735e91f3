"""One frozen settings object, built once from the environment.

Every name is in `Settings`; `hourglass doctor` prints them with what they are set to, secrets left out. Names
that other tools fixed (`SLACK_…`, `DATABASE_URL`, the AWS SDK's own) keep their names, ours begin with
`HOURGLASS_`. A list is written with commas.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import unquote, urlsplit

from pydantic import AliasChoices, Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, PydanticBaseSettingsSource, SettingsConfigDict

from jobs import datakeys
from jobs.datakeys import TeamKeys
from jobs.errors import Misconfigured
from trainer.masking import MASK, Mask

SECRET_PREFIX = "HOURGLASS_SECRET_"  # a prefix of names, not a secret  # noqa: S105

_SECRET_NAME = re.compile(r"^HOURGLASS_SECRET_|(TOKEN|SECRET|PASSWORD|PASSWD|PASSPHRASE|_KEY)$")
_LOGIN = re.compile(r"[^\s:/]{1,100}:[^\s:/]{6,}")
_IN_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]*://[^\s/:@]*:([^\s/@]+)@", re.IGNORECASE)

_MIRROR = re.compile(r"[A-Za-z0-9.-]+(?::\d{1,5})?(?:/[a-z0-9._/-]+)?")

Names = Annotated[tuple[str, ...], NoDecode]


def _named(name: str, default: Any = None, **options: Any) -> Any:
    return Field(default, validation_alias=AliasChoices(name), **options)


class Settings(BaseSettings):
    """What the operator decided. Fields carry their variable's name and what they are for."""

    model_config = SettingsConfigDict(frozen=True, env_prefix="HOURGLASS_", extra="ignore", populate_by_name=True)

    slack_bot_token: SecretStr | None = _named("SLACK_BOT_TOKEN", description="xoxb-…, from the app's page")
    slack_app_token: SecretStr | None = _named("SLACK_APP_TOKEN", description="xapp-…, for Socket Mode")
    slack_signing_secret: SecretStr | None = _named("SLACK_SIGNING_SECRET", description="for signed HTTP")
    slack_api_url: str = _named("SLACK_API_URL", "https://slack.com/api/", description="the Web API's base")
    database_url: str | None = _named("DATABASE_URL", description="default: SQLite in the state folder")

    home: str | None = Field(None, description="uuid of this deployment; every machine carries it")
    state: Path = Field(Path("var"), description="folder for the database, the store and the practice machine")
    store: str | None = Field(None, description="s3://bucket/prefix or file:///dir; default: the state folder")
    providers: Names = Field((), description="names, in order of preference: docker,aws; practice only by name")
    git_hosts: Names = Field(
        ("https://github.com/",), description="what owner/repo resolves against; the first is the default"
    )
    git_tokens: Annotated[Mapping[str, SecretStr], NoDecode] = Field(
        default_factory=dict, description='JSON {"https://github.com/": "token"}; stays with the bot'
    )
    registries: Annotated[Mapping[str, str], NoDecode] = Field(
        default_factory=dict,
        description='JSON {"docker.io": "https://mirror.example"}: whom to ask about a registry\'s images instead',
    )
    mirrors: Annotated[Mapping[str, str], NoDecode] = Field(
        default_factory=dict,
        description='JSON {"docker.io": "mirror.example/hub"}: where rented machines look for its images first',
    )
    data_key: SecretStr | None = Field(
        None, description="what `hourglass data key` prints; several with commas: the newest seals, all open"
    )
    prices: Path | None = Field(None, description="a file with your own prices, in the form of jobs/catalogue.json")
    leads: Names = Field((), description="Slack user ids who lead every team that names no others")
    lead_group: str | None = Field(None, description="a Slack user group whose members are leads")
    team: str = Field("team", description="the team that unmapped channels spend for")
    zone: str = Field("UTC", description="IANA zone in which that team's months begin")

    language: str = Field("en", description="what people read: a folder of bot/locale")

    web_host: str = Field("127.0.0.1", description="where links, health and Slack over HTTP are served")
    web_port: int = Field(8080, description="0 takes a free one")
    web_url: str | None = Field(None, description="the public base of those links; default: host and port")
    metrics_token: SecretStr | None = Field(
        None, description="bearer token for /metrics; without it only this machine reads them, and only unpublished"
    )
    link_minutes: int = Field(24 * 60, description="how long a file link works")

    docker_host: str | None = Field(None, description="the engine's address; default: DOCKER_HOST, then the socket")
    docker_gpus: Names = Field((), description="what the engine has: a100-80gb:2; empty: machines without a GPU")
    docker_cuda: str = Field("", description="the newest CUDA that the engine's driver runs, as nvidia-smi says: 12.8")
    docker_rate: str = Field("0", description="dollars an hour that the team books for one of its own machines")
    docker_cpus: float = Field(0, description="CPUs a container may use; 0: all")
    docker_memory_gb: float = Field(0, description="memory a container may use; 0: all")
    docker_image: str = Field("", description="image for jobs that name none")
    docker_store: str | None = Field(None, description="the store's folder as the engine's host sees it")

    spot_notice: str = Field(
        "", description="where a machine learns that it is taken back: aws, gcp, alibaba, or aws=http://address"
    )

    aws_regions: Names = Field(("us-east-1",), description="where instances may be rented, in order")
    aws_subnets: Names = Field((), description="subnets to launch into; empty: the default VPC's")
    aws_security_group: str | None = Field(None, description="no inbound port is needed")
    aws_image: str | None = Field(None, description="an AMI id; default: the deep-learning AMI by its parameter")
    aws_cuda: str = Field("", description="the newest CUDA that the driver of that AMI runs, as nvidia-smi says: 12.8")
    aws_scheduler_role: str | None = Field(
        None, description="role under which a schedule of AWS's own ends each machine; empty: rentals need a lead"
    )
    aws_kms_key: str | None = Field(None, description="ARN of a key of your own that the bucket is encrypted with")
    aws_schedule_group: str = Field("hourglass", description="group of those schedules, in each region")
    aws_job_role: str | None = Field(None, description="role assumed for a job's prefix of the store")

    follow_seconds: float = Field(2.0, description="between looks at what the machines wrote")
    enforce_seconds: float = Field(30.0, description="between enforcing passes")
    approval_minutes: int = Field(240, description="after which nobody's decision is a no")
    practice_machines: int = Field(2, description="how many practice jobs may share this computer at a time")
    trainer_python: str | None = Field(None, description="the Python that practice jobs run with")

    @field_validator("providers", "git_hosts", "leads", "docker_gpus", "aws_regions", "aws_subnets", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(part.strip() for part in value.split(",") if part.strip())
        return value

    @field_validator("git_tokens", "registries", "mirrors", mode="before")
    @classmethod
    def _decode(cls, value: object) -> object:
        return json.loads(value) if isinstance(value, str) else value

    @field_validator("registries")
    @classmethod
    def _addresses(cls, value: Mapping[str, str]) -> Mapping[str, str]:
        for registry, address in value.items():
            parts = urlsplit(address)
            if parts.scheme not in ("http", "https") or not parts.hostname:
                raise ValueError(f"{registry!r} is to be asked at {address!r}, which is no address: write https://host")
        return value

    @field_validator("mirrors")
    @classmethod
    def _places(cls, value: Mapping[str, str]) -> Mapping[str, str]:
        for registry, place in value.items():
            if not _MIRROR.fullmatch(place):
                raise ValueError(
                    f"{registry!r} has the mirror {place!r}: write host, host:port or host/path, no https://"
                )
        return value

    @field_validator("aws_kms_key")
    @classmethod
    def _key(cls, value: str | None) -> str | None:
        if value and not re.fullmatch(r"arn:aws[\w-]*:kms:[\w-]+:\d{12}:key/[\w-]+", value):
            # Policies name a key by its ARN; an alias would open nothing.
            raise ValueError(f"{value!r} is no ARN of a key: write arn:aws:kms:REGION:ACCOUNT:key/ID, no alias")
        return value

    @field_validator("spot_notice")
    @classmethod
    def _notice(cls, value: str) -> str:
        if value and not re.fullmatch(r"(?:aws|gcp|alibaba)(?:=http://\S+)?", value):
            raise ValueError(f"{value!r} names no notice: write aws, gcp or alibaba, or aws=http://address")
        return value

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Take values from `load` alone, which is handed its environment: a test's is not the process's."""
        return (init_settings,)

    def database(self) -> str:
        """Return the database's URL."""
        return self.database_url or f"sqlite:///{self.state.absolute() / 'hourglass.db'}"

    def data_keys(self) -> TeamKeys:
        """Return the teams' keys; raises `Misconfigured`."""
        return datakeys.read(self.data_key.get_secret_value() if self.data_key else "")

    def store_uri(self) -> str:
        """Return the file store's URI."""
        return self.store or (self.state.absolute() / "store").as_uri()


def load(environment: Mapping[str, str] | None = None) -> Settings:
    """Build the settings from `environment` (the process's own by default); raises `Misconfigured`."""
    names = os.environ if environment is None else environment
    fields: dict[str, str] = {}
    for name, field in Settings.model_fields.items():
        alias = field.validation_alias
        variable = str(alias.choices[0]) if isinstance(alias, AliasChoices) else f"HOURGLASS_{name.upper()}"
        if names.get(variable):
            fields[variable if isinstance(alias, AliasChoices) else name] = names[variable]
    try:
        return Settings(**fields)  # type: ignore[arg-type]  # strings, which the validators read
    except ValidationError as error:
        first = error.errors()[0]
        where = str(first["loc"][0])
        variable = where if where.isupper() else f"HOURGLASS_{where.upper()}"
        raise Misconfigured(f"{variable} cannot be used: {first['msg']}. See `hourglass doctor`.") from error


def secret_values(environment: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the teams' secrets by name: `HOURGLASS_SECRET_WANDB_API_KEY` is `WANDB_API_KEY`."""
    names = os.environ if environment is None else environment
    return {key[len(SECRET_PREFIX) :]: value for key, value in names.items() if key.startswith(SECRET_PREFIX)}


def secrets_of(environment: Mapping[str, str]) -> frozenset[str]:
    """Return every value that must never be seen: our tokens, the teams' secrets, the clouds' keys, passwords."""
    found = {value for key, value in environment.items() if _SECRET_NAME.search(key)}
    found |= _git_tokens(environment.get("HOURGLASS_GIT_TOKENS", ""))
    # A registry's and a host's credentials are a name and a password in one value; either may be said alone.
    found |= {value.partition(":")[2] for value in found if _LOGIN.fullmatch(value)}
    for value in environment.values():
        for password in _IN_ADDRESS.findall(value):
            found |= {password, unquote(password)}
    return frozenset(value for value in found if value.strip())


def mask_of(environment: Mapping[str, str]) -> Mask:
    """Return what takes those values out of a text."""
    return Mask(dict.fromkeys(secrets_of(environment), MASK))


def _git_tokens(said: str) -> set[str]:
    try:
        tokens = json.loads(said) if said else {}
        return {str(token) for token in tokens.values()}
    except (ValueError, AttributeError):
        return {said}  # not what it should be, and said so by whoever reads it; secret all the same
