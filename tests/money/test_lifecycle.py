"""Every pair of a state and an event: the arrow that is drawn, or an error that changes nothing."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from jobs import db as rows
from jobs import diagram
from jobs.errors import IllegalEvent
from jobs.lifecycle import (
    ATTEMPT_TRANSITIONS,
    JOB_TRANSITIONS,
    TERMINAL,
    WITH_MACHINE,
    AttemptEventName,
    AttemptState,
    JobEventName,
    JobState,
    next_attempt_state,
    next_job_state,
)
from tests.support.house import House

# Written out once more, by hand, as people tell it: the table is checked against a second pair of eyes.
JOB = {
    JobState.REQUESTED: "hold>queued ask>awaiting_approval fail>failed cancel>cancelled",
    JobState.AWAITING_APPROVAL: "grant>queued deny>denied expire>expired cancel>cancelled",
    JobState.QUEUED: "launch>provisioning fail>failed cancel>cancelled time_out>timed_out",
    JobState.PROVISIONING: "run>running retry>queued reclaim>queued stop>stopping",
    JobState.RUNNING: "retry>queued reclaim>queued stop>stopping",
    JobState.STOPPING: "succeed>succeeded fail>failed cancel>cancelled time_out>timed_out",
}
ATTEMPT = {
    AttemptState.INTENT: "launched>launched never>never end>ending",
    AttemptState.LAUNCHED: "up>up end>ending gone>gone",
    AttemptState.UP: "end>ending gone>gone",
    AttemptState.ENDING: "gone>gone never>never",
}


def _expected(told: str, event: str) -> str | None:
    return dict(arrow.split(">") for arrow in told.split()).get(event)


@pytest.mark.parametrize(("state", "event"), list(itertools.product(JobState, JobEventName)))
def test_a_job_follows_its_arrow_or_raises(state: JobState, event: JobEventName) -> None:
    expected = _expected(JOB.get(state, ""), event)
    if expected is None:
        with pytest.raises(IllegalEvent, match=f"{state.value} cannot {event.value}"):
            next_job_state(state, event)
    else:
        assert JobState(expected) == next_job_state(state, event)


@pytest.mark.parametrize(("state", "event"), list(itertools.product(AttemptState, AttemptEventName)))
def test_an_attempt_follows_its_arrow_or_raises(state: AttemptState, event: AttemptEventName) -> None:
    expected = _expected(ATTEMPT.get(state, ""), event)
    if expected is None:
        with pytest.raises(IllegalEvent, match=f"{state.value} cannot become {event.value}"):
            next_attempt_state(state, event)
    else:
        assert AttemptState(expected) == next_attempt_state(state, event)


def test_an_illegal_event_changes_nothing_in_the_database() -> None:
    house = House()
    job = house.asked()
    with pytest.raises(IllegalEvent), house.db.write() as tx:
        rows.move(tx, rows.get_job(tx, job.id), JobEventName.SUCCEED, house.clock.now())
    assert (house.job(job.id).state, house.job(job.id).version) == (JobState.REQUESTED, 1)


def test_nothing_leaves_a_terminal_state() -> None:
    assert not [pair for pair in JOB_TRANSITIONS if pair[0] in TERMINAL]
    assert not [pair for pair in ATTEMPT_TRANSITIONS if pair[0] in (AttemptState.GONE, AttemptState.NEVER)]


def test_a_job_with_a_machine_ends_only_by_way_of_stopping() -> None:
    ends = {state for (state, _), after in JOB_TRANSITIONS.items() if after in TERMINAL}
    assert {JobState.STOPPING} == ends & WITH_MACHINE


def test_every_state_can_be_reached_and_left() -> None:
    assert set(JobState) - {JobState.REQUESTED} == set(JOB_TRANSITIONS.values())
    assert set(JobState) - TERMINAL == {state for state, _ in JOB_TRANSITIONS}


def test_the_page_of_states_is_the_one_that_the_tables_make() -> None:
    page = Path(__file__).parents[2] / "docs" / "states.md"
    assert diagram.page() == page.read_text(), "Run `python -m jobs.diagram > docs/states.md`."
