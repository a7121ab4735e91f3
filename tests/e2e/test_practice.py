"""Whole jobs on practice machines, from a typed line to the settled ledger; Slack is the sandbox, all else is real."""

from __future__ import annotations

import os
import re
import signal
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import httpx
import pytest

from bot.demo.proof import links
from jobs.endings import OTHERS_LEAVE_IN
from jobs.lifecycle import JobState
from jobs.model import EntryKind, Job
from tests.e2e.deployment import Deployment
from tests.support import logs
from trainer.storage import FolderStore

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


STRANGE = """
import time
for n in range(1, 31):
    print(f"E{n // 10}b{n % 10} A<{4 / n:.3f}>", flush=True)
    time.sleep(0.12)
"""


def test_lines_that_nobody_understands_bring_a_hint_and_what_it_says_brings_plots(deployment: Deployment) -> None:
    job = deployment.train(f"{deployment.script('acme/odd', STRANGE)} gpu=a100 hours=1")
    assert deployment.ended(job).state is JobState.SUCCEEDED
    hints = deployment.until(lambda: [one["text"] for one in deployment.thread(job) if "progress: [" in one["text"]])
    (setting,) = re.findall(r"`(progress: \[.*\])`", hints[0].replace("&lt;", "<").replace("&gt;", ">"))
    assert setting == "progress: ['E{epoch}b{batch} A<{value}>']"

    task = f"commands: [python run.py]\n{setting.replace('value', 'loss')}\n"
    job = deployment.train(f"{deployment.script('acme/odd', STRANGE, task=task)} gpu=a100 hours=1")
    assert deployment.ended(job).state is JobState.SUCCEEDED
    assert deployment.until(lambda: [file for message in deployment.thread(job) for file in message.get("files", ())])
    assert not [one["text"] for one in deployment.thread(job) if "progress: [" in one["text"]]


def test_lines_that_are_described_while_they_run_are_read_from_then_on(deployment: Deployment) -> None:
    endless = STRANGE.replace("range(1, 31)", "range(1, 10_000)")
    job = deployment.train(f"{deployment.script('acme/odd', endless)} gpu=a100 hours=1")
    deployment.until(lambda: deployment.job(job.id).state is JobState.RUNNING)
    assert deployment.type("ada", f"/train progress {job.id}").ok
    shown = deployment.people.ephemerals("ada", job.channel)[-1]
    assert deployment.people.press("ada", job.channel, shown["ts"], "describe").ok
    said = {"lines": "E{epoch}b{batch} A<{loss}>"}
    assert deployment.people.submit("ada", deployment.form("ada", "describe"), said).ok
    assert deployment.job(job.id).loss is None
    deployment.until(lambda: (deployment.job(job.id).loss or 9.0) < 1.0)
    assert deployment.until(lambda: [file for message in deployment.thread(job) for file in message.get("files", ())])
    deployment.type("ada", f"/train stop {job.id}")
    deployment.ended(job)


TALKS = """
import os, socket, time
place = (os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"]))
if os.environ["NODE_RANK"] == "0":
    with socket.create_server(place) as server:
        print("step 1/1: heard", server.accept()[0].recv(99).decode(), flush=True)
else:
    while True:
        try:
            with socket.create_connection(place) as first:
                first.send(b"of " + os.environ["PET_LOCAL_ADDR"].encode())
            break
        except ConnectionRefusedError:
            time.sleep(0.05)
"""


def test_two_machines_are_held_and_charged_and_each_finds_the_other(deployment: Deployment) -> None:
    one = deployment.ended(deployment.train(f"{deployment.script('acme/vit', TRAINS)} gpu=a100 hours=1"))
    job = deployment.train(f"{deployment.script('acme/pair', TALKS)} gpu=a100 hours=1 nodes=2")
    done = deployment.ended(job)
    assert done.state is JobState.SUCCEEDED, (done.error, done.outcome)
    assert done.hold == 2 * one.hold
    assert log_of(deployment, job, 1) == ["step 1/1: heard of 127.0.1.101"]
    rows = deployment.attempts(job)
    assert [row.rank for row in rows] == [0, 1]
    assert done.charged == sum(row.billed or 0 for row in rows) and all(row.billed for row in rows)
    deployment.until(lambda: "2 of practice" in deployment.texts(job))
    assert deployment.machines() == []


