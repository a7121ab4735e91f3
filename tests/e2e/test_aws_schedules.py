"""A whole job on aws with a timer of AWS's own behind its machine: no lead is asked, and nothing of it is left."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from jobs.lifecycle import JobState
from jobs.orders import launch_key
from jobs.providers.aws_request import client_token
from jobs.providers.aws_schedule import whole_second
from tests.aws import timers
from tests.aws.cloud import REGION
from tests.aws.orders import boot_log
from tests.e2e.aws_ground import LIMIT, Ground, grounded

pytestmark = [pytest.mark.engine, pytest.mark.slow, pytest.mark.timeout(900), pytest.mark.xdist_group("engine aws")]


@pytest.fixture
def ground(tmp_path: Path) -> Iterator[Ground]:
    """A bot whose schedules fire as AWS's do."""
    with grounded(tmp_path / "ground", scheduled=True) as ground, timers.ticking(ground.cloud.as_hosts, REGION):
        yield ground


def test_from_the_typed_line_to_the_links_with_a_schedule_behind_the_machine(ground: Ground, tmp_path: Path) -> None:
    deployment = ground.deployment
    job = ground.train("acme/timed", "python train.py 150 0.1")
    deployment.until(lambda: (deployment.job(job.id).step or 0) > 0, limit=LIMIT)
    assert "A timer at aws ends the machine at the deadline, even if the bot is down." in ground.seen(job, "loss")
    assert deployment.job(job.id).needs_lead == []

    (schedule,) = timers.standing(REGION)
    deadline = deployment.job(job.id).deadline
    assert deadline is not None
    key = launch_key(str(deployment.settings.home), job.id, 1)
    assert (schedule.name, timers.time_of(schedule)) == (client_token(key), whole_second(deadline))
    calls = ground.cloud.front.calls
    made = calls.index("CreateSchedule")
    assert calls.index("RunInstances") < made and "GetSchedule" in calls[made:], "set, and read back"

    done = deployment.ended(job, limit=LIMIT)
    assert done.state is JobState.SUCCEEDED, (done.error, boot_log(ground.store, job.id))
    assert ground.checkpoint(job, tmp_path).step == 150
    deployment.until(lambda: "that were held;" in deployment.texts(job))
    assert deployment.held() == 0
    deployment.wait(lambda: not timers.standing(REGION))  # removed once the machine was seen to be gone
    assert deployment.machines() == []
