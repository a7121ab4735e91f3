"""When a machine has to end, and when it may be believed that it is gone.

Pure: rows, what the provider says, and the clock go in; the next step comes out. Four rules carry the promise
that no machine outlives its deadline:

* only the deadline column, a stop, an outcome or a newer attempt ends a machine; a failed look neither kills nor
  prolongs;
* a machine is gone on one positive terminal status, or on two whole absences at least a minute apart;
* an unanswered launch came to nothing only after five minutes of whole, empty look-ups; where a key makes no second
  machine it is asked for again, a minute after the last call at the earliest;
* an end that was asked for is asked for again, for ever, until the machine is gone.

Of several machines each has a row, and none is of use without the others: once one has gone, or has told an end that
is not that of a training which finished, the others end too, after the time that a stop leaves them to save and to
upload. Once the command of one has ended, those of the others have `OTHERS_LEAVE_IN`: what goes on by then waits for a
process that is gone, and is asked to stop. Why the job ended is said when all are gone: a machine that went without a
word, and was not asked to, is why the others failed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from jobs import policy
from jobs.lifecycle import WITH_MACHINE, AttemptState, JobEventName, JobState
from jobs.model import Attempt, Job
from jobs.orders import tagged_deadline
from jobs.providers import Guarantee, Instance, InstanceState, Traits
from jobs.values import JobSpec
from trainer.wire import Reason, Stage

# A listing may lag behind what was made a moment ago: one absence proves nothing.
ABSENCES_APART = timedelta(seconds=60)
# Clouds without idempotency were seen to list a machine minutes after the call that made it.
EMPTY_FOR = timedelta(minutes=5)
EMPTY_LISTINGS = 3
# What a launch that nobody answered came to is known from what its agent wrote. A store that does not answer for that
# long keeps no job open: what may have stood is charged, from its call to when it was first missed.
STORE_LOST = timedelta(hours=2)
# A call whose answer did not come may still be under way, here or in another process: its refusal by then would prove
# nothing about it. Nearly every call is answered within that time.
CALLS_APART = timedelta(seconds=60)
# Beside the grace that the command has: the agent looks at the control file each few seconds, then uploads.
STOP_SLACK = timedelta(seconds=60)
# How long a command may go on after that of another machine has ended. All processes leave a training together; what
# differs is what rank 0 alone still evaluates and writes, for which torchrun lets the others wait five minutes before
# that. A machine that uploads has left.
OTHERS_LEAVE_IN = timedelta(minutes=10)
# How long after its deadline a living machine is somebody's business.
OVERDUE_AFTER = timedelta(minutes=5)
# Tags and timers have whole seconds.
SAME_SECOND = timedelta(seconds=1)
# Less than this is no rental: nothing starts in it.
LEAST_LEFT = timedelta(minutes=1)

LIVE = frozenset({AttemptState.INTENT, AttemptState.LAUNCHED, AttemptState.UP, AttemptState.ENDING})


@dataclass(frozen=True, kw_only=True)
class Sight:
    """What a look at the provider showed. `whole` False: nothing can be concluded from not seeing it."""

    whole: bool
    instance: Instance | None = None


UNSEEN = Sight(whole=False)
ABSENT = Sight(whole=True)


class Step(StrEnum):
    """What is to be done about one attempt now."""

    WAIT = "wait"
    ADOPT = "adopt"  # an unanswered launch made a machine: write its name down
    CALL = "call"  # ask for the machine, under the key that was committed
    COUNT_EMPTY = "count_empty"  # one more whole look-up without the machine of an unanswered launch
    COUNT_ABSENT = "count_absent"  # the first whole look without a machine that stood
    FORGET_ABSENT = "forget_absent"  # it is there after all
    SECURE = "secure"  # its provider's own timer is missing, or set to another time
    SECURED = "secured"  # it stands: write that down
    TERMINATE = "terminate"
    GONE = "gone"
    NEVER = "never"


def deadline_of(job: Job, attempt: Attempt) -> datetime:
    """Return when a machine has to end: the earlier of the two columns, which differ while an extension is made."""
    return attempt.deadline if job.deadline is None else min(attempt.deadline, job.deadline)


def why_end(job: Job, attempt: Attempt, now: datetime, grace: timedelta) -> str | None:
    """Return why this machine is to end now, in a word for the log; None when it may go on."""
    if now >= deadline_of(job, attempt):
        return "deadline"
    if job.state not in WITH_MACHINE or job.attempt != attempt.number:
        return "superseded"
    if ended_by_itself(job, attempt):
        return "outcome"
    if attempt.state is AttemptState.ENDING:
        return "asked"
    if job.state is not JobState.STOPPING and job.short_at is None:
        return None
    why = "stopped" if job.state is JobState.STOPPING else "incomplete"
    if attempt.state is not AttemptState.UP:
        return why  # nobody is there who could save anything
    since = min(filter(None, (job.stopping_at, job.short_at)), default=now)
    return why if now >= since + grace + STOP_SLACK else None


def ended_by_itself(job: Job, attempt: Attempt) -> bool:
    """Return whether the agent of this machine has told its outcome."""
    told = job.outcome is not None and job.outcome.get("attempt") == attempt.number
    return attempt.outcome is not None or (told and not is_of_several(job))


def is_of_several(job: Job) -> bool:
    """Return whether each attempt of the job is several machines."""
    return int((job.spec or {}).get("nodes", 1)) > 1


def _told_reason(job: Job) -> Reason | None:
    """Return what was told of the newest attempt's end."""
    if job.outcome is None or job.outcome.get("attempt") != job.attempt:
        return None
    return Reason(job.outcome["reason"])


