"""A lead's word: who may give it, how often, until when, and what it is about."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest

from jobs import db as rows
from jobs.errors import BadRequest, Frozen, HourglassError, NotAllowed, Refused, TooLate
from jobs.lifecycle import JobState
from jobs.model import EntryKind, Job
from jobs.policy import Person
from jobs.values import DOLLAR
from tests.support.clock import START
from tests.support.house import ADA, BOB, GUEST, LEAD, OTHER_LEAD, House

HOLD, RELEASE, GRANT, CHARGE = EntryKind.HOLD, EntryKind.RELEASE, EntryKind.GRANT, EntryKind.CHARGE


def _waiting(house: House, minutes: float = 900) -> Job:
    """Return a job of $45 (fifteen hours) that is held and waits for a lead."""
    job = house.priced(minutes=minutes)
    assert job.state is JobState.AWAITING_APPROVAL
    return job


def _over_budget(house: House) -> Job:
    """Return a job of $12 that waits in a month of which $8 are free."""
    house.service.set_budget("vision", LEAD, "cap", 20 * DOLLAR)
    house.service.set_budget("vision", LEAD, "share_percent", 100)
    house.priced(person="U2BOB")
    job = house.priced()
    assert (job.state, job.needs_lead) == (JobState.AWAITING_APPROVAL, ["budget"])
    return job


# ---------------------------------------------------------------- the press


def test_a_lead_lets_a_job_start_as_it_was_priced() -> None:
    house = House()
    asked = _waiting(house)
    house.clock.advance(minutes=5)
    job = house.service.approve(asked.id, LEAD)
    assert (job.state, job.decided_by, job.decided_at) == (JobState.QUEUED, "U9LEAD", START + timedelta(minutes=5))
    bound = ("source", "image_digest", "rate_ceiling", "hold", "period_id", "spec")
    assert {name: getattr(job, name) for name in bound} == {name: getattr(asked, name) for name in bound}
    assert house.notes(job.id)[-1].by == "U9LEAD"
    assert house.notes(job.id)[-1].data == {"minutes": 900, "hold": 45 * DOLLAR, "grant": 0, "shorter": False}
    assert house.entries(job.id) == [(HOLD, 45 * DOLLAR)]
    assert house.woken[-1] == job.id


@pytest.mark.parametrize(
    ("by", "words"),
    [
        (BOB, "Only a lead"),
        (ADA, "Only a lead"),
        (GUEST, "guest"),
        (Person(id="U1ADA", lead=True), "another lead"),
    ],
    ids=["a teammate", "the requester", "a guest with a lead's badge", "a lead's own job"],
)
def test_others_may_not(by: Person, words: str) -> None:
    house = House()
    job = _waiting(house)
    with pytest.raises(NotAllowed, match=words):
        house.service.approve(job.id, by)
    assert house.job(job.id) == job


def test_the_only_lead_may_approve_his_own_job() -> None:
    house = House()
    job = _waiting(house)
    assert house.service.approve(job.id, Person(id="U1ADA", lead=True, only_lead=True)).decided_by == "U1ADA"


def test_a_press_counts_by_the_role_at_the_press() -> None:
    """Who was a lead when the card was posted and is none now may not approve."""
    house = House()
    job = _waiting(house)
    with pytest.raises(NotAllowed):
        house.service.approve(job.id, Person(id=LEAD.id, lead=False))


def test_a_delivery_of_a_press_that_comes_twice_is_one_press() -> None:
    house = House()
    job = _waiting(house)
    first = house.service.approve(job.id, LEAD, delivery="press-1")
    assert house.service.approve(job.id, LEAD, delivery="press-1") == first
    assert house.kinds(job.id).count("granted") == 1


@pytest.mark.parametrize("by", [LEAD, OTHER_LEAD, BOB], ids=["the same lead", "another lead", "a teammate"])
def test_whoever_presses_after_that_is_told_who_decided_and_when(by: Person) -> None:
    house = House()
    job = _waiting(house)
    house.service.approve(job.id, LEAD)
    house.clock.advance(minutes=7)
    with pytest.raises(TooLate, match=f"U9LEAD approved job {job.id} at 10:00 UTC") as told:
        house.service.approve(job.id, by)
    assert (told.value.by, told.value.at) == ("U9LEAD", START)
    with pytest.raises(TooLate, match="U9LEAD approved"):
        house.service.deny(job.id, by, "too dear")


def test_it_is_told_for_as_long_as_the_job_is_remembered() -> None:
    house = House()
    job = house.with_machine(house.service.approve(_waiting(house).id, LEAD))
    house.settle(job, DOLLAR)
    with pytest.raises(TooLate, match="U9LEAD approved"):
        house.service.approve(job.id, OTHER_LEAD)


def test_a_frozen_team_starts_nothing_that_waited_either() -> None:
    house = House()
    job = _waiting(house)
    house.service.freeze("vision", LEAD, True)
    with pytest.raises(Frozen, match="unfreeze"):
        house.service.approve(job.id, LEAD)
    house.service.freeze("vision", LEAD, False)
    assert house.service.approve(job.id, LEAD).state is JobState.QUEUED


def test_what_is_not_priced_yet_cannot_be_approved() -> None:
    house = House()
    with pytest.raises(Refused, match="still being priced"):
        house.service.approve(house.asked().id, LEAD)


def test_what_needed_nobody_says_so() -> None:
    house = House()
    with pytest.raises(TooLate, match="needed nobody"):
        house.service.approve(house.priced().id, LEAD)


def test_what_was_cancelled_says_by_whom() -> None:
    house = House()
    job = _waiting(house)
    house.service.cancel(job.id, ADA)
    with pytest.raises(TooLate, match="was cancelled by U1ADA at 10:00 UTC"):
        house.service.approve(job.id, LEAD)


# ---------------------------------------------------------------- shorter


def test_a_shorter_approval_gives_the_rest_of_the_hold_back() -> None:
    house = House()
    job = house.service.approve(_waiting(house).id, LEAD, minutes=300)
    assert (job.state, job.hold, job.spec and job.spec["minutes"]) == (JobState.QUEUED, 15 * DOLLAR, 300)
    assert house.entries(job.id) == [(HOLD, 45 * DOLLAR), (RELEASE, 30 * DOLLAR)]
    assert house.period().held == 15 * DOLLAR
    assert house.notes(job.id)[-1].data == {"minutes": 300, "hold": 15 * DOLLAR, "grant": 0, "shorter": True}
    house.settle(house.with_machine(job), 4 * DOLLAR)
    assert (house.period().held, house.period().spent) == (0, 4 * DOLLAR)
    house.balanced()


@pytest.mark.parametrize("minutes", [900, 901, 0, -5, float("nan")])
def test_shorter_has_to_be_shorter(minutes: float) -> None:
    house = House()
    job = _waiting(house)
    with pytest.raises(BadRequest, match="not shorter than the 15h"):
        house.service.approve(job.id, LEAD, minutes=minutes)
    assert house.job(job.id).state is JobState.AWAITING_APPROVAL
    assert house.period().held == 45 * DOLLAR


def test_shorter_never_holds_more_than_max_cost_allowed() -> None:
    house = House()
    house.service.set_budget("vision", LEAD, "auto_approve", DOLLAR)
    job = house.priced(minutes=900, max_cost=5 * DOLLAR)
    assert house.service.approve(job.id, LEAD, minutes=600).hold == 5 * DOLLAR
    job = house.priced(minutes=900, max_cost=5 * DOLLAR)
    assert house.service.approve(job.id, LEAD, minutes=60).hold == 3 * DOLLAR


# ---------------------------------------------------------------- over the free budget


def test_grant_hold_and_queue_are_one_press() -> None:
    house = House()
    job = house.service.approve(_over_budget(house).id, LEAD)
    assert job.state is JobState.QUEUED
    assert house.entries(job.id) == [(GRANT, 4 * DOLLAR), (HOLD, 12 * DOLLAR)]
    assert (house.period().granted, house.period().held, job.period_id) == (4 * DOLLAR, 24 * DOLLAR, house.period().id)
    assert house.notes(job.id)[-1].data["grant"] == 4 * DOLLAR
    assert house.service.budget("vision").free == 0


def test_money_that_came_free_meanwhile_is_used_before_any_is_granted() -> None:
    house = House()
    job = _over_budget(house)
    house.service.cancel("job0001", BOB)
    house.service.approve(job.id, LEAD)
    assert house.entries(job.id) == [(HOLD, 12 * DOLLAR)]


def test_a_shorter_approval_of_what_was_not_held_grants_less() -> None:
    house = House()
    job = house.service.approve(_over_budget(house).id, LEAD, minutes=180)
    assert house.entries(job.id) == [(GRANT, DOLLAR), (HOLD, 9 * DOLLAR)]
    assert job.hold == 9 * DOLLAR


def test_a_denied_job_that_held_nothing_leaves_no_trace_in_the_money() -> None:
    house = House()
    job = house.service.deny(_over_budget(house).id, LEAD, "not this month")
    assert (job.state, house.entries(job.id)) == (JobState.DENIED, [])


def test_a_hold_that_waited_over_the_end_of_a_month_stays_in_its_month() -> None:
    house = House()
    house.clock.advance(timedelta(days=18, hours=12))  # 30 November, 22:00
    job = _waiting(house)
    november = house.period().id
    house.clock.advance(hours=3)
    house.service.approve(job.id, LEAD)
    assert house.job(job.id).period_id == november
    assert house.service.budget("vision").held == 0


def test_a_grant_that_waited_over_the_end_of_a_month_is_not_needed_in_the_next() -> None:
    house = House()
    house.clock.advance(timedelta(days=18, hours=12))
    job = _over_budget(house)
    november = house.period().id
    house.clock.advance(hours=3)
    house.service.approve(job.id, LEAD)
    assert house.entries(job.id) == [(HOLD, 12 * DOLLAR)]
    assert house.job(job.id).period_id not in (None, november)


# ---------------------------------------------------------------- no


def test_a_denial_gives_the_hold_back_and_says_why() -> None:
    house = House()
    job = house.service.deny(_waiting(house).id, LEAD, "  use a smaller model " + "x" * 1000)
    assert (job.state, job.decided_by, job.finished_at) == (JobState.DENIED, "U9LEAD", START)
    assert job.decision_note.startswith("use a smaller model") and len(job.decision_note) == 500
    assert house.entries(job.id) == [(HOLD, 45 * DOLLAR), (CHARGE, 0), (RELEASE, 45 * DOLLAR)]
    assert house.notes(job.id)[-1].data == {"reason": job.decision_note}
    with pytest.raises(TooLate, match="U9LEAD denied"):
        house.service.approve(job.id, OTHER_LEAD)


def test_who_may_not_approve_may_not_deny_but_a_lead_may_deny_his_own() -> None:
    house = House()
    job = _waiting(house)
    for by in (BOB, ADA, GUEST):
        with pytest.raises(NotAllowed):
            house.service.deny(job.id, by, "")
    assert house.service.deny(job.id, Person(id="U1ADA", lead=True), "").state is JobState.DENIED


# ---------------------------------------------------------------- time


def test_a_question_expires_when_nobody_decided_and_gives_the_hold_back() -> None:
    house = House()
    job = _waiting(house)
    house.clock.advance(hours=3, minutes=59)
    assert house.service.expire_due() == []
    house.clock.advance(minutes=1)
    assert house.service.expire_due() == [job.id]
    assert house.service.expire_due() == []
    job = house.job(job.id)
    assert (job.state, house.period().held) == (JobState.EXPIRED, 0)
    assert house.notes(job.id)[-1].data == {"minutes": 240}
    with pytest.raises(TooLate, match="expired, as nobody decided in time, at 14:00 UTC"):
        house.service.approve(job.id, LEAD)


def test_a_press_after_the_time_is_too_late_even_before_the_tick() -> None:
    house = House()
    job = _waiting(house)
    house.clock.advance(hours=4)
    with pytest.raises(TooLate, match="Nobody decided in 4h"):
        house.service.approve(job.id, LEAD)
    with pytest.raises(TooLate, match="Nobody decided in 4h"):
        house.service.deny(job.id, LEAD, "")
    assert house.service.expire_due() == [job.id]


def test_leads_are_reminded_after_a_quarter_and_after_an_hour() -> None:
    house = House()
    job = _waiting(house)
    reminded = []
    for _ in range(24):
        house.clock.advance(minutes=5)
        reminded += [(house.clock.now() - START) / timedelta(minutes=1) for _ in house.service.remind_due()]
    assert reminded == [15, 60]
    notes = [note.data for note in house.notes(job.id) if note.kind == "reminded"]
    assert notes == [{"minutes": 15, "why": ["cost"]}, {"minutes": 60, "why": ["cost"]}]


def test_reminders_that_were_slept_through_are_not_made_up_for() -> None:
    house = House()
    job = _waiting(house)
    house.clock.advance(hours=2)
    assert (house.service.remind_due(), house.service.remind_due()) == ([job.id], [])
    assert house.notes(job.id)[-1].data["minutes"] == 60


def test_nobody_is_reminded_of_what_was_decided() -> None:
    house = House()
    house.service.approve(_waiting(house).id, LEAD)
    house.clock.advance(hours=5)
    assert (house.service.remind_due(), house.service.expire_due()) == ([], [])


# ---------------------------------------------------------------- all at once


def _all_at_once(presses: list[Callable[[], Job]]) -> list[Job | HourglassError]:
    gate = threading.Barrier(len(presses))

    def press(one: Callable[[], Job]) -> Job | HourglassError:
        gate.wait(10)
        try:
            return one()
        except HourglassError as error:
            return error

    with ThreadPoolExecutor(len(presses)) as pool:
        return list(pool.map(press, presses))


@pytest.mark.parametrize("over_budget", [False, True], ids=["held", "with a grant"])
def test_of_twenty_presses_one_wins_and_nineteen_are_told_by_whom(tmp_path: Path, over_budget: bool) -> None:
    house = House(url=f"sqlite:///{tmp_path / 'hourglass.db'}")
    job = _over_budget(house) if over_budget else _waiting(house)
    leads = [Person(id=f"U{number:02d}LEAD", lead=True) for number in range(20)]
    answers = _all_at_once([partial(house.service.approve, job.id, by) for by in leads])
    (won,) = [answer for answer in answers if isinstance(answer, Job)]
    told = [answer for answer in answers if isinstance(answer, TooLate)]
    assert (len(told), {error.by for error in told}) == (19, {won.decided_by})
    assert house.kinds(job.id).count("granted") == 1
    assert [kind for kind, _ in house.entries(job.id)] == ([GRANT, HOLD] if over_budget else [HOLD])
    house.balanced()
    house.db.close()


def test_approve_deny_cancel_and_expiry_in_one_moment_have_one_winner(tmp_path: Path) -> None:
    house = House(url=f"sqlite:///{tmp_path / 'hourglass.db'}")
    job = _waiting(house)
    presses: list[Callable[[], Job]] = [
        lambda: house.service.approve(job.id, LEAD),
        lambda: house.service.deny(job.id, OTHER_LEAD, ""),
        lambda: house.service.cancel(job.id, ADA),
    ]
    answers = _all_at_once(presses * 4)
    won = {answer.state for answer in answers if isinstance(answer, Job)}
    # Who cancels after an approval wins too: the job is queued then.
    assert won in ({JobState.DENIED}, {JobState.CANCELLED}, {JobState.QUEUED, JobState.CANCELLED})
    assert all(isinstance(answer, Job | TooLate) for answer in answers)
    assert house.period().held == 0
    house.balanced()
    with house.db.read() as tx:
        ends = [note.kind for note in rows.notes(tx, job.id) if note.kind in ("denied", "ended", "expired")]
    assert len(ends) == 1
    house.db.close()
