"""How a rental ends on paper: a machine is written off once it is gone, a job once all of its machines are.

A job becomes terminal in the transaction that closes its money, and in no other. The receipt of it in the store
is written after that commit, and again at the next start where a crash came between.
"""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any

import structlog
from sqlmodel import Session, col, select

from jobs import bills, db, ledger, milestones, policy, snapshots
from jobs.bills import Bill
from jobs.endings import LIVE, closing_event
from jobs.errors import IllegalEvent, TooLate
from jobs.lifecycle import TERMINAL, AttemptEventName, AttemptState, JobEventName, JobState
from jobs.metering import FLAT, Reading
from jobs.model import Attempt, Job, NoteKind
from jobs.ports import Ports
from jobs.providers import Traits
from jobs.records import parse
from jobs.snapshots import receipt_key
from jobs.values import JobSpec, Micros
from trainer.storage import StoreFault
from trainer.wire import Reason

log = structlog.get_logger(__name__)

# Receipts are looked for this far back when the bot starts; older ones were written by an earlier start.
RECEIPTS_BACK = timedelta(days=30)


def began(attempt: Attempt) -> datetime:
    """Return from when a machine is paid for, as far as anybody told; never later than it can have been."""
    return attempt.launched_at or attempt.called_at or attempt.intent_at


def cost(attempt: Attempt, spec: JobSpec, traits: Traits, until: datetime) -> Micros:
    """Return what a machine costs that is billed until then: granules, minimum and disk included."""
    if attempt.state is AttemptState.NEVER:
        return 0
    return policy.bill(
        micros_per_hour=attempt.micros_per_hour, ran=until - began(attempt), traits=traits, disk_gb=spec.disk_gb
    )


def _bill(attempt: Attempt, spec: JobSpec, traits: Traits, until: datetime, reading: Reading) -> Bill:
    return bills.bill(
        attempt,
        began=began(attempt),
        until=until,
        disk_gb=spec.disk_gb,
        traits=traits,
        metered=reading.metered,
        unmetered=reading.failed,
    )


