"""From a typed request to a priced one: held and queued, put before a lead, or refused with what to type instead.

Whatever needs a network comes first and writes nothing: the commit, the task file, the price, the image. Then one
transaction judges the team's budget as it stands and moves the job. A crash in between leaves the job REQUESTED,
and the same work is done anew.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

import structlog
from sqlmodel import Session

from jobs import db as rows
from jobs import ledger, policy, records
from jobs.approvals import FROZEN
from jobs.clock import Clock
from jobs.db import Database
from jobs.errors import (
    BadImage,
    BadRequest,
    BadSource,
    Frozen,
    NoCapacity,
    NotWritten,
    ProviderError,
    Refused,
    TooLate,
)
from jobs.lifecycle import JobEventName, JobState
from jobs.model import Job, NoteKind, Period, Team
from jobs.plans import NoChannel, Plan, Planner, PriceDesk, Resolver, corrected
from jobs.policy import Decision, No, Why
from jobs.providers import Offer, Provider
from jobs.values import JobSpec, Request
from jobs.withdrawal import withdraw
from trainer.wire import Reason

NO_CAP = "This team has no budget yet. A lead types `/budget cap 300`."
PATIENCE = timedelta(minutes=15)  # with providers that do not answer; then the person may as well ask again

_log = structlog.get_logger(__name__)


class Intake:
    """Works REQUESTED jobs off. `work` may be called again for any job at any time, from one thread at a time."""

    def __init__(
        self,
        *,
        db: Database,
        clock: Clock,
        source: Resolver,
        desk: PriceDesk,
        merge: Callable[[Request, str | None], JobSpec],
        pin: Callable[[JobSpec, Offer], str | None],
        providers: Mapping[str, Provider],
        can_post: Callable[[str], str | None],
        standing: Callable[[str], str | None],  # why this person may not rent at all, None where he may
        wake: Callable[[str], None],
    ) -> None:
        self._db = db
        self._clock = clock
        self._planner = Planner(
            source=source,
            desk=desk,
            merge=merge,
            pin=pin,
            providers=providers,
            can_post=can_post,
            standing=standing,
        )
        self._wake = wake

    def due(self) -> list[str]:
        """Return the jobs to be worked on now, oldest first."""
        now = self._clock.now()
        with self._db.read() as tx:
            return [
                job.id
                for job in rows.jobs_in(tx, JobState.REQUESTED)
                if job.not_before is None or job.not_before <= now
            ]

    def work(self, job_id: str) -> None:
        """Price a job whose time has come and decide about it; does nothing where that was done.

        A refusal becomes the job's end, with words; a provider that does not answer is asked again later. Anything
        unexpected is raised, and the job tried again later.
        """
        now = self._clock.now()
        with self._db.read() as tx:
            job = rows.get_job(tx, job_id)
            team = rows.get_team(tx, job.team_id)
        if job.state is not JobState.REQUESTED or (job.not_before or now) > now:
            return
        try:
            _must_be_open(team, minutes=0, text="")
            plan = self._planner.plan(job)
            with self._db.write() as tx:
                self._decide(tx, job_id, plan)
        except TooLate:
            return  # cancelled in this moment: that word stands
        except (BadRequest, Refused) as error:
            self._refuse(job_id, _reason(error), str(error), error.fix)
        except NotWritten as error:
            _log.warning("intake.not_written", job=job_id, error=str(error))
            return  # the job is as it was, and due at the next look
        except ProviderError as error:
            self._put_off(job_id, error)
        except Exception as error:
            self._put_off(job_id, error)
            raise
        self._wake(job_id)

    # ------------------------------------------------------------ the transaction

    def _decide(self, tx: Session, job_id: str, plan: Plan) -> None:
        """Hold, ask or refuse; raises `Refused`, and the transaction must not be committed then."""
        at = self._clock.now()
        job = rows.get_job(tx, job_id)
        if job.state is not JobState.REQUESTED:
            raise TooLate(f"Job {job_id} is {job.state.value} by now.")
        team = rows.get_team(tx, job.team_id)
        text = records.parse(Request, job.request).text
        _must_be_open(team, minutes=plan.spec.minutes, text=text)
        period = rows.period_of(tx, team, at)
        decision = policy.decide(
            team=team,
            period=period,
            used=ledger.used_by(tx, period, job.person),
            minutes=plan.spec.minutes,
            weak=any(map(policy.is_weak, plan.traits)),  # any of them may be the one that is rented
            hold_for=plan.hold_for,
        )
        hold = plan.hold_for(plan.spec.minutes)
        held = Why.BUDGET not in decision.why and ledger.open_hold(
            tx, job_id=job.id, person=job.person, period=period, micros=hold, key=f"{job.id}:hold:1", at=at
        )
        why = [code.value for code in decision.why]
        if not held and Why.BUDGET not in why:
            why.append(Why.BUDGET.value)  # another process took the last of it since the month was read
        columns = {"hold": hold, "period_id": period.id if held else None, "needs_lead": why}
        if why:
            rows.move(tx, job, JobEventName.ASK, at, asked_at=at, **columns, **_found(plan))
        else:
            rows.move(tx, job, JobEventName.HOLD, at, **columns, **_found(plan))
        _tell(tx, job, plan, decision, team, period, at)

    def _refuse(self, job_id: str, reason: Reason, text: str, fix: str | None) -> None:
        at = self._clock.now()
        with self._db.write() as tx:
            job = rows.get_job(tx, job_id)
            if job.state is JobState.REQUESTED:
                withdraw(tx, job, JobEventName.FAIL, at, stop_reason=reason.value, error=text)
                rows.note_on(tx, job, NoteKind.REFUSED, at, data={"reason": reason.value, "text": text, "fix": fix})

    def _put_off(self, job_id: str, error: Exception) -> None:
        """Try again later, ever more seldom; give up with words when that went on too long."""
        at = self._clock.now()
        known = isinstance(error, ProviderError)
        _log.warning("intake.put_off", job=job_id, error=str(error), kind=type(error).__name__)
        with self._db.read() as tx:
            job = rows.get_job(tx, job_id)
        age = at - job.created_at
        if job.not_before is not None and age > PATIENCE:
            words = str(error) if known else "Something went wrong here that should not; the operator's log says what."
            self._refuse(job_id, _reason(error), f"{words} Nothing was rented. Ask again with `/train rerun`.", None)
            return
        wait = min(max(timedelta(seconds=5), age / 2), timedelta(minutes=1))
        with self._db.write() as tx:
            job = rows.get_job(tx, job_id)
            if job.state is JobState.REQUESTED:
                words = str(error) if known else ""
                rows.touch(tx, job, at, not_before=at + wait, error=words)


# ---------------------------------------------------------------- judgements


def _must_be_open(team: Team, *, minutes: float, text: str) -> None:
    refusal = policy.refusals(team, minutes)
    if refusal is No.FROZEN:
        raise Frozen(FROZEN)
    if refusal is No.NO_CAP:
        raise Refused(NO_CAP)
    if refusal is No.TOO_LONG:
        longest = policy.duration(team.longest_minutes)
        raise Refused(
            f"hours={policy.duration(minutes)} is longer than this team's longest job, {longest}.",
            fix=corrected(text, "hours", longest),
        )


def _reason(error: Exception) -> Reason:
    for kind, reason in (
        (BadSource, Reason.BAD_SOURCE),
        (BadImage, Reason.BAD_IMAGE),
        (BadRequest, Reason.BAD_SPEC),
        (NoChannel, Reason.NO_CHANNEL),
        (Refused, Reason.REFUSED),
        (NoCapacity, Reason.NO_CAPACITY),
        (ProviderError, Reason.LAUNCH_FAILED),
    ):
        if isinstance(error, kind):
            return reason
    return Reason.INTERNAL


def _found(plan: Plan) -> dict[str, Any]:
    """Return the columns of what the network said."""
    return {
        "source": records.dump(plan.source),
        "spec": records.dump(plan.spec),
        "image_digest": plan.digest,
        "offer": records.dump(plan.offer),
        "rate_ceiling": plan.ceiling,
        "not_before": None,
        "error": "",
    }


def _tell(tx: Session, job: Job, plan: Plan, decision: Decision, team: Team, period: Period, at: datetime) -> None:
    priced = {
        "hold": job.hold,
        "rate_ceiling": plan.ceiling,
        "minutes": plan.spec.minutes,
        "nodes": plan.spec.nodes,
        "offer": records.dump(plan.offer),
    }
    rows.note_on(tx, job, NoteKind.PRICED, at, data=priced)
    if not job.needs_lead:
        return
    instead = decision.instead_minutes
    asked = {
        "why": job.needs_lead,
        "instead_minutes": instead,
        "instead_cost": plan.hold_for(instead) if instead else None,
        "hold": job.hold,
        "free": period.cap + period.granted - period.held - period.spent,
        "auto_approve": team.auto_approve,
    }
    rows.note_on(tx, job, NoteKind.ASKED, at, data=asked)
