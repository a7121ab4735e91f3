"""What people get wrong, and what scripts do: a clear answer each time, the ledger balanced, no machine left.

All stories share one deployment on practice machines.
"""

from __future__ import annotations

import gzip
import subprocess
from collections.abc import Iterator
from datetime import timedelta

import pytest

from bot.demo.proof import links
from jobs.lifecycle import JobState
from jobs.model import Job
from tests.e2e.deployment import Deployment

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300), pytest.mark.xdist_group("bad input")]

GOOD = "print('step 1/1: loss 0.5', flush=True)"


@pytest.fixture(autouse=True)
def nothing_left(deployment: Deployment) -> Iterator[None]:
    """Check after each story that no machine stands and nothing is held."""
    yield
    assert deployment.machines() == []
    assert deployment.held() == 0
    assert [job for job in deployment.jobs() if deployment.balance(job)] == []


def answer(deployment: Deployment, line: str) -> str:
    """Type a line that makes no job; return what its author is told."""
    before = len(deployment.jobs())
    outcome = deployment.type("ada", line)
    assert outcome.ok, outcome
    assert len(deployment.jobs()) == before
    return str((outcome.reply or {})["text"])


def refused(deployment: Deployment, line: str) -> Job:
    """Type a line that makes a job which comes to nothing, and wait until its author was told why."""
    job = deployment.ended(deployment.train(line))
    assert job.state is JobState.FAILED
    assert deployment.attempts(job) == []
    deployment.until(lambda: job.error.split("`")[0].split(".")[0] in deployment.whispers("ada", job.channel))
    return job


@pytest.mark.parametrize(
    ("line", "words", "corrected"),
    [
        ("/train acme/vit@main gpus=a100 hours=1", ["`gpus` is not", "`gpu`"], "/train acme/vit@main gpu=a100 hours=1"),
        ("/train acme/vit@main gpu=a1000 hours=1", ["a1000", "a100"], "/train acme/vit@main gpu=a100 hours=1"),
        ("/train stauts abc", ["stauts", "status"], "/train status abc"),
        ("/train acme/vit@main gpu=a100 hours=0", ["hours=0"], "/train acme/vit@main gpu=a100 hours=1"),
        ("/train acme/vit@main gpu=a100 hours=-1", ["hours=-1"], "/train acme/vit@main gpu=a100 hours=1"),
        ("/train acme/vit@main gpu=a100 hours=1000000", ["hours=1000000"], "/train acme/vit@main gpu=a100 hours=24"),
        ("/train acme/vit@main gpu=a100 hours=4 h", ["4h"], "/train acme/vit@main gpu=a100 hours=4h"),
        ("/train acme/vit gpu=a100 hours=1", ["Which commit of `acme/vit`?"], "/train acme/vit@main gpu=a100 hours=1"),
        ("/train acme/vit@--upload-pack=x gpu=a100 hours=1", ["begins with `-`"], ""),
        ("/train acme/vit@main;reboot gpu=a100 hours=1", ["main;reboot"], ""),
        ("/budget cup 300", ["cup", "cap"], "/budget cap 300"),
    ],
    ids=["key", "gpu", "command", "zero", "negative", "million", "space", "no-ref", "option", "shell", "budget"],
)  # fmt: skip
def test_a_line_that_cannot_be_read_is_answered_with_the_word_and_the_line_to_copy(
    deployment: Deployment, line: str, words: list[str], corrected: str
) -> None:
    told = answer(deployment, line)
    for word in words:
        assert word in told
    assert f"`{corrected}`" in told if corrected else "Try:" not in told


def test_a_repository_that_does_not_exist_is_named(deployment: Deployment) -> None:
    assert "acme/nowhere" in refused(deployment, "acme/nowhere@main gpu=a100 hours=1").error


def test_a_branch_that_does_not_exist_is_answered_with_the_nearest(deployment: Deployment) -> None:
    deployment.script("acme/vit", GOOD)
    job = refused(deployment, "acme/vit@mian gpu=a100 hours=1")
    assert "did you mean `acme/vit@main`?" in job.error


def test_a_commit_that_no_branch_leads_to_is_unknown(deployment: Deployment) -> None:
    deployment.script("acme/vit", GOOD)
    sha = "0123456789abcdef0123456789abcdef01234567"
    assert sha[:7] in refused(deployment, f"acme/vit@{sha} gpu=a100 hours=1").error


def test_a_forks_commit_is_served_by_the_host_and_not_run(deployment: Deployment) -> None:
    deployment.script("acme/forked", GOOD)
    git = ["git", "-C", str(deployment.hosts / "acme/forked")]
    identity = ["-c", "user.name=Mallory", "-c", "user.email=mallory@fork.example"]
    made = [*git, *identity, "commit-tree", "-p", "HEAD", "-m", "Mine the team's money", "HEAD^{tree}"]
    sha = subprocess.run(made, check=True, capture_output=True, text=True).stdout.strip()
    subprocess.run([*git, "update-ref", "refs/pull/1/head", sha], check=True)
    assert "branch or tag" in refused(deployment, f"acme/forked@{sha} gpu=a100 hours=1").error
    assert "refs/pull/1/head" in refused(deployment, "acme/forked@refs/pull/1/head gpu=a100 hours=1").error