class Turn(StrEnum):
    """What the clock alone makes of a job."""

    WARN = "warn"
    STOP = "stop"  # save and stop: the grace before the deadline has begun
    LEFT_BEHIND = "left_behind"  # save and stop, if `left_behind` names a machine


def turn(job: Job, spec_minutes: float, now: datetime) -> Turn | None:
    """Return what is due for a job with a machine, by its deadline; None when nothing is."""
    if job.deadline is None or job.state not in (JobState.PROVISIONING, JobState.RUNNING):
        return None
    if now >= job.deadline - policy.grace(spec_minutes):
        return Turn.STOP
    if job.state is JobState.RUNNING and not job.warned and now >= job.deadline - policy.warning(spec_minutes):
        return Turn.WARN
    left = job.first_left_at if job.short_at is None else None  # where one is missing, the others are ended for that
    if left is not None and now >= left + OTHERS_LEAVE_IN:
        return Turn.LEFT_BEHIND
    return None


def left_behind(job: Job, attempts: Sequence[Attempt]) -> list[Attempt]:
    """Return the machines whose command goes on, of a job in which another machine's has ended long ago."""
    return [row for row in attempts if row.number == job.attempt and row.state in LIVE and row.left_at is None]


def next_step(
    attempt: Attempt,
    sight: Sight,
    now: datetime,
    *,
    deadline: datetime,
    end: bool,
    traits: Traits,
    calling: bool,
    spoke: bool | None,
) -> Step:
    """Return what to do about an attempt, given a look at its provider.

    `deadline`: when it has to end (`deadline_of`). `end`: it is to end now. `calling`: a launch call of this process
    is under way. `spoke`: its agent wrote something, so a machine stands whatever the provider says; None where the
    store does not answer.
    """
    if attempt.instance_id is None and attempt.launched_at is None:
        return _unanswered(attempt, sight, now, end=end, traits=traits, calling=calling, spoke=spoke)
    if not sight.whole:
        return Step.WAIT
    if sight.instance is None:
        if attempt.absent_at is None:
            return Step.COUNT_ABSENT
        return Step.GONE if now - attempt.absent_at >= ABSENCES_APART else Step.WAIT
    if sight.instance.state is InstanceState.GONE:
        return Step.GONE
    if end:
        return Step.TERMINATE
    if attempt.absent_at is not None:
        return Step.FORGET_ABSENT
    return _of_its_timer(attempt, sight.instance, deadline) if traits.guarantee is Guarantee.EXTERNAL else Step.WAIT


def is_dated_by_us(step: Step, sight: Sight) -> bool:
    """Return whether a step writes down when a machine went, and nobody but our own clock says when that was."""
    if step in (Step.COUNT_ABSENT, Step.COUNT_EMPTY):
        return True
    return step is Step.GONE and (sight.instance is None or sight.instance.ended_at is None)


def billed_until(attempt: Attempt, sight: Sight, now: datetime, *, trusted: bool) -> datetime:
    """Return until when a machine that is gone is billed: by its provider's word, else by when it was first missed.

    Nobody is charged for what is still to come; but where our own clock is wrong, it does not correct a provider's.
    """
    told = (sight.instance.ended_at if sight.instance else attempt.absent_at) or now
    return min(told, now) if trusted else told


def _of_its_timer(attempt: Attempt, instance: Instance, deadline: datetime) -> Step:
    """The provider's timer and the tag, from which the machine and the reaper know, have to say the deadline."""
    if instance.state is InstanceState.ENDING:
        return Step.WAIT
    unsecured = attempt.unsecured_since is not None
    if not instance.limit_seen:
        return Step.SECURE if unsecured else Step.WAIT  # what was seen to stand does not go by itself
    told = (instance.limit, tagged_deadline(instance))
    if all(at is not None and abs(at - deadline) <= SAME_SECOND for at in told):
        return Step.SECURED if unsecured else Step.WAIT
    return Step.SECURE


