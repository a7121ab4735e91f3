"""What is known about a job, read in one go: all that a view may draw on.

The records are detached from the database when they are handed out: a view reads them and changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlmodel import Session

from jobs import db, policy
from jobs.cargo import lineage
from jobs.lifecycle import TERMINAL, AttemptState
from jobs.model import Attempt, Checkpoint, Job, Team
from jobs.providers import Guarantee, Offer, Traits
from jobs.records import parse
from jobs.values import JobSpec, Micros, Request, Source

_STANDING = frozenset({AttemptState.LAUNCHED, AttemptState.UP, AttemptState.ENDING})


@dataclass(frozen=True, kw_only=True)
class JobFacts:
    """A job with everything around it, at one moment."""

    job: Job
    request: Request
    team: Team
    spec: JobSpec | None  # None until the request was worked on
    source: Source | None
    offer: Offer | None
    attempts: Sequence[Attempt]
    checkpoints: Sequence[Checkpoint]
    traits: Traits | None  # of the provider that the offer or the newest attempt names
    free: Micros | None  # in the month of the hold, or else in this one; None before the month has a row
    now: datetime
    inherits: bool = False  # what it went on from has a checkpoint to go on from again
    resumed: Mapping[str, Any] | None = None  # the checkpoint that the newest attempt went on from: name, step

    @property
    def can_go_on(self) -> bool:
        """Return whether another job can go on from what this one saved, or had gone on from itself."""
        return bool(self.checkpoints) or self.inherits

    @property
    def title(self) -> str:
        """Return `acme/vit@3f9c2ab`; before the commit is known, what was typed."""
        if self.source is not None:
            return f"{self.source.repo}@{self.source.sha[:7]}"
        return f"{self.request.repo}@{self.request.ref}" if self.request.ref else self.request.repo

    @property
    def machine(self) -> str:
        """Return `1 × A100`, with the nodes where there are several; empty before the spec is known."""
        if self.spec is None:
            return ""
        gpus = "CPU" if self.spec.gpu == "cpu" else f"{self.spec.gpus} × {self.spec.gpu.upper()}"
        if self.spec.gpu_memory_gb and self.spec.gpu != "cpu":
            gpus += f" {self.spec.gpu_memory_gb} GB"
        return f"{self.spec.nodes} × ({gpus})" if self.spec.nodes > 1 else gpus

    @property
    def over(self) -> bool:
        """Return whether the job's machine is gone and its money settled."""
        return self.job.state in TERMINAL

    @property
    def ended(self) -> bool:
        """Return whether the training has ended, though the machine may still be ending."""
        return self.over or self.job.outcome is not None

    @property
    def live(self) -> Attempt | None:
        """Return the newest attempt whose machine may stand."""
        over = (AttemptState.GONE, AttemptState.NEVER)
        return next((one for one in reversed(self.attempts) if one.state not in over), None)

    @property
    def billed_since(self) -> datetime | None:
        """Return when the standing machine began to cost money."""
        return self.live.launched_at if self.live is not None and self.live.state in _STANDING else None

    @property
    def cost(self) -> Micros:
        """Return what the machines cost until now; once the money is settled, what was charged."""
        if self.job.charged is not None:
            return self.job.charged
        return sum(self._cost(attempt) for attempt in self.attempts)

    @property
    def extendable(self) -> bool:
        """Return whether this machine's deadline can move; elsewhere a new rental continues from the checkpoint."""
        return self.traits is None or self.traits.extendable

    @property
    def weak(self) -> bool:
        """Return whether a machine that bills may outlive everything of ours being dead."""
        return (
            self.traits is not None
            and self.traits.bills
            and self.traits.guarantee in (Guarantee.ON_BOX, Guarantee.NONE)
        )

    def _cost(self, attempt: Attempt) -> Micros:
        if attempt.billed is not None:
            return attempt.billed
        if attempt.launched_at is None or self.traits is None:
            return 0
        until = attempt.gone_at or attempt.billed_until or self.now
        ran = max(timedelta(0), until - attempt.launched_at)
        disk = self.spec.disk_gb if self.spec else 0
        return policy.bill(micros_per_hour=attempt.micros_per_hour, ran=ran, traits=self.traits, disk_gb=disk)


def read(tx: Session, job_id: str, traits: Mapping[str, Traits], now: datetime) -> JobFacts:
    """Return the facts of a job; raises `jobs.errors.NotFound`."""
    job = db.get_job(tx, job_id)
    attempts = db.attempts(tx, job_id)
    offer = None if job.offer is None else parse(Offer, job.offer)
    provider = attempts[-1].provider if attempts else offer.provider if offer else ""
    team = db.get_team(tx, job.team_id)
    # What does not fit into the month has no hold in it; what is free there is what a lead wants to know.
    held_in = job.period_id
    period = db.find_period(tx, team, now) if held_in is None else db.find_period_by_id(tx, held_in)
    request = parse(Request, job.request)
    facts = JobFacts(
        job=job,
        request=request,
        team=team,
        spec=None if job.spec is None else parse(JobSpec, job.spec),
        source=None if job.source is None else parse(Source, job.source),
        offer=offer,
        attempts=attempts,
        checkpoints=db.checkpoints(tx, job_id),
        traits=traits.get(provider),
        free=None if period is None else period.cap + period.granted - period.held - period.spent,
        now=now,
        inherits=request.resume and request.rerun_of is not None and any(lineage(tx, request.rerun_of)),
        resumed=db.resumed(tx, job_id, job.attempt) if job.attempt > 1 or request.resume else None,
    )
    tx.expunge_all()
    return facts
