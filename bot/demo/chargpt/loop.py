"""A training loop to copy and to read from top to bottom: one GPU or many, and the same run on each.

A step is a **global batch**: so many samples, whatever the number of GPUs and however few fit at once. Each rank cuts
its share into micro-batches, and the sum of all losses is divided by the number of all targets: 1, 2 or 8 GPUs and any
micro-batch take the same step. Where memory runs out, the micro-batch is halved and the step is taken again.

The state of a run is the model, the optimizer, the scaler and two integers, the step and the position in the data.
Chance is drawn anew in each step from (seed, step, rank): a resumed run is bitwise the one that never stopped.
"""

import math
import os
import signal
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch.distributed.fsdp import FSDPModule

from checkpoint import Checkpoints, find, load_newest
from data import draw_from
from world import PEAKS, World

try:
    import hourglass  # type: ignore[import-not-found]  # it is there on a rented machine, and missed nowhere else
except ImportError:
    hourglass = None

Batch = Sequence[torch.Tensor]  # what the model is called with; the samples along the first dimension
_END = 150.0  # seconds: the asking comes at most 120 s before the end, and a save should be done by then


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What a run is told."""

    steps: int
    global_batch: int  # samples in a step, over all GPUs
    micro_batch: int  # samples on one GPU at once, to begin with
    lr: float = 6e-4
    final_lr: float = 0.1  # share of `lr` that the cosine ends at
    warmup: int = 100  # steps
    weight_decay: float = 0.1  # of matrices
    betas: tuple[float, float] = (0.9, 0.95)
    clip: float = 1.0  # norm of all gradients together
    precision: str = "bf16"  # bf16, fp16 or fp32: what products are computed in; the weights stay what they are
    compile: str = "default"  # torch.compile's mode, on a GPU; "" leaves it
    parallel: str = "ddp"  # or fsdp: weights, gradients and optimizer in pieces, for what is too large for one GPU
    seed: int = 1337
    log_every: int = 10  # steps
    eval_every: int = 250  # steps
    save_every: int | None = None  # steps; None: by Young and Daly, from the time that a save takes
    failures_every: float = 6 * 3600.0  # seconds between two, as expected
    lose_at_most: float = 600.0  # seconds of training that a failure may cost
    out: Path = Path("out")

    def lr_at(self, step: int) -> float:
        """Return the learning rate of a step, counted from 1: a line up, then half a cosine down."""
        if step <= self.warmup:
            return self.lr * step / self.warmup
        through = min(1.0, (step - self.warmup) / max(1, self.steps - self.warmup))
        return self.lr * (self.final_lr + (1 - self.final_lr) * 0.5 * (1 + math.cos(math.pi * through)))


@dataclass(eq=False)
class Loop:
    """One run, from its newest checkpoint to its last step."""

    model: torch.nn.Module  # called with a micro-batch, it returns the sum of its targets' losses
    batches: Callable[[int], Iterator[Batch]]  # from a position: `data.Batches`, or what does as it does
    settings: Settings
    world: World
    validation: Iterable[Batch] = ()  # this rank's, gone through anew each time; as many on each rank
    extra: Mapping[str, Any] = field(default_factory=dict)  # goes into each checkpoint: shapes, vocabularies
    count: Callable[[Batch], int] = lambda batch: int((batch[-1] != -100).sum())  # its targets; -100 does not count

    def __post_init__(self) -> None:
        settings, world = self.settings, self.world
        if settings.global_batch % world.size:
            raise ValueError(f"{world.size} GPUs cannot share a global batch of {settings.global_batch} evenly")
        self.micro = min(settings.micro_batch, settings.global_batch // world.size)
        self.unproven = world.size > 1  # whether each rank has room for `micro` samples is not known yet
        self.low = {"bf16": torch.bfloat16, "fp16": torch.float16, "fp32": None}[settings.precision]
        self.step, self.position, self.step_seconds = 0, 0, 0.0
        self.asked = self.near_end = False

        self.plain = self.model.to(world.device)  # the model itself; from here on `model` is how the ranks share it
        self.model = world.spread(self.plain, settings.parallel, self.low, settings.compile)
        self.parameters = [parameter for parameter in self.plain.parameters() if parameter.requires_grad]
        matrices = {"params": [p for p in self.parameters if p.dim() >= 2], "weight_decay": settings.weight_decay}
        vectors = {"params": [p for p in self.parameters if p.dim() < 2], "weight_decay": 0.0}
        self.optimizer = torch.optim.AdamW([matrices, vectors], lr=0.0, betas=settings.betas, fused=True)
        # Its memory is taken now: what fits in the first step then fits in every one.
        for parameter in self.parameters:
            parameter.grad = torch.zeros_like(parameter)
        self.optimizer.step()  # at a rate of nothing it changes nothing but the count of its steps
        for kept in self.optimizer.state.values():
            kept["step"].zero_()
        self.scaler = torch.amp.GradScaler(world.device.type, enabled=settings.precision == "fp16")
        self.checkpoints = Checkpoints(settings.out, written=hourglass.save if hourglass else lambda path: None)
        self._resume()

        self.flops = float(getattr(self.plain, "flops_per_sample", 0.0))
        self.peak = 1e12 * next((peak for gpu, peak in PEAKS.items() if gpu in world.name), 0) if self.flops else 0.0
        size = sum(parameter.numel() for parameter in self.plain.parameters()) / 1e6
        mfu = f"; mfu: % of {self.peak / 1e12:.0f} TFLOP/s a GPU, dense bf16" if self.peak else ""
        self.say(f"{size:.1f} M parameters on {world.size} × {world.name}, {settings.global_batch} samples a step{mfu}")

    def run(self) -> None:
        """Train to the last step, or until asked to stop; the last checkpoint is on the disk when this returns."""
        settings, batches = self.settings, self.batches(self.position)
        before = signal.signal(signal.SIGTERM, lambda *_: setattr(self, "asked", True))  # ranks agree after a step
        first, stop, last = self.step + 1, False, self.step >= settings.steps
        self.timed_from = time.perf_counter(), self.step
        while not last:
            loss = self._gradients(next(batches, ()))
            norm = self._update()
            asked = self.asked or bool(hourglass and hourglass.should_stop())
            stop, save = self.world.any(asked, self.world.rank == 0 and self._is_save_due())
            last = stop or self.step >= settings.steps
            if last or self.step == first or self.step % settings.log_every == 0:
                self._log(self.world.sum(loss).item(), norm)  # waits for the GPU; no other step does
            if self.validation and not stop and (last or self.step % settings.eval_every == 0):
                self._evaluate()
            if last or save:
                self._save()
        self.checkpoints.wait()
        signal.signal(signal.SIGTERM, before)
        if stop:
            self.say(f"asked to stop; saved at step {self.step} of {settings.steps}")

    def _gradients(self, batch: Batch) -> torch.Tensor:
        """Leave the global batch's gradients in the parameters; return this rank's share of its mean loss.

        A size in doubt is rehearsed. With DDP no gradients travel then, for a rank that failed would leave the others
        waiting. FSDP's pieces travel all the same: it goes on where memory ran out on all ranks, as it mostly does.
        """
        if not batch or len(batch[0]) * self.world.size != self.settings.global_batch:
            raise ValueError("`batches` has ended, or its batch is not this rank's share of the global batch")
        count = max(1, int(self.world.sum(torch.tensor(self.count(batch)))))
        while True:
            loss = None
            kept = [(buffer, buffer.clone()) for buffer in self.plain.buffers()]
            draw_from(self.settings.seed, self.step, self.world.rank)
            self.optimizer.zero_grad()
            try:
                # DDP and FSDP divide by the number of ranks; the count is that of all ranks.
                loss = self._losses(batch, self.world.size / count)
            except torch.OutOfMemoryError:
                if self.world.size > 1 and not self.unproven:
                    raise
            if loss is not None and not self.unproven:
                return loss / count
            # Only here has the exception let go of the tensors that filled the memory.
            (self.unproven,) = self.world.any(loss is None)
            for buffer, value in kept:  # the averages of a batch norm have seen these samples
                buffer.copy_(value)
            if not self.unproven:
                continue
            if self.micro == 1:
                raise torch.OutOfMemoryError("one sample is too much here: rent a larger GPU, or try parallel='fsdp'")
            if isinstance(self.model, FSDPModule):
                self.model.reset_iter_state()  # it was left in the middle
            self.micro = -(-self.micro // 2)
            torch.cuda.empty_cache()
            self.say(f"out of memory: the micro-batch is {self.micro} now, the global batch is what it was")

    def _losses(self, batch: Batch, weight: float = 0.0) -> torch.Tensor:
        """Return the sum of a batch's losses; where gradients are on, leave `weight` times theirs in the parameters."""
        total = torch.zeros((), dtype=torch.float64, device=self.world.device)
        pieces = list(zip(*(tensor.split(self.micro) for tensor in batch), strict=True))
        for piece in pieces:
            # DDP sends with the last micro-batch; FSDP has no room to wait, and does not ask.
            self.model.require_backward_grad_sync = not self.unproven and piece is pieces[-1]  # type: ignore[assignment]
            inputs = [tensor.to(self.world.device, non_blocking=True) for tensor in piece]
            with torch.autocast(self.world.device.type, self.low, enabled=self.low is not None):
                loss = self.model(*inputs)
            if torch.is_grad_enabled():
                torch.autograd.backward(self.scaler.scale(loss * weight))
            total += loss.detach()
        return total

    def _update(self) -> torch.Tensor:
        """Take the step; return the norm of the gradients before they were clipped."""
        for group in self.optimizer.param_groups:
            group["lr"] = self.settings.lr_at(self.step + 1)
        self.scaler.unscale_(self.optimizer)
        norm = torch.nn.utils.clip_grad_norm_(self.parameters, self.settings.clip)
        self.checkpoints.settle()  # a save copies the weights while gradients are computed, not while they change
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.step += 1
        self.position += self.settings.global_batch
        return norm

    @torch.no_grad()
    def _evaluate(self) -> None:
        self.model.eval()
        loss, count = torch.zeros(2, dtype=torch.float64, device=self.world.device)
        for batch in self.validation:
            count += self.count(batch)
            loss += self._losses(batch)
        self.model.train()
        self._tell(val_loss=(self.world.sum(loss) / self.world.sum(count)).item())
        self.timed_from = time.perf_counter(), self.step  # a step's time is without this

    def _log(self, loss: float, norm: torch.Tensor) -> None:
        (began, first), now = self.timed_from, time.perf_counter()
        self.step_seconds, self.timed_from = (now - began) / (self.step - first), (now, self.step)
        speed = self.settings.global_batch / self.step_seconds
        mfu = {"mfu": 100 * speed * self.flops / (self.peak * self.world.size)} if self.peak else {}
        note = f", {1000 * self.step_seconds:.1f} ms, {speed:,.1f} samples/s"
        self._tell(note, loss=loss, lr=self.settings.lr_at(self.step), grad_norm=float(self.world.whole(norm)), **mfu)

    def _tell(self, note: str = "", **values: float) -> None:
        told = ", ".join(f"{name}: {value:.5g}" for name, value in values.items())
        self.say(f"step {self.step}/{self.settings.steps}: {told}{note}")
        if hourglass:
            hourglass.report(self.step, total=self.settings.steps, **values)

    def say(self, line: str) -> None:
        """Print a line, once for all ranks."""
        if self.world.rank == 0:
            print(line, flush=True)

    def _is_save_due(self) -> bool:
        """Say whether to save now: by Young and Daly, and once more when the rental nears its end."""
        left = hourglass.time_left() if hourglass else None
        if left is not None and not self.near_end and left < _END + self.step_seconds + self.checkpoints.seconds:
            self.near_end = True
            return True
        if self.settings.save_every:
            return self.step % self.settings.save_every == 0
        return self.checkpoints.is_due(self.settings.failures_every, self.settings.lose_at_most)

    def _tensors(self) -> dict[str, dict[str, torch.Tensor]]:
        """Return what is trained and what trains it, by name; where a run is sharded, this rank's pieces."""
        state = self.optimizer.state
        kept = {f"{name}.{key}": t for name, p in self.plain.named_parameters() for key, t in state.get(p, {}).items()}
        return {"model": self.plain.state_dict(), "optimizer": kept}

    def _save(self) -> None:
        state: dict[str, Any] = {"step": self.step, "position": self.position, "scaler": self.scaler.state_dict()}
        buffers = dict(self.plain.named_buffers())  # the next forward pass changes them, and may come before the copy
        for part, tensors in self._tensors().items():
            whole = ((name, self.world.whole(tensor)) for name, tensor in tensors.items())
            state[part] = {k: t.clone() if k in buffers else t for k, t in whole if self.world.rank == 0}
        if self.world.rank == 0:
            self.checkpoints.save(self.step, {**state, **self.extra})

    def _resume(self) -> None:
        """Go on from rank 0's newest checkpoint; the other ranks get it from there, and need not see the file."""
        folders = [Path(folder) for folder in (os.environ.get("HOURGLASS_RESUME"), self.settings.out) if folder]
        steps = self.world.gather(max((step for step, _ in find(*folders)), default=0))
        if max(steps) > steps[0]:
            raise ValueError(f"rank 0 has step {steps[0]}, another rank has step {max(steps)}: share the folder")
        path, state = (load_newest(*folders) if self.world.rank == 0 else None) or (None, {})
        numbers = self.world.gather({name: state[name] for name in ("step", "position", "scaler") if state})[0]
        if not numbers:
            return
        for part, tensors in self._tensors().items():
            if state and [(k, t.shape) for k, t in state[part].items()] != [(k, t.shape) for k, t in tensors.items()]:
                raise ValueError(f"{path} is of another model: remove it, or bring the model that it was")
            self.world.take(tensors, state.get(part))
        self.step, self.position = numbers["step"], numbers["position"]
        self.scaler.load_state_dict(numbers["scaler"])
        self.say(f"resuming from {path} at step {self.step}")
