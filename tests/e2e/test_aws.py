"""Whole jobs on aws, from a typed line to the settled ledger: a lead approves, a machine boots, PyTorch trains on it.

Slack is the sandbox, EC2, S3 and STS are moto, and a container stands in for each machine. The rest is real: the
bot's process, the boot script, the registry that the image is pinned at and pulled from, the agent and the training.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from jobs.lifecycle import AttemptState, JobState
from jobs.model import EntryKind, Job
from jobs.orders import launch_key
from jobs.providers.aws_request import client_token
from jobs.values import DOLLAR
from tests.aws.orders import boot_log
from tests.e2e.aws_ground import DISK_GB, DISK_MICROS, LIMIT, MICROS_PER_HOUR, TASK, Ground, grounded
from tests.e2e.deployment import CHANNEL
from tests.support import logs

# The first push to an empty registry compresses PyTorch, which takes minutes where the tests have company.
pytestmark = [pytest.mark.engine, pytest.mark.slow, pytest.mark.timeout(900), pytest.mark.xdist_group("engine aws")]

# Saves when it is asked to stop, and begins where its file says.
GOES_ON = """
import signal, sys, time
from pathlib import Path
import torch
steps, file, asked = int(sys.argv[1]), Path("out/ckpt.pt"), []
signal.signal(signal.SIGTERM, lambda number, _: asked.append(number))
step = torch.load(file)["step"] if file.exists() else 0
print(f"beginning at step {step}", flush=True)
while step < steps and not asked:
    step += 1
    print(f"step {step}/{steps}: loss {1 / step:.6f}", flush=True)
    time.sleep(0.1)
