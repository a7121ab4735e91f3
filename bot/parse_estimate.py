"""The words of `estimate`: a model's name or a commit, how it is trained, and on which GPU.

    estimate 7b lora gpu=a10g batch=4 seq=2048
    estimate owner/repo@ref gpu=a100-80gb:8 fsdp
    estimate layers=24 width=1024 gpu=l4

Pure, like all that reads a typed line; a bad word's `fix` is the whole line with the nearest word in its place.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from types import MappingProxyType
from typing import Final

from bot.verbs import Estimate
from bot.words import Line
from jobs.errors import BadRequest, BadSource, BadSpec
from jobs.gpus import CPU, parse_gpu
from jobs.gpus import nearest as nearest_gpu
from jobs.repository import split_reference
from trainer.architectures import NAMED, NAMES, UnknownShape, named
from trainer.memory import Method, Optimizer, Precision

_YES: Final = ("yes", "true", "on", "1")
_NO: Final = ("no", "false", "off", "0")
# What a lone word says, as key and value.
_LONE: Final[Mapping[str, tuple[str, str]]] = MappingProxyType(
    {
        **{method.value: ("method", method.value) for method in Method},
        **{precision.value: ("precision", precision.value) for precision in Precision},
        **{optimizer.value: ("optim", optimizer.value) for optimizer in Optimizer},
        "bfloat16": ("precision", "bf16"),
        "float32": ("precision", "fp32"),
        "peft": ("method", "lora"),
        "adapters": ("method", "lora"),
        "checkpointing": ("checkpointing", "yes"),
        "ckpt": ("checkpointing", "yes"),
        "flash": ("flash", "yes"),
        "no-flash": ("flash", "no"),
        "fsdp": ("fsdp", "yes"),
        "fsdp2": ("fsdp", "yes"),
        "zero3": ("fsdp", "yes"),
    }
)
_MEANT: Final[Mapping[str, str]] = MappingProxyType(
    {
        **dict.fromkeys(("batch_size", "micro_batch", "micro_batch_size", "bs", "mbs"), "batch"),
        **dict.fromkeys(("sequence", "seq_len", "context", "length", "tokens", "ctx"), "seq"),
        **dict.fromkeys(("optimizer", "opt"), "optim"),
        **dict.fromkeys(("dtype", "precise"), "precision"),
        **dict.fromkeys(("gradient_checkpointing", "activation_checkpointing"), "checkpointing"),
        **dict.fromkeys(("lora_rank", "lora_r", "r"), "rank"),
        **dict.fromkeys(("n_layer", "n_layers", "depth"), "layers"),
        **dict.fromkeys(("n_embd", "d_model", "hidden_size", "dim"), "width"),
        **dict.fromkeys(("n_head", "n_heads"), "heads"),
        **dict.fromkeys(("vocab_size",), "vocab"),
        **dict.fromkeys(("gpus", "accelerator", "card"), "gpu"),
    }
)


def parse_estimate(line: Line) -> Estimate:
    """Return what the words after `estimate` ask for; raises `BadRequest`, its fix beginning with `estimate`."""
    reading = _Reading(line)
    for index in range(len(line.words)):
        reading.word(index)
    return reading.estimate()


class _Reading:
    """One pass over the words."""

    def __init__(self, line: Line) -> None:
        self._line = line
        self._model: str | None = None
        self._repo, self._ref = "", ""
        self._settings: dict[str, str] = {}

    def word(self, index: int) -> None:
        """Read one word."""
        text = self._line.words[index].text
        key, equals, value = text.partition("=")
        if equals and "/" not in key:
            self._keyed(index, key.lower().replace("-", "_"), value)
        elif text.lower() in _LONE:
            self._say(index, *_LONE[text.lower()])
        elif "/" in text or "@" in text:
            self._repository(index, text)
        else:
            self._name(index, text)

    def estimate(self) -> Estimate:
        """Return the record; raises `BadRequest` where nothing says what is trained."""
        sizes = {"layers", "width"} & set(self._settings)
        if self._model is None and not self._repo and len(sizes) < 2:
            fix = " ".join(["estimate 7b lora", *(word.raw for word in self._line.words)])
            raise BadRequest(
                "What is trained? Name a model like `7b`, a commit like `acme/vit@main`, or `layers=` and `width=`.",
                fix=fix,
            )
        gpu = self._settings.pop("gpu", None)
        return Estimate(model=self._model, repo=self._repo, ref=self._ref, gpu=gpu, settings=self._settings)

    def _say(self, index: int, key: str, value: str) -> None:
        if key in self._settings:
            raise BadRequest(
                f"`{self._line.words[index].text}`: `{key}` is said twice. Keep one.", fix=self._fixed(index, "")
            )
        self._settings[key] = value

    def _keyed(self, index: int, key: str, value: str) -> None:
        if key not in SETTINGS:
            near = _MEANT.get(key) or next(iter(get_close_matches(key, SETTINGS, n=1, cutoff=0.6)), None)
            if near is None:
                raise BadRequest(f"`{key}` is not a key of `estimate`. There are {', '.join(SETTINGS)}.")
            raise BadRequest(
                f"`{key}` is not a key of `estimate`; did you mean `{near}`?", fix=self._fixed(index, f"{near}={value}")
            )
        if key == "model":
            self._name(index, value)
            return
        try:
            read = SETTINGS[key](value)
        except _Wrong as wrong:
            fix = None if wrong.instead is None else self._fixed(index, f"{key}={wrong.instead}")
            raise BadRequest(f"`{key}={value}`: {wrong}", fix=fix) from wrong
        self._say(index, key, read)

    def _repository(self, index: int, text: str) -> None:
        if "@" not in text and _names_a_model(text):
            self._name(index, text)
            return
        try:
            repo, ref = split_reference(text)
        except BadSource as error:
            raise BadRequest(str(error)) from error
        if ref is None:
            raise BadRequest(
                f"Which commit of `{repo}`? Write a branch, a tag or a sha behind an `@`, like `{repo}@main`.",
                fix=self._fixed(index, f"{repo}@main"),
            )
        if self._repo:
            raise BadRequest(f"`{text}`: one commit at a time.", fix=self._fixed(index, ""))
        self._repo, self._ref = repo, ref

    def _name(self, index: int, text: str) -> None:
        try:
            model = named(text).name
        except UnknownShape as error:
            raise self._unknown(index, text, error) from error
        if self._model is not None:
            raise BadRequest(
                f"`{text}`: one model at a time; `{self._model}` is named already.", fix=self._fixed(index, "")
            )
        self._model = model

    def _unknown(self, index: int, text: str, error: UnknownShape) -> BadRequest:
        """A GPU's name without its key, a near word, or nothing that is known."""
        try:
            return BadRequest(
                f"`{text}` is a GPU; write `gpu={parse_gpu(text)}`.", fix=self._fixed(index, f"gpu={parse_gpu(text)}")
            )
        except BadSpec:
            pass
        near = get_close_matches(text.lower(), [*_LONE, *NAMES], n=1, cutoff=0.6)
        if near:
            fix = self._fixed(index, near[0])
            return BadRequest(f"`{text}` is not something that I can estimate; did you mean `{near[0]}`?", fix=fix)
        return BadRequest(str(error))

    def _fixed(self, index: int, word: str) -> str:
        return f"estimate {self._line.edited({index: word})}".strip()


