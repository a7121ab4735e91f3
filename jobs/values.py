"""Value types: money, what a person asked for, and the commit that it came to. Nothing here is a table.

Money is whole micro-dollars.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, TypeAlias

from trainer.wire import Input

Micros: TypeAlias = int
DOLLAR: Micros = 1_000_000


class SpotPolicy(StrEnum):
    """Whether the provider may take the machine back."""

    ON_DEMAND = "on-demand"
    SPOT = "spot"
    AUTO = "auto"

    @property
    def markets(self) -> tuple[bool, ...]:
        """The markets that it allows: whether each is the spot market."""
        return {SpotPolicy.ON_DEMAND: (False,), SpotPolicy.SPOT: (True,), SpotPolicy.AUTO: (False, True)}[self]


@dataclass(frozen=True, kw_only=True)
class Request:
    """A `/train` as it was typed, parsed and not yet checked against anything outside.

    `overrides` holds only what the person typed, under the task file's key names (gpu, hours, spot, provider,
    image, max_cost, max_price, nodes, env) and, of a rerun, `progress` as it was described while the job before ran;
    `jobs.spec.merge` lays it over the task file.
    """

    delivery: str  # the delivery's own key: one delivery makes one job
    channel: str
    person: str
    repo: str  # as typed: "acme/vit" or a git URL
    ref: str | None  # branch, tag or sha as typed; None where it was left out
    overrides: Mapping[str, Any] = field(default_factory=dict)
    argv: Sequence[str] = ()  # what followed `--`
    notify: Sequence[str] = ()  # people to mention beside the requester
    reason: str = ""
    text: str = ""  # the line as typed, for the record
    rerun_of: str | None = None
    resume: bool = False  # start from the last whole checkpoint of `rerun_of`


@dataclass(frozen=True, kw_only=True)
class JobSpec:
    """Everything a rental needs, merged from command and task file, validated; stored as JSON on the job."""

    gpu: str  # catalogue name, lower case; "cpu" for a machine without one
    gpu_memory_gb: int | None
    gpus: int
    nodes: int
    minutes: float  # the hours that were asked for, in minutes
    image: str | None
    registry_auth: str | None  # a secret's name
    setup: Sequence[str]
    commands: Sequence[str]
    argv: Sequence[str]
    env: Mapping[str, str]
    secrets: Sequence[str]  # names; the values live with the bot
    disk_gb: int
    shm_gb: int
    providers: Sequence[str]  # allowed ones, in order; empty: every configured one
    spot: SpotPolicy
    max_price: Micros | None  # per hour, whole machine
    max_cost: Micros | None  # for the job: becomes an earlier deadline at launch
    retry_on: Sequence[str]  # "no-capacity", "interruption"
    checkpoint_path: str
    checkpoint_every: float  # seconds
    checkpoint_keep: int
    min_gpu_utilization: int | None  # percent
    utilization_window: float | None  # seconds
    # What is run where it starts from a checkpoint; one of the two, or neither: the command as it is.
    resume_commands: Sequence[str] = ()
    resume_argv: Sequence[str] = ()
    resume_known: bool = True  # with neither: add the flag of a trainer that is known
    hang_timeout: float | None = None  # seconds without a sign of life after which people are told
    inputs: Sequence[Input] = ()  # what it takes along
    checkpoint_encrypt: bool = False
    progress: Sequence[str] = ()  # what its lines look like (`trainer.templates`)
    described: bool = False  # somebody said that while it ran, or while the job before it did


@dataclass(frozen=True, kw_only=True)
class Source:
    """A commit, resolved: what runs is this and nothing else."""

    url: str  # the clone URL, without credentials
    repo: str  # as shown: "acme/vit"
    sha: str  # 40 hex digits
    subject: str  # the commit's first line, for the card
    task_file: str | None  # `.hourglass.yml` at that commit, verbatim
