"""The plainest models that have a given shape, and a step of training: what the memory estimate is held against."""

from __future__ import annotations

import math
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from trainer.architectures import Architecture, Norm
from trainer.memory import Method, Optimizer, Precision, Recipe


class RMSNorm(nn.Module):
    """As Hugging Face writes it: in fp32, then the weight."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        wide = x.float()
        wide = wide * torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + 1e-6)
        return self.weight * wide.to(x.dtype)


class Unpacked(torch.autograd.Function):
    """A product with a matrix of 4 bits, which is unpacked each time and never kept."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, packed: Tensor) -> Tensor:
        ctx.save_for_backward(packed)
        return x @ Unpacked.matrix(packed).t()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        (packed,) = ctx.saved_tensors
        return gradient @ Unpacked.matrix(packed), None

    @staticmethod
    def matrix(packed: Tensor) -> Tensor:
        """Return a matrix as large as the unpacked one; one kernel makes it in bitsandbytes, with nothing beside."""
        return torch.empty(packed.shape[0], packed.shape[1] * 2, dtype=torch.bfloat16, device=packed.device).fill_(1e-3)


class PackedLinear(nn.Module):
    """A frozen matrix of 4 bits, with a byte for each 64 weights."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.register_buffer("packed", torch.zeros(outputs, inputs // 2, dtype=torch.uint8))
        self.register_buffer("scales", torch.ones(outputs * inputs // 64, dtype=torch.uint8))

    def forward(self, x: Tensor) -> Tensor:
        return Unpacked.apply(x.bfloat16(), self.packed).to(x.dtype)  # type: ignore[no-untyped-call,no-any-return]  # torch leaves it so


class Adapted(nn.Module):
    """A frozen linear layer and a small trained one beside it."""

    def __init__(self, frozen: nn.Module, inputs: int, outputs: int, rank: int) -> None:
        super().__init__()
        self.frozen = frozen
        self.down = nn.Linear(inputs, rank, bias=False)
        self.up = nn.Linear(rank, outputs, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        adapted: Tensor = self.frozen(x) + self.up(self.down(x))
        return adapted


class Layer(nn.Module):
    """Attention and feed-forward, each on a normalised stream."""

    def __init__(self, shape: Architecture, recipe: Recipe) -> None:
        super().__init__()
        self.shape, self.flash = shape, recipe.flash
        norm = RMSNorm if shape.norm is Norm.RMS else nn.LayerNorm
        self.norm1, self.norm2 = norm(shape.width), norm(shape.width)
        packed = recipe.method is Method.QLORA
        self.linear = nn.ModuleList(
            PackedLinear(i, o) if packed else nn.Linear(i, o, bias=shape.biases) for i, o in shape.matrices
        )

    def forward(self, x: Tensor) -> Tensor:
        shape = self.shape
        *inward, out = self.linear[: 2 if shape.fused_qkv else 4]
        fed = self.linear[2 if shape.fused_qkv else 4 :]
        normed = self.norm1(x)
        sizes = [shape.queries, shape.keys, shape.keys]
        q, k, v = inward[0](normed).split(sizes, dim=-1) if shape.fused_qkv else (one(normed) for one in inward)
        q, k, v = (part.unflatten(-1, (-1, shape.head_width)).transpose(1, 2) for part in (q, k, v))
        if shape.norm is Norm.RMS:
            q, k = turned(q), turned(k)
        attended = attention(q, k, v, causal=not shape.patch, flash=self.flash)
        x = x + out(attended.transpose(1, 2).flatten(2))
        normed = self.norm2(x)
        made = F.silu(fed[0](normed)) * fed[1](normed) if shape.gated else F.gelu(fed[0](normed))
        after: Tensor = x + fed[-1](made)
        return after


def turned(x: Tensor) -> Tensor:
    """Return queries or keys turned by their places."""
    angles = torch.arange(x.shape[2], device=x.device)[:, None] / torch.arange(1, x.shape[3] + 1, device=x.device)
    cos, sin = angles.cos().to(x.dtype), angles.sin().to(x.dtype)
    first, second = x.chunk(2, dim=-1)
    return x * cos + torch.cat([-second, first], dim=-1) * sin


def attention(q: Tensor, k: Tensor, v: Tensor, *, causal: bool, flash: bool) -> Tensor:
    """Return what each place gathers; without `flash`, with all scores held as fp32 and again as they came."""
    if flash:
        return F.scaled_dot_product_attention(q, k, v, is_causal=causal, enable_gqa=q.shape[1] != k.shape[1])
    k, v = (part.repeat_interleave(q.shape[1] // k.shape[1], dim=1) for part in (k, v))
    scores = q @ k.transpose(2, 3) / math.sqrt(q.shape[3])
    if causal:
        later = torch.ones(q.shape[2], q.shape[2], dtype=torch.bool, device=q.device).triu(1)
        scores = scores.masked_fill(later, -1e4)
    return scores.softmax(-1, dtype=torch.float32).to(q.dtype) @ v


class Model(nn.Module):
    """Ids, or patches, in; the loss out."""

    def __init__(self, shape: Architecture, recipe: Recipe) -> None:
        super().__init__()
        self.shape, self.checkpointing = shape, recipe.checkpointing
        if shape.patch:
            self.first = nn.Parameter(torch.zeros(1, 1, shape.width))
            self.embedding: nn.Module = nn.Conv2d(3, shape.width, shape.patch, shape.patch)
        else:
            self.embedding = nn.Embedding(shape.vocab, shape.width)
        self.places = nn.Parameter(torch.zeros(shape.context, shape.width)) if shape.positions else None
        self.layers = nn.ModuleList(Layer(shape, recipe) for _ in range(shape.layers))
        self.norm = RMSNorm(shape.width) if shape.norm is Norm.RMS else nn.LayerNorm(shape.width)
        self.head = nn.Linear(shape.width, shape.vocab, bias=bool(shape.patch))
        if shape.tied:
            self.head.weight = self.embedding.weight

    def forward(self, seen: Tensor, targets: Tensor) -> Tensor:
        x = self.embedding(seen)
        if self.shape.patch:
            x = x.flatten(2).transpose(1, 2)
            x = torch.cat([self.first.expand(len(x), -1, -1).to(x.dtype), x], dim=1)
        if self.places is not None:
            x = x + self.places[: x.shape[1]]
        if not x.requires_grad:
            x.requires_grad_()  # so that a checkpointed layer of frozen weights has something to go back to
        for layer in self.layers:
            x = checkpoint(layer, x, use_reentrant=False) if self.checkpointing else layer(x)
        x = self.norm(x)
        logits = self.head(x[:, 0] if self.shape.patch else x)
        return F.cross_entropy(logits.flatten(0, -2).float(), targets.flatten())


class Session:
    """A model, its optimizer and random data on one device."""

    def __init__(self, shape: Architecture, recipe: Recipe, *, device: str) -> None:
        self.recipe, self.device = recipe, device
        # Beside matrices of 4 bits all is fp32, as PEFT prepares it.
        wide = recipe.precision in (Precision.FP32, Precision.AMP) or recipe.method is Method.QLORA
        stored = torch.float32 if wide else torch.bfloat16
        with torch.device(device):
            default = torch.get_default_dtype()
            torch.set_default_dtype(stored)
            try:
                self.model = Model(shape, recipe)
            finally:
                torch.set_default_dtype(default)
            if recipe.method is not Method.FULL:
                adapt(self.model, shape, recipe)
            if shape.patch:
                side = round(math.sqrt(shape.context - 1)) * shape.patch
                self.seen = torch.zeros(recipe.micro_batch, 3, side, side)
                self.targets = torch.zeros(recipe.micro_batch, dtype=torch.long)
            else:
                self.seen = torch.zeros(recipe.micro_batch, recipe.sequence, dtype=torch.long)
                self.targets = self.seen
        self.optimizer = stepper(self.model, recipe.optimizer)

    def step(self) -> None:
        """Train on the data once, or twice where gradients are accumulated."""
        for _ in range(2 if self.recipe.accumulation else 1):
            with self.computing():
                loss = self.model(self.seen, self.targets)
            loss.backward()
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)

    def computing(self) -> AbstractContextManager[object]:
        """Return what the forward pass runs in: autocast where weights and products differ in width."""
        if self.recipe.precision is Precision.AMP or self.recipe.method is not Method.FULL:
            return torch.autocast(self.device, torch.bfloat16)
        return nullcontext()


def adapt(model: Model, shape: Architecture, recipe: Recipe) -> None:
    """Freeze the model and put an fp32 adapter beside every matrix of its layers."""
    model.requires_grad_(False)
    for linear in (one for one in model.modules() if isinstance(one, nn.ModuleList) and one is not model.layers):
        for index, (inputs, outputs) in enumerate(shape.matrices):
            linear[index] = Adapted(linear[index], inputs, outputs, recipe.rank)


def stepper(model: nn.Module, kind: Optimizer) -> torch.optim.Optimizer:
    """Return the optimizer over what is trained."""
    trained = [one for one in model.parameters() if one.requires_grad]
    if kind in (Optimizer.ADAMW, Optimizer.FUSED):
        fused = kind is Optimizer.FUSED
        return torch.optim.AdamW(trained, lr=1e-4, fused=fused, foreach=not fused)  # as a GPU's default is
    if kind in (Optimizer.SGD, Optimizer.MOMENTUM):
        return torch.optim.SGD(trained, lr=1e-4, momentum=0.9 if kind is Optimizer.MOMENTUM else 0.0)
    raise ValueError(f"{kind} is not in torch")