def test_shell_metacharacters_of_a_command_are_nothing_but_letters(deployment: Deployment) -> None:
    reference = deployment.script("acme/shell", "import sys; print('got', sys.argv[1:], flush=True)")
    trap = deployment.folder / "trapped"
    job = deployment.train(
        f"{reference} gpu=a100 hours=1 -- python run.py '$(touch {trap})' '; touch {trap}' '`touch {trap}`'"
    )
    done = deployment.ended(job)
    assert done.state is JobState.SUCCEEDED, done.error
    (said,) = [line for line in (done.outcome or {})["tail"] if line.startswith("got")]
    assert said == f"got {[f'$(touch {trap})', f'; touch {trap}', f'`touch {trap}`']}"
    assert not trap.exists()


@pytest.mark.parametrize(
    ("task", "words"),
    [("commands: [python run.py\n", [".hourglass.yml"]), ("comands: [python run.py]\n", ["`comands`", "`commands`"])],
    ids=["does-not-parse", "unknown-key"],
)
def test_a_task_file_that_cannot_be_used_is_refused_where_it_stands(
    deployment: Deployment, task: str, words: list[str]
) -> None:
    job = refused(deployment, f"{deployment.script('acme/task', GOOD, task=task)} gpu=a100 hours=1")
    for word in words:
        assert word in job.error


def test_a_channel_that_the_bot_is_not_in_is_told_to_the_one_who_asked(deployment: Deployment) -> None:
    job = deployment.train(f"{deployment.script('acme/quiet', GOOD)} gpu=a100 hours=1", channel="#random")
    assert deployment.ended(job).state is JobState.FAILED
    assert deployment.attempts(job) == []
    told = deployment.until(lambda: seen if "/invite" in (seen := deployment.direct("ada")) else None)
    assert f"<#{job.channel}>" in told


def test_the_same_delivery_twice_makes_one_job(deployment: Deployment) -> None:
    reference = deployment.script("acme/twice", GOOD)
    before = len(deployment.jobs())
    first = deployment.type("ada", f"/train {reference} gpu=a100 hours=1")
    again = deployment.people.redeliver(first.delivery_id)
    assert "Already on it" in str(again.reply)
    assert len(deployment.jobs()) == before + 1
    job = deployment.jobs()[0]
    assert deployment.ended(job).state is JobState.SUCCEEDED
    assert len(deployment.attempts(job)) == 1


def test_half_a_checkpoint_is_never_linked(deployment: Deployment) -> None:
    half = """
import io, pathlib, zipfile
whole = io.BytesIO()
with zipfile.ZipFile(whole, "w") as file:
    file.writestr("weights", b"x" * 100_000)
out = pathlib.Path("out"); out.mkdir(exist_ok=True)
(out / "model.pt").write_bytes(whole.getvalue()[:50_000])
print("step 1/1: loss 0.5", flush=True)
"""
    job = deployment.train(f"{deployment.script('acme/half', half)} gpu=a100 hours=1")
    assert deployment.ended(job).state is JobState.SUCCEEDED
    deployment.until(lambda: "no checkpoint" in deployment.texts(job))
    assert links(deployment.thread(job)) == []


def test_a_hundred_megabytes_of_output_are_survived_and_kept_whole(deployment: Deployment) -> None:
    loud = """
import time
line = "x" * 999
for _ in range(100_000):
    print(line)
time.sleep(2)  # a flood is sampled; what is said after it is heard
print("step 1/1: loss 0.25", flush=True)
"""
    job = deployment.train(f"{deployment.script('acme/loud', loud)} gpu=a100 hours=1")
    done = deployment.ended(job)
    assert (done.state, done.loss) == (JobState.SUCCEEDED, 0.25)
    chunks = sorted((deployment.settings.state / "store/jobs" / job.id).rglob("log/*"))
    lines = b"".join(gzip.decompress(path.read_bytes()) for path in chunks).splitlines()
    assert lines.count(b"x" * 999) == 100_000
    assert sum(path.stat().st_size for path in chunks) < 10_000_000


def test_a_script_that_ignores_stop_is_ended_after_its_grace(deployment: Deployment) -> None:
    deaf = """
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("step 1/9: loss 3.0", flush=True)
while True:
    time.sleep(60)
"""
    job = deployment.train(f"{deployment.script('acme/deaf', deaf)} gpu=a100 hours=1m")
    deployment.until(lambda: deployment.job(job.id).step)
    assert deployment.press("ada", job, "stop").ok
    done = deployment.ended(job)
    assert done.state is JobState.CANCELLED
    assert done.deadline is not None and done.finished_at is not None
    assert done.finished_at < done.deadline + timedelta(seconds=30)
    deployment.until(lambda: f"stopped by <@{job.person}>" in deployment.texts(job))
