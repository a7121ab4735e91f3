"""Unmodified scripts end to end: the real bot, a container of this machine's engine, killed once and gone on by itself.

Each repository is rented with a typed line whose task file lets an interruption be tried again. Once a checkpoint's
manifest stands, its container is killed as a machine that is lost. It counts where a second attempt ends well, told
no step before the checkpoint's, the card says from where it went on, and a plot stands in the thread.
"""

from __future__ import annotations

import gzip
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from jobs.lifecycle import JobState
from jobs.model import Job
from tests.bench.agent_resume import REPOSITORIES, SMALL
from tests.bench.figures import Figure
from tests.e2e.deployment import Deployment
from trainer import wire
from trainer.storage import FolderStore
from trainer.wire import Event, EventKind, Manifest

BASE = "hourglass-test/torch:cpu"
IMAGE = "hourglass-bench/trainers:cpu"
PLACE = "/usr/local/lib/python3.11/dist-packages"
LIMIT = 600.0  # seconds for an attempt: importing some of these alone takes a minute on a busy machine
NAME = "unmodified repositories, in a container, with a plot and a second attempt that goes on"


@dataclass(frozen=True, kw_only=True)
class Rented:
    """A repository's files, its command and where it leaves its checkpoints."""

    name: str
    files: Mapping[str, str]
    command: str
    before: str = ""  # what its README says to run first
    path: str = "out"


def rented(nanogpt: Path | None) -> list[Rented]:
    """Return what is tried; nanoGPT where a checkout of it is given."""

    def ours(name: str, file: str, words: str = "", path: str = "out") -> Rented:
        script = (REPOSITORIES / f"{file}.py").read_text()
        return Rented(name=name, files={"train.py": script}, command=f"python3 train.py {words}".strip(), path=path)

    trained = (
        "--output_dir out --num_train_epochs 3 --per_device_train_batch_size 4 --logging_steps 1 --save_steps 10 "
        "--save_total_limit 2 --report_to none --use_cpu"
    )
    found = [
        ours("plain PyTorch", "plain"),
        ours("HF Trainer", "hf", trained),
        ours("Lightning", "lit", "--batch_seconds 0.2", path="lightning_logs"),
        ours("Accelerate", "accel"),
        ours("Keras", "ker"),
        ours("pytorch-ignite", "ign"),
    ]
    if nanogpt is not None:
        names = ("train.py", "model.py", "configurator.py")
        files = {name: (nanogpt / name).read_text() for name in names}
        files["chance.py"] = (
            "import os, random\nos.makedirs('data/chance', exist_ok=True)\n"
            "text = b''.join(random.randrange(64).to_bytes(2, 'little') for _ in range(4096))\n"
            "for name in ('train', 'val'):\n    open(f'data/chance/{name}.bin', 'wb').write(text)\n"
        )
        longer = SMALL.replace("iters=80", "iters=600").replace("interval=20", "interval=100")
        command = f"python3 train.py {longer}"
        found.append(Rented(name="nanoGPT", files=files, command=command, before="python3 chance.py"))
    return found


def figures(*, site: Path | None, nanogpt: Path | None) -> list[Figure]:
    """Rent each once. `site` is a folder of packages for the image's Python: `pip install --target`."""
    goal = 6.0
    docker = shutil.which("docker")
    if docker is None or _docker("image", "inspect", BASE) is None:
        why = f"no engine, or it has no {BASE}: bash .ci/engine.sh"
        return [Figure(name=NAME, value=None, unit="repositories", goal=goal, at_least=True, note=why)]
    if site is None or not site.is_dir():
        why = f"no packages at {site}: pip install --target DIR transformers accelerate lightning keras pytorch-ignite"
        return [Figure(name=NAME, value=None, unit="repositories", goal=goal, at_least=True, note=why)]
    there = nanogpt is not None and (nanogpt / "configurator.py").is_file()
    tried = rented(nanogpt if there else None)
    settings = {"HOURGLASS_DOCKER_RATE": "1.20"}
    with (
        tempfile.TemporaryDirectory() as folder,
        _image(site),
        Deployment(Path(folder), provider="docker", settings=settings) as deployment,
    ):
        deployment.budget()
        said = {one.name: _said(deployment, one) for one in tried}
    well = [name for name, problem in said.items() if not problem]
    note = "; ".join([", ".join(well), *(f"{name}: {problem}" for name, problem in said.items() if problem)])
    note += "" if there else "; nanoGPT not measured: ARGS='--nanogpt PATH'"
    return [Figure(name=NAME, value=len(well), unit=f"of {len(tried)}", goal=goal, at_least=True, note=note)]


