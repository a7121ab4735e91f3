"""What leads set, what may be set to what, and what is written down about it."""

from __future__ import annotations

import pytest

from jobs import db as rows
from jobs.budgets import Value
from jobs.errors import BadRequest, NotAllowed, NotFound
from jobs.lifecycle import JobState
from jobs.values import DOLLAR
from tests.support.house import ADA, GUEST, LEAD, House


@pytest.mark.parametrize(
    ("field", "value", "stored"),
    [
        ("cap", 500 * DOLLAR, 500 * DOLLAR),
        ("cap", 0, 0),
        ("auto_approve", 5 * DOLLAR, 5 * DOLLAR),
        ("longest_minutes", 90, 90),
        ("share_percent", 100, 100),
        ("leads", ("U9LEAD", "W8GRACE", "U9LEAD"), ["U9LEAD", "W8GRACE"]),
        ("lead_group", "S0123ABCD", "S0123ABCD"),
        ("lead_group", None, None),
        ("zone", "Europe/Berlin", "Europe/Berlin"),
        ("zone", "UTC", "UTC"),
    ],
)
def test_a_lead_sets_it_and_it_is_written_down(field: str, value: Value, stored: Value) -> None:
    house = House()
    old = getattr(house.team(), field)
    house.service.set_budget("vision", LEAD, field, value)
    assert getattr(house.team(), field) == stored
    with house.db.read() as tx:
        note = rows.notes_after(tx, 0, 100)[-1]
    assert (note.kind, note.by, note.team_id, note.job_id) == ("budget", "U9LEAD", "vision", None)
    assert note.data == {"field": field, "old": old, "new": stored}


@pytest.mark.parametrize(
    ("field", "value", "quoted"),
    [
        ("cap", -DOLLAR, r"`-\$1.00`"),
        ("cap", 10**14, r"\$100000000.00"),
        ("cap", "300", "`300`"),
        ("cap", None, "`None`"),
        ("cap", True, "cannot be set"),
        ("auto_approve", -1, "cannot be set"),
        ("longest_minutes", 0, "between 1m and 744h"),
        ("longest_minutes", 10**6, "cannot be set"),
        ("share_percent", 0, "`0 %`"),
        ("share_percent", 101, "`101 %`"),
        ("leads", [], "at least one lead"),
        ("leads", "U9LEAD", "at least one lead"),
        ("leads", ["@ada"], "`@ada`"),
        ("lead_group", "leads", "`leads`"),
        ("zone", "Berlin", "`Berlin`"),
        ("zone", "../../etc/passwd", "not a time zone"),
        ("zone", "", "not a time zone"),
        ("frozen", 1, "`frozen`"),
        ("id", "other", "`id`"),
    ],
)
def test_what_cannot_be_set_is_quoted_and_changes_nothing(field: str, value: Value, quoted: str) -> None:
    house = House()
    before = house.team()
    with pytest.raises(BadRequest, match=quoted):
        house.service.set_budget("vision", LEAD, field, value)
    assert house.team() == before


@pytest.mark.parametrize("by", [ADA, GUEST], ids=["a member", "a guest with a lead's badge"])
def test_only_leads_change_a_budget(by: object) -> None:
    house = House()
    with pytest.raises(NotAllowed, match="Only a lead"):
        house.service.set_budget("vision", by, "cap", DOLLAR)  # type: ignore[arg-type]  # parametrised
    with pytest.raises(NotAllowed, match="Only a lead"):
        house.service.freeze("vision", by, True)  # type: ignore[arg-type]  # parametrised
    assert (house.team().cap, house.team().frozen) == (300 * DOLLAR, False)


def test_a_new_cap_counts_for_the_month_that_has_begun() -> None:
    house = House(cap=100 * DOLLAR)
    assert house.priced().state is JobState.QUEUED
    house.service.set_budget("vision", LEAD, "cap", 500 * DOLLAR)
    budget = house.service.budget("vision")
    assert (budget.cap, budget.held, budget.free) == (500 * DOLLAR, 12 * DOLLAR, 488 * DOLLAR)
    assert house.period().cap == 500 * DOLLAR


def test_a_cap_under_what_is_held_stops_new_holds_and_touches_no_old_one() -> None:
    house = House()
    job = house.priced()
    house.service.set_budget("vision", LEAD, "cap", DOLLAR)
    assert house.service.budget("vision").free == -11 * DOLLAR
    assert house.job(job.id).state is JobState.QUEUED
    assert "budget" in house.priced(person="U2BOB").needs_lead


def test_a_freeze_is_told_once_and_lifted() -> None:
    house = House()
    for _ in range(2):
        house.service.freeze("vision", LEAD, True)
    assert house.priced().state is JobState.FAILED
    house.service.freeze("vision", LEAD, False)
    assert house.priced().state is JobState.QUEUED
    with house.db.read() as tx:
        told = [note.data["new"] for note in rows.notes_after(tx, 0, 100) if note.data.get("field") == "frozen"]
    assert told == [True, False]


def test_a_team_has_a_plain_name_and_is_made_once() -> None:
    house = House()
    assert house.service.add_team("speech", name="Speech", zone="Europe/Berlin").name == "Speech"
    assert house.service.add_team("speech", name="Other").name == "Speech"
    for bad in ("", "Speech Team", "a" * 41, "-x"):
        with pytest.raises(BadRequest, match="cannot name a team"):
            house.service.add_team(bad)
    with pytest.raises(BadRequest, match="`Berlin`"):
        house.service.add_team("other", zone="Berlin")


def test_the_budget_of_a_team_that_does_not_exist_is_not_zero() -> None:
    house = House()
    with pytest.raises(NotFound, match="`speech`"):
        house.service.budget("speech")