class _Wrong(Exception):
    """A value that cannot be used; `instead` would do."""

    def __init__(self, message: str, instead: str | None = None) -> None:
        super().__init__(message)
        self.instead = instead


def _names_a_model(text: str) -> bool:
    """Say whether `owner/name` is a hub's: its name has a size or a version in it, as no bare `vit` has."""
    try:
        return named(text).name in NAMED and any(letter.isdigit() for letter in text.rpartition("/")[2])
    except UnknownShape:
        return False


def _number(most: int, example: str) -> Callable[[str], str]:
    def read(value: str) -> str:
        plain = value.lower().replace(",", "").replace("_", "")
        thousands = re.fullmatch(r"(\d{1,4})k", plain)
        plain = str(int(thousands[1]) * 1024) if thousands else plain
        if not re.fullmatch(r"[0-9]{1,9}", plain) or not 1 <= int(plain) <= most:
            raise _Wrong(f"it is a whole number from 1 to {most}.", example)
        return str(int(plain))

    return read


def _one_of(*words: str) -> Callable[[str], str]:
    def read(value: str) -> str:
        plain = value.lower().replace("_", "-")
        if plain not in words:
            close = get_close_matches(plain, words, n=1, cutoff=0.4)
            raise _Wrong(f"it is one of {', '.join(words)}.", close[0] if close else words[0])
        return plain

    return read


def _switch(value: str) -> str:
    if value.lower() in (*_YES, *_NO):
        return "yes" if value.lower() in _YES else "no"
    raise _Wrong("it is either yes or no.", "yes")


def _gpu(value: str) -> str:
    try:
        gpu = parse_gpu(value)
    except BadSpec as error:
        raise _Wrong(str(error), nearest_gpu(value)) from error
    if gpu.name == CPU:
        raise _Wrong("a machine without a GPU has no memory of one; name a GPU.", "a10g")
    return str(gpu)


SETTINGS: Final[Mapping[str, Callable[[str], str]]] = MappingProxyType(
    {
        "gpu": _gpu,
        "model": str,
        "method": _one_of(*Method),
        "batch": _number(65_536, "1"),
        "seq": _number(10_000_000, "2048"),
        "optim": _one_of(*Optimizer),
        "precision": _one_of(*Precision),
        "checkpointing": _switch,
        "flash": _switch,
        "fsdp": _switch,
        "rank": _number(4_096, "16"),
        "layers": _number(1_000, "12"),
        "width": _number(1_000_000, "768"),
        "heads": _number(10_000, "12"),
        "vocab": _number(10_000_000, "50257"),
    }
)
