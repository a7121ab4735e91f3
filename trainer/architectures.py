"""Shapes of transformers: the published ones by name, anybody's by a Hugging Face `config.json` or by options.

A shape decides how many parameters there are and how wide each step's tensors are; `trainer.memory` needs nothing
else of a model. Counts are exact where the shape is: they are held against the published ones. A mixture of experts,
an encoder with a decoder, and whatever is no transformer, is refused rather than guessed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from difflib import get_close_matches
from enum import StrEnum
from types import MappingProxyType
from typing import Final


class UnknownShape(Exception):
    """What was named or read does not say the shape of a transformer; the message says what is missing."""


class Norm(StrEnum):
    """What normalises the stream before each half of a layer."""

    LAYER = "layer"
    RMS = "rms"


@dataclass(frozen=True, kw_only=True)
class Architecture:
    """A transformer's shape, in numbers of features, heads, tokens and layers."""

    name: str
    layers: int
    width: int  # of the stream between the layers
    heads: int
    kv_heads: int  # fewer than `heads` where several share keys and values
    head_width: int
    ffn: int  # inner width of the feed-forward half
    vocab: int  # tokens; the classes of an image model
    context: int  # most tokens of a sequence; of an image model, all of them
    norm: Norm = Norm.LAYER
    gated: bool = False  # three feed-forward matrices, as SwiGLU has, instead of two
    tied: bool = False  # the head is the embedding
    positions: bool = False  # learned, one vector a place
    biases: bool = False  # in every linear layer
    qkv_biases: bool = False  # there alone, as Qwen2 has
    qk_norms: bool = False  # of each head's queries and keys, as Qwen3 has
    fused_qkv: bool = False  # one matrix makes queries, keys and values
    patch: int = 0  # pixels of a patch's side; 0 where it reads text

    @property
    def queries(self) -> int:
        """Features of all heads' queries."""
        return self.heads * self.head_width

    @property
    def keys(self) -> int:
        """Features of all keys; values have as many."""
        return self.kv_heads * self.head_width

    @property
    def matrices(self) -> tuple[tuple[int, int], ...]:
        """Each linear layer of one layer, as (inputs, outputs)."""
        q, k, d, f = self.queries, self.keys, self.width, self.ffn
        inward = ((d, q + 2 * k),) if self.fused_qkv else ((d, q), (d, k), (d, k))
        return (*inward, (q, d), *([(d, f)] * (2 if self.gated else 1)), (f, d))

    @property
    def layer_linear(self) -> int:
        """Parameters in the matrices of one layer, biases left out."""
        return sum(inputs * outputs for inputs, outputs in self.matrices)

    @property
    def layer_parameters(self) -> int:
        """Parameters of one layer."""
        d, qkv = self.width, self.queries + 2 * self.keys
        small = self._norm * 2 + (2 * self.head_width if self.qk_norms else 0)
        if self.biases:
            small += qkv + 2 * d + (2 if self.gated else 1) * self.ffn
        elif self.qkv_biases:
            small += qkv
        return self.layer_linear + small

    @property
    def embedding(self) -> int:
        """Parameters of the token embedding, or of what makes vectors of patches."""
        return self.patch**2 * 3 * self.width + self.width if self.patch else self.vocab * self.width

    @property
    def head(self) -> int:
        """Parameters of the head's own matrix: none where it is tied."""
        return 0 if self.tied else self.vocab * self.width + (self.vocab if self.patch else 0)

    @property
    def parameters(self) -> int:
        """All parameters, a tied embedding counted once."""
        places = self.context * self.width if self.positions else 0
        first = self.width if self.patch else 0  # the class token
        return self.layers * self.layer_parameters + self.embedding + places + first + self._norm + self.head

    @property
    def _norm(self) -> int:
        return self.width * (2 if self.norm is Norm.LAYER and self.biases else 1)


def gpt2(name: str, *, layers: int, width: int, heads: int, vocab: int = 50257, context: int = 1024) -> Architecture:
    """Return the shape of GPT-2 (Radford et al., 2019): learned places, biases, GELU, a tied head."""
    return Architecture(
        name=name, layers=layers, width=width, heads=heads, kv_heads=heads, head_width=width // heads, ffn=4 * width,
        vocab=vocab, context=context, tied=True, positions=True, biases=True, fused_qkv=True,
    )  # fmt: skip


def llama(
    name: str, *, layers: int, width: int, heads: int, kv_heads: int, ffn: int, vocab: int, context: int,
    tied: bool = False,
) -> Architecture:  # fmt: skip
    """Return the shape of Llama (Touvron et al., 2023): RMSNorm, rotary places, SwiGLU, no biases."""
    return Architecture(
        name=name, layers=layers, width=width, heads=heads, kv_heads=kv_heads, head_width=width // heads, ffn=ffn,
        vocab=vocab, context=context, norm=Norm.RMS, gated=True, tied=tied,
    )  # fmt: skip


def vit(name: str, *, layers: int, width: int, heads: int) -> Architecture:
    """Return the shape of ViT with patches of 16 of an image of 224 pixels a side (Dosovitskiy et al., 2021)."""
    return Architecture(
        name=name, layers=layers, width=width, heads=heads, kv_heads=heads, head_width=width // heads, ffn=4 * width,
        vocab=1000, context=197, positions=True, biases=True, fused_qkv=True, patch=16,
    )  # fmt: skip


