"""What a commit says of the model that it trains: its config.json, its command's options, its script's defaults.

None of it is run. A name such as `--n_layer` is a guess at what the script means by it, so everything that was taken
is told with the place where it stood. What is nearer to the run counts more: an option over a default, a default over
a file. Pure: texts in, clues out.
"""

from __future__ import annotations

import ast
import math
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from jobs.taskfile import TaskFile
from trainer.architectures import Architecture, UnknownShape, gpt2, named
from trainer.configs import from_config

CONFIG: Final = "config.json"
MOST_SCRIPTS: Final = 4
_NAMES: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "layers": ("n_layer", "n_layers", "layers", "num_layers", "depth", "num_hidden_layers"),
        "width": ("n_embd", "width", "d_model", "dim", "hidden_size", "embed_dim", "n_embed"),
        "heads": ("n_head", "n_heads", "heads", "num_heads", "num_attention_heads"),
        "vocab": ("vocab_size", "vocab", "n_vocab"),
        "seq": (
            "block_size", "context", "context_length", "seq_len", "seq_length", "sequence_length", "max_seq_len",
            "max_seq_length", "max_length", "n_ctx", "n_positions", "cutoff_len", "model_max_length",
        ),
        "batch": (
            "per_device_train_batch_size", "micro_batch_size", "micro_batch", "device_batch_size", "batch_size",
        ),
        "model": ("model_name_or_path", "model_name", "base_model", "model_id", "model", "init_from", "arch"),
        "optim": ("optim", "optimizer"),
        "precision": ("dtype", "precision", "mixed_precision", "torch_dtype"),
        "checkpointing": ("gradient_checkpointing", "activation_checkpointing", "grad_checkpointing"),
        "bf16": ("bf16", "fp16", "amp"),
        "lora": ("use_lora", "lora", "use_peft"),
        "qlora": ("load_in_4bit", "qlora", "use_qlora"),
    }
)  # fmt: skip
_MEANS: Final = {spelling: name for name, spellings in _NAMES.items() for spelling in spellings}
_SWITCHES: Final = ("checkpointing", "bf16", "lora", "qlora")
_NUMBERS: Final = ("layers", "width", "heads", "vocab", "seq", "batch")
_OPTIMIZERS: Final = (("8bit", "adamw-8bit"), ("fused", "adamw-fused"), ("adam", "adamw"), ("sgd", "sgd"))


@dataclass(frozen=True, kw_only=True)
class Clue:
    """One thing that was read."""

    value: str
    spelling: str  # as it stood there
    place: str  # where: a file's name, or `commands`


@dataclass(frozen=True, kw_only=True)
class Clues:
    """What a commit gave away."""

    shape: Architecture | None  # None where nothing says it
    recipe: Mapping[str, str] = field(default_factory=dict)  # as keys of `/train estimate`
    found: Sequence[Clue] = ()
    assumed: Sequence[str] = ()  # whole sentences


def wanted(task: TaskFile) -> tuple[str, ...]:
    """Return the paths that are worth reading: the configuration, and the scripts that the commands name."""
    scripts = [path for command in task.commands for path in _scripts(_words(command, task.env or {}))]
    return (CONFIG, *dict.fromkeys(scripts[:MOST_SCRIPTS]))


def gathered(task: TaskFile, texts: Mapping[str, str]) -> Clues:
    """Return what the task file and the `texts` of the paths that were `wanted` say.

    A configuration that is no transformer's raises `UnknownShape`; one that is nobody's model says nothing.
    """
    told: dict[str, Clue] = {}
    for path in wanted(task)[1:]:
        for spelling, value in _defaults(texts.get(path, "")):
            _take(told, spelling, value, path)
    for command in task.commands:
        for spelling, value in _options(_words(command, task.env or {})):
            _take(told, spelling, value, "commands")
    shape, used, assumed = _shape(told, texts.get(CONFIG))
    recipe = _recipe(told)
    kept = [clue for name, clue in told.items() if name in used or name not in (*_NUMBERS[:4], "model")]
    if shape is not None and used == {CONFIG}:
        kept.insert(0, Clue(value=shape.name, spelling="model_type", place=CONFIG))
    return Clues(shape=shape, recipe=recipe, found=kept, assumed=assumed)


def _shape(told: Mapping[str, Clue], config: str | None) -> tuple[Architecture | None, set[str], Sequence[str]]:
    """Return the shape, what it was made of, and what was assumed."""
    if "model" in told:
        try:
            return named(told["model"].value), {"model"}, ()
        except UnknownShape:
            pass  # a path or a name of the team's own: something else may say the shape
    if "layers" in told and "width" in told:
        return _own(told)
    if config is not None and re.search(r'"(?:hidden_size|n_embd|text_config)"', config):
        described = from_config(config)
        return described.shape, {CONFIG}, described.assumed
    return None, set(), ()


