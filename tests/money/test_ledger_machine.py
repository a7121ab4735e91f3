"""Any order of the ledger's verbs over several months, against a model of plain integers.

Beside the histories of `test_ledger`, which come through the service, this one calls the verbs themselves: with keys
that were used before, with sums that do not fit, with charges of any size, and while months go by.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from sqlmodel import Session, select

from jobs import db, ledger
from jobs.errors import NotFound
from jobs.lifecycle import JobState
from jobs.model import Entry, EntryKind, Job, Period
from tests.support.builders import a_job, a_team
from tests.support.clock import FakeClock
from tests.support.databases import memory_database

CAP = 100
sums = st.integers(0, 80)


@dataclass(kw_only=True)
class Month:
    """What a month's row has to say."""

    cap: int = CAP
    held: int = 0
    spent: int = 0
    granted: int = 0

    @property
    def free(self) -> int:
        return self.cap + self.granted - self.held - self.spent


@dataclass(kw_only=True)
class Account:
    """One job's money."""

    month: str | None = None
    held: int = 0
    granted: int = 0
    closed: bool = False
    paid: int = 0  # charged, late costs included
    column: int = 0  # the job's `hold`


@dataclass(kw_only=True)
class Model:
    """Every month and every job, in integers."""

    months: dict[str, Month] = field(default_factory=dict)
    accounts: dict[str, Account] = field(default_factory=dict)