LEAVES_ONE_BEHIND = """
import os, time
print("step 1/1000: loss 3.0", flush=True)
while os.environ["NODE_RANK"] == "1":
    time.sleep(60)
"""


def test_a_machine_that_is_left_behind_is_ended_long_before_its_deadline_and_the_thread_names_it(
    deployment: Deployment,
) -> None:
    job = deployment.train(f"{deployment.script('acme/behind', LEAVES_ONE_BEHIND)} gpu=a100 hours=1 nodes=2")
    deployment.until(lambda: deployment.job(job.id).first_left_at)
    assert deployment.job(job.id).state is JobState.RUNNING
    deployment.left_long_ago(job, OTHERS_LEAVE_IN)
    done = deployment.ended(job)
    assert (done.state, done.stop_reason) == (JobState.FAILED, "left_behind")
    assert [row.outcome for row in deployment.attempts(job)] == ["finished", "left_behind"]
    deployment.until(lambda: "that of machine 2 goes on" in deployment.texts(job))
    deployment.until(lambda: "another went on without it" in deployment.texts(job))
    assert deployment.machines() == []
    assert deployment.held() == 0


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
    assert len(deployment.cards(job)) == 1


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


# Somebody's own: it looks for no checkpoint by itself, and has an option that takes one.
TAKES_A_FILE = """
import argparse, os, time, zipfile
parser = argparse.ArgumentParser()
parser.add_argument("--resume", default="", help="path of the checkpoint to go on from")
options = parser.parse_args()
begin = int(zipfile.ZipFile(options.resume).read("step")) if options.resume else 0
os.makedirs("out", exist_ok=True)
for step in range(begin + 1, 121):
    print(f"step {step}/120: loss {4 / step:.4f}", flush=True)
    if step % 10 == 0:
        with zipfile.ZipFile("out/new.tmp", "w") as file:
            file.writestr("step", str(step))
        os.replace("out/new.tmp", "out/ckpt.pt")
    time.sleep(0.05)
    while step == 60 and not options.resume:  # until its machine is taken back
        time.sleep(1)
"""
GOES_ON = """
commands: [python run.py]
checkpoints: {path: out, upload_every: 1s, keep: 2}
retry: {on_events: [interruption]}
"""


def test_a_script_goes_on_from_its_checkpoint_on_another_machine_and_in_another_job(deployment: Deployment) -> None:
    reference = deployment.script("acme/plain", TAKES_A_FILE, task=GOES_ON)
    job = deployment.train(f"{reference} gpu=a100 hours=1")
    deployment.until(lambda: "is safe" in deployment.texts(job))
    os.kill(machine_of(job), signal.SIGTERM)  # as a provider that takes it back
    assert deployment.ended(job).state is JobState.SUCCEEDED
    assert [attempt.number for attempt in deployment.attempts(job)] == [1, 2]
    first, second = log_of(deployment, job, 1), log_of(deployment, job, 2)
    assert first[0].startswith("step 1/120")
    found = re.match(r"hourglass: resumed from step (\d+); added --resume=\S+/out/ckpt.pt \(an option", second[0])
    assert found is not None
    began = re.match(r"step (\d+)/120", second[1])
    assert began is not None
    # A file that does not name its step has that of the moment it was written, here twenty steps a second.
    assert int(began[1]) % 10 == 1
    assert abs(int(began[1]) - 1 - int(found[1])) <= 4
    assert f"It goes on from step {found[1]}, with the same deadline." in deployment.texts(job)

    again = deployment.train(f"rerun {job.id} resume")
    assert deployment.ended(again).state is JobState.SUCCEEDED
    assert log_of(deployment, again, 1)[0].startswith("hourglass: resumed from step 120; added --resume=")
    assert log_of(deployment, again, 1)[1:] == []  # there was nothing left to do


def machine_of(job: Job) -> int:
    """Return the first process of the practice machine that the job has."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            with suppress(OSError):
                started = (entry / "cmdline").read_bytes().split(b"\0")
                if b"HOURGLASS_JOB=" + job.id.encode() in (entry / "environ").read_bytes() and started[-2].endswith(
                    b".pyz"
                ):
                    return int(entry.name)
    raise AssertionError(f"{job.id} has no machine")


def log_of(deployment: Deployment, job: Job, attempt: int) -> list[str]:
    """Return the lines that one of the job's machines printed."""
    store = FolderStore(deployment.folder / "state" / "store")
    return logs.whole(store, f"jobs/{job.id}/a{attempt}/log/").splitlines()
