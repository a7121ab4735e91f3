"""The pure decisions: when a machine ends, when it is believed gone, what becomes of its job."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs import endings
from jobs.endings import ABSENT, UNSEEN, Sight, Step, Turn
from jobs.lifecycle import TERMINAL, AttemptState, JobEventName, JobState
from jobs.model import Attempt, Job
from jobs.providers import Instance, InstanceState
from jobs.records import dump
from tests.support.builders import a_job, a_spec, an_attempt, an_offer, some_traits
from tests.support.clock import START
from trainer.wire import Reason

HOUR = timedelta(hours=1)
ASKED_TO_GO: dict[str, Any] = {"stage": "save", "stage_note": "preempted", "stage_at": START + HOUR}


def seen(state: InstanceState) -> Sight:
    return Sight(
        whole=True,
        instance=Instance(provider="cloud", id="i-1", region="r", state=state, tags={}, launched_at=START),
    )


def step(attempt: Attempt, sight: Sight, *, end: bool = False, idempotent: bool = True, **told: Any) -> Step:
    facts: dict[str, Any] = {"now": START + HOUR, "calling": False, "spoke": False, **told}
    return endings.next_step(
        attempt, sight, deadline=attempt.deadline, end=end, traits=some_traits(idempotent=idempotent), **facts
    )


# ---------------------------------------------------------------- why a machine ends


@given(
    state=st.sampled_from([state for state in AttemptState if state in endings.LIVE]),
    job_state=st.sampled_from(list(JobState)),
    late=st.timedeltas(min_value=timedelta(0), max_value=timedelta(days=400)),
    stop=st.sampled_from([None, "stopped", "finished"]),
)
def test_past_its_deadline_every_live_machine_is_to_end(
    state: AttemptState, job_state: JobState, late: timedelta, stop: str | None
) -> None:
    attempt = an_attempt(state=state)
    job = a_job(state=job_state, stop_reason=stop)
    assert endings.why_end(job, attempt, attempt.deadline + late, timedelta(minutes=2)) is not None


@pytest.mark.parametrize("column", ["job", "attempt"])
def test_of_two_deadlines_the_earlier_counts(column: str) -> None:
    early = START + HOUR
    job = a_job(deadline=early) if column == "job" else a_job()
    attempt = an_attempt(deadline=early) if column == "attempt" else an_attempt()
    assert endings.why_end(job, attempt, early, timedelta(0)) == "deadline"
    assert endings.why_end(job, attempt, early - timedelta(seconds=1), timedelta(0)) is None


@pytest.mark.parametrize("state", [*TERMINAL, JobState.QUEUED])
def test_a_machine_of_a_job_that_needs_none_ends(state: JobState) -> None:
    assert endings.why_end(a_job(state=state), an_attempt(), START, timedelta(0)) == "superseded"


def test_a_stop_waits_for_grace_and_upload_where_an_agent_is_up() -> None:
    job, grace = a_job(state=JobState.STOPPING, stopping_at=START), timedelta(minutes=2)
    end = START + grace + endings.STOP_SLACK
    assert endings.why_end(job, an_attempt(), end - timedelta(seconds=1), grace) is None
    assert endings.why_end(job, an_attempt(), end, grace) == "stopped"
    assert endings.why_end(job, an_attempt(state=AttemptState.LAUNCHED), START, grace) == "stopped"


def test_an_outcome_of_this_attempt_ends_it_and_one_of_another_does_not() -> None:
    assert endings.why_end(a_job(outcome={"attempt": 1}), an_attempt(), START, timedelta(0)) == "outcome"
    assert endings.why_end(a_job(outcome={"attempt": 0}), an_attempt(), START, timedelta(0)) is None


# ---------------------------------------------------------------- steps


@pytest.mark.parametrize(
    ("sight", "end", "expected"),
    [
        (UNSEEN, False, Step.WAIT),
        (UNSEEN, True, Step.WAIT),
        (ABSENT, False, Step.COUNT_ABSENT),
        (ABSENT, True, Step.COUNT_ABSENT),
        (seen(InstanceState.GONE), False, Step.GONE),
        (seen(InstanceState.GONE), True, Step.GONE),
        (seen(InstanceState.RUNNING), False, Step.WAIT),
        (seen(InstanceState.PENDING), True, Step.TERMINATE),
        (seen(InstanceState.RUNNING), True, Step.TERMINATE),
        (seen(InstanceState.ENDING), True, Step.TERMINATE),  # it said yes before, and it may not have meant it
    ],
)
def test_a_machine_that_stood(sight: Sight, end: bool, expected: Step) -> None:
    assert expected is step(an_attempt(), sight, end=end)


def test_two_absences_have_to_be_a_minute_apart() -> None:
    absent = an_attempt(absent_at=START)
    assert Step.WAIT is step(absent, ABSENT, now=START + timedelta(seconds=59))
    assert Step.GONE is step(absent, ABSENT, now=START + timedelta(seconds=60))
    assert Step.FORGET_ABSENT is step(absent, seen(InstanceState.RUNNING))


def unanswered(**changes: Any) -> Attempt:
    return an_attempt(**({"state": AttemptState.INTENT, "launched_at": None, "instance_id": None} | changes))


@pytest.mark.parametrize(
    ("attempt", "sight", "facts", "expected"),
    [
        (unanswered(called_at=None), UNSEEN, {}, Step.CALL),
        (unanswered(called_at=None), UNSEEN, {"end": True}, Step.NEVER),
        (unanswered(called_at=None), ABSENT, {"calling": True}, Step.WAIT),
        (unanswered(), UNSEEN, {}, Step.WAIT),
        (unanswered(), seen(InstanceState.PENDING), {}, Step.ADOPT),
        (unanswered(), seen(InstanceState.GONE), {}, Step.ADOPT),
        (unanswered(), seen(InstanceState.RUNNING), {"calling": True}, Step.WAIT),
        (unanswered(), seen(InstanceState.RUNNING), {"calling": True, "end": True}, Step.ADOPT),
        (unanswered(), ABSENT, {"calling": True, "end": True}, Step.WAIT),
        (unanswered(), ABSENT, {}, Step.CALL),
        (unanswered(), ABSENT, {"now": START + timedelta(seconds=59)}, Step.WAIT),  # the call may still be under way
        (unanswered(), ABSENT, {"now": START + timedelta(seconds=60)}, Step.CALL),
        (unanswered(), ABSENT, {"now": START - HOUR}, Step.CALL),  # the clock was set back
        (unanswered(), ABSENT, {"idempotent": False}, Step.COUNT_EMPTY),
        (unanswered(), ABSENT, {"end": True}, Step.COUNT_EMPTY),
    ],
)
def test_a_launch_that_was_not_answered(attempt: Attempt, sight: Sight, facts: dict[str, Any], expected: Step) -> None:
    assert expected is step(attempt, sight, **facts)


@given(
    minutes=st.floats(min_value=0, max_value=60),
    listings=st.integers(min_value=0, max_value=20),
    spoke=st.booleans(),
    whole=st.booleans(),
)
def test_a_launch_came_to_nothing_only_after_five_minutes_of_whole_empty_listings(
    minutes: float, listings: int, spoke: bool, whole: bool
) -> None:
    attempt = unanswered(absent_at=START, empty_listings=listings)
    now = START + timedelta(minutes=minutes)
    found = step(attempt, ABSENT if whole else UNSEEN, now=now, idempotent=False, spoke=spoke)
    proved = whole and not spoke and now - START >= timedelta(minutes=5) and listings >= 2
    assert (found is Step.NEVER) == proved


# ---------------------------------------------------------------- jobs


def test_what_the_clock_makes_of_a_job() -> None:
    job = a_job(deadline=START + HOUR)
    assert endings.turn(job, 60, START + timedelta(minutes=44)) is None
    assert Turn.WARN is endings.turn(job, 60, START + timedelta(minutes=45))
    assert endings.turn(a_job(deadline=START + HOUR, warned=True), 60, START + timedelta(minutes=45)) is None
    assert Turn.STOP is endings.turn(job, 60, START + timedelta(minutes=58))
    assert endings.turn(a_job(deadline=START + HOUR, state=JobState.STOPPING), 60, START + HOUR) is None


@pytest.mark.parametrize(
    ("job", "retry_on", "spot", "expected"),
    [
        (a_job(state=JobState.STOPPING), (), False, (None, None)),
        (a_job(), (), False, (JobEventName.STOP, Reason.LOST)),
        (a_job(), (), True, (JobEventName.STOP, Reason.PREEMPTED)),
        (a_job(), ("interruption",), True, (JobEventName.RECLAIM, Reason.PREEMPTED)),
        (a_job(), ("interruption",), False, (JobEventName.RECLAIM, Reason.LOST)),
        (a_job(deadline=START + HOUR), ("interruption",), True, (JobEventName.STOP, Reason.DEADLINE)),
        # Its agent said that it saves because the machine is taken back, and never got to its outcome.
        (a_job(**ASKED_TO_GO), ("interruption",), False, (JobEventName.RECLAIM, Reason.PREEMPTED)),
        (a_job(**ASKED_TO_GO), (), False, (JobEventName.STOP, Reason.PREEMPTED)),
        (a_job(**{**ASKED_TO_GO, "stage_note": "deadline"}), (), False, (JobEventName.STOP, Reason.LOST)),
        # ... or an earlier one of its agents did, on a machine that is long gone.
        (a_job(**{**ASKED_TO_GO, "stage_at": START - HOUR}), (), False, (JobEventName.STOP, Reason.LOST)),
        (
            a_job(outcome={"attempt": 1, "reason": "preempted"}),
            ("interruption",),
            False,
            (JobEventName.RECLAIM, Reason.PREEMPTED),
        ),
    ],
)
def test_when_no_machine_is_left(job: Job, retry_on: tuple[str, ...], spot: bool, expected: tuple[Any, Any]) -> None:
    gone = an_attempt(state=AttemptState.GONE, billed_until=START + HOUR, offer=dump(an_offer(spot=spot)))
    found = endings.conclude(job, a_spec(retry_on=retry_on), [gone], START + HOUR)
    assert expected == (found.event, found.reason)


def test_a_launch_that_came_to_nothing_lets_the_job_try_again() -> None:
    never = an_attempt(state=AttemptState.NEVER)
    found = endings.conclude(a_job(state=JobState.PROVISIONING), a_spec(), [never], START)
    assert JobEventName.RETRY is found.event


@pytest.mark.parametrize(
    ("outcome", "expected"),
    [
        (None, JobEventName.RETRY),
        ({"attempt": 1, "reason": "preempted"}, JobEventName.RETRY),
        ({"attempt": 1, "reason": "error"}, JobEventName.STOP),  # its setup, which needs no other machine
    ],
)
def test_one_of_two_that_spoke_alone_is_no_run_that_was_lost(
    outcome: dict[str, Any] | None, expected: JobEventName
) -> None:
    pair = [
        an_attempt(state=AttemptState.NEVER),
        an_attempt(state=AttemptState.GONE, rank=1, billed_until=START + HOUR, end_accepted_at=START),
    ]
    job = a_job(state=JobState.RUNNING, spec=dump(a_spec(nodes=2)), outcome=outcome)
    assert expected is endings.conclude(job, a_spec(nodes=2), pair, START + HOUR).event


@pytest.mark.parametrize("reason", list(Reason))
def test_how_each_reason_is_filed(reason: Reason) -> None:
    filed = {
        Reason.FINISHED: JobEventName.SUCCEED,
        Reason.STOPPED: JobEventName.CANCEL,
        Reason.DEADLINE: JobEventName.TIME_OUT,
    }
    assert filed.get(reason, JobEventName.FAIL) is endings.closing_event(reason.value)


def test_an_agent_that_was_ended_from_outside_does_not_say_why() -> None:
    spec = a_spec(retry_on=("interruption",))
    stopped = a_job(state=JobState.STOPPING, stop_reason="stopped")
    assert Reason.STOPPED is endings.after_outcome(stopped, spec, Reason.PREEMPTED, START)
    assert Reason.FINISHED is endings.after_outcome(stopped, spec, Reason.FINISHED, START)
    assert endings.after_outcome(a_job(), spec, Reason.PREEMPTED, START) is None
    assert Reason.PREEMPTED is endings.after_outcome(a_job(), a_spec(), Reason.PREEMPTED, START)
