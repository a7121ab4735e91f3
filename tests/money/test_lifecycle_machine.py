"""Any order of events on a job and its attempt, by hands that read the rows a while ago.

The model is the two tables and a version. An event without an arrow raises and changes nothing; one that was decided
on a row as it no longer is comes too late and changes nothing; every other one is applied exactly once.
"""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from jobs import db
from jobs.errors import IllegalEvent, TooLate
from jobs.lifecycle import (
    ATTEMPT_TRANSITIONS,
    JOB_TRANSITIONS,
    TERMINAL,
    AttemptEventName,
    AttemptState,
    JobEventName,
    JobState,
)
from jobs.model import Attempt, Job
from tests.support.builders import a_job, a_team, an_attempt
from tests.support.clock import FakeClock
from tests.support.databases import memory_database

STAMPS = {
    AttemptEventName.LAUNCHED: "launched_at",
    AttemptEventName.UP: "up_at",
    AttemptEventName.END: "end_asked_at",
    AttemptEventName.GONE: "gone_at",
}


class Lives(RuleBasedStateMachine):
    """One job, one attempt, and everybody who has a copy of their rows."""

    def __init__(self) -> None:
        super().__init__()
        self.clock, self.db = FakeClock(), memory_database()
        with self.db.write() as tx:
            tx.add(a_team())
            tx.flush()
            tx.add(a_job(state=JobState.REQUESTED))
            tx.flush()
            tx.add(an_attempt(state=AttemptState.INTENT, launched_at=None))
        self.job, self.attempt = self._rows()
        self.jobs, self.attempts = [dict(self.job)], [dict(self.attempt)]  # what somebody once read

    def teardown(self) -> None:
        self.db.close()

    def _rows(self) -> tuple[dict[str, Any], dict[str, Any]]:
        with self.db.read() as tx:
            (attempt,) = db.attempts(tx, "job0001")
            return db.get_job(tx, "job0001").model_dump(), attempt.model_dump()

    # -------------------------------------------------------- the job

    @rule(data=st.data(), event=st.sampled_from(list(JobEventName)), stale=st.booleans())
    def any_event(self, data: st.DataObject, event: JobEventName, stale: bool) -> None:
        self._move(data.draw(st.sampled_from(self.jobs)) if stale else self.job, event)

    @precondition(lambda self: self.job["state"] not in TERMINAL)
    @rule(data=st.data())
    def along_an_arrow(self, data: st.DataObject) -> None:
        """Most events of a random draw have no arrow: with this one lives come to their ends."""
        arrows = [event for event in JobEventName if (self.job["state"], event) in JOB_TRANSITIONS]
        version = self.job["version"]
        self._move(self.job, data.draw(st.sampled_from(arrows)))
        assert self.job["version"] == version + 1

    @precondition(lambda self: self._outdated())
    @rule(data=st.data())
    def by_a_hand_that_was_overtaken(self, data: st.DataObject) -> None:
        """The state is what it was when the row was read, and yet somebody has changed the row since."""
        arrows = [event for event in JobEventName if (self.job["state"], event) in JOB_TRANSITIONS]
        version = self.job["version"]
        self._move(data.draw(st.sampled_from(self._outdated())), data.draw(st.sampled_from(arrows)))
        assert self.job["version"] == version

    def _outdated(self) -> list[dict[str, Any]]:
        if self.job["state"] in TERMINAL:
            return []
        now = self.job["state"], self.job["version"]
        return [job for job in self.jobs if job["state"] is now[0] and job["version"] != now[1]]

    @rule(data=st.data(), stale=st.booleans(), step=st.integers(0, 9))
    def touch(self, data: st.DataObject, stale: bool, step: int) -> None:
        read = Job(**(data.draw(st.sampled_from(self.jobs)) if stale else self.job))
        same = read.state is self.job["state"]
        try:
            with self.db.write() as tx:
                db.touch(tx, read, self.clock.now(), step=step)
        except TooLate:
            assert not same
            return
        assert same
        self.job |= {"step": step, "version": self.job["version"] + 1}
        assert (read.step, read.version) == (step, self.job["version"])
        self.jobs = [*self.jobs, dict(self.job)]

    def _move(self, columns: dict[str, Any], event: JobEventName) -> None:
        read = Job(**columns)
        self.clock.advance(1)
        arrow = JOB_TRANSITIONS.get((read.state, event))
        current = (read.state, read.version) == (self.job["state"], self.job["version"])
        try:
            with self.db.write() as tx:
                db.move(tx, read, event, self.clock.now(), stop_by=event.value)
        except IllegalEvent:
            assert arrow is None
            return
        except TooLate:
            assert arrow is not None and not current
            return
        assert arrow is not None and current
        self.job |= {"state": arrow, "version": self.job["version"] + 1, "stop_by": event.value}
        if arrow in TERMINAL:
            self.job["finished_at"] = self.clock.now()
        if event is JobEventName.RUN and self.job["started_at"] is None:
            self.job["started_at"] = self.clock.now()
        assert (read.state, read.version) == (arrow, self.job["version"])
        self.jobs = [*self.jobs, dict(self.job)]

    # -------------------------------------------------------- the attempt

    @rule(data=st.data(), event=st.sampled_from(list(AttemptEventName)), stale=st.booleans())
    def machine(self, data: st.DataObject, event: AttemptEventName, stale: bool) -> None:
        read = Attempt(**(data.draw(st.sampled_from(self.attempts)) if stale else self.attempt))
        self.clock.advance(1)
        arrow = ATTEMPT_TRANSITIONS.get((read.state, event))
        current = read.state is self.attempt["state"]
        try:
            with self.db.write() as tx:
                db.move_attempt(tx, read, event, self.clock.now(), note=event.value)
        except IllegalEvent:
            assert arrow is None
            return
        except TooLate:
            assert arrow is not None and not current
            return
        assert arrow is not None and current
        stamped = {STAMPS[event]: self.clock.now()} if event in STAMPS else {}
        self.attempt |= {"state": arrow, "note": event.value} | stamped
        self.attempts = [*self.attempts, dict(self.attempt)]

    # -------------------------------------------------------- what always holds

    @invariant()
    def the_rows_are_the_models(self) -> None:
        assert self._rows() == (self.job, self.attempt)

    @invariant()
    def who_is_finished_is_terminal(self) -> None:
        assert (self.job["finished_at"] is not None) == (self.job["state"] in TERMINAL)


TestLives = Lives.TestCase
TestLives.settings = settings(
    derandomize=True,
    max_examples=12,
    stateful_step_count=25,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