class Settlements:
    """Writes machines off and closes jobs."""

    def __init__(self, ports: Ports) -> None:
        self._ports = ports

    def gone(self, attempt: Attempt, *, until: datetime, note: str = "", reading: Reading = FLAT) -> bool:
        """Write a machine off that is confirmed gone since `until`; False when another hand did so before.

        `reading` is what the market of its provider said of its time.
        """
        now = self._ports.clock.now()
        traits = self._ports.providers[attempt.provider].traits
        with self._ports.db.write() as tx:
            job, row = db.get_job(tx, attempt.job_id), db.attempt_as_is(tx, attempt)
            if row.state not in LIVE:
                return False
            until = max(until, began(row))
            due = _bill(row, _spec(job), traits, until, reading)
            if row.state is AttemptState.INTENT:  # the answer was lost, and it is gone already
                db.move_attempt(tx, row, AttemptEventName.LAUNCHED, now, launched_at=began(row))
            db.move_attempt(tx, row, AttemptEventName.GONE, now, billed_until=until, billed=due.micros, note=note)
            milestones.Facts(tx=tx, job=job, attempt=row.number, now=now).write(
                f"a{row.number}:r{row.rank}:gone",
                NoteKind.GONE,
                {**due.told(), "billed_until": until.timestamp(), "provider": row.provider, "note": note},
            )
            _mark_short(tx, job, row, now)
            late = job.state in TERMINAL
            if late:
                self._late(tx, job, row, due.micros, now)
            else:
                db.touch(tx, job, now)  # the card says that it is gone
        if late:
            self.receipt(job.id)
        return True

    def _late(self, tx: Session, job: Job, attempt: Attempt, billed: Micros, now: datetime) -> None:
        """A machine nobody knew of, found after its job was settled: charged all the same, and told."""
        log.error("rental.late", job=job.id, attempt=attempt.number, micros=billed)
        ledger.add_late(tx, job=job, micros=billed, key=f"{job.id}:late:{attempt.id}", at=now)
        milestones.Facts(tx=tx, job=job, attempt=attempt.number, now=now).write(
            f"a{attempt.number}:late",
            NoteKind.TROUBLE,
            {
                "code": "late_cost",
                "text": f"A machine of this job ended after it was settled; it cost {policy.dollars(billed)} more.",
            },
        )

    def never(self, attempt: Attempt, *, note: str) -> bool:
        """Write an attempt off of which no machine came; False when another hand did so before."""
        now = self._ports.clock.now()
        with self._ports.db.write() as tx:
            row = db.attempt_as_is(tx, attempt)
            if row.state not in (AttemptState.INTENT, AttemptState.ENDING):
                return False
            db.move_attempt(tx, row, AttemptEventName.NEVER, now, billed=0, note=note)
            _mark_short(tx, db.get_job(tx, row.job_id), row, now)
        return True

    def close(
        self, job_id: str, *, event: JobEventName | None = None, reason: Reason | None = None, text: str = ""
    ) -> bool:
        """Settle a job none of whose machines is left, and make it terminal; False when it is not to be closed yet.

        `event` is what happens to a QUEUED job; a STOPPING one is filed by its reason.
        """
        now = self._ports.clock.now()
        try:
            with self._ports.db.write() as tx:
                job = db.get_job(tx, job_id)
                closed = self._close(tx, job, event, reason, text, now)
        except (TooLate, IllegalEvent) as error:
            log.info("settle.overtaken", job=job_id, error=str(error))
            return False
        if closed:
            self.receipt(job_id)
            self._ports.wake(job_id)
        return closed

    def _close(
        self, tx: Session, job: Job, event: JobEventName | None, reason: Reason | None, text: str, now: datetime
    ) -> bool:
        rows = db.attempts(tx, job.id)
        if any(row.state in LIVE for row in rows):
            return False
        if event is None and job.state is not JobState.STOPPING:
            return False
        why = reason or Reason(job.stop_reason or Reason.INTERNAL)
        facts = milestones.Facts(tx=tx, job=job, attempt=job.attempt, now=now)
        milestones.ended(facts, why, job.outcome, text)
        closed = ledger.close(tx, job=job, charge=sum(row.billed or 0 for row in rows), at=now)
        columns: dict[str, Any] = {"stop_reason": why.value, "charged": closed.charged, "finished_at": now}
        if text:
            columns["error"] = text
        db.move(tx, job, event or closing_event(why), now, **columns)
        facts.write(
            "settled",
            NoteKind.SETTLED,
            {
                "reason": why.value,
                "charged": closed.charged,
                "held": closed.held,
                "released": closed.released,
                "overrun": closed.overrun,
                **self._beside(tx, job, rows),
            },
        )
        return True

    def _beside(self, tx: Session, job: Job, rows: list[Attempt]) -> dict[str, int]:
        """Return what is told beside the charge where money moves: savings, estimates, what was not metered."""
        stood = [row for row in rows if row.state is AttemptState.GONE]
        traits = [self._ports.providers[row.provider].traits for row in stood if row.provider in self._ports.providers]
        if not any(one.bills for one in traits):
            return {}
        summary = bills.summary(
            [note.data for note in db.notes(tx, job.id) if note.kind == NoteKind.GONE],
            kept_bytes=sum(one.bytes for one in db.checkpoints(tx, job.id)),
            egress_micros_per_gb=traits[-1].egress_micros_per_gb,
        )
        return {"bills": 1, **asdict(summary)}

    def receipt(self, job_id: str) -> None:
        """Put the receipt of a settled job into the store; a store that does not answer is asked at the next start."""
        with self._ports.db.read() as tx:
            job = db.get_job(tx, job_id)
            body = snapshots.to_json(
                self._ports.home, snapshots.of_job(tx, job_id), **_receipt(job, db.attempts(tx, job_id))
            )
        try:
            self._ports.store.put(receipt_key(job_id), body)
            self._ports.store.delete(snapshots.job_key(job_id))  # the receipt has it all
        except StoreFault as fault:
            log.warning("receipt.failed", job=job_id, error=str(fault))

    def owed_receipts(self) -> None:
        """Write the receipts that a crash or a store that was down left out; called at the start."""
        since = self._ports.clock.now() - RECEIPTS_BACK
        with self._ports.db.read() as tx:
            wanted = select(Job.id).where(col(Job.charged).is_not(None), col(Job.finished_at) >= since)
            settled = list(tx.exec(wanted))
        for job_id in settled:
            try:
                if self._ports.store.size(receipt_key(job_id)) is None:
                    self.receipt(job_id)
            except StoreFault as fault:
                log.warning("receipt.failed", job=job_id, error=str(fault))
                return


def _mark_short(tx: Session, job: Job, gone: Attempt, now: datetime) -> None:
    """Write down that a job's machines are one short of what it takes, where it went without having finished."""
    others = any(row.state in LIVE and row.number == gone.number for row in db.attempts(tx, job.id))
    if others and gone.outcome is None and gone.number == job.attempt and job.short_at is None:
        db.touch(tx, job, now, short_at=now)


def _spec(job: Job) -> JobSpec:
    return parse(JobSpec, job.spec or {})


def _receipt(job: Job, attempts: list[Attempt]) -> dict[str, Any]:
    """Return what a settled job cost and why, for whoever reads the file."""
    return {
        "job": job.id,
        "team": job.team_id,
        "person": job.person,
        "state": job.state.value,
        "reason": job.stop_reason,
        "source": {key: (job.source or {}).get(key) for key in ("url", "repo", "sha")},
        "held": job.hold,
        "charged": job.charged,
        "finished_at": _unix(job.finished_at),
        "attempts": [
            {
                "number": row.number,
                "rank": row.rank,
                "key": row.launch_key,
                "state": row.state.value,
                "provider": row.provider,
                "instance": row.instance_id,
                "region": row.region,
                "offer": row.offer.get("name"),
                "micros_per_hour": row.micros_per_hour,
                "launched_at": _unix(row.launched_at),
                "billed_until": _unix(row.billed_until),
                "billed": row.billed,
            }
            for row in attempts
        ],
    }


def _unix(at: datetime | None) -> float | None:
    return None if at is None else at.timestamp()
