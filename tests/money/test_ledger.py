"""The team's money: what fits is held once, what was charged is a fact, and the sums are always right."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from sqlmodel import Session

from jobs import db as rows
from jobs import ledger
from jobs.errors import NotFound
from jobs.model import EntryKind, Job, NoteKind, Period
from jobs.values import DOLLAR
from tests.support.clock import START
from tests.support.house import LEAD, House

HOLD, RELEASE, CHARGE = EntryKind.HOLD, EntryKind.RELEASE, EntryKind.CHARGE
GRANT, REVOKE, OVERRUN = EntryKind.GRANT, EntryKind.REVOKE, EntryKind.OVERRUN


def _month(house: House, tx: Session) -> Period:
    return rows.period_of(tx, rows.get_team(tx, "vision"), house.clock.now())


def _hold(house: House, job: Job, micros: int, key: str = "") -> bool:
    """Hold for a job as intake does, and write the month on its row."""
    with house.db.write() as tx:
        row = rows.get_job(tx, job.id)
        period = _month(house, tx)
        key = key or f"{job.id}:hold:1"
        held = ledger.open_hold(
            tx, job_id=job.id, person=job.person, period=period, micros=micros, key=key, at=house.clock.now()
        )
        if held:
            rows.touch(tx, row, house.clock.now(), hold=micros, period_id=period.id)
    return held


def _grant(house: House, job: Job, micros: int) -> bool:
    with house.db.write() as tx:
        return ledger.grant(
            tx,
            job_id=job.id,
            person=job.person,
            period=_month(house, tx),
            micros=micros,
            by=LEAD.id,
            key=f"{job.id}:grant",
            at=house.clock.now(),
        )


def _close(house: House, job: Job, charge: int) -> ledger.Closed:
    with house.db.write() as tx:
        return ledger.close(tx, job=rows.get_job(tx, job.id), charge=charge, at=house.clock.now())


def _grow(house: House, job: Job, micros: int, key: str, *, must_fit: bool) -> bool:
    with house.db.write() as tx:
        return ledger.grow_hold(
            tx, job=rows.get_job(tx, job.id), micros=micros, key=key, at=house.clock.now(), must_fit=must_fit
        )


# ---------------------------------------------------------------- holding


def test_the_last_dollar_can_be_held_and_not_a_micro_more() -> None:
    house = House(cap=10 * DOLLAR)
    first, second, third = house.asked(), house.asked(), house.asked()
    assert _hold(house, first, 9 * DOLLAR)
    assert not _hold(house, second, DOLLAR + 1)
    assert house.period().held == 9 * DOLLAR
    assert house.entries(second.id) == []
    assert _hold(house, third, DOLLAR)
    house.balanced()


def test_the_same_hold_twice_is_one_hold() -> None:
    house = House()
    job = house.asked()
    assert [_hold(house, job, DOLLAR), _hold(house, job, DOLLAR)] == [True, True]
    assert house.period().held == DOLLAR


def test_a_machine_that_costs_nothing_may_start_in_a_month_that_was_overrun() -> None:
    house = House(cap=DOLLAR)
    job, free = house.asked(), house.asked()
    _hold(house, job, DOLLAR)
    _close(house, job, 5 * DOLLAR)
    assert house.service.budget("vision").free == -4 * DOLLAR
    assert not _hold(house, house.asked(), 1)
    assert _hold(house, free, 0)


def test_a_negative_hold_is_a_programming_error_and_changes_nothing() -> None:
    house = House()
    with pytest.raises(ValueError, match="cannot be written"):
        _hold(house, house.asked(), -1)
    assert house.period().held == 0


# ---------------------------------------------------------------- closing


def test_a_hold_ends_as_a_charge_and_what_is_given_back() -> None:
    house = House()
    job = house.asked()
    _hold(house, job, 12_400_000)
    closed = _close(house, job, 6_120_000)
    assert closed == ledger.Closed(charged=6_120_000, held=12_400_000, released=6_280_000, overrun=0)
    assert house.entries(job.id) == [(HOLD, 12_400_000), (CHARGE, 6_120_000), (RELEASE, 6_280_000)]
    assert (house.period().held, house.period().spent) == (0, 6_120_000)


def test_closing_twice_does_nothing_and_says_so() -> None:
    house = House()
    job = house.asked()
    _hold(house, job, 10 * DOLLAR)
    first, second = _close(house, job, 12 * DOLLAR), _close(house, job, 7 * DOLLAR)
    assert not first.again
    assert second == ledger.Closed(
        charged=first.charged, held=first.held, released=first.released, overrun=first.overrun, again=True
    )
    assert house.period().spent == 12 * DOLLAR
    house.balanced()


def test_what_exceeds_the_hold_is_charged_as_an_overrun_and_free_may_go_negative() -> None:
    house = House(cap=10 * DOLLAR)
    job = house.asked()
    _hold(house, job, 10 * DOLLAR)
    assert _close(house, job, 13 * DOLLAR).overrun == 3 * DOLLAR
    assert house.entries(job.id) == [(HOLD, 10 * DOLLAR), (CHARGE, 10 * DOLLAR), (OVERRUN, 3 * DOLLAR)]
    assert house.service.budget("vision").free == -3 * DOLLAR
    house.balanced()


def test_a_job_that_never_held_anything_closes_without_a_trace() -> None:
    house = House()
    job = house.asked()
    assert _close(house, job, 0) == ledger.Closed(charged=0, held=0, released=0, overrun=0)
    assert house.entries(job.id) == []
    with pytest.raises(NotFound, match="never held"):
        _close(house, job, 1)


def test_a_charge_belongs_to_the_month_of_its_hold() -> None:
    house = House()
    job = house.asked()
    _hold(house, job, 10 * DOLLAR)
    november = house.period()
    house.clock.advance(timedelta(days=30))
    _close(house, job, 4 * DOLLAR)
    with house.db.read() as tx:
        stored = tx.get(Period, november.id)
    assert stored is not None
    assert (stored.month, stored.held, stored.spent) == ("2026-11", 0, 4 * DOLLAR)
    assert house.service.budget("vision").spent == 0


# ---------------------------------------------------------------- growing, granting


def test_an_extension_must_fit_and_an_overdue_machine_is_a_fact() -> None:
    house = House(cap=10 * DOLLAR)
    job = house.asked()
    _hold(house, job, 9 * DOLLAR)
    assert not _grow(house, job, 2 * DOLLAR, "extend", must_fit=True)
    assert house.job(job.id).hold == 9 * DOLLAR
    assert _grow(house, job, 2 * DOLLAR, "overdue", must_fit=False)
    assert house.job(job.id).hold == 11 * DOLLAR
    assert house.service.budget("vision").free == -DOLLAR
    house.balanced()


def test_a_hold_grows_once_for_each_key() -> None:
    house = House()
    job = house.asked()
    _hold(house, job, DOLLAR)
    for _ in range(3):
        assert _grow(house, job, DOLLAR, "tick-1", must_fit=False)
    assert (house.job(job.id).hold, house.period().held) == (2 * DOLLAR, 2 * DOLLAR)


def test_more_than_a_job_holds_cannot_be_given_back() -> None:
    house = House()
    job = house.asked()
    _hold(house, job, DOLLAR)
    with pytest.raises(ValueError, match="more than"), house.db.write() as tx:
        ledger.shrink_hold(tx, job=rows.get_job(tx, job.id), micros=DOLLAR + 1, key="k", at=START)
    house.balanced()


@pytest.mark.parametrize(
    ("charge", "revoked"),
    [(0, 15), (5, 15), (20, 5), (25, 0), (40, 0)],
    ids=["nothing used", "paid by the month", "half the grant", "all of it", "more than held"],
)
def test_what_a_one_off_grant_did_not_need_goes_back(charge: int, revoked: int) -> None:
    house = House(cap=10 * DOLLAR)
    job = house.asked()
    assert [_grant(house, job, 15 * DOLLAR), _grant(house, job, 15 * DOLLAR)] == [True, False]
    assert _hold(house, job, 25 * DOLLAR)
    _close(house, job, charge * DOLLAR)
    assert house.period().granted == (15 - revoked) * DOLLAR
    assert house.service.budget("vision").free == (10 + 15 - revoked - charge) * DOLLAR
    house.balanced()


# ---------------------------------------------------------------- what is told


def _alerts(house: House) -> list[int]:
    with house.db.read() as tx:
        return [note.data["percent"] for note in rows.notes_after(tx, 0, 1000) if note.kind == NoteKind.ALERT]


def test_half_four_fifths_and_all_of_the_month_are_told_once_each() -> None:
    house = House(cap=100 * DOLLAR)
    for dollars in (49, 1, 10, 20, 10, 10):
        _hold(house, house.asked(), dollars * DOLLAR)
    assert _alerts(house) == [50, 80, 100]


def test_a_leap_over_several_steps_tells_the_highest() -> None:
    house = House(cap=100 * DOLLAR)
    _hold(house, house.asked(), 85 * DOLLAR)
    assert _alerts(house) == [80]


def test_money_that_comes_back_and_goes_again_is_not_told_twice() -> None:
    house = House(cap=100 * DOLLAR)
    for _ in range(3):
        job = house.asked()
        _hold(house, job, 60 * DOLLAR)
        _close(house, job, 0)
    assert _alerts(house) == [50]


def test_a_new_cap_is_told_about_anew_from_where_the_month_stands() -> None:
    house = House(cap=100 * DOLLAR)
    _hold(house, house.asked(), 60 * DOLLAR)
    house.service.set_budget("vision", LEAD, "cap", 200 * DOLLAR)
    _hold(house, house.asked(), 60 * DOLLAR)
    assert _alerts(house) == [50, 50]


def test_a_summary_adds_up_by_person_and_by_job() -> None:
    house = House()
    ada, bob, done = house.asked(), house.asked(person="U2BOB"), house.asked()
    _hold(house, ada, 10 * DOLLAR)
    _hold(house, bob, 30 * DOLLAR)
    _hold(house, done, 20 * DOLLAR)
    _close(house, done, 25 * DOLLAR)
    budget = house.service.budget("vision")
    assert budget.by_person == [("U1ADA", 35 * DOLLAR), ("U2BOB", 30 * DOLLAR)]
    assert budget.by_job == [
        (done.id, 0, 25 * DOLLAR),
        (bob.id, 30 * DOLLAR, 0),
        (ada.id, 10 * DOLLAR, 0),
    ]
    assert sum(micros for _, micros in budget.by_person) == budget.held + budget.spent


def test_a_month_in_which_nothing_happened_reads_as_zeros() -> None:
    house = House()
    house.clock.advance(timedelta(days=40))
    budget = house.service.budget("vision")
    assert (budget.month, budget.cap, budget.free, budget.held) == ("2026-12", 300 * DOLLAR, 300 * DOLLAR, 0)


# ---------------------------------------------------------------- for all histories


class Histories(RuleBasedStateMachine):
    """Any order of holds, growths, charges, grants and new caps, against a model of a few integers."""

    def __init__(self) -> None:
        super().__init__()
        self.house = House(cap=100)
        self.cap = 100
        self.open: dict[str, int] = {}  # job: its hold
        self.grants: dict[str, int] = {}
        self.spent = self.granted = 0
        self.keys = 0

    def free(self) -> int:
        return self.cap + self.granted - sum(self.open.values()) - self.spent

    @rule(micros=st.integers(1, 80))
    def hold(self, micros: int) -> None:
        job = self.house.asked()
        fits = micros <= self.free()
        assert _hold(self.house, job, micros) == fits
        if fits:
            self.open[job.id] = micros

    @rule(micros=st.integers(1, 80))
    def grant_and_hold(self, micros: int) -> None:
        job = self.house.asked()
        lacking = max(0, micros - self.free())
        _grant(self.house, job, lacking)
        assert _hold(self.house, job, micros)
        self.open[job.id], self.grants[job.id] = micros, lacking
        self.granted += lacking

    @rule(data=st.data(), micros=st.integers(0, 50), must_fit=st.booleans())
    def grow(self, data: st.DataObject, micros: int, must_fit: bool) -> None:
        if self.open:
            job_id = data.draw(st.sampled_from(sorted(self.open)))
            self.keys += 1
            fits = not must_fit or micros <= self.free() or micros == 0
            job = self.house.job(job_id)
            assert _grow(self.house, job, micros, f"grow-{self.keys}", must_fit=must_fit) == fits
            self.open[job_id] += micros if fits else 0

    @rule(data=st.data(), charge=st.integers(0, 150), again=st.booleans())
    def close(self, data: st.DataObject, charge: int, again: bool) -> None:
        if self.open:
            job_id = data.draw(st.sampled_from(sorted(self.open)))
            held, granted = self.open.pop(job_id), self.grants.pop(job_id, 0)
            closed = _close(self.house, self.house.job(job_id), charge)
            covered = min(charge, held)
            assert (closed.charged, closed.held, closed.released) == (charge, held, held - covered)
            assert closed.overrun == charge - covered
            self.spent += charge
            self.granted -= min(granted, held - covered)
            if again:
                assert _close(self.house, self.house.job(job_id), charge + 1).again

    @rule(cap=st.integers(0, 200))
    def set_cap(self, cap: int) -> None:
        self.house.service.set_budget("vision", LEAD, "cap", cap)
        self.cap = cap

    @invariant()
    def the_month_is_the_sum_of_its_entries_and_of_the_model(self) -> None:
        self.house.balanced()
        period = self.house.period()
        found = (period.cap, period.held, period.spent, period.granted)
        assert found == (self.cap, sum(self.open.values()), self.spent, self.granted)

    @invariant()
    def what_people_used_is_what_the_month_lost(self) -> None:
        budget = self.house.service.budget("vision")
        assert sum(micros for _, micros in budget.by_person) == budget.held + budget.spent
        assert {job: held for job, held, _ in budget.by_job if held} == {j: h for j, h in self.open.items() if h}

    def teardown(self) -> None:
        self.house.db.close()


TestHistories = Histories.TestCase
TestHistories.settings = settings(
    max_examples=6, stateful_step_count=14, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)


@given(holds=st.lists(st.integers(1, 60), max_size=12), charges=st.lists(st.integers(0, 60), max_size=12))
@settings(max_examples=6, deadline=None)
def test_without_overruns_no_history_overspends(holds: list[int], charges: list[int]) -> None:
    house = House(cap=100)
    held = [(job, micros) for micros in holds if _hold(house, job := house.asked(), micros)]
    for (job, micros), charge in zip(held, charges, strict=False):
        _close(house, job, min(charge, micros))
    assert house.service.budget("vision").free >= 0
    house.balanced()
    house.db.close()
