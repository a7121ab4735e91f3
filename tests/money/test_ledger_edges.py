"""What each verb of the ledger writes, column by column, and what it answers when it has nothing to do."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlmodel import Session, select

from jobs import db as rows
from jobs import ledger
from jobs.errors import NotFound
from jobs.model import Entry, EntryKind, Job, Note, NoteKind, Period
from jobs.values import DOLLAR
from tests.support.clock import START
from tests.support.house import House

LATER = START + timedelta(hours=3)


@pytest.fixture
def house() -> House:
    return House(cap=100 * DOLLAR)


def _period(house: House, tx: Session, at: datetime = START) -> Period:
    return rows.period_of(tx, rows.get_team(tx, "vision"), at)


def _held(house: House, micros: int = 10 * DOLLAR, person: str = "U1ADA") -> str:
    """Return a job that holds so much."""
    job = house.asked(person=person)
    with house.db.write() as tx:
        period = _period(house, tx)
        facts = {"job_id": job.id, "person": person, "period": period, "micros": micros}
        assert ledger.open_hold(tx, **facts, key=f"{job.id}:hold:1", at=START)
        rows.touch(tx, rows.get_job(tx, job.id), START, hold=micros, period_id=period.id)
    return job.id


def _last(house: House) -> dict[str, Any]:
    """Return the newest entry without its number."""
    with house.db.read() as tx:
        return list(tx.exec(select(Entry).order_by(Entry.id)))[-1].model_dump(exclude={"id"})  # type: ignore[arg-type]


def _entry(house: House, job_id: str, **columns: Any) -> dict[str, Any]:
    period = house.period().id
    whole = {"period_id": period, "job_id": job_id, "person": "U1ADA", "at": LATER, "note": ""}
    return whole | columns


# ---------------------------------------------------------------- what is written


@pytest.mark.parametrize("must_fit", [True, False])
def test_a_growth_is_a_hold_under_its_own_key(house: House, must_fit: bool) -> None:
    job_id = _held(house)
    with house.db.write() as tx:
        job = rows.get_job(tx, job_id)
        assert ledger.grow_hold(tx, job=job, micros=DOLLAR, key="more", at=LATER, must_fit=must_fit)
    assert _last(house) == _entry(house, job_id, key="more", kind=EntryKind.HOLD, micros=DOLLAR)
    assert (house.job(job_id).hold, house.period().held) == (11 * DOLLAR, 11 * DOLLAR)


def test_what_is_given_back_is_a_release_under_its_own_key_and_once(house: House) -> None:
    job_id = _held(house)
    answers = []
    for _ in range(2):
        with house.db.write() as tx:
            job = rows.get_job(tx, job_id)
            answers.append(ledger.shrink_hold(tx, job=job, micros=4 * DOLLAR, key="less", at=LATER))
    assert answers == [True, False]
    assert _last(house) == _entry(house, job_id, key="less", kind=EntryKind.RELEASE, micros=4 * DOLLAR)
    assert (house.job(job_id).hold, house.period().held) == (6 * DOLLAR, 6 * DOLLAR)
    house.balanced()


def test_all_of_a_hold_can_be_given_back(house: House) -> None:
    job_id = _held(house)
    with house.db.write() as tx:
        assert ledger.shrink_hold(tx, job=rows.get_job(tx, job_id), micros=10 * DOLLAR, key="all", at=LATER)
    assert (house.job(job_id).hold, house.period().held) == (0, 0)


def test_a_growth_must_fit_to_the_micro(house: House) -> None:
    job_id = _held(house, 60 * DOLLAR)
    for micros, fits in ((40 * DOLLAR + 1, False), (40 * DOLLAR, True)):
        with house.db.write() as tx:
            job = rows.get_job(tx, job_id)
            assert ledger.grow_hold(tx, job=job, micros=micros, key=str(micros), at=LATER, must_fit=True) is fits
    assert house.job(job_id).hold == 100 * DOLLAR


def test_a_grant_says_whose_word_it_was(house: House) -> None:
    job = house.asked()
    with house.db.write() as tx:
        period = _period(house, tx)
        facts = {"job_id": job.id, "person": "U1ADA", "period": period, "micros": 7, "by": "U9LEAD"}
        assert ledger.grant(tx, **facts, key="grant", at=LATER)
    assert _last(house) == _entry(house, job.id, key="grant", kind=EntryKind.GRANT, micros=7, note="by U9LEAD")


def test_what_comes_to_light_late_is_an_overrun_of_the_jobs_month_once(house: House) -> None:
    job_id = _held(house)
    with house.db.write() as tx:
        ledger.close(tx, job=rows.get_job(tx, job_id), charge=9 * DOLLAR, at=START)
        rows.touch(tx, rows.get_job(tx, job_id), START, charged=9 * DOLLAR)
    month = house.period()
    house.clock.advance(timedelta(days=40))
    answers = []
    for _ in range(2):
        with house.db.write() as tx:
            job = rows.get_job(tx, job_id)
            answers.append(ledger.add_late(tx, job=job, micros=2 * DOLLAR, key="late", at=house.clock.now()))
    assert answers == [True, False]
    with house.db.read() as tx:
        stored = tx.get(Period, month.id)
    assert stored is not None and stored.spent == 11 * DOLLAR
    written = {"key": "late", "kind": EntryKind.OVERRUN, "micros": 2 * DOLLAR, "at": house.clock.now()}
    assert _last(house) == {"period_id": month.id, "job_id": job_id, "person": "U1ADA", "note": ""} | written
    assert (house.job(job_id).charged, house.job(job_id).period_id) == (11 * DOLLAR, month.id)


def test_what_comes_to_light_late_of_a_job_that_held_nothing_is_of_the_month_in_which_it_did(house: House) -> None:
    job = house.asked()
    with house.db.write() as tx:
        assert ledger.add_late(tx, job=rows.get_job(tx, job.id), micros=60 * DOLLAR, key="late", at=LATER)
    assert house.period().spent == 60 * DOLLAR
    assert (house.job(job.id).charged, house.job(job.id).period_id) == (60 * DOLLAR, house.period().id)
    assert _alerts(house) == [50]


def test_a_close_writes_each_part_under_its_own_key(house: House) -> None:
    job_id = _held(house)
    with house.db.write() as tx:
        period = _period(house, tx)
        facts = {"job_id": job_id, "person": "U1ADA", "period": period, "by": "U9LEAD", "at": START}
        ledger.grant(tx, **facts, micros=3 * DOLLAR, key="grant")
        closed = ledger.close(tx, job=rows.get_job(tx, job_id), charge=8 * DOLLAR, at=LATER)
    assert closed == ledger.Closed(charged=8 * DOLLAR, held=10 * DOLLAR, released=2 * DOLLAR, overrun=0)
    with house.db.read() as tx:
        parts = [entry.model_dump(exclude={"id"}) for entry in ledger.entries(tx, job_id)[2:]]
        again = ledger.close(tx, job=rows.get_job(tx, job_id), charge=1, at=LATER)
    assert parts == [
        _entry(house, job_id, key=f"{job_id}:{name}", kind=kind, micros=dollars * DOLLAR)
        for name, kind, dollars in (
            ("charge", EntryKind.CHARGE, 8),
            ("release", EntryKind.RELEASE, 2),
            ("revoke", EntryKind.REVOKE, 2),
        )
    ]
    assert again == ledger.Closed(charged=8 * DOLLAR, held=10 * DOLLAR, released=2 * DOLLAR, overrun=0, again=True)


def test_a_close_at_its_last_micro_leaves_nothing_over_and_nothing_back(house: House) -> None:
    job_id = _held(house)
    with house.db.write() as tx:
        ledger.close(tx, job=rows.get_job(tx, job_id), charge=10 * DOLLAR, at=LATER)
        assert ledger.open_of(ledger.entries(tx, job_id)) == 0
    assert house.entries(job_id) == [(EntryKind.HOLD, 10 * DOLLAR), (EntryKind.CHARGE, 10 * DOLLAR)]


def test_what_was_given_back_before_the_end_is_not_told_as_given_back_by_it(house: House) -> None:
    job_id = _held(house)
    with house.db.write() as tx:
        ledger.shrink_hold(tx, job=rows.get_job(tx, job_id), micros=4 * DOLLAR, key=f"{job_id}:shorter", at=START)
        first = ledger.close(tx, job=rows.get_job(tx, job_id), charge=DOLLAR, at=LATER)
        again = ledger.close(tx, job=rows.get_job(tx, job_id), charge=DOLLAR, at=LATER)
    assert (first.held, first.released, first.again) == (6 * DOLLAR, 5 * DOLLAR, False)
    assert (again.held, again.released, again.again) == (6 * DOLLAR, 5 * DOLLAR, True)


def test_what_cannot_be_written_says_which_entry(house: House) -> None:
    job = house.asked()
    with pytest.raises(ValueError, match=r"^Entry k of -1 micros cannot be written\.$"), house.db.write() as tx:
        facts = {"job_id": job.id, "person": "U1ADA", "period": _period(house, tx), "by": "U9LEAD", "at": START}
        ledger.grant(tx, **facts, micros=-1, key="k")
    with pytest.raises(ValueError, match="cannot be written"), house.db.write() as tx:
        nowhere = Period(team_id="vision", month="2027-01", cap=1)
        ledger._write(tx, EntryKind.HOLD, key="k", period=nowhere, job_id=job.id, person="U1ADA", micros=1, at=START)
    assert house.entries(job.id) == []


def test_a_job_that_never_held_anything_has_no_month(house: House) -> None:
    job = house.asked()
    with house.db.read() as tx, pytest.raises(NotFound, match=f"^Job {job.id} never held anything, so there is no"):
        ledger.month_of_hold(tx, job)
    with house.db.write() as tx:
        gone = Job(**{**rows.get_job(tx, job.id).model_dump(), "period_id": 99})
        with pytest.raises(NotFound):
            ledger.month_of_hold(tx, gone)


# ---------------------------------------------------------------- what is told


def _alerts(house: House) -> list[int]:
    with house.db.read() as tx:
        return [note.data["percent"] for note in rows.notes_after(tx, 0, 1000) if note.kind == NoteKind.ALERT]


def test_an_alert_says_of_whom_and_how_much(house: House) -> None:
    _held(house, 50 * DOLLAR)
    with house.db.read() as tx:
        (note,) = tx.exec(select(Note).where(Note.kind == NoteKind.ALERT)).all()
    assert (note.key, note.team_id, note.job_id, note.at) == (
        f"vision:2026-11:alert:50:{100 * DOLLAR}",
        "vision",
        None,
        START,
    )
    assert note.data == {
        "percent": 50,
        "held": 50 * DOLLAR,
        "spent": 0,
        "month": "2026-11",
        "cap": 100 * DOLLAR,
        "granted": 0,
    }
    assert house.period().alerted == 50


@pytest.mark.parametrize(("micros", "told"), [(50 * DOLLAR - 1, []), (50 * DOLLAR, [50]), (100 * DOLLAR, [100])])
def test_a_step_is_reached_at_its_micro(house: House, micros: int, told: list[int]) -> None:
    _held(house, micros)
    assert _alerts(house) == told


@pytest.mark.parametrize(("short", "told"), [(0, [50]), (1, [])])
def test_what_is_spent_and_granted_counts_towards_the_steps(house: House, short: int, told: list[int]) -> None:
    job_id = _held(house, 40 * DOLLAR)
    with house.db.write() as tx:
        facts = {"job_id": job_id, "person": "U1ADA", "period": _period(house, tx), "by": "U9LEAD", "at": START}
        ledger.grant(tx, **facts, micros=100 * DOLLAR, key="grant")
        ledger.close(tx, job=rows.get_job(tx, job_id), charge=100 * DOLLAR - short, at=START)
    assert _alerts(house) == told


def test_a_growth_and_a_late_cost_alert_too(house: House) -> None:
    job_id = _held(house, 40 * DOLLAR)
    with house.db.write() as tx:
        job = rows.get_job(tx, job_id)
        ledger.grow_hold(tx, job=job, micros=10 * DOLLAR, key="more", at=START, must_fit=False)
    assert _alerts(house) == [50]
    with house.db.write() as tx:
        ledger.add_late(tx, job=rows.get_job(tx, job_id), micros=30 * DOLLAR, key="late", at=START)
    assert _alerts(house) == [50, 80]


def test_a_cap_of_nothing_alerts_nobody() -> None:
    house = House(cap=0)
    job = house.asked()
    with house.db.write() as tx:
        ledger.add_late(tx, job=rows.get_job(tx, job.id), micros=DOLLAR, key="late", at=START)
    assert _alerts(house) == []


@pytest.mark.parametrize(("cap", "alerted"), [(200, 0), (120, 50), (80, 50), (75, 80), (60, 100), (10, 100), (0, 0)])
def test_a_new_cap_tells_from_where_the_month_stands(house: House, cap: int, alerted: int) -> None:
    _held(house, 60 * DOLLAR)
    with house.db.write() as tx:
        period = _period(house, tx)
        ledger.set_cap(tx, team=rows.get_team(tx, "vision"), period=period, cap=cap * DOLLAR)
        assert (period.cap, period.alerted) == (cap * DOLLAR, alerted)
    assert (house.period().cap, house.period().alerted) == (cap * DOLLAR, alerted)


# ---------------------------------------------------------------- what is summed up


def test_a_budget_names_people_by_what_they_use_then_by_name_and_jobs_from_the_newest(house: House) -> None:
    spent = {"U3": 10, "U1": 20, "U2": 20, "U4": 5}
    ids = [_held(house, dollars * DOLLAR, person) for person, dollars in spent.items()]
    with house.db.write() as tx:  # the oldest job has the newest entry
        job = rows.get_job(tx, ids[0])
        ledger.grow_hold(tx, job=job, micros=DOLLAR, key="more", at=LATER, must_fit=True)
        ledger.close(tx, job=rows.get_job(tx, ids[1]), charge=6 * DOLLAR, at=LATER)
        assert ledger.used_by(tx, _period(house, tx), "U1") == 6 * DOLLAR
        assert ledger.used_by(tx, _period(house, tx), "U9") == 0
    budget = house.service.budget("vision")
    assert budget.by_person == [("U2", 20 * DOLLAR), ("U3", 11 * DOLLAR), ("U1", 6 * DOLLAR), ("U4", 5 * DOLLAR)]
    assert [(name, held // DOLLAR, cost // DOLLAR) for name, held, cost in budget.by_job] == [
        (ids[1], 0, 6),
        (ids[0], 11, 0),
        (ids[3], 5, 0),
        (ids[2], 20, 0),
    ]
    assert (budget.month, budget.cap, budget.held, budget.spent) == ("2026-11", 100 * DOLLAR, 36 * DOLLAR, 6 * DOLLAR)


def test_people_who_use_the_same_are_named_in_the_order_of_their_names(house: House) -> None:
    for person in ("U3", "U1", "U2"):
        _held(house, DOLLAR, person)
    assert [person for person, _ in house.service.budget("vision").by_person] == ["U1", "U2", "U3"]


def test_a_grant_alone_is_nobodys_use(house: House) -> None:
    job = house.asked()
    with house.db.write() as tx:
        facts = {"job_id": job.id, "person": "U1ADA", "period": _period(house, tx), "by": "U9LEAD", "at": START}
        ledger.grant(tx, **facts, micros=DOLLAR, key="grant")
    assert house.service.budget("vision").by_person == []


def test_an_empty_month_has_empty_lists(house: House) -> None:
    house.clock.advance(timedelta(days=40))
    budget = house.service.budget("vision")
    assert (list(budget.by_person), list(budget.by_job)) == ([], [])


def test_a_job_whose_newest_entry_is_its_charge_comes_first(house: House) -> None:
    older, newer = _held(house), _held(house)
    with house.db.write() as tx:
        ledger.close(tx, job=rows.get_job(tx, older), charge=10 * DOLLAR, at=LATER)
    assert [name for name, _, _ in house.service.budget("vision").by_job] == [older, newer]
