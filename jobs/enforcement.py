"""The enforcing pass: every job with a machine, every machine that may stand, from the deadline columns.

It decides nothing (`jobs.endings` does) and remembers nothing: each pass derives everything from the rows and from
what the providers say, so it may be cut off anywhere and run twice. Nearly all of thousands of machines need nothing:
a glance at all of them says which do, and only those are looked at row by row. A provider that fails or hangs leaves
its own machines for the next pass and nobody else's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import partial

import structlog
from sqlmodel import Session
from structlog.contextvars import bound_contextvars

from jobs import db, endings, glances, metering, milestones, orders, policy
from jobs.adoption import Adoption
from jobs.conclusions import Conclusions
from jobs.controls import Controls
from jobs.endings import LIVE, Sight, Step, Turn
from jobs.errors import IllegalEvent, NotWritten, ProviderError, TooLate, Unauthorized
from jobs.lanes import Lanes
from jobs.launches import Launches
from jobs.lifecycle import AttemptEventName, AttemptState, JobEventName
from jobs.model import Attempt, Job, NoteKind
from jobs.overdue import Overdue
from jobs.ports import Claims, Ports
from jobs.providers import Guarantee, Instance, InstanceState, Provider
from jobs.records import parse
from jobs.renewals import Renewals
from jobs.securing import Securing
from jobs.settlements import Settlements, began
from jobs.values import JobSpec
from trainer import wire
from trainer.storage import StoreFault
from trainer.wire import Reason

log = structlog.get_logger(__name__)

MARK = "enforced"  # the last pass; health looks at its age


class Enforcement:
    """Ends what has to end, and believes that it is gone only when it is."""

    def __init__(
        self,
        ports: Ports,
        *,
        claims: Claims,
        launches: Launches,
        settlements: Settlements,
        controls: Controls,
        adoption: Adoption,
        conclusions: Conclusions,
        lanes: Lanes,
    ) -> None:
        self._ports = ports
        self._claims = claims
        self._launches = launches
        self._settlements = settlements
        self._controls = controls
        self._adoption = adoption
        self._conclusions = conclusions
        self._overdue = Overdue(ports)
        self._securing = Securing(ports, controls)
        self._lanes = lanes
        self._renewals = Renewals(ports)

    # ------------------------------------------------------------ passes

    def round(self, *, trusted: bool) -> None:
        """Look at every job and machine once. `trusted` False: nothing ends by the wall clock in this pass."""
        with self._ports.db.read() as tx:
            jobs = glances.jobs_with_machine(tx) if trusted else []
            live = glances.machines(tx)
        if self._turn_all(jobs):
            with self._ports.db.read() as tx:
                live = glances.machines(tx)
        work: dict[str, Callable[[], None]] = {
            "control": lambda: self._reconcile_all(live),
            "credentials": lambda: self._renewals.round(live),
        }
        for name, provider in self._ports.providers.items():
            mine = [(attempt, job) for attempt, job in live if attempt.provider == name]
            # Asking for a machine may take as long as its image is large: no other machine's end waits for that.
            asked = [(attempt, job) for attempt, job in mine if self._may_be_called(attempt)]
            rest = [(attempt, job) for attempt, job in mine if not self._may_be_called(attempt)]
            work[name] = partial(self._at_provider, provider, rest, trusted)
            work[f"{name} launches"] = partial(self._look_at_each, provider, asked, {}, trusted)
        self._lanes.run(work)
        for attempt, _ in live:
            if attempt.provider not in self._ports.providers:
                self._guarded(attempt, lambda: self._overdue.unreachable(attempt))  # noqa: B023  called at once
        self._lanes.run({"settle": self._conclude_all})
        if trusted:
            with self._ports.db.read() as tx:
                late = glances.late_machines(tx, self._ports.clock.now())
            for attempt in late:
                self._guarded(attempt, lambda: self._overdue.consider(attempt))  # noqa: B023  called at once
        with self._ports.db.write() as tx:
            now = self._ports.clock.now()
            db.set_mark(tx, MARK, now.isoformat(), now)

    def attend(self, job_id: str, *, trusted: bool = True) -> None:
        """Do for one job what a pass would, at once: somebody pressed Stop, an outcome came, its deadline is here."""
        job, live = self._standing(job_id)
        if trusted and self._turn_all([job]):
            job, live = self._standing(job_id)
        self._reconcile_all(live)
        for attempt, _ in live:
            provider = self._ports.providers.get(attempt.provider)
            if provider is not None:
                self._guarded(attempt, lambda: self._look(provider, attempt, None, trusted))  # noqa: B023  called at once
        self._conclusions.one(job_id)

    def _standing(self, job_id: str) -> tuple[Job, list[tuple[Attempt, Job]]]:
        with self._ports.db.read() as tx:
            job = db.get_job(tx, job_id)
            return job, [(attempt, job) for attempt in db.attempts(tx, job_id) if attempt.state in LIVE]

    def _conclude_all(self) -> None:
        with self._ports.db.read() as tx:
            bare = glances.jobs_without_machine(tx)
        for job_id in bare:
            self._conclusions.one(job_id)

    def _guarded(self, attempt: Attempt, piece: Callable[[], None]) -> None:
        try:
            with bound_contextvars(job=attempt.job_id, attempt=attempt.number):
                piece()
        except (TooLate, IllegalEvent) as error:
            log.info("enforce.overtaken", job=attempt.job_id, key=attempt.launch_key, error=str(error))
        except (ProviderError, StoreFault) as error:
            log.warning("enforce.failed", job=attempt.job_id, key=attempt.launch_key, error=str(error))
        except Exception:  # one machine's trouble must never keep the pass from the next; the trace is in the log
            log.exception("enforce.broke", job=attempt.job_id, key=attempt.launch_key)

    # ------------------------------------------------------------ what the clock alone says

    def _turn_all(self, jobs: Sequence[Job]) -> bool:
        """Warn and stop whoever's time has come; return whether there was any, whatever came of it."""
        now, due = self._ports.clock.now(), False
        for job in jobs:
            try:
                if endings.turn(job, _spec(job).minutes, now) is not None:
                    due = True
                    self._turn(job.id)
            except (TooLate, IllegalEvent) as error:
                log.info("enforce.overtaken", job=job.id, error=str(error))
            except Exception:  # as above: the other jobs' deadlines still count
                log.exception("enforce.broke", job=job.id)
        return due

    def _turn(self, job_id: str) -> None:
        now = self._ports.clock.now()
        with self._ports.db.write() as tx:
            job = db.get_job(tx, job_id)
            due = endings.turn(job, _spec(job).minutes, now)
            if due is None or job.deadline is None:
                return
            facts = milestones.Facts(tx=tx, job=job, attempt=job.attempt, now=now)
            if due is Turn.WARN:
                db.touch(tx, job, now, warned=True)
                at = job.deadline.timestamp()
                facts.write(f"warned:{int(at)}", NoteKind.WARNED, {"deadline": at})
            else:
                behind = endings.left_behind(job, db.attempts(tx, job.id)) if due is Turn.LEFT_BEHIND else []
                if due is Turn.LEFT_BEHIND and not behind:
                    return  # they upload what they have
                reason = Reason.LEFT_BEHIND if behind else Reason.DEADLINE
                db.move(tx, job, JobEventName.STOP, now, stop_reason=reason.value, stopping_at=now)
                facts.write("stopping", NoteKind.STOPPING, {"reason": reason.value})
                if behind:
                    milestones.left_behind(facts, behind, endings.OTHERS_LEAVE_IN)
        self._ports.wake(job_id)

    def _reconcile_all(self, live: Sequence[tuple[Attempt, Job]]) -> None:
        told: set[str] = set()  # the machines of one job read one file
        for attempt, job in live:
            if attempt.state in (AttemptState.LAUNCHED, AttemptState.UP) and job.id not in told:
                told.add(job.id)
                self._guarded(attempt, lambda: self._reconcile(job, attempt))  # noqa: B023  called at once

    def _reconcile(self, job: Job, attempt: Attempt) -> None:
        if self._controls.stand(job, attempt):
            return
        with self._ports.db.read() as tx:
            job, row = db.get_job(tx, attempt.job_id), db.attempt_as_is(tx, attempt)
        self._controls.reconcile(job, row)

    # ------------------------------------------------------------ machines

    def _at_provider(self, provider: Provider, mine: Sequence[tuple[Attempt, Job]], trusted: bool) -> None:
        """Look at one provider's machines: one listing for all of them, single look-ups where it does not help."""
        listed: dict[str, Instance] = {}
        try:
            instances = provider.list()
        except ProviderError as error:
            log.warning("list.failed", provider=provider.traits.name, error=str(error))
            if isinstance(error, Unauthorized):
                self._overdue.locked_out(provider.traits.name, [job.id for _, job in mine], error)
        except Exception:  # a listing that breaks leaves the single look-ups, by which a machine is ended all the same
            log.exception("list.broke", provider=provider.traits.name)
        else:
            listed = {instance.tags.get("key", ""): instance for instance in instances}
            self._adoption.consider(provider, instances, trusted=trusted)
        self._look_at_each(provider, mine, listed, trusted)

    def _look_at_each(
        self,
        provider: Provider,
        mine: Sequence[tuple[Attempt, Job]],
        listed: Mapping[str, Instance],
        trusted: bool,
    ) -> None:
        for attempt, job in mine:
            seen = listed.get(attempt.launch_key)
            self._guarded(attempt, lambda: self._look_if_needed(provider, attempt, job, seen, trusted))  # noqa: B023  called at once

    def _look_if_needed(
        self, provider: Provider, attempt: Attempt, job: Job, seen: Instance | None, trusted: bool
    ) -> None:
        if seen is None or not self._quiet(provider, attempt, job, seen):
            self._look(provider, attempt, seen, trusted)

    def _quiet(self, provider: Provider, attempt: Attempt, job: Job, seen: Instance) -> bool:
        """Return whether a machine that stands is to go on and is seen to, as nearly always."""
        if attempt.instance_id is None:
            return False
        now = self._ports.clock.now()
        if endings.why_end(job, attempt, now, policy.grace(_spec(job).minutes)) is not None:
            return False
        sight = Sight(whole=True, instance=seen)
        facts = {"end": False, "calling": False, "spoke": attempt.cursor > 0}
        deadline = endings.deadline_of(job, attempt)
        return endings.next_step(attempt, sight, now, deadline=deadline, traits=provider.traits, **facts) is Step.WAIT

    def _may_be_called(self, attempt: Attempt) -> bool:
        return attempt.state is AttemptState.INTENT and self._ports.clock.now() < attempt.deadline

    def _look(self, provider: Provider, attempt: Attempt, seen: Instance | None, trusted: bool) -> None:
        """Do what one machine needs now, until nothing is left to do in this pass."""
        sight = Sight(whole=True, instance=seen) if seen is not None else self._find(provider, attempt)
        for _ in range(3):  # adopted, told to end, confirmed gone
            step = self._step(provider, attempt, sight, trusted)
            if step in (Step.ADOPT, Step.FORGET_ABSENT):
                continue
            if step is Step.TERMINATE:
                sight = self._find(provider, attempt)
                if sight.instance is not None and sight.instance.state is InstanceState.GONE:
                    continue
            break

    def _find(self, provider: Provider, attempt: Attempt) -> Sight:
        try:
            found = provider.find(attempt.launch_key)
            if found is None and not orders.is_of(self._ports.home, attempt.launch_key):
                # Providers show a home its own machines only: it was launched under another HOURGLASS_HOME.
                log.error("machine.of_another_home", provider=provider.traits.name, key=attempt.launch_key)
                return endings.UNSEEN
            return Sight(whole=True, instance=found)
        except ProviderError as error:
            log.warning("find.failed", provider=provider.traits.name, key=attempt.launch_key, error=str(error))
            return endings.UNSEEN

    def _step(self, provider: Provider, attempt: Attempt, sight: Sight, trusted: bool) -> Step:
        """Take one step with one machine; rows are read anew, so that two hands never take the same."""
        now = self._ports.clock.now()
        with self._ports.db.read() as tx:
            row = db.attempt_as_is(tx, attempt)
            job = db.get_job(tx, row.job_id)
        if row.state not in LIVE:
            return Step.WAIT
        why = endings.why_end(job, row, now, policy.grace(_spec(job).minutes))
        end = why is not None and (trusted or why != "deadline")
        calling = self._claims.taken(job.id)
        step = endings.next_step(
            row,
            sight,
            now,
            deadline=endings.deadline_of(job, row),
            end=end,
            traits=provider.traits,
            calling=calling,
            spoke=self._spoke(row, sight, end),
        )
        if not trusted and endings.is_dated_by_us(step, sight):
            return Step.WAIT  # it is billed until then, and a clock that jumped would make that hours, or none
        if end and row.state is not AttemptState.ENDING and step is not Step.ADOPT:
            try:
                self._end(row, why or "")
            except NotWritten as error:
                if step is not Step.TERMINATE:
                    raise
                _unwritten(row, error)
        try:
            self._take(provider, row, step, sight, now, trusted)
        except NotWritten as error:
            if not end or step is not Step.ADOPT or sight.instance is None:
                raise
            # It was launched, and its name was never written down: what its key made ends all the same.
            _unwritten(row, error)
            provider.terminate(sight.instance)
        return step

    def _spoke(self, row: Attempt, sight: Sight, end: bool) -> bool | None:
        """Return whether an agent of an unanswered launch wrote something, asked only where it matters.

        None where the store does not answer and the machine is to end; until then, its `StoreFault` is raised.
        """
        if row.cursor or sight.instance is not None or row.instance_id is not None or row.called_at is None:
            return row.cursor > 0
        try:
            return self._ports.store.size(wire.event_key(row.job_id, row.number, 1, row.rank)) is not None
        except StoreFault:
            if not end:
                raise
            return None

    def _end(self, row: Attempt, why: str) -> None:
        now = self._ports.clock.now()
        with self._ports.db.write() as tx:
            db.move_attempt(tx, row, AttemptEventName.END, now)
            self._fact(tx, row, NoteKind.ENDING, {"why": why, "key": row.launch_key})
        log.info("machine.ending", job=row.job_id, key=row.launch_key, why=why)

    def _take(self, provider: Provider, row: Attempt, step: Step, sight: Sight, now: datetime, trusted: bool) -> None:
        instance = sight.instance
        match step:
            case Step.ADOPT if instance is not None:
                self._launches.stands(row, instance, adopted=True)
            case Step.CALL:
                self._launches.again(row)
            case Step.TERMINATE if instance is not None:
                provider.terminate(instance)
                self._accepted(row, instance, now)
            case Step.COUNT_EMPTY:
                self._touch(row, absent_at=row.absent_at or now, empty_listings=row.empty_listings + 1)
            case Step.COUNT_ABSENT:
                self._touch(row, absent_at=now)
            case Step.FORGET_ABSENT:
                self._touch(row, absent_at=None)
            case Step.SECURE if instance is not None:
                self._securing.secure(provider, row, instance)
            case Step.SECURED:
                self._securing.stands(row)
            case Step.GONE:
                self._hear_out(row)
                until = endings.billed_until(row, sight, now, trusted=trusted)
                reading = metering.read(provider, row, instance, since=began(row), until=until)
                self._settlements.gone(row, until=until, note=instance.note if instance else "", reading=reading)
                timed = provider.traits.guarantee is Guarantee.EXTERNAL
                if instance is not None and (row.end_accepted_at is None or timed):
                    # One that ended by itself may leave a record, or a disk; one that was ended, its timer.
                    provider.terminate(instance)
            case Step.NEVER:
                self._settlements.never(row, note="No machine came of it.")

    def _hear_out(self, row: Attempt) -> None:
        """Read what one of several machines left before it is written off: whether it had finished decides of all."""
        if not row.rank and not self._has_peers(row):
            return
        try:
            self._ports.drain(row)
        except StoreFault as fault:
            log.warning("enforce.unheard", job=row.job_id, key=row.launch_key, error=str(fault))
        except Exception:  # whatever the words are, they must not keep a machine's row open; the trace is in the log
            log.exception("enforce.deaf", job=row.job_id, key=row.launch_key)

    def _has_peers(self, row: Attempt) -> bool:
        with self._ports.db.read() as tx:
            return endings.is_of_several(db.get_job(tx, row.job_id))

    def _accepted(self, row: Attempt, instance: Instance, now: datetime) -> None:
        with self._ports.db.write() as tx:
            db.touch_attempt(tx, row, now, end_accepted_at=row.end_accepted_at or now, absent_at=None)
            told = {"provider": row.provider, "instance": instance.id, "region": instance.region}
            self._fact(tx, row, NoteKind.TERMINATED, told)

    def _fact(self, tx: Session, row: Attempt, kind: NoteKind, data: Mapping[str, str]) -> None:
        facts = milestones.Facts(tx=tx, job=db.get_job(tx, row.job_id), attempt=row.number, now=self._ports.clock.now())
        facts.write(f"a{row.number}:r{row.rank}:{kind.value}", kind, data)

    def _touch(self, row: Attempt, **columns: datetime | int | None) -> None:
        with self._ports.db.write() as tx:
            db.touch_attempt(tx, row, self._ports.clock.now(), **columns)


def _unwritten(row: Attempt, error: NotWritten) -> None:
    # Ending is safe to do twice, and a full disk is no reason for a machine to outlive its deadline.
    log.error("machine.ending_unwritten", job=row.job_id, key=row.launch_key, error=str(error))


def _spec(job: Job) -> JobSpec:
    return parse(JobSpec, job.spec or {})