class Verbs(RuleBasedStateMachine):
    """The ledger beside its model."""

    def __init__(self) -> None:
        super().__init__()
        self.clock, self.db, self.model = FakeClock(), memory_database(), Model()
        self.keys = 0
        self.used: list[Callable[[], object]] = []  # verbs with keys that were written, to be repeated
        with self.db.write() as tx:
            tx.add(a_team(cap=CAP))

    def teardown(self) -> None:
        self.db.close()

    # -------------------------------------------------------- rules

    @rule(micros=sums)
    def hold(self, micros: int) -> None:
        job_id = self._new_job()
        month, fits = self._month(), micros == 0 or micros <= self._month().free
        assert self._open(job_id, micros) is fits
        if fits:
            account = self.model.accounts[job_id]
            account.month, account.held, account.column = self._now(), micros, micros
            month.held += micros
            self.used.append(lambda: self._open(job_id, micros + 1) is True)

    @rule(micros=sums)
    def hold_with_a_grant_for_what_is_lacking(self, micros: int) -> None:
        job_id = self._new_job()
        month, account = self._month(), self.model.accounts[job_id]
        lacking = max(0, micros - month.free)
        assert self._grant(job_id, lacking)
        month.granted += lacking
        assert self._open(job_id, micros)
        month.held += micros
        account.month, account.held, account.granted, account.column = self._now(), micros, lacking, micros
        self.used.append(lambda: self._grant(job_id, lacking + 5) is False)

    @precondition(lambda self: self._open_jobs())
    @rule(data=st.data(), micros=sums, must_fit=st.booleans())
    def grow(self, data: st.DataObject, micros: int, must_fit: bool) -> None:
        job_id = data.draw(st.sampled_from(self._open_jobs()))
        account, key = self.model.accounts[job_id], self._key()
        month = self.model.months[account.month or ""]
        fits = not must_fit or micros == 0 or micros <= month.free
        assert self._grow(job_id, micros, key, must_fit) is fits
        if fits:
            account.held += micros
            account.column += micros
            month.held += micros
            self.used.append(lambda: self._grow(job_id, micros + 3, key, must_fit) is True)

    @precondition(lambda self: self._open_jobs())
    @rule(data=st.data(), micros=sums)
    def shrink(self, data: st.DataObject, micros: int) -> None:
        job_id = data.draw(st.sampled_from(self._open_jobs()))
        account, key = self.model.accounts[job_id], self._key()
        if micros > account.held:
            with pytest.raises(ValueError, match="more than"):
                self._shrink(job_id, micros, key)
            return
        assert self._shrink(job_id, micros, key)
        account.held -= micros
        account.column -= micros
        self.model.months[account.month or ""].held -= micros
        self.used.append(lambda: self._shrink(job_id, 1, key) is False)

    @precondition(lambda self: self._open_jobs())
    @rule(data=st.data(), charge=st.integers(0, 150))
    def close(self, data: st.DataObject, charge: int) -> None:
        job_id = data.draw(st.sampled_from(self._open_jobs()))
        account = self.model.accounts[job_id]
        month, held = self.model.months[account.month or ""], account.held
        covered = min(charge, held)
        closed = self._close(job_id, charge)
        wanted = ledger.Closed(charged=charge, held=held, released=held - covered, overrun=charge - covered)
        assert closed == wanted
        month.held -= held
        month.spent += charge
        month.granted -= min(account.granted, held - covered)
        account.held, account.closed, account.paid = 0, True, charge
        self.used.append(lambda: self._close(job_id, charge + 9) == dataclasses.replace(wanted, again=True))

    @rule(charge=st.integers(0, 5))
    def close_what_never_held_anything(self, charge: int) -> None:
        job_id = self._new_job()
        if charge:
            with pytest.raises(NotFound):
                self._close(job_id, charge)
        else:
            assert self._close(job_id, 0) == ledger.Closed(charged=0, held=0, released=0, overrun=0)

    @precondition(lambda self: self.used)
    @rule(data=st.data())
    def say_it_again(self, data: st.DataObject) -> None:
        """A key that was written does nothing, whatever comes with it; the invariants see to that."""
        assert data.draw(st.sampled_from(self.used))()

    @rule(cap=st.integers(0, 200))
    def set_cap(self, cap: int) -> None:
        month = self._month()
        with self.db.write() as tx:
            team = db.get_team(tx, "vision")
            ledger.set_cap(tx, team=team, period=db.period_of(tx, team, self.clock.now()), cap=cap)
        month.cap = cap

    @rule()
    def a_month_goes_by(self) -> None:
        self.clock.advance(timedelta(days=31))

    # -------------------------------------------------------- invariants

    @invariant()
    def each_month_says_what_the_model_says_and_what_its_entries_say(self) -> None:
        with self.db.read() as tx:
            periods, entries = list(tx.exec(select(Period))), list(tx.exec(select(Entry)))
        found = {p.month: Month(cap=p.cap, held=p.held, spent=p.spent, granted=p.granted) for p in periods}
        assert found == self.model.months
        for period in periods:
            total = {
                kind: sum(e.micros for e in entries if e.period_id == period.id and e.kind is kind)
                for kind in EntryKind
            }
            assert period.held == total[EntryKind.HOLD] - total[EntryKind.RELEASE] - total[EntryKind.CHARGE]
            assert period.spent == total[EntryKind.CHARGE] + total[EntryKind.OVERRUN]
            assert period.granted == total[EntryKind.GRANT] - total[EntryKind.REVOKE]

    @invariant()
    def each_job_holds_what_the_model_says_and_is_closed_once(self) -> None:
        with self.db.read() as tx:
            for job_id, account in self.model.accounts.items():
                written = ledger.entries(tx, job_id)
                assert ledger.open_of(written) == account.held
                assert [entry.kind for entry in written].count(EntryKind.CHARGE) == account.closed
                assert db.get_job(tx, job_id).hold == account.column

    # -------------------------------------------------------- the verbs

    def _new_job(self) -> str:
        job_id = f"job{len(self.model.accounts):03d}"
        with self.db.write() as tx:
            tx.add(a_job(id=job_id, delivery=job_id, state=JobState.QUEUED, created_at=self.clock.now()))
        self.model.accounts[job_id] = Account()
        return job_id

    def _open_jobs(self) -> list[str]:
        return [name for name, account in self.model.accounts.items() if account.month and not account.closed]

    def _key(self) -> str:
        self.keys += 1
        return f"key-{self.keys}"

    def _now(self) -> str:
        return db.month_of("UTC", self.clock.now())

    def _month(self) -> Month:
        """Return the model of this month; its row is made with it."""
        with self.db.write() as tx:
            db.period_of(tx, db.get_team(tx, "vision"), self.clock.now())
        return self.model.months.setdefault(self._now(), Month())

    def _open(self, job_id: str, micros: int) -> bool:
        with self.db.write() as tx:
            job = db.get_job(tx, job_id)
            period = self._period(tx, job)
            facts = {"job_id": job_id, "person": job.person, "period": period, "micros": micros}
            held = ledger.open_hold(tx, **facts, key=f"{job_id}:hold:1", at=self.clock.now())
            if held and job.period_id is None:
                db.touch(tx, job, self.clock.now(), hold=micros, period_id=period.id)
        return held

    def _grant(self, job_id: str, micros: int) -> bool:
        with self.db.write() as tx:
            job = db.get_job(tx, job_id)
            facts = {"job_id": job_id, "person": job.person, "period": self._period(tx, job), "by": "U9LEAD"}
            return ledger.grant(tx, **facts, micros=micros, key=f"{job_id}:grant", at=self.clock.now())

    def _grow(self, job_id: str, micros: int, key: str, must_fit: bool) -> bool:
        with self.db.write() as tx:
            job = db.get_job(tx, job_id)
            return ledger.grow_hold(tx, job=job, micros=micros, key=key, at=self.clock.now(), must_fit=must_fit)

    def _shrink(self, job_id: str, micros: int, key: str) -> bool:
        with self.db.write() as tx:
            return ledger.shrink_hold(tx, job=db.get_job(tx, job_id), micros=micros, key=key, at=self.clock.now())

    def _close(self, job_id: str, charge: int) -> ledger.Closed:
        with self.db.write() as tx:
            return ledger.close(tx, job=db.get_job(tx, job_id), charge=charge, at=self.clock.now())

    def _period(self, tx: Session, job: Job) -> Period:
        known = tx.get(Period, job.period_id) if job.period_id else None
        return known or db.period_of(tx, db.get_team(tx, "vision"), self.clock.now())


TestVerbs = Verbs.TestCase
TestVerbs.settings = settings(
    derandomize=True,
    max_examples=10,
    stateful_step_count=20,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
