"""What a line can ask for: one record a verb, made by `bot.parse` and acted on by the listeners."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, TypeAlias

from jobs.values import Request


@dataclass(frozen=True, kw_only=True)
class Run:
    """Rent a machine and run a commit on it."""

    request: Request


@dataclass(frozen=True, kw_only=True)
class Help:
    """Explain a verb or a key, or everything in short."""

    topic: str | None


@dataclass(frozen=True, kw_only=True)
class Gpus:
    """Compare prices."""

    name: str | None  # as `jobs.gpus` writes it, without a count
    spot: bool


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """Say whether a training fits into a GPU's memory: a named model's, or that of a commit."""

    model: str | None  # a name that `trainer.architectures` knows
    repo: str  # as in `jobs.values.Request`; empty where no commit was named
    ref: str
    gpu: str | None  # as `jobs.gpus` writes it
    settings: Mapping[str, str]  # by the keys of `bot.parse_estimate`


@dataclass(frozen=True, kw_only=True)
class List:
    """Show the team's jobs, or one's own."""

    mine: bool


@dataclass(frozen=True, kw_only=True)
class Status:
    """Show a job."""

    job: str


@dataclass(frozen=True, kw_only=True)
class Stop:
    """End a job now."""

    job: str


@dataclass(frozen=True, kw_only=True)
class Extend:
    """Move a job's deadline later."""

    job: str
    minutes: float


@dataclass(frozen=True, kw_only=True)
class Logs:
    """Show the end of a job's output, or the lines that contain a text."""

    job: str
    grep: str | None  # plain text, not a pattern
    node: int | None = None  # which of several machines, counted from 1; None: the first
    follow: bool = False  # in the thread, brought up to date until the job ends


@dataclass(frozen=True, kw_only=True)
class Progress:
    """Show how a job's lines are read, and let that be changed."""

    job: str


@dataclass(frozen=True, kw_only=True)
class Checkpoints:
    """List a job's checkpoints with their links."""

    job: str


@dataclass(frozen=True, kw_only=True)
class Rerun:
    """Ask for the same commit and command again, with some values changed."""

    job: str
    overrides: Mapping[str, Any]  # as in `jobs.values.Request`; `env` is laid over the old one name by name
    resume: bool = False  # from its last whole checkpoint


Command: TypeAlias = (
    Run | Help | Gpus | Estimate | List | Status | Stop | Extend | Logs | Progress | Checkpoints | Rerun
)


class BudgetField(StrEnum):
    """What leads may set; the type of the value stands beside it."""

    CAP = "cap"  # int, micro-dollars a month
    AUTO_APPROVE = "auto_approve"  # int, micro-dollars; what costs less needs nobody
    LONGEST_MINUTES = "longest_minutes"  # int
    SHARE_PERCENT = "share_percent"  # int, of the cap, one person's
    LEADS = "leads"  # tuple of Slack user ids, or of `@name` where only what was typed is known
    ZONE = "zone"  # IANA name


@dataclass(frozen=True, kw_only=True)
class ShowBudget:
    """Show the month: capped, held, spent, free."""


@dataclass(frozen=True, kw_only=True)
class HelpBudget:
    """Say what can be typed."""


@dataclass(frozen=True, kw_only=True)
class SetBudget:
    """Change one rule."""

    field: BudgetField
    value: int | str | tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Freeze:
    """Stop new rentals, or allow them again."""

    on: bool


BudgetCommand: TypeAlias = ShowBudget | HelpBudget | SetBudget | Freeze
