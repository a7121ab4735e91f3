"""Whole jobs on practice machines, from a typed line to the settled ledger; Slack is the sandbox, all else is real."""

from __future__ import annotations

from datetime import timedelta

import httpx
import pytest

from bot.demo.proof import links
from jobs.lifecycle import JobState
from jobs.model import EntryKind
from tests.e2e.deployment import Deployment

# One worker: the stories share a deployment.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(300), pytest.mark.xdist_group("practice stories")]

TRAINS = """
import pathlib, time, zipfile
out = pathlib.Path("out"); out.mkdir(exist_ok=True)
for step in range(1, 21):
    print(f"step {step}/20: loss {4 / step:.4f}", flush=True)
    time.sleep(0.05)
with zipfile.ZipFile("out/model.pt", "w") as file:
    file.writestr("weights", "1234")
"""

WAITS_FOR_EVER = """
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("step 1/1000: loss 3.0", flush=True)
while True:
    time.sleep(60)
"""


def test_a_line_becomes_a_card_a_plot_and_files_and_the_money_balances(deployment: Deployment) -> None:
    job = deployment.train(f"{deployment.script('acme/vit', TRAINS)} gpu=a100 hours=1")
    done = deployment.ended(job)
    assert done.state is JobState.SUCCEEDED, done.error
    (link,) = deployment.until(lambda: links(deployment.thread(job)))
    assert httpx.get(link).content[:2] == b"PK"
    assert deployment.until(lambda: [file for message in deployment.thread(job) for file in message.get("files", ())])
    amounts = {entry.kind: entry.micros for entry in deployment.entries(job)}
    assert amounts[EntryKind.HOLD] == amounts[EntryKind.CHARGE] + amounts[EntryKind.RELEASE]
    assert deployment.held() == 0
    assert deployment.machines() == []


def test_the_deadline_ends_a_script_that_ignores_everything(deployment: Deployment) -> None:
    job = deployment.train(f"{deployment.script('acme/stuck', WAITS_FOR_EVER)} gpu=a100 hours=1m")
    done = deployment.ended(job)
    assert done.state is JobState.TIMED_OUT
    assert done.deadline is not None
    (attempt,) = deployment.attempts(job)
    assert attempt.gone_at is not None
    assert attempt.gone_at - done.deadline <= timedelta(seconds=60)
    assert deployment.machines() == []
    assert deployment.held() == 0


def test_a_machine_ends_at_its_deadline_while_the_bot_is_dead(deployment: Deployment) -> None:
    job = deployment.train(f"{deployment.script('acme/stuck', WAITS_FOR_EVER)} gpu=a100 hours=1m")
    deployment.until(lambda: deployment.job(job.id).state is JobState.RUNNING)
    deployment.kill()
    assert deployment.machines() != []
    deadline = deployment.job(job.id).deadline
    assert deadline is not None
    deployment.nobody_left(by=deadline + timedelta(seconds=30))
    deployment.start()
    assert deployment.ended(job).state is JobState.TIMED_OUT
    assert deployment.held() == 0


def test_a_bot_killed_in_the_middle_goes_on_where_it_was(deployment: Deployment) -> None:
    slow = TRAINS.replace("time.sleep(0.05)", "time.sleep(0.4)")
    job = deployment.train(f"{deployment.script('acme/slow', slow)} gpu=a100 hours=1")
    deployment.until(lambda: deployment.job(job.id).state is JobState.RUNNING)
    deployment.kill()
    deployment.start()
    assert deployment.ended(job).state is JobState.SUCCEEDED
    assert len(deployment.attempts(job)) == 1
    cards = [m for m in deployment.people.messages("#vision") if job.id in str(m.get("blocks"))]
    assert len(cards) == 1


@pytest.mark.parametrize(
    ("script", "state", "word"),
    [
        ("import sys; print('no data here'); sys.exit(1)", JobState.FAILED, "no data here"),
        ("pass", JobState.SUCCEEDED, ""),
        ("print('step 1/3: loss nan', flush=True); import time; time.sleep(2)", JobState.SUCCEEDED, "nan"),
    ],
    ids=["exits-1", "says-nothing", "says-nan"],
)
def test_scripts_that_go_wrong_are_told_as_they_are(
    deployment: Deployment, script: str, state: JobState, word: str
) -> None:
    job = deployment.train(f"{deployment.script('acme/odd', script)} gpu=a100 hours=1")
    assert deployment.ended(job).state is state
    deployment.until(lambda: word.lower() in deployment.texts(job).lower())
    assert deployment.held() == 0
    assert deployment.machines() == []
