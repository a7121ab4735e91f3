"""`.hourglass.yml`, read key by key; what is not known is refused, with its line and the nearest name.

The names are dstack's; SkyPilot's are read as aliases, so that people who come from either are at home. Each key
has a reader that returns the fields of `TaskFile` which it decides; two keys that decide the same field are
refused rather than ranked.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import PurePosixPath
from types import MappingProxyType
from typing import Any, Final, TypeAlias

import yaml

from jobs import inputs
from jobs.environment import MOST_NAMES, check_name, check_value
from jobs.errors import BadRequest, BadSpec
from jobs.gpus import Gpu, parse_gpu
from jobs.image_names import parse_reference
from jobs.quantities import parse_count, parse_dollars, parse_gigabytes, parse_minutes, parse_seconds
from jobs.resuming import Resume, read_words
from jobs.strict_yaml import FILE_NAME, at, composed, is_null, pairs, word, words
from jobs.values import Micros, SpotPolicy
from trainer import templates
from trainer.wire import Input

MOST_NODES: Final = 16
MOST_TEMPLATES: Final = 32
RETRY_EVENTS: Final = ("no-capacity", "interruption")
_EXAMPLE: Final = "step {step}/{steps} :: L {loss}"
_YES: Final = ("true", "yes", "on")
_NO: Final = ("false", "no", "off")


@dataclass(frozen=True, kw_only=True)
class TaskFile:
    """What the file says; None and empty where it says nothing."""

    image: str | None = None
    registry_auth: str | None = None
    commands: Sequence[str] = ()
    setup: Sequence[str] = ()
    env: Mapping[str, str] | None = None
    secrets: Sequence[str] = ()
    gpu: Gpu | None = None
    disk_gb: int | None = None
    shm_gb: int | None = None
    nodes: int | None = None
    providers: Sequence[str] = ()
    spot: SpotPolicy | None = None
    minutes: float | None = None
    max_price: Micros | None = None
    max_cost: Micros | None = None
    retry_on: Sequence[str] | None = None  # None: nothing was said
    min_gpu_utilization: int | None = None  # percent
    utilization_window: float | None = None  # seconds
    checkpoint_path: str | None = None
    checkpoint_every: float | None = None  # seconds
    checkpoint_keep: int | None = None
    resume: Resume | None = None  # how it starts again from a checkpoint
    hang_timeout: float | None = None  # seconds; 0: nobody is told
    inputs: Sequence[Input] = ()
    checkpoint_encrypt: bool | None = None
    progress: Sequence[str] = ()  # lines of progress, described


# Fields of `TaskFile` by name; `Any`, because each reader's value is of its own field's type.
Facts: TypeAlias = dict[str, Any]
Read: TypeAlias = Callable[[yaml.Node], Facts]


def parse_task_file(text: str) -> TaskFile:
    """Read the file; raises `BadSpec` that names the line, its fix being that line corrected where one is near."""
    root = composed(text)
    if root is None or is_null(root):
        return TaskFile()
    return TaskFile(**_Table(text).facts(root, _TOP, where=""))


class _Table:
    """Reads tables of one file, whose `text` is at hand for the line that a fix corrects."""

    def __init__(self, text: str) -> None:
        self._lines = text.splitlines()

    def facts(self, node: yaml.Node, readers: Mapping[str, Read], *, where: str) -> Facts:
        """Return what a table says; `where` is the key that it stands under."""
        facts: Facts = {}
        said: dict[str, str] = {}
        for key, value in pairs(node, f"`{where}`" if where else "the file"):
            if key.value in _TABLES and not where:
                found = {} if is_null(value) else self.facts(value, _TABLES[key.value], where=key.value)
            elif key.value in readers:
                found = {} if is_null(value) else readers[key.value](value)
            else:
                raise self._unknown(key, readers, where)
            for field in found:
                if field in said:
                    raise BadSpec(f"{at(key)}: `{key.value}` says again what `{said[field]}` has said. Keep one.")
                said[field] = key.value
            facts |= found
        return facts

    def _unknown(self, key: yaml.ScalarNode, readers: Mapping[str, Read], where: str) -> BadSpec:
        under = f" under `{where}`" if where else ""
        names = [*readers, *(() if where else _TABLES)]
        elsewhere = [table for table, keys in _TABLES.items() if key.value in keys and table != where]
        if elsewhere:
            return BadSpec(f"{at(key)}: `{key.value}` stands under `{elsewhere[0]}:`.")
        if where and key.value in _TOP:
            return BadSpec(f"{at(key)}: `{key.value}` stands at the left margin, not under `{where}`.")
        near = get_close_matches(key.value, names, n=1, cutoff=0.55)
        if not near:
            return BadSpec(f"{at(key)}: `{key.value}` is not a key{under}. There are {', '.join(names)}.")
        line = self._lines[key.start_mark.line] if key.start_mark.line < len(self._lines) else ""
        fix = line.replace(key.value, near[0], 1).strip() or None
        return BadSpec(f"{at(key)}: `{key.value}` is not a key{under}; did you mean `{near[0]}`?", fix=fix)


def _one(field: str, parse: Callable[[str], object]) -> Read:
    """Return a reader of one value into `field`; what is wrong with it is said with its line."""

    def read(node: yaml.Node) -> Facts:
        try:
            return {field: parse(word(node))}
        except BadSpec as error:
            raise _with_line(node, error) from error

    return read


def _many(field: str, parse: Callable[[str], str]) -> Read:
    def read(node: yaml.Node) -> Facts:
        try:
            return {field: tuple(parse(value) for value in words(node))}
        except BadSpec as error:
            raise _with_line(node, error) from error

    return read


def _with_line(node: yaml.Node, error: BadRequest) -> BadSpec:
    message = str(error)
    return BadSpec(message if FILE_NAME in message else f"{at(node)}: {message}", fix=error.fix)


# ---------------------------------------------------------------- readers of single keys


def _secret(name: str) -> str:
    return check_name(name)


def _image(text: str) -> str:
    try:
        parse_reference(text)
    except BadRequest as error:
        raise BadSpec(str(error)) from error
    return text


def _money(text: str) -> Micros:
    micros = parse_dollars(text)
    if micros == 0:
        raise BadSpec(f"`{text}`: nothing can be rented for nothing. Write dollars, like `2.5`.")
    return micros


def _nodes(text: str) -> int:
    return parse_count(text, least=1, most=MOST_NODES)


def _percent(text: str) -> int:
    return parse_count(text.removesuffix("%"), least=0, most=100)


def _keep(text: str) -> int:
    return parse_count(text, least=2, most=100)


def _provider(text: str) -> str:
    name = text.lower()
    if not re.fullmatch(r"[a-z][a-z0-9_-]{0,39}", name):
        raise BadSpec(f"`{text}` is not a provider's name. Write the name alone, like `aws`.")
    return name


def _spot_policy(text: str) -> SpotPolicy:
    try:
        return SpotPolicy(text.lower())
    except ValueError as error:
        raise BadSpec(f"`{text}` is none of spot, on-demand, auto.") from error


def _use_spot(text: str) -> SpotPolicy:
    return SpotPolicy.SPOT if _flag(text) else SpotPolicy.ON_DEMAND


def _flag(text: str) -> bool:
    if text.lower() not in (*_YES, *_NO):
        raise BadSpec(f"`{text}` is neither `true` nor `false`.")
    return text.lower() in _YES


def _folder(text: str) -> str:
    """Return a path inside the working directory."""
    path = PurePosixPath(text)
    if not text or path.is_absolute() or ".." in path.parts or "\\" in text or text.startswith("~"):
        raise BadSpec(f"`{text}` must be a folder inside the repository, like `out`.")
    return str(path)


def _gpu(node: yaml.Node) -> Facts:
    """Read `A100:80GB:1`, `{A100: 1}` or `{name: A100, memory: 80GB, count: 1}`."""
    if isinstance(node, yaml.ScalarNode):
        return _one("gpu", parse_gpu)(node)
    table = {key.value: word(value) for key, value in pairs(node, "`gpu`")}
    if "name" in table and set(table) <= {"name", "memory", "count"}:
        parts = [table[key] for key in ("name", "memory", "count") if key in table]
    elif len(table) == 1:
        parts = [part for pair in table.items() for part in pair if part]
    else:
        raise BadSpec(f"{at(node)}: one kind of GPU is rented, like `gpu: A100:1`.")
    try:
        return {"gpu": parse_gpu(":".join(parts))}
    except BadSpec as error:
        raise _with_line(node, error) from error


def _env(node: yaml.Node) -> Facts:
    """Read a table of names and values, or a list of `NAME=value`."""
    env: dict[str, str] = {}
    try:
        if isinstance(node, yaml.SequenceNode):
            for line in words(node):
                name, equals, value = line.partition("=")
                if not equals:
                    raise BadSpec(f"`{line}` has no value: write `{line}=…`, or name it under `secrets`.")
                env[check_name(name)] = check_value(name, value)
        else:
            for key, leaf in pairs(node, "`env`"):
                env[check_name(key.value)] = check_value(key.value, "" if is_null(leaf) else word(leaf))
    except BadSpec as error:
        raise _with_line(node, error) from error
    if len(env) > MOST_NAMES:
        raise BadSpec(f"{at(node)}: {len(env)} variables; {MOST_NAMES} are carried. Put them into a file.")
    return {"env": env}


def _retry(node: yaml.Node) -> Facts:
    """Read `true`, `false` or `{on_events: […]}`."""
    if isinstance(node, yaml.ScalarNode):
        return _one("retry_on", lambda text: RETRY_EVENTS if _flag(text) else ())(node)
    found: Facts = {"retry_on": ()}
    for key, value in pairs(node, "`retry`"):
        if key.value != "on_events":
            raise BadSpec(f"{at(key)}: `{key.value}` is not a key under `retry`. There is on_events.")
        found = _many("retry_on", _retry_event)(value)
    return found


def _retry_event(text: str) -> str:
    if text not in RETRY_EVENTS:
        raise BadSpec(f"`{text}` is none of {', '.join(RETRY_EVENTS)}. A script that failed is not run again.")
    return text


def _resume(node: yaml.Node) -> Facts:
    """Read words, `off`, or `{commands: […]}`."""
    if isinstance(node, yaml.ScalarNode):
        return _one("resume", read_words)(node)
    for key, value in pairs(node, "`resume`"):
        if key.value not in ("commands", "run"):
            raise BadSpec(f"{at(key)}: `{key.value}` is not a key under `resume`. There is commands.")
        if lines := words(value):
            return {"resume": Resume(commands=lines)}
    raise BadSpec(f"{at(node)}: `resume` names no command. Write `resume: {{commands: [python train.py --resume]}}`.")


def _hang_timeout(text: str) -> float:
    return 0.0 if text.lower() in _NO else parse_seconds(text)


def _progress(node: yaml.Node) -> Facts:
    """Read one description of a line, or a list of them."""
    nodes = node.value if isinstance(node, yaml.SequenceNode) else [node]
    if not all(isinstance(each, yaml.ScalarNode) for each in nodes):
        raise BadSpec(f"{at(node)}: YAML reads braces and `: ` as tables. Quote each line of `progress`: '{_EXAMPLE}'.")
    if len(nodes) > MOST_TEMPLATES:
        raise BadSpec(f"{at(node)}: {len(nodes)} lines are described; {MOST_TEMPLATES} are read.")
    return {"progress": tuple(_template(each) for each in nodes if word(each))}


def _template(node: yaml.Node) -> str:
    try:
        return templates.parse(word(node)).text
    except ValueError as error:
        raise BadSpec(f"{at(node)}: {error}.") from error


_MACHINE: Final[Mapping[str, Read]] = MappingProxyType(
    {
        "backends": _many("providers", _provider),
        "infra": _many("providers", _provider),
        "use_spot": _one("spot", _use_spot),
        "max_hourly_cost": _one("max_price", _money),
    }
)
_TABLES: Final[Mapping[str, Mapping[str, Read]]] = MappingProxyType(
    {
        "resources": {
            "gpu": _gpu,
            "accelerators": _gpu,
            "disk": _one("disk_gb", parse_gigabytes),
            "disk_size": _one("disk_gb", parse_gigabytes),
            "shm_size": _one("shm_gb", parse_gigabytes),
            **_MACHINE,
        },
        "utilization_policy": {
            "min_gpu_utilization": _one("min_gpu_utilization", _percent),
            "time_window": _one("utilization_window", parse_seconds),
        },
        "checkpoints": {
            "path": _one("checkpoint_path", _folder),
            "upload_every": _one("checkpoint_every", parse_seconds),
            "keep": _one("checkpoint_keep", _keep),
            "encrypt": _one("checkpoint_encrypt", _flag),
        },
    }
)
_TOP: Final[Mapping[str, Read]] = MappingProxyType(
    {
        "image": _one("image", _image),
        "registry_auth": _one("registry_auth", _secret),
        "commands": _many("commands", str),
        "run": _many("commands", str),
        "setup": _many("setup", str),
        "env": _env,
        "envs": _env,
        "secrets": _many("secrets", _secret),
        "nodes": _one("nodes", _nodes),
        "num_nodes": _one("nodes", _nodes),
        "spot_policy": _one("spot", _spot_policy),
        "max_duration": _one("minutes", parse_minutes),
        "max_price": _one("max_price", _money),
        "max_cost": _one("max_cost", _money),
        "retry": _retry,
        "resume": _resume,
        "hang_timeout": _one("hang_timeout", _hang_timeout),
        "progress": _progress,
        "inputs": lambda node: {"inputs": inputs.read(node)},
        **_MACHINE,
    }
)
