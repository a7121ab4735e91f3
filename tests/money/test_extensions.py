"""More time: the hold first, the machine next, the deadline last; and whatever fails leaves the old one."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from jobs import db as rows
from jobs.errors import (
    BadRequest,
    Frozen,
    HourglassError,
    NotAllowed,
    OverBudget,
    Refused,
    Rejected,
    TooLate,
    Unknown,
)
from jobs.lifecycle import JobEventName, JobState
from jobs.model import EntryKind, Job
from jobs.policy import Person
from jobs.providers import Guarantee
from jobs.values import DOLLAR
from tests.support.builders import some_traits
from tests.support.clock import START
from tests.support.house import ADA, BOB, GUEST, LEAD, House

HOLD, RELEASE = EntryKind.HOLD, EntryKind.RELEASE
FOUR = START + timedelta(hours=4)


def _running(house: House, minutes: float = 240) -> Job:
    """Return a job of $3 an hour at most that runs until 14:00."""
    return house.with_machine(house.priced(minutes=minutes))


def test_an_extension_grows_the_hold_moves_the_machine_and_then_the_deadline() -> None:
    house = House()
    job = _running(house)
    with house.db.write() as tx:
        rows.touch(tx, rows.get_job(tx, job.id), START, warned=True)
    job = house.service.extend(job.id, ADA, 60)
    assert (job.deadline, job.hold, job.spec and job.spec["minutes"], job.warned) == (
        FOUR + timedelta(hours=1),
        15 * DOLLAR,
        300,
        False,
    )
    assert house.moved == [(job.id, FOUR + timedelta(hours=1))]
    assert house.entries(job.id) == [(HOLD, 12 * DOLLAR), (HOLD, 3 * DOLLAR)]
    note = house.notes(job.id)[-1]
    assert (note.kind, note.by) == ("extended", "U1ADA")
    assert note.data == {"deadline": (FOUR + timedelta(hours=1)).timestamp(), "minutes": 60, "hold": 15 * DOLLAR}
    assert house.woken[-1] == job.id
    house.balanced()


def test_extensions_add_up_and_settle_as_one() -> None:
    house = House()
    job = _running(house, 60)
    for _ in range(3):
        house.service.extend(job.id, ADA, 30)
    job = house.job(job.id)
    assert (job.deadline, job.hold) == (START + timedelta(hours=2, minutes=30), 7_500_000)
    house.settle(job, 6 * DOLLAR)
    assert (house.period().held, house.period().spent) == (0, 6 * DOLLAR)
    house.balanced()


def test_the_deadline_is_still_the_old_one_while_the_machine_is_moved() -> None:
    house = House()
    job = _running(house)
    seen: list[tuple[datetime | None, int]] = []

    class Watching(list[tuple[str, datetime]]):
        def append(self, item: tuple[str, datetime]) -> None:
            row = house.job(job.id)
            seen.append((row.deadline, row.hold))

    house.moved = Watching()
    house.service.extend(job.id, ADA, 60)
    assert seen == [(FOUR, 15 * DOLLAR)]


# ---------------------------------------------------------------- what fails


@pytest.mark.parametrize(
    "error", [Rejected("The cloud says no."), Unknown("No answer."), ConnectionError("not ours")], ids=type
)
def test_a_machine_that_cannot_be_moved_leaves_the_old_deadline_and_the_old_hold(error: Exception) -> None:
    house = House()
    job = _running(house)
    house.mover_says = [error]
    with pytest.raises(type(error)):
        house.service.extend(job.id, ADA, 60)
    after = house.job(job.id)
    assert (after.deadline, after.hold, after.spec) == (FOUR, 12 * DOLLAR, job.spec)
    assert house.period().held == 12 * DOLLAR
    assert "extended" not in house.kinds(job.id)
    house.service.extend(job.id, ADA, 60)  # and it can be tried again
    assert house.job(job.id).deadline == FOUR + timedelta(hours=1)
    house.balanced()


def test_a_machine_that_begins_to_stop_meanwhile_keeps_its_deadline() -> None:
    house = House()
    job = _running(house)

    class Stopping(list[tuple[str, datetime]]):
        def append(self, item: tuple[str, datetime]) -> None:
            super().append(item)
            if len(self) == 1:
                house.service.cancel(job.id, ADA)

    house.moved = Stopping()
    with pytest.raises(TooLate, match="stopping already"):
        house.service.extend(job.id, ADA, 60)
    after = house.job(job.id)
    assert (after.state, after.deadline, after.hold) == (JobState.STOPPING, FOUR, 12 * DOLLAR)
    assert [deadline for _, deadline in house.moved] == [FOUR + timedelta(hours=1), FOUR]  # and the limit moved back
    house.balanced()


def test_a_crash_between_hold_and_deadline_costs_nothing_once_the_job_is_settled() -> None:
    house = House()
    job = _running(house)
    house.service.begin_extension(job.id, ADA, 60)  # and the process dies here
    assert (house.job(job.id).deadline, house.period().held) == (FOUR, 15 * DOLLAR)
    house.settle(job, 5 * DOLLAR)
    assert (house.period().held, house.period().spent) == (0, 5 * DOLLAR)
    house.balanced()


def test_what_was_undone_is_undone_once_and_never_after_the_end() -> None:
    house = House()
    job = _running(house)
    extension = house.service.begin_extension(job.id, ADA, 60)
    assert [house.service.undo_extension(extension), house.service.undo_extension(extension)] == [True, False]
    extension = house.service.begin_extension(job.id, ADA, 60)
    house.settle(job, DOLLAR)
    assert house.service.undo_extension(extension) is False
    house.balanced()


def test_of_two_extensions_begun_on_one_deadline_the_second_is_too_late() -> None:
    house = House()
    job = _running(house)
    first, second = (house.service.begin_extension(job.id, ADA, minutes) for minutes in (60, 30))
    house.service.finish_extension(first)
    with pytest.raises(TooLate, match="moved meanwhile"):
        house.service.finish_extension(second)
    assert house.job(job.id).deadline == FOUR + timedelta(hours=1)


def test_two_presses_at_once_make_one_extension(tmp_path: Path) -> None:
    house = House(url=f"sqlite:///{tmp_path / 'hourglass.db'}")
    job = _running(house, 60)
    moving, go_on = threading.Event(), threading.Event()

    class Waiting(list[tuple[str, datetime]]):
        def append(self, item: tuple[str, datetime]) -> None:
            moving.set()
            go_on.wait(10)

    house.moved = Waiting()
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(house.service.extend, job.id, ADA, 30)
        assert moving.wait(10)
        with pytest.raises(TooLate, match="being extended right now"):
            house.service.extend(job.id, ADA, 30)
        go_on.set()
        assert first.result().deadline == START + timedelta(minutes=90)
    assert house.service.extend(job.id, ADA, 30).deadline == START + timedelta(minutes=120)
    house.balanced()
    house.db.close()


def test_a_delivery_of_a_press_that_comes_twice_is_one_extension() -> None:
    house = House()
    job = _running(house)
    for _ in range(2):
        job = house.service.extend(job.id, ADA, 60, delivery="press-1")
    assert job.deadline == FOUR + timedelta(hours=1)


# ---------------------------------------------------------------- who may, and how far


@pytest.mark.parametrize(
    ("by", "minutes", "error", "words"),
    [
        (BOB, 60, NotAllowed, "only they"),
        (ADA, 0, BadRequest, "no extension"),
        (ADA, -60, BadRequest, "no extension"),
        (ADA, float("nan"), BadRequest, "no extension"),
        (ADA, 21 * 60, Refused, "makes 25h; the longest job of this team is 24h"),
        (ADA, 160, NotAllowed, r"holds \$20.00; from \$20.00 on a lead has to press"),
        (Person(id="U1ADA", lead=True), 160, NotAllowed, "a lead has to press"),
    ],
)
def test_what_is_not_allowed_changes_nothing(
    by: Person, minutes: float, error: type[HourglassError], words: str
) -> None:
    house = House()
    job = _running(house)
    with pytest.raises(error, match=words):
        house.service.extend(job.id, by, minutes)
    assert house.job(job.id) == job
    assert house.moved == []


@pytest.mark.parametrize("by", [LEAD, Person(id="U1ADA", lead=True, only_lead=True)], ids=["a lead", "the only lead"])
def test_a_lead_may_extend_over_the_limit(by: Person) -> None:
    house = House()
    assert house.service.extend(_running(house).id, by, 160).hold == 20 * DOLLAR


def test_those_who_are_notified_may_extend() -> None:
    house = House()
    job = house.asked(notify=("U2BOB",))
    house.intake.work(job.id)
    job = house.with_machine(house.job(job.id))
    assert house.service.extend(job.id, BOB, 60).deadline == FOUR + timedelta(hours=1)
    with pytest.raises(NotAllowed):
        house.service.extend(job.id, Person(id=GUEST.id, lead=False, guest=True), 60)


def test_more_than_the_month_has_is_refused_even_to_a_lead() -> None:
    house = House(cap=25 * DOLLAR)
    house.service.set_budget("vision", LEAD, "share_percent", 100)
    job = _running(house)
    with pytest.raises(OverBudget, match=r"hold \$15.00.*`/budget cap`"):
        house.service.extend(job.id, LEAD, 300)
    assert house.job(job.id).hold == 12 * DOLLAR
    house.service.set_budget("vision", LEAD, "cap", 27 * DOLLAR)
    assert house.service.extend(job.id, LEAD, 300).hold == 27 * DOLLAR


def test_over_a_persons_share_a_lead_has_to_press() -> None:
    house = House(cap=28 * DOLLAR)
    job = _running(house)
    with pytest.raises(NotAllowed, match="U1ADA is over 50 % of the month"):
        house.service.extend(job.id, ADA, 60)
    assert house.service.extend(job.id, LEAD, 60).hold == 15 * DOLLAR


def test_what_was_started_with_a_cost_limit_keeps_it() -> None:
    house = House()
    job = house.with_machine(house.priced(max_cost=13 * DOLLAR))
    with pytest.raises(Refused, match=r"max_cost=\$13.00"):
        house.service.extend(job.id, LEAD, 60)


def test_a_frozen_team_extends_nothing() -> None:
    house = House()
    job = _running(house)
    house.service.freeze("vision", LEAD, True)
    with pytest.raises(Frozen):
        house.service.extend(job.id, LEAD, 60)


def test_on_a_weak_guarantee_a_lead_has_to_press() -> None:
    house = House(traits=some_traits(guarantee=Guarantee.ON_BOX))
    job = house.with_machine(house.service.approve(house.priced(minutes=60).id, LEAD))
    with pytest.raises(NotAllowed, match="Nobody but us ends that machine"):
        house.service.extend(job.id, ADA, 30)
    assert house.service.extend(job.id, LEAD, 30).deadline == START + timedelta(minutes=90)


def test_where_the_deadline_is_fixed_the_way_on_is_named() -> None:
    house = House(traits=some_traits(extendable=False))
    job = _running(house)
    with pytest.raises(Refused, match="Continue from checkpoint"):
        house.service.extend(job.id, ADA, 60)


def test_a_job_without_a_machine_cannot_be_extended() -> None:
    house = House()
    with pytest.raises(Refused, match="no machine yet"):
        house.service.extend(house.priced().id, ADA, 60)


def test_a_job_that_ends_or_has_ended_cannot_be_extended() -> None:
    house = House()
    job = _running(house)
    house.service.cancel(job.id, ADA)
    with pytest.raises(TooLate, match="stopping already"):
        house.service.extend(job.id, ADA, 60)
    house.settle(job, 1, JobEventName.CANCEL)
    with pytest.raises(TooLate, match="was cancelled by U1ADA"):
        house.service.extend(job.id, ADA, 60)
