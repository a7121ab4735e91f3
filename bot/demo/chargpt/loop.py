"""A training loop to copy and to read from top to bottom: one GPU or many, and the same run on each.

A step is a **global batch**: so many samples, whatever the number of GPUs and however few fit at once. The losses of
its micro-batches are summed and divided by the number of targets in all of it, so that 1, 2 or 8 GPUs and any
micro-batch take the same step; where memory runs out, the micro-batch is halved and the step is taken again.

The state of a run is the model, the optimizer, the scaler and two integers, the step and the position in the data.
Chance is drawn anew in each step from (seed, step, rank), so none has to be kept: a resumed run is bitwise the one
that never stopped. `hourglass` is used where it is there, and nothing is missing where it is not.
"""

from __future__ import annotations

import math
import os
import signal
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from checkpoint import Checkpoints, load_newest, save_interval
from data import seed_of
from world import World

try:
    import hourglass  # type: ignore[import-not-found]  # it is there on a rented machine
except ImportError:
    hourglass = None

MicroBatch = Sequence[torch.Tensor]  # what the model is called with; the samples along the first dimension
_TYPES = {"bf16": torch.bfloat16, "fp16": torch.float16, "fp32": None}
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


def lr_at(step: int, settings: Settings) -> float:
    """Return the learning rate of a step, counted from 1: a line up, then half a cosine down."""
    if step <= settings.warmup:
        return settings.lr * step / settings.warmup
    through = (step - settings.warmup) / max(1, settings.steps - settings.warmup)
    falling = 0.5 * (1 + math.cos(math.pi * min(1.0, through)))
    return settings.lr * (settings.final_lr + (1 - settings.final_lr) * falling)


def targets_in(batch: MicroBatch) -> int:
    """Return how many targets a micro-batch has: of its last tensor, all but the -100 that cross-entropy ignores."""
    return int((batch[-1] != -100).sum())


