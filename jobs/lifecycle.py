"""The life of a job and of an attempt: one table each, and one function that reads it.

A job is what a person asked for; an attempt is one machine's share of it. Every arrow that exists is in
`JOB_TRANSITIONS` or `ATTEMPT_TRANSITIONS`; whatever is not there raises `IllegalEvent` and changes nothing.
A terminal job has no machine (it was confirmed gone, or never stood) and no open hold: `close` events are
therefore applied only by the transaction that settles the money. The diagram in `docs/states.md` is
generated from these tables.
"""

from __future__ import annotations

from enum import StrEnum

from jobs.errors import IllegalEvent


class JobState(StrEnum):
    """Where a job stands."""

    REQUESTED = "requested"
    AWAITING_APPROVAL = "awaiting_approval"
    QUEUED = "queued"
    PROVISIONING = "provisioning"
    RUNNING = "running"
    STOPPING = "stopping"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    TIMED_OUT = "timed_out"
    DENIED = "denied"
    EXPIRED = "expired"


class AttemptState(StrEnum):
    """Where an attempt's machine stands."""

    INTENT = "intent"
    LAUNCHED = "launched"
    UP = "up"
    ENDING = "ending"
    GONE = "gone"
    NEVER = "never"


class JobEventName(StrEnum):
    """What can happen to a job."""

    HOLD = "hold"  # the worst case is held, nobody needs to be asked
    ASK = "ask"  # a lead has to decide
    GRANT = "grant"
    DENY = "deny"
    EXPIRE = "expire"
    LAUNCH = "launch"  # the intent to rent is committed
    RETRY = "retry"  # no machine stands, and another may be tried
    RUN = "run"  # the agent on the machine has spoken
    RECLAIM = "reclaim"  # the provider took the machine back
    STOP = "stop"  # the machine is to end, whoever wanted it
    SUCCEED = "succeed"
    FAIL = "fail"
    CANCEL = "cancel"
    TIME_OUT = "time_out"


class AttemptEventName(StrEnum):
    """What can happen to an attempt's machine."""

    LAUNCHED = "launched"  # the provider named an instance
    NEVER = "never"  # proved that no machine came of the intent
    UP = "up"
    END = "end"  # terminate was asked for
    GONE = "gone"  # positively confirmed


TERMINAL = frozenset(
    {
        JobState.SUCCEEDED,
        JobState.FAILED,
        JobState.CANCELLED,
        JobState.TIMED_OUT,
        JobState.DENIED,
        JobState.EXPIRED,
    }
)

# States in which a machine may stand; the enforcing pass looks at these and no others.
WITH_MACHINE = frozenset({JobState.PROVISIONING, JobState.RUNNING, JobState.STOPPING})

J, E = JobState, JobEventName

JOB_TRANSITIONS: dict[tuple[JobState, JobEventName], JobState] = {
    (J.REQUESTED, E.HOLD): J.QUEUED,
    (J.REQUESTED, E.ASK): J.AWAITING_APPROVAL,
    (J.REQUESTED, E.FAIL): J.FAILED,
    (J.REQUESTED, E.CANCEL): J.CANCELLED,
    (J.AWAITING_APPROVAL, E.GRANT): J.QUEUED,
    (J.AWAITING_APPROVAL, E.DENY): J.DENIED,
    (J.AWAITING_APPROVAL, E.EXPIRE): J.EXPIRED,
    (J.AWAITING_APPROVAL, E.CANCEL): J.CANCELLED,
    (J.QUEUED, E.LAUNCH): J.PROVISIONING,
    (J.QUEUED, E.FAIL): J.FAILED,
    (J.QUEUED, E.CANCEL): J.CANCELLED,
    (J.QUEUED, E.TIME_OUT): J.TIMED_OUT,
    (J.PROVISIONING, E.RUN): J.RUNNING,
    (J.PROVISIONING, E.RETRY): J.QUEUED,
    (J.PROVISIONING, E.RECLAIM): J.QUEUED,
    (J.PROVISIONING, E.STOP): J.STOPPING,
    (J.RUNNING, E.RETRY): J.QUEUED,  # one of several machines spoke, another never came
    (J.RUNNING, E.RECLAIM): J.QUEUED,
    (J.RUNNING, E.STOP): J.STOPPING,
    (J.STOPPING, E.SUCCEED): J.SUCCEEDED,
    (J.STOPPING, E.FAIL): J.FAILED,
    (J.STOPPING, E.CANCEL): J.CANCELLED,
    (J.STOPPING, E.TIME_OUT): J.TIMED_OUT,
}

A, M = AttemptState, AttemptEventName

ATTEMPT_TRANSITIONS: dict[tuple[AttemptState, AttemptEventName], AttemptState] = {
    (A.INTENT, M.LAUNCHED): A.LAUNCHED,
    (A.INTENT, M.NEVER): A.NEVER,
    (A.INTENT, M.END): A.ENDING,
    (A.LAUNCHED, M.UP): A.UP,
    (A.LAUNCHED, M.END): A.ENDING,
    (A.LAUNCHED, M.GONE): A.GONE,
    (A.UP, M.END): A.ENDING,
    (A.UP, M.GONE): A.GONE,
    (A.ENDING, M.GONE): A.GONE,
    (A.ENDING, M.NEVER): A.NEVER,
}


def next_job_state(state: JobState, event: JobEventName) -> JobState:
    """Return the state that `event` leads to; raise `IllegalEvent` when there is no such arrow."""
    try:
        return JOB_TRANSITIONS[state, event]
    except KeyError:
        raise IllegalEvent(f"A job that is {state.value} cannot {event.value}.") from None


def next_attempt_state(state: AttemptState, event: AttemptEventName) -> AttemptState:
    """Return the state that `event` leads to; raise `IllegalEvent` when there is no such arrow."""
    try:
        return ATTEMPT_TRANSITIONS[state, event]
    except KeyError:
        raise IllegalEvent(f"An attempt that is {state.value} cannot become {event.value}.") from None
