"""Tables: what is written down about teams, jobs, machines and money.

Money is whole micro-dollars in 64-bit columns; times are aware UTC. Tables are written only by
`jobs.db` (queries, guarded updates), in transactions that `jobs.service`, `jobs.intake`, `jobs.rentals`,
`jobs.follow` and `bot.notify` open.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import JSON, BigInteger, Column, Index, UniqueConstraint
from sqlmodel import Field, SQLModel

from jobs.lifecycle import AttemptState, JobState
from jobs.values import DOLLAR

# Every constraint has a name, so that a migration can speak of it.
SQLModel.metadata.naming_convention = {
    "ix": "ix_%(table_name)s_%(column_0_name)s",
    "uq": "uq_%(table_name)s_%(column_0_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s",
    "pk": "pk_%(table_name)s",
}


# ---------------------------------------------------------------- people and money


class Team(SQLModel, table=True):
    """Who shares a budget. Without a cap nothing starts."""

    id: str = Field(primary_key=True)  # slug: "vision"
    name: str
    zone: str = "UTC"  # IANA; months begin and end here
    cap: int | None = Field(default=None, sa_column=Column(BigInteger, nullable=True))  # a month; None: unset
    auto_approve: int = Field(default=20 * DOLLAR, sa_column=Column(BigInteger, nullable=False))
    longest_minutes: int = 24 * 60
    share_percent: int = 50  # of the month's cap, one person's
    frozen: bool = False
    leads: list[str] = Field(default_factory=list, sa_column=Column(JSON, nullable=False))  # Slack user ids
    lead_group: str | None = None  # Slack user group id, looked up at the press
    created_at: datetime


class Channel(SQLModel, table=True):
    """Which team a channel spends for."""

    id: str = Field(primary_key=True)  # Slack channel id
    team_id: str = Field(foreign_key="team.id")


class Period(SQLModel, table=True):
    """A month of a team. free = cap + granted - held - spent, and may go negative by overruns only."""

    __table_args__ = (UniqueConstraint("team_id", "month", name="uq_period_team_month"),)
    id: int | None = Field(default=None, primary_key=True)
    team_id: str = Field(foreign_key="team.id")
    month: str  # "2026-11", in the team's zone
    cap: int = Field(sa_column=Column(BigInteger, nullable=False))
    granted: int = Field(default=0, sa_column=Column(BigInteger, nullable=False))
    held: int = Field(default=0, sa_column=Column(BigInteger, nullable=False))
    spent: int = Field(default=0, sa_column=Column(BigInteger, nullable=False))
    alerted: int = 0  # percent of the last alert told: 0, 50, 80 or 100


class EntryKind(StrEnum):
    """What a ledger entry does."""

    GRANT = "grant"
    HOLD = "hold"
    RELEASE = "release"
    REVOKE = "revoke"  # what a one-off grant did not need, when its job is settled
    CHARGE = "charge"
    OVERRUN = "overrun"


class Entry(SQLModel, table=True):
    """One effect on the money: append-only, one unique key per effect. `micros` is never negative."""

    __table_args__ = (
        UniqueConstraint("key", name="uq_entry_key"),
        Index("ix_entry_job", "job_id"),
        Index("ix_entry_period", "period_id"),
    )
    id: int | None = Field(default=None, primary_key=True)
    key: str  # "<job>:hold:1", "<job>:charge", …
    period_id: int = Field(foreign_key="period.id")
    job_id: str
    person: str
    kind: EntryKind
    micros: int = Field(sa_column=Column(BigInteger, nullable=False))
    at: datetime
    note: str = ""


# ---------------------------------------------------------------- jobs and machines


class Job(SQLModel, table=True):
    """What a person asked for, and what became of it."""

    __table_args__ = (
        UniqueConstraint("delivery", name="uq_job_delivery"),
        Index("ix_job_state", "state"),
        Index("ix_job_thread", "channel", "thread_ts"),
    )
    id: str = Field(primary_key=True)
    delivery: str
    team_id: str = Field(foreign_key="team.id")
    channel: str
    person: str
    notify: list[str] = Field(default_factory=list, sa_column=Column(JSON, nullable=False))
    request: dict[str, Any] = Field(sa_column=Column(JSON, nullable=False))  # `Request` as JSON
    state: JobState
    version: int = 1  # grows with every change; a card shows one version
    created_at: datetime
    # Known once REQUESTED was worked on
    source: dict[str, Any] | None = Field(default=None, sa_column=Column(JSON))  # `Source`
    spec: dict[str, Any] | None = Field(default=None, sa_column=Column(JSON))  # `JobSpec`
    image_digest: str | None = None
    offer: dict[str, Any] | None = Field(default=None, sa_column=Column(JSON))  # cheapest `Offer` when priced
    rate_ceiling: int | None = Field(default=None, sa_column=Column(BigInteger, nullable=True))  # an hour, one node
    hold: int = Field(default=0, sa_column=Column(BigInteger, nullable=False))  # open or to be opened, micros
    period_id: int | None = Field(default=None, foreign_key="period.id")  # the month of the hold
    # Approval
    needs_lead: list[str] = Field(default_factory=list, sa_column=Column(JSON, nullable=False))  # why, as codes
    asked_at: datetime | None = None
    reminded: int = 0
    decided_by: str | None = None
    decided_at: datetime | None = None
    decision_note: str = ""
    # The rental
    attempt: int = 0
    deadline: datetime | None = None  # set with the first launch intent; moves only by Extend
    warned: bool = False
    started_at: datetime | None = None  # the agent's first word of the first attempt
    stop_reason: str | None = None  # `trainer.wire.Reason`; why it is to end or ended
    stop_by: str | None = None  # person, where one asked
    # Of several machines: since when one has gone, or told an end that is not the others'; they end soon after.
    short_at: datetime | None = None
    first_left_at: datetime | None = None  # of several machines: when the command of the first had ended
    stopping_at: datetime | None = None  # when the machine was asked to save and stop; its grace counts from here
    finished_at: datetime | None = None  # terminal: machine gone and money settled
    charged: int | None = Field(default=None, sa_column=Column(BigInteger, nullable=True))
    error: str = ""  # a sentence for people
    # What the machine told, for the card
    stage: str = ""
    stage_note: str = ""
    stage_at: datetime | None = None
    step: int | None = None
    total: int | None = None
    eta_at: datetime | None = None
    pace: float | None = None  # steps a second, as measured of late
    loss: float | None = None
    gpu_seen: str = ""
    outcome: dict[str, Any] | None = Field(default=None, sa_column=Column(JSON))  # the agent's outcome event
    heard_at: datetime | None = None
    # By the machine's clock (`jobs.cadence`)
    said_at: datetime | None = None  # the newest of what was heard
    stepped_at: datetime | None = None  # the last new step
    step_gap: float | None = None  # seconds that there usually are between two
    # The thread
    thread_ts: str | None = None
    not_before: datetime | None = None  # QUEUED: when to try again
    rerun_of: str | None = None


class Attempt(SQLModel, table=True):
    """One machine's share of a job; committed before the provider is called."""

    __table_args__ = (
        UniqueConstraint("launch_key", name="uq_attempt_launch_key"),
        Index("ix_attempt_job", "job_id"),
        Index("ix_attempt_state", "state"),
    )
    id: int | None = Field(default=None, primary_key=True)
    job_id: str = Field(foreign_key="job.id")
    number: int  # counted from 1 within the job
    rank: int = 0
    launch_key: str
    state: AttemptState
    provider: str
    offer: dict[str, Any] = Field(sa_column=Column(JSON, nullable=False))  # `Offer`
    micros_per_hour: int = Field(sa_column=Column(BigInteger, nullable=False))
    deadline: datetime
    instance_id: str | None = None
    region: str = ""
    intent_at: datetime
    called_at: datetime | None = None  # the last launch call; None: never called
    launched_at: datetime | None = None
    up_at: datetime | None = None
    end_asked_at: datetime | None = None
    end_accepted_at: datetime | None = None  # the first terminate that the provider accepted
    absent_at: datetime | None = None  # first whole listing without it
    empty_listings: int = 0
    # Since when no timer of its provider's is known to end it, where one has to; None: one does, or none is promised.
    unsecured_since: datetime | None = None
    gone_at: datetime | None = None
    billed_until: datetime | None = None
    # What this machine cost, by its provider's granule and minimum; None until it is GONE, 0 where none ever stood.
    billed: int | None = Field(default=None, sa_column=Column(BigInteger, nullable=True))
    cursor: int = 0  # the last event chunk applied
    outcome: str | None = None  # `trainer.wire.Reason`, as its agent told it
    left_at: datetime | None = None  # of several machines: when its command had ended, or was asked to
    note: str = ""


