"""`kill -9` of the bot in mid-rental: the next one finds one hold and one machine, and closes both once."""

from __future__ import annotations

import fcntl
import os
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from jobs.lifecycle import AttemptState, JobState
from jobs.model import EntryKind, Job
from tests.e2e.deployment import Deployment

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300), pytest.mark.xdist_group("killed")]

# The bot goes on while the test looks, so a moment may be missed, above all where the machine is busy; it is then
# tried with another job.
TRIES = 15
Moment = Callable[[Deployment, Job], bool]


def held(deployment: Deployment, job: Job) -> bool:
    """The money is held and no machine was asked for."""
    return deployment.job(job.id).state is JobState.QUEUED and not deployment.attempts(job)


def intended(deployment: Deployment, job: Job) -> bool:
    """The intent to rent is committed, and the provider has not answered."""
    return [attempt.state for attempt in deployment.attempts(job)] == [AttemptState.INTENT]


def launched(deployment: Deployment, job: Job) -> bool:
    """A machine stands, and its agent has not spoken."""
    return [attempt.state for attempt in deployment.attempts(job)] == [AttemptState.LAUNCHED]


def started(deployment: Deployment, name: str) -> Job:
    """Type the line for a script that leaves a line in a file of the test's each time it runs."""
    runs = deployment.folder / f"{name}.runs"
    source = f"open({str(runs)!r}, 'a').write('ran\\n')\nprint('step 1/1: loss 1.5', flush=True)\n"
    return deployment.train(f"{deployment.script(f'acme/{name}', source)} gpu=a100 hours=1")


def watch(deployment: Deployment, job: Job, moment: Moment) -> None:
    """Wait for the moment; return too when it was missed and the job is over."""
    deployment.until(lambda: moment(deployment, job) or deployment.job(job.id).finished_at, every=0.002)


def killed_at(deployment: Deployment, name: str, moment: Moment) -> tuple[Job, str]:
    """Return a job in whose `moment` the bot was killed, and what the job was called."""
    for number in range(TRIES):
        job = started(deployment, f"{name}{number}")
        watch(deployment, job, moment)
        deployment.kill()
        if moment(deployment, job):
            return job, f"{name}{number}"
        deployment.start()
        deployment.ended(job)
    raise AssertionError(f"The bot was too quick to be killed {name} in {TRIES} tries.")


def went_on(deployment: Deployment, job: Job, name: str) -> None:
    """Start the bot anew; check that the job ran once, on one machine, and that its hold was closed once."""
    deployment.start()
    done = deployment.ended(job)
    assert done.state is JobState.SUCCEEDED, done.error
    assert (deployment.folder / f"{name}.runs").read_text() == "ran\n"
    assert [attempt.state for attempt in deployment.attempts(job)] == [AttemptState.GONE]
    kinds = Counter(entry.kind for entry in deployment.entries(job))
    assert kinds == {EntryKind.HOLD: 1, EntryKind.CHARGE: 1, EntryKind.RELEASE: 1}
    assert deployment.balance(job) == 0
    assert deployment.held() == 0
    assert deployment.machines() == []
    assert len(deployment.cards(job)) == 1


@contextmanager
def practice_locked(deployment: Deployment) -> Iterator[None]:
    """Hold the lock of the practice machines, as another process that launches does: the bot's launch waits."""
    folder = deployment.settings.state / "practice"
    folder.mkdir(exist_ok=True)
    lock = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT)
    fcntl.flock(lock, fcntl.LOCK_EX)
    try:
        yield
    finally:
        os.close(lock)


def test_killed_after_the_hold(deployment: Deployment) -> None:
    job, name = killed_at(deployment, "after-hold", held)
    went_on(deployment, job, name)


def test_killed_after_the_intent(deployment: Deployment) -> None:
    with practice_locked(deployment):
        job, name = killed_at(deployment, "after-intent", intended)
    went_on(deployment, job, name)


def test_killed_after_the_launch(deployment: Deployment) -> None:
    job, name = killed_at(deployment, "after-launch", launched)
    went_on(deployment, job, name)