class Loop:
    """One run, from its newest checkpoint to its last step."""

    def __init__(
        self,
        model: nn.Module,  # called with a micro-batch, it returns the sum of its targets' losses; the same on each rank
        batches: Callable[[int], Iterator[MicroBatch]],  # from a position: `data.Batches`, or what does as it does
        settings: Settings,
        world: World,
        *,
        validation: Iterable[MicroBatch] = (),  # this rank's; as many micro-batches on each
        count: Callable[[MicroBatch], int] = targets_in,
        extra: Mapping[str, Any] | None = None,  # goes into each checkpoint: shapes, vocabularies
    ) -> None:
        if settings.global_batch % world.size:
            raise ValueError(f"{world.size} GPUs cannot share a global batch of {settings.global_batch} evenly")
        self.settings, self.world, self.batches, self.count = settings, world, batches, count
        self.validation, self.extra = validation, dict(extra or {})
        share = settings.global_batch // world.size
        self.micro = min(settings.micro_batch, share)
        self.chunks = -(-share // self.micro)  # that `batches` yields in a step
        self.sharded = settings.parallel == "fsdp" and world.size > 1
        self.unproven = world.size > 1  # whether each rank has room for `micro` samples is not known yet
        self.asked = self.near_end = False
        self.step = self.position = 0

        self.plain = model.to(world.device)
        self.model = self._spread(self.plain)
        self.parameters = [parameter for parameter in self.plain.parameters() if parameter.requires_grad]
        self.optimizer = self._new_optimizer()
        self.scaler = torch.amp.GradScaler(world.device.type, enabled=settings.precision == "fp16")
        self.checkpoints = Checkpoints(settings.out, written=hourglass.save if hourglass else lambda path: None)
        self.saved_at, self.step_seconds = time.monotonic(), 0.0
        self._resume()

        parameters = sum(parameter.numel() for parameter in self.plain.parameters()) / 1e6
        self.say(
            f"{parameters:.1f} M parameters on {world.size} × {world.name}, {settings.global_batch} samples a step"
        )
        self.flops = float(getattr(model, "flops_per_sample", 0.0))
        self.peak = world.peak_flops() if self.flops else 0.0
        if self.peak:
            self.say(f"mfu is of {self.peak / 1e12:.0f} TFLOP/s a GPU, dense bf16")

    # -- set up ----------------------------------------------------------------------------------------------

    def _spread(self, model: nn.Module) -> nn.Module:
        """Return the model as the ranks share it; its own parameters keep their names."""
        cuda, low = self.world.device.type == "cuda", _TYPES[self.settings.precision]
        if self.sharded:
            from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard  # seconds, for those who need it

            policy = MixedPrecisionPolicy(param_dtype=low, reduce_dtype=torch.float32 if low else None)
            lists = [module for module in model.modules() if isinstance(module, nn.ModuleList)]
            for block in [*(block for blocks in lists for block in blocks), model]:
                fully_shard(block, mp_policy=policy)
        if cuda and self.settings.compile:
            model.compile(
                dynamic=False, mode=self.settings.compile
            )  # a halved micro-batch is compiled anew, and as fast as the first
        if self.sharded or self.world.size == 1:
            return model
        spread = DistributedDataParallel(model, [self.world.device] if cuda else None, gradient_as_bucket_view=True)
        spread.broadcast_buffers = False  # a forward pass that talks could not fail on one rank alone
        return spread

    def _new_optimizer(self) -> torch.optim.Optimizer:
        """Return AdamW with its memory taken: what fits in the first step then fits in every one."""
        matrices = {"params": [p for p in self.parameters if p.dim() >= 2], "weight_decay": self.settings.weight_decay}
        groups: list[dict[str, Any]] = [matrices, {"params": [p for p in self.parameters if p.dim() < 2]}]
        fused = self.world.device.type == "cuda"
        optimizer = torch.optim.AdamW(groups, 0.0, betas=self.settings.betas, weight_decay=0.0, fused=fused)
        for parameter in self.parameters:
            parameter.grad = torch.zeros_like(parameter)
        optimizer.step()  # at a rate of nothing it changes nothing but the count of its steps
        optimizer.zero_grad()
        for kept in optimizer.state.values():
            kept["step"].zero_()
        return optimizer

    # -- the run ---------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Train to the last step, or until asked to stop; the last checkpoint is on the disk when this returns."""
        before = signal.signal(signal.SIGTERM, self._ask)
        try:
            with self.world.attention():
                stopped = self._steps()
        finally:
            signal.signal(signal.SIGTERM, before)
        self.checkpoints.wait()
        if stopped:
            self.say(f"asked to stop; saved at step {self.step} of {self.settings.steps}")

    def _steps(self) -> bool:
        """Take the steps that are left; return whether somebody asked to stop."""
        settings, batches = self.settings, self.batches(self.position)
        first, stop = self.step + 1, False
        began, timed = time.perf_counter(), self.step
        while self.step < settings.steps and not stop:
            loss = self._gradients(list(islice(batches, self.chunks)))
            norm, rate = self._update()
            stop, save = self.world.any(self._should_stop(), self.world.rank == 0 and self._is_save_due())
            if stop or self.step in (first, settings.steps) or self.step % settings.log_every == 0:
                value = self.world.sum(loss).item()  # waits for the GPU; no other step does
                self.step_seconds = (time.perf_counter() - began) / (self.step - timed)
                self._log(value, norm, rate)
                began, timed = time.perf_counter(), self.step
            if self.validation and self.step % settings.eval_every == 0 and not stop:
                self._evaluate()
                began, timed = time.perf_counter(), self.step
            if save or stop or self.step == settings.steps:
                self._save()
        return stop

    def _gradients(self, chunks: list[MicroBatch]) -> torch.Tensor:
        """Leave the global batch's gradients in the parameters; return this rank's share of its mean loss.

        Out of memory, the micro-batch is halved on every rank and the step is taken again. Several ranks rehearse
        each size once, without sending gradients, and compare: a rank that failed while gradients travel would leave
        the others waiting for it.
        """
        count = max(1, int(self.world.sum(torch.tensor(sum(map(self.count, chunks))))))
        while True:
            rehearsal, loss = self.unproven, None
            kept = [(buffer, buffer.clone()) for buffer in self.plain.buffers()]
            try:
                loss = self._accumulate(chunks, count, send=not rehearsal)
            except torch.OutOfMemoryError:
                if self.micro == 1 or (self.world.size > 1 and not rehearsal):
                    raise  # nothing is left to halve, or others wait for gradients: torchrun starts all of them anew
            # Only here has the exception let go of the tensors that filled the memory.
            (short,) = self.world.any(loss is None) if rehearsal else (loss is None,)
            if loss is not None and not rehearsal:
                return loss
            for buffer, value in kept:
                buffer.copy_(value)
            self.unproven = rehearsal and short
            if short:
                self._halve()

    def _accumulate(self, chunks: list[MicroBatch], count: int, *, send: bool) -> torch.Tensor:
        torch.manual_seed(seed_of(self.settings.seed, self.step, self.world.rank))
        self.optimizer.zero_grad()
        pieces = [piece for chunk in chunks for piece in self._pieces(chunk)]
        total = torch.zeros((), dtype=torch.float64, device=self.world.device)
        for number, piece in enumerate(pieces, start=1):
            with self._silence(send and number == len(pieces)):
                loss = self._loss(piece)
                # DDP and FSDP divide by the number of ranks; the count is that of all ranks.
                torch.autograd.backward(self.scaler.scale(loss * (self.world.size / count)))
            total += loss.detach()
        return total / count

    def _silence(self, send: bool) -> AbstractContextManager[None]:
        """Keep gradients to this rank until the last micro-batch; FSDP sends each one's, having no room for them."""
        silent = isinstance(self.model, DistributedDataParallel) and not send
        return self.model.no_sync() if silent else nullcontext()  # type: ignore[operator]  # DDP has it

    def _pieces(self, chunk: MicroBatch) -> Iterable[MicroBatch]:
        """Cut what `batches` yielded into micro-batches, as small as they have become."""
        return zip(*(tensor.split(self.micro) for tensor in chunk), strict=True)

    def _loss(self, piece: MicroBatch) -> torch.Tensor:
        low = _TYPES[self.settings.precision]
        with torch.autocast(self.world.device.type, low, enabled=low is not None):
            loss: torch.Tensor = self.model(*(tensor.to(self.world.device, non_blocking=True) for tensor in piece))
        return loss

    def _halve(self) -> None:
        if self.micro == 1:
            raise torch.OutOfMemoryError("one sample is too much for a GPU here: rent a larger one, or parallel='fsdp'")
        self.micro = -(-self.micro // 2)
        if self.world.device.type == "cuda":
            torch.cuda.empty_cache()
        self.say(f"out of memory: the micro-batch is {self.micro} now, the global batch is what it was")

    def _update(self) -> tuple[torch.Tensor, float]:
        """Take the step; return the norm of the gradients before they were clipped, and the learning rate."""
        rate = lr_at(self.step + 1, self.settings)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.scaler.unscale_(self.optimizer)
        norm = nn.utils.clip_grad_norm_(self.parameters, self.settings.clip)
        self.checkpoints.settle()  # a save copies the weights while gradients are computed, not while they change
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.step += 1
        self.position += self.settings.global_batch
        return norm, rate

    @torch.no_grad()
    def _evaluate(self) -> None:
        self.model.eval()
        loss, count = torch.zeros(2, dtype=torch.float64, device=self.world.device)
        for chunk in self.validation:
            count += self.count(chunk)
            for piece in self._pieces(chunk):
                loss += self._loss(piece)
        self.model.train()
        value = (self.world.sum(loss) / self.world.sum(count)).item()
        self.say(f"step {self.step}/{self.settings.steps}: val loss {value:.4f}")
        if hourglass:
            hourglass.report(self.step, total=self.settings.steps, val_loss=value)

    def _log(self, loss: float, norm: Any, rate: float) -> None:
        speed = self.settings.global_batch / self.step_seconds
        values = {"loss": loss, "lr": rate, "grad_norm": float(norm.full_tensor() if self.sharded else norm)}
        line = f"step {self.step}/{self.settings.steps}: loss {loss:.4f}, {1000 * self.step_seconds:.1f} ms, "
        line += f"lr: {rate:.2e}, grad_norm: {values['grad_norm']:.3f}, {speed:,.1f} samples/s"
        if self.peak:
            values["mfu"] = 100 * speed * self.flops / (self.peak * self.world.size)
            line += f", mfu: {values['mfu']:.2f}%"
        self.say(line)
        if hourglass:
            hourglass.report(self.step, total=self.settings.steps, **values)

    def say(self, line: str) -> None:
        """Print a line, once for all ranks."""
        if self.world.rank == 0:
            print(line, flush=True)

    # -- checkpoints and the end -----------------------------------------------------------------------------

    def _ask(self, *_: object) -> None:
        self.asked = True  # a signal only says so; the ranks agree after the step

    def _should_stop(self) -> bool:
        return self.asked or bool(hourglass and hourglass.should_stop())

    def _is_save_due(self) -> bool:
        """Say whether to save now: by Young and Daly, and once more when the rental nears its end."""
        left = hourglass.time_left() if hourglass else None
        if left is not None and not self.near_end and left < _END + self.step_seconds + self.checkpoints.seconds:
            self.near_end = True
            return True
        if self.settings.save_every:
            return self.step % self.settings.save_every == 0
        pause = save_interval(self.checkpoints.seconds, self.settings.failures_every, most=self.settings.lose_at_most)
        return not self.checkpoints.busy and time.monotonic() - self.saved_at >= pause

    def _save(self) -> None:
        model: dict[str, Any]
        if self.sharded:  # all ranks gather, rank 0 keeps: its host needs room for all of it
            from torch.distributed.checkpoint.state_dict import StateDictOptions, get_state_dict

            whole = StateDictOptions(full_state_dict=True, cpu_offload=True)
            model, optimizer = get_state_dict(self.plain, self.optimizer, options=whole)
        else:
            # A forward pass changes buffers and comes before the copy is settled: those are copied now.
            model, optimizer = dict(self.plain.state_dict()), self.optimizer.state_dict()
            model |= {name: model[name].clone() for name, _ in self.plain.named_buffers() if name in model}
        state = {"step": self.step, "position": self.position, "sharded": self.sharded, "model": model}
        state |= {"optimizer": optimizer, "scaler": self.scaler.state_dict(), **self.extra}
        self.saved_at = time.monotonic()
        if self.world.rank == 0:
            self.checkpoints.save(self.step, state)

    def _resume(self) -> None:
        brought = os.environ.get("HOURGLASS_RESUME")
        found = load_newest(*([Path(brought)] if brought else []), self.settings.out)
        if found:
            path, state = found
            self._load(path, state)
            self.say(f"resuming from {path} at step {self.step}")
        if int(self.world.sum(torch.tensor(self.step))) != self.step * self.world.size:
            raise ValueError(f"rank {self.world.rank} is at step {self.step}, and others are not: share the folder")

    def _load(self, path: Path, state: Mapping[str, Any]) -> None:
        if state["sharded"] != self.sharded:
            raise ValueError(f"{path} is of a run that was{'' if state['sharded'] else ' not'} sharded: go on like it")
        if self.sharded:
            from torch.distributed.checkpoint.state_dict import StateDictOptions, set_state_dict

            parts = {"model_state_dict": state["model"], "optim_state_dict": state["optimizer"]}
            set_state_dict(self.plain, self.optimizer, **parts, options=StateDictOptions(full_state_dict=True))
        else:
            self.plain.load_state_dict(state["model"])
            self.optimizer.load_state_dict(state["optimizer"])
        self.scaler.load_state_dict(state["scaler"])
        self.step, self.position = state["step"], state["position"]