class MetricPoint(SQLModel, table=True):
    """A point of a curve. NaN and infinity are stored as NULL with `odd` naming which."""

    __table_args__ = (UniqueConstraint("job_id", "series", "step", "attempt", name="uq_metric_point"),)
    id: int | None = Field(default=None, primary_key=True)
    job_id: str = Field(foreign_key="job.id")
    attempt: int
    series: str
    step: int
    value: float | None = None
    odd: str = ""
    at: datetime


class Checkpoint(SQLModel, table=True):
    """A whole checkpoint: its manifest stands in the store."""

    __table_args__ = (UniqueConstraint("manifest", name="uq_checkpoint_manifest"),)
    id: int | None = Field(default=None, primary_key=True)
    job_id: str = Field(foreign_key="job.id")
    attempt: int
    name: str
    step: int | None = None
    manifest: str  # key
    files: list[dict[str, Any]] = Field(sa_column=Column(JSON, nullable=False))  # path, size, sha256
    bytes: int = Field(sa_column=Column(BigInteger, nullable=False))
    at: datetime


# ---------------------------------------------------------------- what is told to people


class Note(SQLModel, table=True):
    """A fact about a job, append-only: the audit log, and what threads are told from.

    `kind` is one of `NoteKind`; `data` carries the facts (never a rendered sentence, never a secret).
    """

    __table_args__ = (
        Index("ix_note_job", "job_id"),
        UniqueConstraint("key", name="uq_note_key"),
    )
    id: int | None = Field(default=None, primary_key=True)
    key: str  # one fact is written once: "<job>:warned", "<job>:checkpoint:<name>"
    job_id: str | None = None  # None: about a team
    team_id: str
    kind: str
    at: datetime
    by: str = ""  # person, or "" for the system
    data: dict[str, Any] = Field(default_factory=dict, sa_column=Column(JSON, nullable=False))


