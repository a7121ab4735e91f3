"""One machine: asked for under a key that was committed before, named when it stands, written off when it was refused.

The moment of the call is committed before the call. A definite no writes the attempt off; no answer leaves it as
it is, and the enforcing pass looks it up by its key before anybody asks again.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

import structlog
from sqlmodel import Session, select

from jobs import db, milestones, orders
from jobs.cargo import Loader
from jobs.endings import LIVE
from jobs.errors import (
    BadRequest,
    HourglassError,
    NoCapacity,
    ProviderError,
    QuotaExceeded,
    Scope,
    Throttled,
    TooLate,
    Unknown,
)
from jobs.inputs import reads
from jobs.journal import Journal
from jobs.leases import note_span
from jobs.lifecycle import AttemptEventName, AttemptState, JobEventName, JobState
from jobs.model import Attempt, NoteKind
from jobs.patience import Refusal
from jobs.ports import Claims, Ports
from jobs.providers import Instance, LaunchOrder, Offer
from jobs.records import parse
from jobs.values import JobSpec, Source
from trainer.storage import StoreFault
from trainer.wire import Reason

log = structlog.get_logger(__name__)


class Launches:
    """Asks providers for machines, one node at a time."""

    def __init__(self, ports: Ports, claims: Claims, journal: Journal, *, heard: Callable[[], bool]) -> None:
        self._ports = ports
        self._claims = claims
        self._journal = journal
        self._heard = heard
        self._loader = Loader(ports)

    def ask(self, launch: orders.Launch, node: Attempt) -> Refusal | None:
        """Ask the provider for one node; None when it stands or may stand.

        A call whose answer was lost may have made the machine, and what is refused now says nothing about it: only
        a provider that has no room under the same key proves that there is none.
        """
        provider, offer = self._ports.providers[node.provider], parse(Offer, node.offer)
        asked_before = node.called_at is not None
        try:
            order = self._order(launch, node)
        except (ProviderError, BadRequest, StoreFault) as error:
            if asked_before:
                log.warning("launch.still_unknown", job=node.job_id, key=node.launch_key, error=str(error))
                return None
            return _refusal(error)  # nothing was asked for yet, whatever the error says
        if not self._calling(node):
            return None
        try:
            instance = provider.launch(offer, order)
        except Unknown as error:
            log.warning("launch.unanswered", job=node.job_id, key=node.launch_key, error=str(error))
        except ProviderError as error:
            log.info("launch.refused", job=node.job_id, key=node.launch_key, error=str(error))
            proven = not asked_before or isinstance(error, NoCapacity | QuotaExceeded)
            return _refusal(error) if proven else None
        except Exception:  # a provider's mistake is an answer that was lost: the machine may stand
            log.exception("launch.broke", job=node.job_id, key=node.launch_key)
        else:
            self.stands(node, instance)
        return None

    def _order(self, launch: orders.Launch, node: Attempt) -> LaunchOrder:
        self._journal.write(node.job_id)  # a machine whose rows are lost is known by what lies in the store
        inputs = reads(launch.spec.inputs)
        lent = self._ports.credentials(node.job_id, node.number, node.deadline, inputs)
        note_span(self._ports.store, node.job_id, node.number, node.rank, self._ports.clock.now(), lent)
        credentials = {
            **lent,
            **self._ports.data_keys.variables(launch.job.team_id, launch.spec, resumes=launch.resume_key is not None),
        }
        return orders.launch_order(launch, node.rank, secrets=self._ports.secrets, credentials=credentials)

    def _calling(self, node: Attempt) -> bool:
        """Commit that the provider is about to be called; False when the job is to end instead, or should have.

        False, too, when another bot has called since `node` was read: its answer is on the way; and while a machine of
        a later attempt stands, which an old copy of the rows did not know.
        """
        now = self._ports.clock.now()
        if now >= node.deadline:
            return False
        try:
            with self._ports.db.write() as tx:
                job = db.get_job(tx, node.job_id)
                if job.state is not JobState.PROVISIONING:
                    return False
                if tx.exec(select(Attempt.called_at).where(Attempt.id == node.id)).one() != node.called_at:
                    return False
                if any(row.number > node.number and row.state in LIVE for row in db.attempts(tx, job.id)):
                    return False  # this intent is of an old copy: a later machine stands, and has to be gone first
                db.touch_attempt(tx, node, now, called_at=now, absent_at=None, empty_listings=0)
                milestones.Facts(tx=tx, job=job, attempt=node.number, now=now).write(
                    f"a{node.number}:r{node.rank}:called:{now.timestamp():.3f}",
                    NoteKind.CALLED,
                    {"provider": node.provider, "key": node.launch_key, "region": node.region},
                )
        except TooLate as error:
            log.info("launch.overtaken", job=node.job_id, error=str(error))
            return False
        return True

    def stands(self, node: Attempt, instance: Instance, *, adopted: bool = False) -> None:
        """Write down which machine came of an intent."""
        now = self._ports.clock.now()
        since = min(now, max(instance.launched_at or now, node.intent_at))
        facts = {"instance_id": instance.id, "region": instance.region, "absent_at": None, "empty_listings": 0}
        with self._ports.db.write() as tx:
            row = db.attempt_as_is(tx, node)
            if row.state is AttemptState.INTENT:
                db.move_attempt(tx, row, AttemptEventName.LAUNCHED, now, launched_at=since, **facts)
            elif row.state in LIVE and row.instance_id is None:
                db.touch_attempt(tx, row, now, launched_at=since, **facts)  # it is to end, and now has a name
            else:
                return
            job = db.get_job(tx, row.job_id)
            db.touch(tx, job, now)
            milestones.Facts(tx=tx, job=job, attempt=row.number, now=now).write(
                f"a{row.number}:r{row.rank}:launched",
                NoteKind.ADOPTED if adopted else NoteKind.LAUNCHED,
                told(parse(Offer, row.offer)) | {"instance": instance.id, "region": instance.region},
            )
        self._ports.wake(node.job_id)

    def refused(self, node: Attempt, refusal: Refusal) -> bool:
        """Write off a node that was refused, and end its siblings; return whether the job is QUEUED again."""
        now = self._ports.clock.now()
        with self._ports.db.write() as tx:
            job = db.get_job(tx, node.job_id)
            for row in db.attempts(tx, job.id):
                if row.number == node.number:
                    _abandon(tx, row, node, refusal.text, now)
            milestones.Facts(tx=tx, job=job, attempt=node.number, now=now).write(
                f"a{node.number}:no_machine",
                NoteKind.NO_MACHINE,
                told(parse(Offer, node.offer)) | {"text": refusal.text, "reason": refusal.reason.value},
            )
            standing = any(row.state in LIVE for row in db.attempts(tx, job.id))
            if standing or job.state is not JobState.PROVISIONING:
                queued = False
            else:
                db.move(tx, job, JobEventName.RETRY, now)
                queued = True
        if not queued:
            self._ports.wake(node.job_id)
        return queued

    def again(self, attempt: Attempt) -> None:
        """Ask once more for a machine whose intent is committed, under the same key with the same order.

        Not before the providers have told a new process what stands: over an old copy the job may have a later machine.
        """
        if not self._heard():
            return
        with self._claims.claim(attempt.job_id) as mine:
            if not mine:
                return
            with self._ports.db.read() as tx:
                job = db.get_job(tx, attempt.job_id)
                row = db.attempt_as_is(tx, attempt)
            if not orders.is_of(self._ports.home, row.launch_key):
                return  # asked for now, it would stand under another key than its row's
            laid = self._loader.order_of(row)
            if job.state is not JobState.PROVISIONING or row.state is not AttemptState.INTENT or laid is None:
                return
            launch = orders.Launch(
                job=job,
                spec=parse(JobSpec, job.spec or {}),
                source=parse(Source, job.source or {}),
                source_sha256=laid.source_sha256,
                number=row.number,
                deadline=row.deadline,
                grace=timedelta(seconds=laid.grace),
                resume_key=laid.resume_key,
                traits=self._ports.providers[row.provider].traits,
                store_uri=self._ports.store_uri,
                home=self._ports.home,
            )
            refusal = self.ask(launch, row)
            if refusal is not None:
                self.refused(row, refusal)
                self._ports.wake(job.id)


def _abandon(tx: Session, row: Attempt, refused: Attempt, text: str, now: datetime) -> None:
    """The refused node never was; of its siblings, those that were asked for have to end."""
    if row.state not in LIVE or row.state is AttemptState.ENDING:
        return
    if row.id == refused.id or row.called_at is None:
        db.move_attempt(tx, row, AttemptEventName.NEVER, now, billed=0, note=text[:500])
    else:
        db.move_attempt(tx, row, AttemptEventName.END, now)


def told(offer: Offer) -> dict[str, object]:
    """Return what notes say of an offer."""
    return {
        "provider": offer.provider,
        "offer": offer.name,
        "region": offer.region,
        "micros_per_hour": offer.micros_per_hour,
        "spot": offer.spot,
    }


def _refusal(error: HourglassError | StoreFault) -> Refusal:
    """Return what an error says about trying elsewhere or later."""
    if isinstance(error, NoCapacity | QuotaExceeded):
        return Refusal(reason=Reason.NO_CAPACITY, text=str(error), scope=error.scope)
    if isinstance(error, BadRequest):
        return Refusal(reason=Reason.BAD_SPEC, text=str(error), scope=Scope.PERMANENT)
    passing = isinstance(error, Throttled | Unknown | StoreFault)
    scope = error.scope if isinstance(error, ProviderError) else Scope.ACCOUNT
    return Refusal(reason=Reason.LAUNCH_FAILED, text=str(error), passing=passing, scope=scope)