file.parent.mkdir(exist_ok=True)
torch.save({"model": {"weight": torch.ones(1), "bias": torch.ones(1)}, "step": step}, "out/.ckpt.pt")
Path("out/.ckpt.pt").replace(file)
"""
INSTANCE_ACTION = "/latest/meta-data/spot/instance-action"


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    """A bot without schedules: each rental needs a lead."""
    with grounded(tmp_path_factory.mktemp("aws")) as ground:
        yield ground


def charge(began: datetime, until: datetime) -> int:
    """Return what a machine costs that stood so long: by the second, for a minute at least, with its disk."""
    seconds = max(60, math.ceil((until - began) / timedelta(seconds=1)))
    return math.ceil(seconds * (MICROS_PER_HOUR + DISK_GB * DISK_MICROS) / 3600)


def settled(ground: Ground, job: Job) -> None:
    """Expect that the machine is gone and that the ledger has what it cost, no more and no less."""
    deployment = ground.deployment
    (attempt,) = deployment.attempts(job)
    assert attempt.launched_at is not None and attempt.billed_until is not None
    assert ground.instance(job)["State"]["Name"] == "terminated"
    amounts = {entry.kind: entry.micros for entry in deployment.entries(job)}
    assert amounts[EntryKind.CHARGE] == charge(attempt.launched_at, attempt.billed_until)
    assert amounts[EntryKind.HOLD] == amounts[EntryKind.CHARGE] + amounts[EntryKind.RELEASE]
    assert deployment.held() == 0
    deployment.until(lambda: "that were held;" in deployment.texts(job) and "for its disk" in deployment.texts(job))
    assert deployment.machines() == []
    deployment.wait(lambda: not ground.machines.powered() and not ground.machines.containers())
    assert list(ground.store.keys(f"launch/{job.id}")) == []


def as_it_was_asked_for(ground: Ground, job: Job, key: str) -> None:
    """Expect a machine that says whose it is and until when, and whose power-off ends its rental."""
    machine = ground.instance(job)
    deadline = ground.deployment.job(job.id).deadline
    assert deadline is not None
    expected = {
        "app": "hourglass",
        "home": str(ground.deployment.settings.home),
        "job": job.id,
        "team": "vision",
        "key": key,
        "deadline": str(int(deadline.timestamp())),
    }
    assert {tag["Key"]: tag["Value"] for tag in machine["Tags"]}.items() >= expected.items()
    behaviour = "instanceInitiatedShutdownBehavior"
    books = ground.cloud.books()
    answer = books.describe_instance_attribute(InstanceId=machine["InstanceId"], Attribute=behaviour)
    assert answer["InstanceInitiatedShutdownBehavior"]["Value"] == "terminate"


def test_a_lead_is_asked_a_machine_boots_and_its_checkpoint_is_handed_over(ground: Ground, tmp_path: Path) -> None:
    deployment = ground.deployment
    launches = len(ground.cloud.front.tokens())
    ground.registry.forget(ground.image)  # another story's machine may have pulled it
    job = ground.train("acme/chargpt-like", "python train.py 300 0.1")

    why = "the provider's guarantee to end it in time is weak"
    assert "Weak guarantee: at aws a timer on the machine and the bot end it." in ground.seen(job, why, "'approve'")
    deployment.until(lambda: job.id in deployment.direct("lea") and why in deployment.direct("lea"))
    asked = deployment.job(job.id)
    assert (asked.state, asked.needs_lead) == (JobState.AWAITING_APPROVAL, ["weak"])
    assert deployment.held() == asked.hold > 0
    assert len(ground.cloud.front.tokens()) == launches

    ground.approve(job)
    ground.seen(job, "billed since")
    seen = ground.seen(job, "training", "loss")
    assert "so far of" in seen and "aws us-east-1, $0.09 an hour" in seen
    key = launch_key(str(deployment.settings.home), job.id, 1)
    assert ground.machines.containers() == [key]
    assert ground.cloud.front.tokens()[launches:] == [client_token(key)]
    as_it_was_asked_for(ground, job, key)

    done = deployment.ended(job, limit=LIMIT)
    assert done.state is JobState.SUCCEEDED, (done.error, boot_log(ground.store, job.id))
    pinned = str(done.image_digest)
    assert re.fullmatch(re.escape(ground.image.rpartition(":")[0]) + "@sha256:[0-9a-f]{64}", pinned)
    assert f"Fetching the image {pinned}." in boot_log(ground.store, job.id)
    assert deployment.until(lambda: [file for message in deployment.thread(job) for file in message.get("files", ())])
    loaded = ground.checkpoint(job, tmp_path)
    assert (loaded.step, loaded.tensors) == (300, 2)
    assert "X-Amz-Signature" not in deployment.texts(job)
    settled(ground, job)


def test_a_machine_whose_bot_is_dead_ends_its_own_rental_and_is_settled_later(ground: Ground, tmp_path: Path) -> None:
    deployment = ground.deployment
    job = ground.train("acme/alone", "python train.py 200 0.1")
    ground.approve(job)
    deployment.until(lambda: (deployment.job(job.id).step or 0) > 0, limit=LIMIT)
    deployment.kill()
    (attempt,) = deployment.attempts(job)

    def over() -> bool:
        return any(one["InstanceId"] == attempt.instance_id for one in ground.cloud.instances("terminated"))

    deployment.wait(over, limit=LIMIT)
    assert deployment.job(job.id).state is JobState.RUNNING
    deployment.start()
    assert deployment.ended(job, limit=LIMIT).state is JobState.SUCCEEDED
    assert ground.checkpoint(job, tmp_path).step == 200
    settled(ground, job)


def test_stop_saves_and_hands_over_what_was_saved(ground: Ground, tmp_path: Path) -> None:
    deployment = ground.deployment
    job = ground.train("acme/stopped", "python train.py 100000 0.1")
    ground.approve(job)
    deployment.until(lambda: (deployment.job(job.id).step or 0) > 0, limit=LIMIT)
    assert deployment.press("ada", job, "stop").ok
    assert deployment.ended(job, limit=LIMIT).state is JobState.CANCELLED
    step = ground.checkpoint(job, tmp_path).step
    assert step is not None and step < 100000
    settled(ground, job)


def test_a_spot_machine_is_taken_back_and_the_job_goes_on_in_another_zone_under_the_same_deadline_and_hold(
    ground: Ground, tmp_path: Path
) -> None:
    deployment, launches = ground.deployment, len(ground.cloud.front.launches())
    sha = deployment.repository("acme/spot", {"train.py": GOES_ON, ".hourglass.yml": TASK})
    line = f"acme/spot@{sha} gpu=cpu hours=2 provider=aws spot=auto image={ground.image} -- python train.py 150"
    job = deployment.train(line)
    ground.approve(job)
    deployment.until(lambda: (deployment.job(job.id).step or 0) >= 20, limit=LIMIT)
    before = deployment.job(job.id)
    ends = (datetime.now(UTC) + timedelta(minutes=2)).strftime("%Y-%m-%dT%H:%M:%SZ")
    ground.metadata.notices[INSTANCE_ACTION] = json.dumps({"action": "terminate", "time": ends})
    deployment.until(lambda: deployment.attempts(job)[0].state is AttemptState.GONE, limit=LIMIT)
    ground.metadata.notices.clear()  # the next machine's own service knows of none

    done = deployment.ended(job, limit=LIMIT)
    assert done.state is JobState.SUCCEEDED, (done.error, boot_log(ground.store, job.id))
    assert (done.deadline, done.hold) == (before.deadline, before.hold)
    first, second = deployment.attempts(job)
    assert (first.offer["spot"], second.offer["spot"]) == (True, True)
    assert first.offer["zone"] != second.offer["zone"], "AWS has just said that it wants that one back"
    bids = [asked["InstanceMarketOptions.SpotOptions.MaxPrice"] for asked in ground.cloud.front.launches()[launches:]]
    assert [Decimal(bid) * DOLLAR for bid in bids] == [first.offer["bid"], second.offer["bid"]]
    assert max(first.offer["bid"], second.offer["bid"]) <= (done.rate_ceiling or 0)

    said = logs.whole(ground.store, f"jobs/{job.id}/a2/log/")
    began = re.search(r"beginning at step (\d+)", said)
    assert began is not None and int(began[1]) >= 20
    assert f"It goes on from step {int(began[1]):,}, with the same deadline." in deployment.texts(job)
    assert ground.checkpoint(job, tmp_path).step == 150
    amounts = [(entry.kind, entry.micros) for entry in deployment.entries(job)]
    assert [micros for kind, micros in amounts if kind is EntryKind.HOLD] == [done.hold]
    assert done.charged == (first.billed or 0) + (second.billed or 0) > 0
    assert deployment.balance(job) == 0
    assert deployment.machines() == []


def test_an_image_that_the_registry_does_not_have_is_refused_and_nothing_is_rented(ground: Ground) -> None:
    launches = len(ground.cloud.front.tokens())
    job = ground.train("acme/misspelt", "true", image=ground.image.replace(":cpu", ":cup"))
    done = ground.deployment.ended(job)
    assert (done.state, done.stop_reason) == (JobState.FAILED, "bad_image")
    ground.deployment.until(lambda: "There is no tag" in ground.deployment.whispers("ada", CHANNEL))
    assert len(ground.cloud.front.tokens()) == launches
    assert ground.deployment.held() == 0
