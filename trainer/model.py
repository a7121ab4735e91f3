"""A GPT as GPT-2 was, to begin with: replace it with your own.

What the loop asks of a model: called with a micro-batch (`model(*batch)`) it returns the **sum** of the losses over the
micro-batch's targets, not their mean. If it has `flops_per_sample`, the loop prints how much of the GPU is used; what
lies in a `ModuleList` is sharded piece by piece. `Windows` is the data to begin with: one long row of token ids.
"""

from __future__ import annotations

import math

import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import Dataset

IGNORED = -100  # a target that does not count: padding, or what was asked rather than answered


class Block(nn.Module):
    """Attention to what came before, then a thought about it."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads, self.dropout = heads, dropout
        self.norm1, self.norm2 = nn.LayerNorm(width, bias=False), nn.LayerNorm(width, bias=False)
        self.qkv, self.out = nn.Linear(width, 3 * width, bias=False), nn.Linear(width, width, bias=False)
        self.up, self.down = nn.Linear(width, 4 * width, bias=False), nn.Linear(4 * width, width, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (batch, time, width) to the same."""
        batch, time, width = x.shape
        q, k, v = self.qkv(self.norm1(x)).view(batch, time, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        dropout = self.dropout if self.training else 0.0
        seen = F.scaled_dot_product_attention(q, k, v, is_causal=True, dropout_p=dropout)
        x = x + F.dropout(self.out(seen.transpose(1, 2).reshape(batch, time, width)), self.dropout, self.training)
        return x + F.dropout(self.down(F.gelu(self.up(self.norm2(x)))), self.dropout, self.training)


class GPT(nn.Module):
    """Token ids in; the sum of the cross-entropy out, or the logits where no targets are given."""

    def __init__(self, *, vocab: int, context: int, width: int, heads: int, layers: int, dropout: float = 0.0) -> None:
        """Take `vocab` as a multiple of 64 (GPT-2's 50,257 as 50,304): the last product is a quarter faster."""
        super().__init__()
        self.context, self.width, self.layers = context, width, layers
        self.token, self.place = nn.Embedding(vocab, width), nn.Embedding(context, width)
        self.blocks = nn.ModuleList(Block(width, heads, dropout) for _ in range(layers))
        self.norm, self.head = nn.LayerNorm(width, bias=False), nn.Linear(width, vocab, bias=False)
        self.head.weight = self.token.weight
        for name, parameter in self.named_parameters():
            if parameter.dim() > 1:
                # What is added to the stream by each layer is kept smaller the more layers there are.
                deep = name.endswith(("out.weight", "down.weight"))
                nn.init.normal_(parameter, std=0.02 / math.sqrt(2 * layers) if deep else 0.02)

    def forward(self, ids: torch.Tensor, targets: torch.Tensor | None = None) -> torch.Tensor:
        """Take ids and targets of (batch, time); a target of `IGNORED` does not count."""
        x = self.token(ids) + self.place(torch.arange(ids.shape[1], device=ids.device))
        for block in self.blocks:
            x = block(x)
        logits: torch.Tensor = self.head(self.norm(x))
        if targets is None:
            return logits
        return F.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="sum", ignore_index=IGNORED)

    @property
    def flops_per_sample(self) -> float:
        """Floating-point operations of a forward and a backward pass over one window of `context` tokens.

        6 for each parameter that multiplies (all but the places) and 12 · layers · width · context for attention, not
        halved for the causal mask: as in the PaLM paper's appendix B and in nanoGPT.
        """
        parameters = sum(parameter.numel() for parameter in self.parameters()) - self.place.weight.numel()
        return self.context * (6.0 * parameters + 12.0 * self.layers * self.width * self.context)


class Windows(Dataset[tuple[torch.Tensor, torch.Tensor]]):
    """Windows of one long row of token ids, as inputs and as targets one place further; cut anew in each epoch.

    `ids` is any integer tensor, also one that lies in a file: `torch.from_file(name, size=n, dtype=torch.uint16)`.
    """

    def __init__(self, ids: torch.Tensor, length: int) -> None:
        if len(ids) < 2 * length + 1:
            raise ValueError(f"{len(ids):,} tokens are too few for windows of {length:,}: bring at least twice as many")
        self.ids, self.length = ids, length

    def __len__(self) -> int:
        return (len(self.ids) - 1) // self.length - 1  # one less, so that each can slide by up to its length

    def __getitem__(self, index: int) -> tuple[torch.Tensor, torch.Tensor]:
        first = index * self.length + int(torch.randint(self.length, ()))
        window = self.ids[first : first + self.length + 1].to(torch.int64)
        return window[:-1], window[1:]
