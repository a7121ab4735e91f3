"""Do unmodified scripts go on where a machine that was lost left them? Real trainers, real agent, a folder as store.

Each is started, everything of it is killed with SIGKILL once a checkpoint's manifest stands, and started again as
the control plane starts a second attempt. It went on if it ends by itself and the first step that it tells is not
before the checkpoint's; a script that began anew would tell its first.
"""

from __future__ import annotations

import random
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from tests.bench.figures import Figure
from tests.trainer.rented import JOB, PATH, Rented, until
from trainer import archive, wire
from trainer.wire import Again, CheckpointRule, EventKind

REPOSITORIES = Path(__file__).with_name("repositories")
LIMIT = 180.0  # seconds for one part of a run: importing these libraries alone takes many on a busy machine
SMALL = (
    "--device=cpu --compile=False --eval_iters=1 --log_interval=1 --eval_interval=20 --max_iters=80 --lr_decay_iters=80"
    " --block_size=16 --batch_size=4 --n_layer=1 --n_head=1 --n_embd=16 --dropout=0.0 --gradient_accumulation_steps=1"
    " --dataset=chance --always_save_checkpoint=True"
)


@dataclass(frozen=True, kw_only=True)
class Repository:
    """Somebody's code, how it is started, and where it leaves its checkpoints."""

    name: str
    needs: str  # the module without which it cannot run
    files: Mapping[str, str | bytes]
    command: str
    path: str = "out"
    again: Again = field(default_factory=Again)


def repositories(nanogpt: Path | None) -> list[Repository]:
    """Return what is tried; nanoGPT where a checkout of it is given."""
    hf = (REPOSITORIES / "hf.py").read_text()
    lit = (REPOSITORIES / "lit.py").read_text()
    trained = (
        "python train.py --output_dir out --num_train_epochs 3 --per_device_train_batch_size 4 --logging_steps 1 "
        "--save_steps 10 --save_total_limit 2 --report_to none --use_cpu"
    )
    # Epochs of some seconds: a file that is replaced within two is only known to be whole at the end.
    lightning = "python train.py --epochs 4 --batch_seconds 0.4"
    told = Again(commands=[f"{lightning} --ckpt_path $HOURGLASS_RESUME_FILE"])
    found = [
        Repository(name="HF Trainer", needs="transformers", files={"train.py": hf}, command=trained),
        Repository(
            name="Lightning",
            needs="lightning",
            files={"train.py": lit},
            command=lightning,
            path="lightning_logs",
        ),
        Repository(
            name="Lightning, by `resume:`",
            needs="lightning",
            files={"train.py": lit},
            command=lightning,
            path="lightning_logs",
            again=told,
        ),
    ]
    if nanogpt is not None:
        found.append(
            Repository(name="nanoGPT", needs="torch", files=_nanogpt(nanogpt), command=f"python train.py {SMALL}")
        )
    return found


def _nanogpt(checkout: Path) -> Mapping[str, str | bytes]:
    chance = random.Random(1)
    text = b"".join(chance.randrange(64).to_bytes(2, sys.byteorder) for _ in range(4096))
    code = {name: (checkout / name).read_text() for name in ("train.py", "model.py", "configurator.py")}
    return {**code, "data/chance/train.bin": text, "data/chance/val.bin": text}


def figures(*, python: Path, nanogpt: Path | None) -> list[Figure]:
    """Kill each once and let it go on; a trainer that is not there is not measured, and named."""
    there = nanogpt is not None and (nanogpt / "configurator.py").is_file()
    rows = [_row(repository, python) for repository in repositories(nanogpt if there else None)]
    if not there:
        rows.append(_not_measured("nanoGPT", f"no checkout of it at {nanogpt}: ARGS='--nanogpt PATH'"))
    return rows


def _not_measured(name: str, why: str) -> Figure:
    return Figure(name=_called(name), value=None, unit="of 1", goal=1, at_least=True, note=why)


def _called(name: str) -> str:
    return f"goes on from its checkpoint after SIGKILL: {name}"


def _row(repository: Repository, python: Path) -> Figure:
    asked = subprocess.run(
        [python, "-c", f"import {repository.needs}"], capture_output=True, check=False, timeout=LIMIT
    )
    if asked.returncode:
        why = f"{python} has no {repository.needs}: ARGS='--python PATH' names one that has it"
        return _not_measured(repository.name, why)
    with tempfile.TemporaryDirectory() as folder:
        trainer = archive.build(Path(folder) / "trainer.pyz", with_s3=False)
        note, went_on = _killed_and_again(repository, python, Path(folder), trainer)
    return Figure(name=_called(repository.name), value=float(went_on), unit="of 1", goal=1, at_least=True, note=note)


def _killed_and_again(repository: Repository, python: Path, folder: Path, trainer: Path) -> tuple[str, bool]:
    env = {"PATH": f"{python.parent}:{PATH}", "HOME": str(folder), "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    rule = CheckpointRule(path=repository.path, upload_every=0.2, keep=2)
    begin = partial(
        Rented.order, files=repository.files, commands=[repository.command], checkpoints=rule, seconds=2 * LIMIT
    )
    first = Rented(folder / "first", trainer)
    with closing(first):
        begin(first)
        first.start(**env)
        until(lambda: first.manifests() or first.process is None or first.process.poll() is not None, LIMIT)
    whole = first.manifests()
    if not whole:
        return f"no checkpoint came: {first.log()[-300:]}", False
    newest = max(whole.values(), key=lambda manifest: manifest.step or 0)
    second = Rented(folder / "second", trainer)
    prefix = wire.checkpoint_prefix(JOB, 1, newest.name)
    shutil.copytree(folder / "first" / "store" / prefix, folder / "second" / "store" / "from")
    with closing(second):
        begin(second, resume_key="from", again=repository.again)
        code = second.run(LIMIT, **env)
    steps = [event.data["step"] for event in second.events(EventKind.METRIC) if event.data["step"] is not None]
    went_on = code == 0 and bool(steps) and newest.step is not None and min(steps) >= newest.step > 0
    said = next((line for line in second.log().splitlines() if line.startswith("hourglass: resumed")), "nothing said")
    first_told = f"first step told {min(steps, default=None)}, last {max(steps, default=None)}"
    return f"{said.removeprefix('hourglass: ')} {first_told}" + ("" if went_on else f": {second.log()[-300:]}"), went_on
