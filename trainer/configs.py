"""A Hugging Face `config.json`, read as the shape that it describes. Pure: text in, shape and assumptions out.

The names differ by family: GPT-2's are its own (`n_embd`), nearly everybody else's are Llama's (`hidden_size`). A
family that is not known but has Llama's names is read as Llama's, and that is said. What the file leaves out is what
the library would put there.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from trainer.architectures import Architecture, Norm, UnknownShape

LIKE_LLAMA: Final = ("llama", "mistral", "qwen2", "qwen3", "gemma", "gemma2", "phi3", "olmo", "olmo2", "granite")
_OTHERWISE: Final = ("t5", "mt5", "bart", "mbart", "pegasus", "marian", "whisper", "mamba", "rwkv", "clip", "resnet")
_MOST: Final = 10_000_000  # no number of a shape is larger


@dataclass(frozen=True, kw_only=True)
class Described:
    """What a file describes."""

    shape: Architecture
    assumed: Sequence[str]  # whole sentences


def from_config(text: str, name: str = "config.json") -> Described:
    """Read the file's text; raises `UnknownShape` that says which number is missing or why it cannot be read."""
    try:
        config = json.loads(text)
    except ValueError as error:
        raise UnknownShape(f"`{name}` is not JSON. Name the model on the line, like `7b`.") from error
    except RecursionError as error:
        raise UnknownShape(f"`{name}` is nested too deeply to be a model's. Name the model on the line.") from error
    if not isinstance(config, dict):
        raise UnknownShape(f"`{name}` is no table of settings. Name the model on the line, like `7b`.")
    nested = config.get("text_config")
    if isinstance(nested, dict) and "hidden_size" not in config:
        config = nested
    family = re.sub(r"[^\w.-]", "", str(config.get("model_type", "")))[:40]  # it is shown to people
    numbers = _Numbers(config, name)
    if any(key in config for key in ("num_local_experts", "num_experts", "n_routed_experts")):
        raise UnknownShape(f"`{name}` is a mixture of experts (`{family}`), which is not estimated.")
    if family in _OTHERWISE or config.get("is_encoder_decoder") is True:
        raise UnknownShape(f"`{name}` is a `{family}`, which is not estimated: only a stack of equal layers is.")
    if family == "vit":
        return Described(shape=_vit(numbers), assumed=())
    if family == "gpt2" or "n_embd" in config:
        return Described(shape=_gpt2(numbers, family), assumed=())
    assumed = () if family in LIKE_LLAMA else (f"`{name}` is a `{family or '?'}`, read as if it were like Llama.",)
    return Described(shape=_llama(numbers, family), assumed=assumed)


class _Numbers:
    """The settings of one file."""

    def __init__(self, config: Mapping[str, object], name: str) -> None:
        self.config = config
        self.name = name

    def __call__(self, key: str, otherwise: int | None = None) -> int:
        """Return a whole number; `otherwise` where there is none. Raises `UnknownShape`."""
        value = self.config.get(key)
        if value is None and otherwise is not None:
            return otherwise
        if not isinstance(value, int) or isinstance(value, bool) or not 0 < value < _MOST:
            raise UnknownShape(f"`{self.name}` has no usable `{key}`. Name the model on the line, like `7b`.")
        return value

    def yes(self, key: str, otherwise: bool) -> bool:
        """Return a switch."""
        value = self.config.get(key, otherwise)
        return value if isinstance(value, bool) else otherwise


def _gpt2(number: _Numbers, family: str) -> Architecture:
    width, heads = number("n_embd"), number("n_head")
    return Architecture(
        name=family or "gpt2", layers=number("n_layer"), width=width, heads=heads, kv_heads=heads,
        head_width=_share(number, width, heads), ffn=number("n_inner", 4 * width), vocab=number("vocab_size", 50257),
        context=number("n_positions", number("block_size", 1024)), tied=number.yes("tie_word_embeddings", True),
        positions=True, biases=number.yes("bias", True), fused_qkv=True,
    )  # fmt: skip


def _llama(number: _Numbers, family: str) -> Architecture:
    width, heads = number("hidden_size"), number("num_attention_heads")
    fallback = width // heads if "head_dim" in number.config else _share(number, width, heads)
    return Architecture(
        name=family or "model", layers=number("num_hidden_layers"), width=width, heads=heads,
        kv_heads=number("num_key_value_heads", heads), head_width=number("head_dim", max(1, fallback)),
        ffn=number("intermediate_size"), vocab=number("vocab_size"), context=number("max_position_embeddings", 4096),
        norm=Norm.RMS, gated=True, tied=number.yes("tie_word_embeddings", family.startswith("gemma")),
        biases=number.yes("attention_bias", False) and number.yes("mlp_bias", False),
        qkv_biases=family == "qwen2" or number.yes("attention_bias", False), qk_norms=family == "qwen3",
    )  # fmt: skip


def _vit(number: _Numbers) -> Architecture:
    width, heads = number("hidden_size"), number("num_attention_heads")
    patch = number("patch_size", 16)
    classes = number.config.get("id2label")
    return Architecture(
        name="vit", layers=number("num_hidden_layers"), width=width, heads=heads, kv_heads=heads,
        head_width=_share(number, width, heads), ffn=number("intermediate_size", 4 * width),
        vocab=len(classes) if isinstance(classes, dict) and classes else 1000,
        context=(number("image_size", 224) // patch) ** 2 + 1, positions=True, biases=True, patch=patch,
    )  # fmt: skip


def _share(number: _Numbers, width: int, heads: int) -> int:
    if width % heads:
        raise UnknownShape(f"`{number.name}`: {width} features cannot be shared by {heads} heads.")
    return width // heads
