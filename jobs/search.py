"""A QUEUED job's search for a machine: the acceptable offers from the cheapest, until one stands.

The attempt's row, with its key, deadline and price, is committed before its provider is called. A definite no
leads to the next offer under a new key; no answer ends the search and leaves the intent standing.
"""

from __future__ import annotations

from collections.abc import Sequence

import structlog

from jobs import db, milestones, orders, policy
from jobs.approvals import FROZEN
from jobs.cargo import Cargo, Loader
from jobs.choices import Choice, Choices, ran_out
from jobs.errors import BadRequest, BadSource, Frozen, IllegalEvent, NotWritten, TooLate
from jobs.launches import Launches, told
from jobs.lifecycle import AttemptState, JobEventName, JobState
from jobs.model import Attempt, Job, NoteKind
from jobs.patience import Patience, Refusal
from jobs.ports import Claims, Ports
from jobs.providers import Guarantee, Offer
from jobs.records import dump
from jobs.settlements import Settlements
from trainer.storage import StoreFault
from trainer.wire import Reason

log = structlog.get_logger(__name__)

BROKE = "Something went wrong here that should not; the operator's log says what."


class Search:
    """Finds machines for QUEUED jobs."""

    def __init__(self, ports: Ports, claims: Claims, launches: Launches, settlements: Settlements) -> None:
        self._ports = ports
        self._claims = claims
        self._launches = launches
        self._settlements = settlements
        self._loader = Loader(ports)
        self._patience = Patience(ports, settlements)

    def due(self) -> list[str]:
        """Return the QUEUED jobs whose time has come, oldest first."""
        now = self._ports.clock.now()
        with self._ports.db.read() as tx:
            queued = db.jobs_in(tx, JobState.QUEUED)
        return [job.id for job in queued if job.not_before is None or job.not_before <= now]

    def launch(self, job_id: str) -> None:
        """Find a machine for a QUEUED job whose time has come, or say why there is none; does nothing for others."""
        with self._claims.claim(job_id) as mine:
            if not mine:
                return
            now = self._ports.clock.now()
            with self._ports.db.read() as tx:
                job = db.get_job(tx, job_id)
            if job.state is not JobState.QUEUED or (job.not_before or now) > now:
                return
            try:
                self._look(job)
            except NotWritten:
                raise  # the job is as it was, and due at the next look
            except Exception:  # it would be due again at once, for ever; the trace is in the log
                log.exception("launch.broke", job=job_id)
                self._patience.nothing(job, [Refusal(reason=Reason.INTERNAL, text=BROKE, passing=True)])

    def _look(self, job: Job) -> None:
        try:
            cargo = self._loader.load(job)
            orders.named_secrets(cargo.spec, self._ports.secrets)
        except BadRequest as error:
            reason = Reason.BAD_SOURCE if isinstance(error, BadSource) else Reason.BAD_SPEC
            self._settlements.close(job.id, event=JobEventName.FAIL, reason=reason, text=str(error))
        except StoreFault as fault:
            self._patience.nothing(job, [Refusal(reason=Reason.LAUNCH_FAILED, text=str(fault), passing=True)])
        else:
            self._find_machine(job, cargo)

    def _find_machine(self, job: Job, cargo: Cargo) -> None:
        """Try the acceptable offers from the cheapest until one stands or does not answer."""
        found = Choices(self._ports, job, cargo.spec)
        while True:
            with self._ports.db.read() as tx:
                job, rows = db.get_job(tx, job.id), db.attempts(tx, job.id)
            now = self._ports.clock.now()
            if job.state is not JobState.QUEUED:
                return
            if ran_out(job, rows, now):
                self._settlements.close(job.id, event=JobEventName.TIME_OUT, reason=Reason.DEADLINE)
                return
            choice = found.next(job, rows, now)
            if choice is None:
                self._patience.nothing(job, found.refusals)
                return
            refusal = self._attempt(job, cargo, choice, rows)
            if refusal is None:
                return
            found.strike(choice.offer, refusal)

    def _attempt(self, job: Job, cargo: Cargo, choice: Choice, rows: Sequence[Attempt]) -> Refusal | None:
        """Commit the intent and ask for each node; None when machines stand, may stand, or nothing is to be done."""
        offer = choice.offer
        launch = orders.Launch(
            job=job,
            spec=cargo.spec,
            source=cargo.source,
            source_sha256=cargo.source_sha256,
            number=max((row.number for row in rows), default=0) + 1,
            deadline=choice.deadline,
            grace=policy.grace(cargo.spec.minutes),
            resume_key=cargo.resume_key,
            traits=self._ports.providers[offer.provider].traits,
            store_uri=self._ports.store_uri,
            home=self._ports.home,
        )
        try:
            self._loader.lay_order(launch)
            nodes = self._intend(launch, offer)
        except StoreFault as fault:
            return Refusal(reason=Reason.LAUNCH_FAILED, text=str(fault), passing=True)
        except Frozen as error:
            self._settlements.close(job.id, event=JobEventName.FAIL, reason=Reason.REFUSED, text=str(error))
            return None
        except (TooLate, IllegalEvent) as error:
            log.info("launch.overtaken", job=job.id, error=str(error))
            return None
        for node in nodes:
            refusal = self._launches.ask(launch, node)
            if refusal is not None:
                return refusal if self._launches.refused(node, refusal) else None
        return None

    def _intend(self, launch: orders.Launch, offer: Offer) -> list[Attempt]:
        """Commit what is about to be asked for.

        Raises `TooLate` or `IllegalEvent` when the job is no longer QUEUED, `Frozen` when its team rents nothing now.
        """
        now = self._ports.clock.now()
        with self._ports.db.write() as tx:
            job = db.get_job(tx, launch.job.id)
            if db.get_team(tx, job.team_id).frozen:
                raise Frozen(FROZEN)
            db.move(
                tx,
                job,
                JobEventName.LAUNCH,
                now,
                attempt=launch.number,
                deadline=launch.deadline,
                not_before=None,
                short_at=None,
                first_left_at=None,
            )
            nodes = [
                Attempt(
                    job_id=job.id,
                    number=launch.number,
                    rank=rank,
                    launch_key=orders.launch_key(launch.home, job.id, launch.number, rank),
                    state=AttemptState.INTENT,
                    provider=offer.provider,
                    offer=dump(offer),
                    micros_per_hour=offer.micros_per_hour,
                    deadline=launch.deadline,
                    region=offer.region,
                    intent_at=now,
                    unsecured_since=now if launch.traits.guarantee is Guarantee.EXTERNAL else None,
                )
                for rank in range(launch.spec.nodes)
            ]
            tx.add_all(nodes)
            tx.flush()
            milestones.Facts(tx=tx, job=job, attempt=launch.number, now=now).write(
                f"a{launch.number}:intent", NoteKind.INTENT, told(offer) | {"deadline": launch.deadline.timestamp()}
            )
        return nodes