def _unanswered(
    attempt: Attempt, sight: Sight, now: datetime, *, end: bool, traits: Traits, calling: bool, spoke: bool | None
) -> Step:
    """An intent was committed and no machine is known: it may never have been asked for, or stand unseen."""
    if calling and (sight.instance is None or not end):
        return Step.WAIT  # the call will say; but one that hangs must not keep a machine past its deadline
    if attempt.called_at is None:
        return Step.NEVER if end else Step.CALL
    if not sight.whole:
        return Step.WAIT
    if sight.instance is not None:
        return Step.ADOPT
    if not end and traits.idempotent and not spoke:
        # Either way: a clock that was set back must not keep it waiting.
        return Step.CALL if abs(now - attempt.called_at) >= CALLS_APART else Step.WAIT
    missed = now - attempt.absent_at if attempt.absent_at is not None else timedelta(0)
    enough = attempt.empty_listings + 1 >= EMPTY_LISTINGS
    if missed < EMPTY_FOR or not enough:
        return Step.COUNT_EMPTY
    if spoke is None and missed < STORE_LOST:
        return Step.WAIT
    if spoke is False:
        return Step.NEVER
    # It stood, and its provider has forgotten it since: waiting longer would find nothing more.
    return Step.GONE if end or traits.idempotent else Step.COUNT_EMPTY


_INTERRUPTED = (Reason.PREEMPTED, Reason.LOST)


@dataclass(frozen=True, kw_only=True)
class Conclusion:
    """What becomes of a job whose machines are all gone. `reason` is set with STOP and with RECLAIM."""

    event: JobEventName | None  # None: it is STOPPING already, and can be settled
    reason: Reason | None = None


def conclude(job: Job, spec: JobSpec, attempts: list[Attempt], now: datetime) -> Conclusion:
    """Return how a job with a machine goes on once none is left; `attempts` are all of its, none live."""
    if job.state is JobState.STOPPING:
        return Conclusion(event=None)
    mine = [attempt for attempt in attempts if attempt.number == job.attempt]
    missing = any(attempt.state is AttemptState.NEVER for attempt in mine)
    if missing and _told_reason(job) in (None, *_INTERRUPTED):  # what stood of it could not begin alone
        return Conclusion(event=JobEventName.RETRY, reason=Reason.NO_CAPACITY)
    reason = why_gone(job, mine, now)
    if reason in _INTERRUPTED and may_go_on(job, spec, now):
        return Conclusion(event=JobEventName.RECLAIM, reason=reason)
    return Conclusion(event=JobEventName.STOP, reason=reason)


def why_gone(job: Job, mine: list[Attempt], now: datetime) -> Reason:
    """Return why the machines of the job's last attempt are gone, as far as anybody told.

    An exit code or a mere absence never says "preempted": the agent's word that it was asked to go does, or the
    market that the machine was rented on.
    """
    told = _told_reason(job)
    if told is not None and not any(_vanished(job, attempt) for attempt in mine):
        return told
    if job.stop_reason is not None:
        return Reason(job.stop_reason)
    last = max(attempt.billed_until or now for attempt in mine)
    if job.deadline is not None and last >= job.deadline:
        return Reason.DEADLINE
    spot = any(attempt.offer.get("spot") for attempt in mine)
    return Reason.PREEMPTED if spot or _was_asked_to_go(job, mine) else Reason.LOST


def _vanished(job: Job, attempt: Attempt) -> bool:
    """Return whether one of several machines went by itself, and said nothing: the others' words are about that."""
    by_itself = attempt.state is AttemptState.GONE and attempt.end_accepted_at is None
    return is_of_several(job) and by_itself and attempt.outcome is None


def _was_asked_to_go(job: Job, mine: list[Attempt]) -> bool:
    """Return whether the last that an agent of these machines told was that it saves because they are taken back."""
    told = (job.stage, job.stage_note) == (Stage.SAVE, Reason.PREEMPTED)
    return told and job.stage_at is not None and any(attempt.intent_at <= job.stage_at for attempt in mine)


def attempts_stood(attempts: Sequence[Attempt]) -> int:
    """Return of how many attempts a machine stood."""
    return len({attempt.number for attempt in attempts if attempt.state is AttemptState.GONE})


def may_go_on(job: Job, spec: JobSpec, now: datetime) -> bool:
    """Return whether an interrupted job may have another machine: it asked for that, and time is left."""
    return "interruption" in spec.retry_on and job.deadline is not None and job.deadline - now >= LEAST_LEFT


CLOSING = {
    Reason.FINISHED: JobEventName.SUCCEED,
    Reason.STOPPED: JobEventName.CANCEL,
    Reason.DEADLINE: JobEventName.TIME_OUT,
}


def closing_event(reason: str | None) -> JobEventName:
    """Return how a job that ended for `reason` is filed."""
    return CLOSING.get(Reason(reason), JobEventName.FAIL) if reason else JobEventName.FAIL


def after_outcome(job: Job, spec: JobSpec, told: Reason, now: datetime) -> Reason | None:
    """Return why the job ends, given what its agent told; None when it is interrupted and may go on elsewhere.

    An agent that was ended from outside can only say that it was: if the end was asked for, that is the reason.
    """
    if told is not Reason.PREEMPTED:
        return told
    if job.stop_reason is not None:
        return Reason(job.stop_reason)
    return None if may_go_on(job, spec, now) else told