def _said(deployment: Deployment, one: Rented) -> str:
    """Return what is wrong with how it went, "" for nothing."""
    try:
        problem = _killed_and_again(deployment, one)
    except AssertionError as error:
        problem = str(error).splitlines()[0]
    print(f"{one.name}: {problem or 'went on'}", file=sys.stderr, flush=True)  # noqa: T201  it takes many minutes
    return problem


def _killed_and_again(deployment: Deployment, one: Rented) -> str:
    commands = [line for line in (one.before, one.command) if line]
    task = (
        f"image: {IMAGE}\ncommands: {json.dumps(commands)}\nenv: {{KERAS_BACKEND: torch, OMP_NUM_THREADS: '1'}}\n"
        f"checkpoints: {{path: {one.path}, upload_every: 1s, keep: 2}}\nretry: {{on_events: [interruption]}}\n"
    )
    name = f"acme/{one.name.lower().replace(' ', '-')}"
    sha = deployment.repository(name, {**one.files, ".hourglass.yml": task})
    job = deployment.train(f"{name}@{sha} gpu=cpu hours=1")
    store = FolderStore(Path(deployment.environment["HOURGLASS_STATE"]) / "store")
    whole = deployment.until(lambda: _manifests(store, job) or _over(deployment, job), limit=LIMIT)
    if isinstance(whole, str):
        return f"ended before a checkpoint: {whole}"
    (attempt,) = deployment.attempts(job)
    if subprocess.run(["docker", "kill", attempt.instance_id or ""], check=False, capture_output=True).returncode:
        return "was over before it could be killed"
    saved = max(manifest.step or 0 for manifest in _manifests(store, job))
    done = deployment.ended(job, LIMIT)
    steps = _steps(store, job, attempt=2)
    if done.state is not JobState.SUCCEEDED:
        return f"{done.state.value}: {done.error or done.outcome}"
    if not steps or not 0 < max(saved, min(_steps(store, job, attempt=1), default=0) + 1) <= min(steps):
        return f"began at step {min(steps, default=None)} where {saved} was saved"
    log = store.get(wire.log_key(job.id, 2, 1))
    if not log or b"hourglass: resumed from" not in gzip.decompress(log):
        return "its log does not say from where it goes on"
    deployment.until(lambda: [file for message in deployment.thread(job) for file in message.get("files", ())])
    return ""


def _over(deployment: Deployment, job: Job) -> str:
    found = deployment.job(job.id)
    return str(found.error or found.outcome) if found.finished_at is not None else ""


def _manifests(store: FolderStore, job: Job) -> list[Manifest]:
    keys = [key for key in store.keys(f"jobs/{job.id}/a1/ckpt") if key.endswith("/manifest.json")]
    return [wire.from_json(Manifest, data) for key in keys if (data := store.get(key))]


def _steps(store: FolderStore, job: Job, *, attempt: int) -> list[int]:
    events: list[Event] = []
    number = 1
    while chunk := store.get(wire.event_key(job.id, attempt, number)):
        events += [wire.from_json(Event, line) for line in chunk.splitlines()]
        number += 1
    told = (event.data["step"] for event in events if event.kind is EventKind.METRIC)
    return [step for step in told if step is not None]


@contextmanager
def _image(site: Path) -> Iterator[None]:
    """Give the engine an image with these packages, for as long as it is needed."""
    made = _docker("create", "--network", "none", BASE, "python3", "-m", "compileall", "-q", "-j", "0", PLACE)
    assert made is not None, "docker create failed"
    container = made.strip()
    try:
        assert _docker("cp", f"{site}/.", f"{container}:{PLACE}/") is not None, "docker cp failed"
        _docker("start", "--attach", container)  # some packages carry files of another Python
        assert _docker("commit", container, IMAGE) is not None, "docker commit failed"
    finally:
        _docker("rm", "--force", container)
    try:
        yield
    finally:
        _docker("rmi", "--force", IMAGE)


def _docker(*words: str) -> str | None:
    asked = subprocess.run(["docker", *words], capture_output=True, text=True, timeout=900, check=False)
    return asked.stdout if asked.returncode == 0 else None
