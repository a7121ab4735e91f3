"""Data from somebody's folder to a machine and back, encrypted on the whole way; practice and a real container."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from bot.demo.proof import links
from jobs.lifecycle import JobState
from tests.e2e.deployment import Deployment
from tests.support import engine, logs
from trainer.sealed import new_key
from trainer.storage import FolderStore

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

READS = """
import os, pathlib, zipfile
words = pathlib.Path(os.environ["HOURGLASS_INPUT_WORDS"])
print("one", words.joinpath("train.txt").read_text()[::-1], flush=True)
print("two", pathlib.Path({to!r}).joinpath("deep/val.txt").read_text()[::-1], flush=True)
print("keys", [name for name in os.environ if "DATA_KEY" in name], flush=True)
print("step 1/1: loss 1.0", flush=True)
os.makedirs("out")
with zipfile.ZipFile("out/model.pt", "w") as file:
    file.writestr("weights", "suoicerp"[::-1])
"""


def hourglass(deployment: Deployment, *words: str) -> str:
    """Run the command line as a person with the bot's settings does; return what it printed."""
    command = [sys.executable, "-m", "bot.cli", *words]
    environment = {"PATH": "/usr/bin:/bin", **deployment.environment}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def tell(deployment: Deployment, folder: Path, *, to: str, head: str = "", gpu: str = "a100") -> None:
    """Push a folder, train with it twice, open the checkpoint; the second job fetches nothing."""
    key = deployment.environment["HOURGLASS_DATA_KEY"]
    (folder / "words" / "deep").mkdir(parents=True)
    (folder / "words" / "train.txt").write_text("plain text")
    (folder / "words" / "deep" / "val.txt").write_text("more of it")
    line = hourglass(deployment, "data", "push", str(folder / "words"), "--encrypt")
    reference = re.search(r'"(words@[0-9a-f]{16})"', line)
    assert reference is not None

    task = (
        f"{head}commands: [python3 run.py]\n"
        "checkpoints: {path: out, upload_every: 1s, keep: 2, encrypt: true}\n"
        f'inputs: [{{from: "{reference[1]}", to: {to}}}]\n'
    )
    script = deployment.script("acme/words", READS.format(to=to), task=task)
    store = FolderStore(deployment.settings.state / "store")
    for said in ("input words: 20 B fetched in", "input words (20 B) is here already"):
        job = deployment.train(f"{script} gpu={gpu} hours=1")
        done = deployment.ended(job)
        assert done.state is JobState.SUCCEEDED, (done.error, done.outcome)
        log = logs.whole(store, f"jobs/{job.id}/a1/log/")
        assert log.splitlines()[0].startswith(f"hourglass: {said}"), log
        assert log.splitlines()[1:4] == ["one txet nialp", "two ti fo erom", "keys []"]

    (link,) = deployment.until(lambda: links(deployment.thread(job)))
    (folder / "model.pt.sealed").write_bytes(httpx.get(link).content)
    hourglass(deployment, "decrypt", str(folder / "model.pt.sealed"))
    assert (folder / "model.pt").read_bytes()[:2] == b"PK"
    # What leaves the machine tells nobody what was trained on, or with: the script turned the text around to print it.
    for path in (path for path in deployment.folder.rglob("*") if path.is_file()):
        data = path.read_bytes()
        assert key.encode() not in data, path
        assert b"precious" not in data, path
        assert b"plain text" not in data or "inputs" in path.relative_to(deployment.folder).parts, path
    assert key not in deployment.texts(job)


@pytest.fixture
def practice(tmp_path: Path) -> Iterator[Deployment]:
    """A bot on practice machines, with a key."""
    with Deployment(tmp_path / "bot", settings={"HOURGLASS_DATA_KEY": new_key().word}) as running:
        running.budget()
        yield running


@pytest.fixture
def docker(tmp_path: Path) -> Iterator[Deployment]:
    """A bot with this machine's engine, and a key; the volume goes with it."""
    engine.require(engine.PYTHON)
    settings = {"HOURGLASS_DATA_KEY": new_key().word}
    with Deployment(tmp_path / "bot", provider="docker", settings=settings) as running:
        running.budget()
        yield running
    volumes = engine.volumes(f"hourglass-inputs-{str(running.settings.home)[:8]}")
    assert len(volumes) == 1
    engine.remove_volumes(volumes)


def test_data_goes_out_and_comes_back_encrypted_on_practice_machines(practice: Deployment, tmp_path: Path) -> None:
    tell(practice, tmp_path / "mine", to="data/words")


@pytest.mark.engine
def test_data_goes_out_and_comes_back_encrypted_in_containers(docker: Deployment, tmp_path: Path) -> None:
    tell(docker, tmp_path / "mine", to="/data/words", head=f"image: {engine.PYTHON}\n", gpu="cpu")
