"""From an approval to the script's first line, over a bare `docker run` of the same image."""

from __future__ import annotations

import gzip
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

from bot.demo.stage import CHANNEL, LEAD, RESEARCHER, Plan, Stage
from jobs import db
from jobs.db import Database
from jobs.lifecycle import TERMINAL
from tests.bench.figures import Figure, percentile

IMAGE = "hourglass-test/torch:cpu"
NAME = "approval to the script's first line, over a bare `docker run`"
ROUNDS = 5
LIMIT = 90.0
# The script says the time itself: what is measured ends there, not when the thread shows it.
SCRIPT = "import time; print('first line at', time.time(), flush=True)"


def approval_to_first_line() -> list[Figure]:
    """Measure with this machine's engine and the tests' image; the medians' difference is the figure."""
    if not _engine():
        return [Figure(name=NAME, value=None, unit="s", goal=2, note="no engine or image: bash .ci/engine.sh")]
    bare = [_bare() for _ in range(ROUNDS)]
    with tempfile.TemporaryDirectory() as folder:
        plan = Plan(folder=Path(folder), provider="docker", port=0, reaper=False)
        with Stage(plan) as stage:
            people = stage.sandbox.people
            assert people.type(LEAD, CHANNEL, "/budget cap 300").ok
            assert people.type(LEAD, CHANNEL, "/budget auto-approve 0").ok
            through = [_through_the_bot(stage) for _ in range(ROUNDS)]
    over = percentile(through, 50) - percentile(bare, 50)
    note = f"medians of {ROUNDS}: {percentile(through, 50):.2f} s against {percentile(bare, 50):.2f} s"
    return [Figure(name=NAME, value=over, unit="s", goal=2, note=note)]


def _engine() -> bool:
    docker = shutil.which("docker")
    return bool(docker) and not subprocess.run([str(docker), "image", "inspect", IMAGE], capture_output=True).returncode


def _bare() -> float:
    begun = time.time()
    done = subprocess.run(
        ["docker", "run", "--rm", IMAGE, "python3", "-c", SCRIPT], capture_output=True, text=True, check=True
    )
    return float(done.stdout.split()[-1]) - begun


def _through_the_bot(stage: Stage) -> float:
    people = stage.sandbox.people
    line = f'/train acme/chargpt@{stage.git.sha} gpu=cpu hours=0.5 image={IMAGE} -- python3 -c "{SCRIPT}"'
    known = {str(message["ts"]) for message in people.messages(CHANNEL)}
    assert people.type(RESEARCHER, CHANNEL, line).ok

    def waiting() -> str | None:
        for message in people.messages(CHANNEL):
            if str(message["ts"]) not in known and '"approve"' in str(message.get("blocks")).replace("'", '"'):
                return str(message["ts"])
        return None

    card = people.wait_for(waiting, timeout=LIMIT)
    pressed = time.time()
    assert people.press(LEAD, CHANNEL, str(card), "approve").ok
    return _first_line(stage, str(card)) - pressed


def _first_line(stage: Stage, card: str) -> float:
    """Wait for the job's end and read the time that the script printed, out of its log in the store."""
    store = Path(stage.settings.store_uri().removeprefix("file://"))
    database = Database.open(stage.settings.database(), migrate=False)
    give_up = time.monotonic() + LIMIT
    try:
        while time.monotonic() < give_up:
            with database.read() as tx:
                job = db.find_job_by_thread(tx, stage.sandbox.people.channel_id(CHANNEL), card)
            if job and job.state in TERMINAL:
                chunks = sorted((store / "jobs" / job.id).glob("a*/log/*.txt.gz"))
                text = b"".join(gzip.decompress(path.read_bytes()) for path in chunks).decode()
                return float(text.split("first line at")[1].split()[0])
            time.sleep(0.1)  # another process's database: there is nothing to wait on
    finally:
        database.close()
    raise TimeoutError(f"The job did not end within {LIMIT:.0f} s; see {stage.bot.log}")