class NoteKind(StrEnum):
    """Facts that are written down; which of them become messages is the bot's business."""

    REQUESTED = "requested"
    REFUSED = "refused"  # the request came to nothing: data.text, data.fix
    PRICED = "priced"  # hold, rate, offer
    ASKED = "asked"  # a lead has to decide: data.why, data.instead (what would start at once)
    REMINDED = "reminded"
    GRANTED = "granted"
    DENIED = "denied"  # data.reason
    EXPIRED = "expired"
    INTENT = "intent"
    CALLED = "called"  # a provider is asked for a machine: data.provider, data.key
    LAUNCHED = "launched"
    ADOPTED = "adopted"
    NO_MACHINE = "no_machine"  # an attempt came to nothing: data.text; or the job waits: data.retry_at, data.first
    RUNNING = "running"
    STAGE = "stage"
    FIRST_PLOT = "first_plot"  # enough points for a curve
    PLOT = "plot"  # another milestone of the curve: data.percent
    ANEW = "anew"  # what was told of some series was misread, and is forgotten: data.series
    CHECKPOINT = "checkpoint"
    TROUBLE = "trouble"  # NaN, lost upload, GPU missing: data.code, data.text
    RECLAIMED = "reclaimed"
    WARNED = "warned"  # the end comes near: data.deadline
    EXTENDED = "extended"  # data.deadline, data.hold
    STOPPING = "stopping"  # data.reason
    ENDING = "ending"  # a machine is to end: data.why, data.key
    TERMINATED = "terminated"  # its provider accepted the end, for the first time: data.provider, data.instance
    ENDED = "ended"  # outcome known: data.reason, data.checkpoints; the machine may still be ending
    GONE = "gone"
    SETTLED = "settled"  # data.charged, data.held, data.released, data.overrun
    OVERDUE = "overdue"  # a machine is alive past its deadline
    BUDGET = "budget"  # a lead changed it: data.field, data.old, data.new
    ALERT = "alert"  # 50, 80, 100 percent: data.percent


class Outbox(SQLModel, table=True):
    """A message that is owed. Posted at least once; after an uncertain post it is looked up by its metadata."""

    __table_args__ = (
        UniqueConstraint("key", name="uq_outbox_key"),
        Index("ix_outbox_state", "state"),
        Index("ix_outbox_job", "job_id"),
        Index("ix_outbox_note", "note_id"),
    )
    id: int | None = Field(default=None, primary_key=True)
    key: str  # "<note>:reply", "<note>:dm:U…"; metadata of the Slack message carries it
    note_id: int | None = Field(default=None, foreign_key="note.id")
    job_id: str | None = None
    kind: str  # reply | dm | plot | whisper | edit
    channel: str  # channel or user id
    priority: int  # 0 approvals, 1 ends, 2 warnings, 3 the rest
    payload: dict[str, Any] = Field(sa_column=Column(JSON, nullable=False))
    state: str = "owed"  # owed | uncertain | done | dropped
    tries: int = 0
    not_before: datetime | None = None
    ts: str | None = None
    error: str = ""


class Card(SQLModel, table=True):
    """A message that shows a job and is edited in place: the thread's head, and each copy of an approval."""

    __table_args__ = (UniqueConstraint("job_id", "role", "recipient", name="uq_card_copy"),)
    id: int | None = Field(default=None, primary_key=True)
    job_id: str = Field(foreign_key="job.id")
    role: str  # head | approval
    recipient: str  # channel id, or the lead's user id
    channel: str = ""  # where it was posted; a lead's direct message has its own
    ts: str | None = None
    shown: int = 0  # the job's version that it shows
    tried_at: datetime | None = None
    error: str = ""


class Seen(SQLModel, table=True):
    """A delivery that was acted on: a second one of the same key does nothing."""

    key: str = Field(primary_key=True)
    at: datetime


class Mark(SQLModel, table=True):
    """A named position: how far the outbox has read the notes, when the last enforcing pass was."""

    name: str = Field(primary_key=True)
    value: str
    at: datetime
