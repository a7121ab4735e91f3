"""The bot is killed in mid-rental and its database deleted; the commands an operator types bring the job to its end."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from jobs import snapshots
from jobs.lifecycle import JobState
from jobs.model import EntryKind, Job
from tests.e2e.deployment import Deployment

pytestmark = [pytest.mark.promises, pytest.mark.timeout(400), pytest.mark.xdist_group("recovery story")]

SCRIPT = """
import pathlib, time
for step in range(1, 6):
    print(f"step {{step}}/10: loss {{4 / step:.4f}}", flush=True)
while not pathlib.Path({go!r}).exists():
    time.sleep(0.1)
for step in range(6, 11):
    print(f"step {{step}}/10: loss {{4 / step:.4f}}", flush=True)
"""


class Mortal(Deployment):
    """A deployment whose operator types commands, and whose database can be lost."""

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Type a command."""
        return subprocess.run(
            [sys.executable, "-m", "bot.cli", *arguments],
            env={**os.environ, **self.environment},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def lose_database(self) -> None:
        """Delete the file and what lies beside it; the bot is down."""
        self._database.close()
        for path in self.settings.state.glob("hourglass.db*"):
            path.unlink()

    def recorded(self, job: Job) -> bool:
        """Return whether the store knows that the job runs, and where its thread is."""
        path = self.settings.state / "store" / snapshots.job_key(job.id)
        rows = json.loads(path.read_text())["rows"] if path.exists() else {"job": {"state": "", "thread_ts": None}}
        return rows["job"]["state"] == "running" and bool(rows["job"]["thread_ts"])

    def said(self, job: Job) -> Counter[str]:
        """Return what the thread's messages say, each with how often."""
        return Counter(message.get("text", "") for message in self.thread(job)[1:])


@pytest.fixture(scope="module")
def deployment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mortal]:
    """A bot on practice machines, with a budget of 300 dollars."""
    with Mortal(tmp_path_factory.mktemp("mortal")) as running:
        running.budget()
        yield running


def started(deployment: Mortal, name: str) -> tuple[Job, Path]:
    """Start a job that waits for a file; return it once its record says that it runs."""
    go = deployment.folder / f"{name}.go"
    job = deployment.train(f"{deployment.script(f'acme/{name}', SCRIPT.format(go=str(go)))} gpu=a100 hours=1")
    deployment.until(lambda: deployment.recorded(job))
    return job, go


def settles_right(deployment: Mortal, job: Job, hold: int) -> None:
    """Wait for the job's end: one machine, its hold closed once, one card, nothing said twice."""
    done = deployment.ended(job)
    assert done.state is JobState.SUCCEEDED, done.error
    assert len(deployment.attempts(job)) == 1
    amounts = {entry.kind: entry.micros for entry in deployment.entries(job)}
    assert amounts[EntryKind.HOLD] == hold == amounts[EntryKind.CHARGE] + amounts[EntryKind.RELEASE]
    assert (deployment.balance(job), deployment.held(), deployment.machines()) == (0, 0, [])
    deployment.until(lambda: any("no checkpoint" in text for text in deployment.said(job)) or None)
    assert [text for text, count in deployment.said(job).items() if count > 1 and text] == []
    cards = [message for message in deployment.people.messages("#vision") if job.id in str(message.get("blocks"))]
    assert len(cards) == 1


def test_a_deleted_database_is_rebuilt_and_the_job_ends_and_settles(deployment: Mortal) -> None:
    job, go = started(deployment, "lost")
    beside = deployment.command("recover")
    assert (beside.returncode, beside.stderr.count("\n")) == (1, 1)
    assert "Another Hourglass writes" in beside.stderr
    hold = deployment.job(job.id).hold
    deployment.kill()
    deployment.lose_database()
    dry = deployment.command("recover", "--dry-run")
    found = re.search(r"Would be added: ([1-9]\d* jobs?);", dry.stdout)  # another story may have left receipts
    assert (dry.returncode, found is not None) == (0, True), dry.stdout + dry.stderr
    assert not (deployment.settings.state / "hourglass.db").exists()
    done = deployment.command("recover")
    assert done.returncode == 0, done.stderr
    assert found is not None
    assert f"Added: {found[1]};" in done.stdout
    assert "Machines with a row: 1" in done.stdout
    assert (deployment.job(job.id).state, deployment.job(job.id).hold) == (JobState.RUNNING, hold)
    assert len(deployment.machines()) == 1
    deployment.start()
    go.touch()
    settles_right(deployment, job, hold)


def test_a_backup_put_back_is_brought_up_to_date(deployment: Mortal) -> None:
    copy = deployment.folder / "copy.db"
    made = deployment.command("backup", str(copy))
    assert (made.returncode, "checked" in made.stdout) == (0, True), made.stderr
    again = deployment.command("backup", str(copy))
    assert (again.returncode, again.stderr) == (1, f"hourglass: {copy} is there already. Name a file that is not.\n")
    job, go = started(deployment, "restored")
    hold = deployment.job(job.id).hold
    deployment.kill()
    deployment.lose_database()
    done = deployment.command("recover", "--from", str(copy))
    assert done.returncode == 0, done.stderr
    assert f"{copy} is the database now." in done.stdout
    assert "Added: 1 job" in done.stdout
    deployment.start()
    go.touch()
    settles_right(deployment, job, hold)
