"""The verbs: what people do to jobs and budgets, each one transaction and then a word to the workers.

Nothing here asks a network anything, so that a command is written down before Slack's patience ends. What happens
inside a transaction is in the file of its thought: `approvals`, `extensions`, `withdrawal`, `budgets`.
"""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from typing import Any

import structlog
from sqlalchemy.exc import IntegrityError
from sqlmodel import Session, select

from jobs import approvals, budgets, descriptions, extensions, ledger, records, statements, withdrawal
from jobs import db as rows
from jobs.clock import Clock, Ids
from jobs.db import Database
from jobs.errors import HourglassError, NotAllowed, NotFound, TooLate
from jobs.extensions import Extension
from jobs.lifecycle import TERMINAL, JobState
from jobs.model import Job, NoteKind, Team
from jobs.policy import Person as Person
from jobs.providers import Traits
from jobs.settings import Settings
from jobs.values import Request, Source

_log = structlog.get_logger(__name__)

ONE_PRESS = timedelta(seconds=30)  # within which a button that is pressed again was pressed once
PATIENCE = 1.5  # seconds for the database; Slack waits three, and then has to have been told that nothing was written


class Service:
    """Everything that people ask for. Safe between threads; raises only `jobs.errors`.

    `traits` are those of the configured providers by name, `mover` moves a machine's deadline at its provider and on
    the machine (or raises and leaves it), `wake` is told the job's id after each commit that gives workers something
    to do.
    """

    def __init__(
        self,
        *,
        db: Database,
        clock: Clock,
        ids: Ids,
        settings: Settings,
        traits: Mapping[str, Traits],
        mover: Callable[[Job, datetime], None],
        wake: Callable[[str], None],
    ) -> None:
        self._db = db
        self._clock = clock
        self._ids = ids
        self._settings = settings
        self._traits = traits
        self._mover = mover
        self._wake = wake
        self._lifetime = timedelta(minutes=settings.approval_minutes)
        self._extending: set[str] = set()
        self._extending_lock = threading.Lock()

    # ------------------------------------------------------------ jobs

    def request(self, r: Request, *, pressed: bool = False) -> tuple[Job, bool]:
        """Write a request down as a job, once for each delivery; False: this delivery's job was there before.

        `pressed`: of a button, where impatient fingers come twice; the second press finds the first one's job.
        """
        for last in (False, False, True):
            try:
                job, new = self._write_request(r, pressed)
            except IntegrityError:
                # Another process took the id, or wrote this delivery a moment ago: a new look decides.
                if last:
                    raise
            else:
                break
        if new:
            self._wake(job.id)
        return job, new

    def cancel(self, job_id: str, by: Person) -> Job:
        """End a job at once, or ask its machine to save and stop; raises `TooLate`, `NotAllowed` or `NotFound`."""
        with self._db.write() as tx:
            job = withdrawal.cancel(tx, job_id, by, self._clock.now())
        self._wake(job.id)
        return job

    def rerun(
        self,
        job_id: str,
        by: Person,
        overrides: Mapping[str, Any],
        delivery: str,
        *,
        resume: bool = False,
        pressed: bool = False,
    ) -> tuple[Job, bool]:
        """Ask for a job's commit once more, with `overrides` over what was typed then.

        `resume` starts it from that job's last whole checkpoint; `pressed` as for `request`. Raises `NotFound`, or
        `NotAllowed` for a guest.
        """
        if by.guest:
            raise NotAllowed("A guest cannot rent for this team. Ask one of its members.")
        with self._db.read() as tx:
            old = rows.get_job(tx, job_id)
        request = records.parse(Request, old.request)
        env = {**request.overrides.get("env", {}), **overrides.get("env", {})}
        merged = {**request.overrides, **overrides, **({"env": env} if env else {})}
        # The commit that ran, not what its branch has become since.
        ref = records.parse(Source, old.source).sha if old.source else request.ref
        again = dataclasses.replace(
            request,
            delivery=delivery,
            person=by.id,
            ref=ref,
            overrides=merged,
            text=f"rerun {job_id}",
            rerun_of=job_id,
            resume=resume,
        )
        return self.request(again, pressed=pressed)

    def list_jobs(self, team_id: str, *, limit: int = 20, person: str = "") -> list[Job]:
        """Return a team's newest jobs, newest first; of one person where one is named."""
        with self._db.read() as tx:
            return rows.jobs_of_team(tx, team_id, limit, person=person)

    def describe(self, job_id: str, by: Person, lines: Sequence[str]) -> Job:
        """Let a job's lines be read as these templates say; see `descriptions.describe` for what it raises."""
        with self._db.write() as tx:
            job = descriptions.describe(tx, job_id, by, lines, self._clock.now())
        self._wake(job.id)
        return job

    # ------------------------------------------------------------ approvals

    def approve(self, job_id: str, by: Person, *, minutes: float | None = None, delivery: str = "") -> Job:
        """Let a job start, for `minutes` where that is shorter; see `approvals.approve` for what it raises.

        A repeated delivery of a press that was acted on returns the job as it is.
        """
        at = self._clock.now()
        with self._db.write() as tx:
            if delivery and not rows.seen(tx, delivery, at):
                return rows.get_job(tx, job_id)
            job = approvals.approve(
                tx, job_id, by, minutes=minutes, at=at, lifetime=self._lifetime, traits=self._traits
            )
        self._wake(job.id)
        return job

    def deny(self, job_id: str, by: Person, reason: str) -> Job:
        """Refuse a job; raises `TooLate` naming who decided and when, or `NotAllowed`."""
        with self._db.write() as tx:
            job = approvals.deny(tx, job_id, by, reason, at=self._clock.now(), lifetime=self._lifetime)
        self._wake(job.id)
        return job

    def expire_due(self) -> list[str]:
        """End the questions that nobody answered in time; return their jobs."""
        return self._each_awaiting(
            lambda tx, job_id: approvals.expire(tx, job_id, at=self._clock.now(), lifetime=self._lifetime)
        )

    def remind_due(self) -> list[str]:
        """Write the reminders that are due; return their jobs."""
        return self._each_awaiting(lambda tx, job_id: approvals.remind(tx, job_id, at=self._clock.now()))

    # ------------------------------------------------------------ more time

    def extend(self, job_id: str, by: Person, minutes: float, delivery: str = "") -> Job:
        """Give a running job `minutes` more: its hold, then its machine, its deadline last.

        Whatever fails leaves the old deadline and gives the extra hold back. Raises what `extensions.begin` does,
        `ProviderError` where the machine's limit would not move, `TooLate` for a second press at the same time.
        """
        with self._one_extension(job_id):
            if delivery and not self._is_new(delivery):
                with self._db.read() as tx:
                    return rows.get_job(tx, job_id)
            extension = self.begin_extension(job_id, by, minutes)
            with self._db.read() as tx:
                job = rows.get_job(tx, job_id)
            try:
                self._mover(job, extension.new)
            except Exception:
                self.undo_extension(extension)
                raise
            try:
                job = self.finish_extension(extension)
            except HourglassError:
                self._move_back(job, extension)
                self.undo_extension(extension)  # last: what a machine may still cost stays held
                raise
        self._wake(job_id)
        return job

    def begin_extension(self, job_id: str, by: Person, minutes: float) -> Extension:
        """Hold what `minutes` more may cost, the deadline unmoved."""
        with self._db.write() as tx:
            return extensions.begin(tx, job_id, by, minutes, at=self._clock.now(), traits=self._traits)

    def finish_extension(self, extension: Extension) -> Job:
        """Move the deadline, once the machine's own limit has moved."""
        with self._db.write() as tx:
            return extensions.finish(tx, extension, at=self._clock.now())

    def undo_extension(self, extension: Extension) -> bool:
        """Give back what an extension held that came to nothing; False where that was done before."""
        with self._db.write() as tx:
            return extensions.undo(tx, extension, at=self._clock.now())

    # ------------------------------------------------------------ teams

    def budget(self, team_id: str) -> ledger.Budget:
        """Return the team's month as it stands; raises `NotFound`."""
        with self._db.read() as tx:
            return ledger.summary(tx, rows.get_team(tx, team_id), self._clock.now())

    def set_budget(self, team_id: str, by: Person, field: str, value: budgets.Value) -> Team:
        """Set a limit of the team; see `budgets.set_budget`."""
        with self._db.write() as tx:
            return budgets.set_budget(tx, team_id, by, field, value, self._clock.now())

    def freeze(self, team_id: str, by: Person, on: bool) -> Team:
        """Stop new rentals of the team, or let them start again."""
        with self._db.write() as tx:
            return budgets.freeze(tx, team_id, by, on, self._clock.now())

    def team_of(self, channel: str) -> Team:
        """Return the team that a channel spends for; the configured one, created on first use, where none is mapped."""
        try:
            with self._db.read() as tx:
                return rows.team_of_channel(tx, channel, self._settings.team)
        except NotFound:
            with self._db.write() as tx:
                return self._team(tx, channel, self._clock.now())

    def add_team(self, team_id: str, *, name: str = "", zone: str = "UTC") -> Team:
        """Return the team, created without a budget where it does not exist."""
        with self._db.write() as tx:
            return budgets.add_team(tx, team_id, name=name, zone=zone, at=self._clock.now())

    def map_channel(self, channel: str, team_id: str) -> Team:
        """Let a channel spend for a team from now on; raises `NotFound`."""
        with self._db.write() as tx:
            return budgets.map_channel(tx, channel, team_id)

    # ------------------------------------------------------------ inside

    def _write_request(self, r: Request, pressed: bool) -> tuple[Job, bool]:
        at = self._clock.now()
        with self._db.write(patience=PATIENCE) as tx:
            new = rows.seen(tx, r.delivery, at)
            if not new and (job := tx.exec(select(Job).where(Job.delivery == r.delivery)).first()) is not None:
                return job, False
            team = self._team(tx, r.channel, at)
            # A press that made no job of its own, and is delivered again, is looked for however long ago it was.
            if pressed and (job := _same(tx, team, r, at - ONE_PRESS if new else None)) is not None:
                return job, False
            job = Job(
                id=self._ids.job(),
                delivery=r.delivery,
                team_id=team.id,
                channel=r.channel,
                person=r.person,
                notify=list(r.notify),
                request=records.dump(r),
                state=JobState.REQUESTED,
                created_at=at,
                rerun_of=r.rerun_of,
            )
            statements.insert_row(tx, job)
            rows.note_on(tx, job, NoteKind.REQUESTED, at, by=r.person, data={"text": r.text})
            return job, True

    def _team(self, tx: Session, channel: str, at: datetime) -> Team:
        try:
            return rows.team_of_channel(tx, channel, self._settings.team)
        except NotFound:
            return budgets.add_team(tx, self._settings.team, name="", zone=self._settings.zone, at=at)

    def _is_new(self, delivery: str) -> bool:
        with self._db.write() as tx:
            return rows.seen(tx, delivery, self._clock.now())

    def _each_awaiting(self, act: Callable[[Session, str], bool]) -> list[str]:
        with self._db.read() as tx:
            waiting = [job.id for job in rows.jobs_in(tx, JobState.AWAITING_APPROVAL)]
        done = []
        for job_id in waiting:
            # Somebody who decided in this moment was first, and that is as it should be.
            with suppress(TooLate), self._db.write() as tx:
                if act(tx, job_id):
                    done.append(job_id)
        for job_id in done:
            self._wake(job_id)
        return done

    @contextmanager
    def _one_extension(self, job_id: str) -> Iterator[None]:
        with self._extending_lock:
            if job_id in self._extending:
                raise TooLate(f"Job {job_id} is being extended right now. Look at its card before you press again.")
            self._extending.add(job_id)
        try:
            yield
        finally:
            with self._extending_lock:
                self._extending.discard(job_id)

    def _move_back(self, job: Job, extension: Extension) -> None:
        # The column still has the old deadline and is what is enforced; the machine's own limit follows if it can.
        try:
            self._mover(job, extension.old)
        except HourglassError as error:
            _log.warning("extension.not_moved_back", job=job.id, error=str(error))


def _same(tx: Session, team: Team, r: Request, since: datetime | None) -> Job | None:
    """Return the newest job that this person asked for in the same words, `since` then and not over where it is given.

    Who presses again after a job is over wants another; the press itself, delivered again, meant that one.
    """
    # Two presses at once take turns here: SQLite has one writer, elsewhere the row is locked.
    tx.exec(select(Job.id).where(Job.id == r.rerun_of).with_for_update()).all()
    same = records.dump(dataclasses.replace(r, delivery=""))
    for job in rows.jobs_of_team(tx, team.id, 20, person=r.person):
        asked_now = since is None or (job.created_at > since and job.state not in TERMINAL)
        if asked_now and {**job.request, "delivery": ""} == same:
            return job
    return None
