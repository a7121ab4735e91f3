"""Small runs of the reference loop: a GPT that fits in a cache, text made of chance, targets that do not all count."""

from __future__ import annotations

import importlib.util
import os
import socket
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import torch

import trainer.data
import trainer.loop
from trainer.data import Batches
from trainer.model import GPT, IGNORED, Windows
from trainer.world import World

CONTEXT, VOCAB = 8, 32
HOME = Path(trainer.loop.__file__).parent


class Patchy(Windows):
    """Windows of which a part, another in each sample, has no targets: micro-batches are not worth the same."""

    def __getitem__(self, index: int) -> tuple[torch.Tensor, torch.Tensor]:
        ids, targets = super().__getitem__(index)
        targets = targets.clone()
        targets[: int(torch.randint(CONTEXT, ()))] = IGNORED
        return ids, targets


class Small(GPT):
    """A GPT that runs out of memory above `room` samples at once, as far as the loop can tell."""

    def __init__(self, *, room: int | None, dropout: float) -> None:
        super().__init__(vocab=VOCAB, context=CONTEXT, width=16, heads=2, layers=1, dropout=dropout)
        self.room = room

    def forward(self, ids: torch.Tensor, targets: torch.Tensor | None = None) -> torch.Tensor:
        if self.room is not None and len(ids) > self.room:
            raise torch.OutOfMemoryError("no room, a test says")
        return super().forward(ids, targets)


@dataclass(frozen=True, kw_only=True)
class Run:
    """One run of the loop, small enough to be done in a second."""

    out: Path
    steps: int = 12
    global_batch: int = 8
    micro_batch: int = 4
    workers: int = 0
    precision: str = "fp32"
    double: bool = False  # the weights, and all that is computed
    dropout: float = 0.0
    room: int | None = None  # samples at once, above which memory runs out
    save_every: int = 4
    parallel: str = "ddp"
    seed: int = 7  # of the weights
    extra: Mapping[str, Any] = field(default_factory=dict)
    batches: Callable[[Batches], Callable[[int], Iterator[Any]]] = lambda batches: batches
    loop: ModuleType = trainer.loop


def make(run: Run, world: World | None = None) -> Any:
    """Return the run's loop, ready for `run()`; the same weights each time."""
    world = world or World(device=torch.device("cpu"))
    text = torch.randint(VOCAB, (1_000,), generator=torch.Generator().manual_seed(7))
    torch.manual_seed(run.seed)
    model = Small(room=run.room, dropout=run.dropout)
    settings = trainer.loop.Settings(
        steps=run.steps,
        global_batch=run.global_batch,
        micro_batch=run.micro_batch,
        lr=1e-2,
        warmup=2,
        precision=run.precision,
        log_every=1,
        save_every=run.save_every,
        parallel=run.parallel,
        out=run.out,
    )
    batches = Batches(
        dataset=Patchy(text, CONTEXT),
        seed=3,
        global_batch=run.global_batch,
        rank=world.rank,
        world=world.size,
        workers=run.workers,
    )
    model = model.double() if run.double else model
    return run.loop.Loop(model, run.batches(batches), settings, world, extra=run.extra)


def curve(loop: Any) -> list[float]:
    """Run to the end; return the loss of each step, unrounded."""
    losses: list[float] = []
    loop._log = lambda loss, *_: losses.append(loss)  # before it is rounded for people
    loop.run()
    return losses


def first_gradients(loop: Any) -> list[torch.Tensor]:
    """Return the gradients of the first step, before they are clipped."""
    loop._gradients(next(loop.batches(0)))
    return [parameter.grad.clone() for parameter in loop.parameters]


def mutant(part: str, old: str, new: str) -> ModuleType:
    """Return `trainer.loop` with one line of it, or of the file `part` under it, changed."""
    source = (HOME / f"{part}.py").read_text()
    assert source.count(old) == 1, f"{part}.py has {old!r} {source.count(old)} times: name the line anew"
    changed = _load(f"mutant_{part}", source.replace(old, new))
    if part == "loop":
        return changed
    source = (HOME / "loop.py").read_text().replace(f"from trainer.{part} import", f"from mutant_{part} import")
    return _load("mutant_loop", source)


def _load(name: str, source: str) -> ModuleType:
    spec = importlib.util.spec_from_loader(name, loader=None)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look their module up
    exec(compile(source, f"<{name}>", "exec"), module.__dict__)  # noqa: S102  # our own file, one line changed
    return module


def free_port() -> int:
    """Return a port on which nobody listens now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def as_rank(rank: int, size: int, port: int) -> World:
    """Take a place among `size` gloo processes, as torchrun would have it."""
    os.environ.update(
        RANK=str(rank), LOCAL_RANK=str(rank), WORLD_SIZE=str(size), MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port)
    )
    return World.join()