def _qwen(shape: Architecture) -> Architecture:
    return replace(shape, qkv_biases=True)


_KNOWN: Final = (
    gpt2("gpt2", layers=12, width=768, heads=12),
    gpt2("gpt2-medium", layers=24, width=1024, heads=16),
    gpt2("gpt2-large", layers=36, width=1280, heads=20),
    gpt2("gpt2-xl", layers=48, width=1600, heads=25),
    llama("tinyllama", layers=22, width=2048, heads=32, kv_heads=4, ffn=5632, vocab=32000, context=2048),
    llama("llama-3.2-1b", layers=16, width=2048, heads=32, kv_heads=8, ffn=8192, vocab=128256, context=131072,
          tied=True),
    llama("llama-3.2-3b", layers=28, width=3072, heads=24, kv_heads=8, ffn=8192, vocab=128256, context=131072,
          tied=True),
    llama("llama-2-7b", layers=32, width=4096, heads=32, kv_heads=32, ffn=11008, vocab=32000, context=4096),
    llama("llama-3.1-8b", layers=32, width=4096, heads=32, kv_heads=8, ffn=14336, vocab=128256, context=131072),
    llama("llama-2-13b", layers=40, width=5120, heads=40, kv_heads=40, ffn=13824, vocab=32000, context=4096),
    llama("codellama-34b", layers=48, width=8192, heads=64, kv_heads=8, ffn=22016, vocab=32000, context=16384),
    llama("llama-3.1-70b", layers=80, width=8192, heads=64, kv_heads=8, ffn=28672, vocab=128256, context=131072),
    llama("mistral-7b", layers=32, width=4096, heads=32, kv_heads=8, ffn=14336, vocab=32000, context=32768),
    _qwen(llama("qwen2.5-0.5b", layers=24, width=896, heads=14, kv_heads=2, ffn=4864, vocab=151936, context=32768,
                tied=True)),
    _qwen(llama("qwen2.5-1.5b", layers=28, width=1536, heads=12, kv_heads=2, ffn=8960, vocab=151936, context=32768,
                tied=True)),
    _qwen(llama("qwen2.5-7b", layers=28, width=3584, heads=28, kv_heads=4, ffn=18944, vocab=152064, context=32768)),
    vit("vit-b", layers=12, width=768, heads=12),
    vit("vit-l", layers=24, width=1024, heads=16),
)  # fmt: skip
NAMED: Final[Mapping[str, Architecture]] = MappingProxyType({shape.name: shape for shape in _KNOWN})
_ALSO: Final[Mapping[str, str]] = MappingProxyType(
    {
        "0.5b": "qwen2.5-0.5b", "1b": "llama-3.2-1b", "1.1b": "tinyllama", "1.5b": "qwen2.5-1.5b",
        "3b": "llama-3.2-3b", "7b": "llama-2-7b", "8b": "llama-3.1-8b", "13b": "llama-2-13b", "34b": "codellama-34b",
        "70b": "llama-3.1-70b", "124m": "gpt2", "355m": "gpt2-medium", "774m": "gpt2-large", "gpt2-small": "gpt2",
        "llama": "llama-3.1-8b", "llama-7b": "llama-2-7b", "llama-8b": "llama-3.1-8b", "llama-13b": "llama-2-13b",
        "llama-70b": "llama-3.1-70b", "llama-3-8b": "llama-3.1-8b", "llama-3-70b": "llama-3.1-70b",
        "mistral": "mistral-7b", "qwen": "qwen2.5-7b", "qwen-7b": "qwen2.5-7b", "qwen2-7b": "qwen2.5-7b",
        "vit": "vit-b", "vit-base": "vit-b", "vit-large": "vit-l",
    }
)  # fmt: skip
NAMES: Final = (*NAMED, *_ALSO)


def named(word: str) -> Architecture:
    """Return the shape that `7b`, `gpt2` or `meta-llama/Llama-2-7b-hf` names; raises `UnknownShape`."""
    shape = _find(word)
    if shape is None:
        near = get_close_matches(_bare(word), NAMES, n=1, cutoff=0.5)
        hint = f"did you mean `{near[0]}`? " if near else ""
        raise UnknownShape(f"`{word}` is not a model whose shape is known: {hint}There are {', '.join(NAMED)}.")
    return shape


def nearest(word: str) -> str | None:
    """Return the name that was probably meant, None where nothing is near."""
    near = get_close_matches(_bare(word), NAMES, n=1, cutoff=0.5)
    return near[0] if near else None


def _find(word: str) -> Architecture | None:
    name = _bare(word)
    return NAMED.get(_ALSO.get(name, name))


def _bare(word: str) -> str:
    """Return a hub's name without its owner and without what says only how it was tuned or stored."""
    name = word.lower().rpartition("/")[2].replace("_", "-").replace("meta-", "")
    return re.sub(r"(?:-(?:hf|instruct|chat|base|it|v\d+(?:\.\d+)*|patch\d+.*|\d{3}))+$", "", name)