def _own(told: Mapping[str, Clue]) -> tuple[Architecture, set[str], Sequence[str]]:
    """Return a GPT-2 of the sizes that were read; what was not read is assumed, and said."""
    numbers = {name: int(told[name].value) for name in _NUMBERS if name in told}
    width, assumed = numbers["width"], ["The layers are taken to be like GPT-2's, the feed-forward half 4 times wide."]
    heads = numbers.get("heads", 0)
    if not heads or width % heads:
        heads = max(1, width // 64)
        heads = heads if width % heads == 0 else math.gcd(width, heads)
        assumed.append(f"Nothing says how many heads there are: {heads} are assumed.")
    vocab = numbers.get("vocab", 50257)
    if "vocab" not in numbers:
        assumed.append(f"Nothing says how large the vocabulary is: {vocab} tokens are assumed.")
    shape = gpt2(
        f"{numbers['layers']}×{width}",
        layers=numbers["layers"],
        width=width,
        heads=heads,
        vocab=vocab,
        context=numbers.get("seq", 1024),
    )
    return shape, {"layers", "width", "heads", "vocab"}, assumed


def _recipe(told: Mapping[str, Clue]) -> dict[str, str]:
    recipe = {name: told[name].value for name in ("batch", "seq") if name in told}
    if "optim" in told:
        optim = told["optim"].value.lower().replace("_", "").replace("-", "")
        found = [ours for theirs, ours in _OPTIMIZERS if theirs in optim]
        recipe |= {"optim": found[0]} if found else {}
    if "qlora" in told or "lora" in told:
        recipe["method"] = "qlora" if "qlora" in told else "lora"
    if "checkpointing" in told:
        recipe["checkpointing"] = "yes"
    if "bf16" in told or ("precision" in told and re.search(r"bf|fp16|float16|amp", told["precision"].value.lower())):
        recipe["precision"] = "bf16" if "method" in recipe else "amp"
    elif "precision" in told and "32" in told["precision"].value:
        recipe["precision"] = "fp32"
    return recipe


def _take(told: dict[str, Clue], spelling: str, value: str, place: str) -> None:
    """Keep a value that can be one; a switch that is off says that there is none."""
    name = _MEANS.get(spelling.lower().strip("-").replace("-", "_"))
    if name is None:
        return
    if name in _SWITCHES:
        told.pop(name, None)
        if value.lower() in ("false", "no", "0", "none", ""):
            return
    elif not value or (name in _NUMBERS and not re.fullmatch(r"[1-9][0-9]{0,6}", value)):
        return
    told[name] = Clue(value=value[:80], spelling=spelling[:40], place=place)


def _words(command: str, env: Mapping[str, str]) -> list[str]:
    """Cut a command as a shell would, the task file's own variables put in."""
    filled = re.sub(r"\$\{?([A-Za-z_]\w*)\}?", lambda match: env.get(match[1], match[0]), command)
    try:
        return shlex.split(filled.replace("\\\n", " "), comments=True)
    except ValueError:
        return filled.split()


def _scripts(words: Sequence[str]) -> Iterator[str]:
    for before, word in zip(("", *words), words, strict=False):
        if before == "-m" and re.fullmatch(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*", word):
            yield word.replace(".", "/") + ".py"
        elif re.fullmatch(r"(?:\./)?[\w./-]{1,200}\.py", word) and not word.startswith(("/", "-")):
            yield word.removeprefix("./")


def _options(words: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield `--name=value`, `--name value`, a lone `--name` as true, and Hydra's `group.name=value`."""
    for word, after in zip(words, (*words[1:], "--"), strict=False):
        name, equals, value = word.partition("=")
        if word.startswith("--"):
            yield name, value if equals else ("true" if after.startswith("-") else after)
        elif equals and re.fullmatch(r"[A-Za-z_][\w.]*", name):
            yield name.rpartition(".")[2], value


def _defaults(text: str) -> Iterator[tuple[str, str]]:
    """Yield what a script sets where nobody says otherwise; nothing where it is no Python."""
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return
    for body in (tree.body, *(node.body for node in tree.body if isinstance(node, ast.ClassDef))):
        for node in body:
            if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
                yield from _constant(node.target.id, node.value)
            elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
                yield from _constant(node.targets[0].id, node.value)
    for inner in ast.walk(tree):
        if isinstance(inner, ast.Call):
            yield from _call(inner)


def _call(node: ast.Call) -> Iterator[tuple[str, str]]:
    """Yield the default of an `add_argument`, and what a `…Config(…)` is made of."""
    name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    if name == "add_argument":
        flags = [one.value for one in node.args if isinstance(one, ast.Constant) and isinstance(one.value, str)]
        for flag in flags:
            for keyword in node.keywords:
                if keyword.arg == "default":
                    yield from _constant(flag, keyword.value)
    elif name.endswith("Config"):
        for keyword in node.keywords:
            if keyword.arg:
                yield from _constant(keyword.arg, keyword.value)


def _constant(name: str, node: ast.expr | None) -> Iterator[tuple[str, str]]:
    if isinstance(node, ast.Constant) and isinstance(node.value, str | int):
        yield name, str(node.value)
