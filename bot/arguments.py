"""`key=value` as `/train` knows it: each key's reader, and what a word was probably meant to be.

A reader returns the value as it is kept in `Request.overrides`, a plain string, and raises `Wrong` with the
value that would do, where one can be guessed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from types import MappingProxyType
from typing import Final

from bot.words import quoted
from jobs.environment import check_name, check_value
from jobs.errors import BadRequest, BadSpec
from jobs.gpus import nearest, parse_gpu
from jobs.image_names import parse_reference
from jobs.quantities import LONGEST_MINUTES, parse_count, parse_dollars, parse_minutes
from jobs.values import SpotPolicy

LONGEST_REASON: Final = 500
MOST_NODES: Final = 16
ENV: Final = "env."


class Wrong(Exception):
    """A word that cannot be used; `instead` is the whole word that would do, where it can be guessed."""

    def __init__(self, message: str, instead: str | None = None) -> None:
        super().__init__(message)
        self.instead = instead


def read(key: str, value: str) -> str:
    """Return the value of `key` in its plain form; raises `Wrong`."""
    if not value:
        raise Wrong(f"`{key}=` has no value. {EXAMPLES[key]}")
    try:
        return _READERS[key](value)
    except BadRequest as error:
        raise Wrong(f"`{key}={value}`: {error}") from error
    except Wrong as wrong:
        instead = None if wrong.instead is None else f"{key}={wrong.instead}"
        raise Wrong(f"`{key}={value}`: {wrong}", instead) from wrong


def read_env(key: str, value: str) -> tuple[str, str]:
    """Return name and value of an `env.NAME=value`; raises `Wrong`."""
    name = key[len(ENV) :]
    try:
        return check_name(name), check_value(name, value)
    except BadSpec as error:
        raise Wrong(f"`{key}`: {error}") from error


def people(value: str) -> list[str]:
    """Return whom `notify=` names: Slack user ids, or `@name` where Slack sent only what was typed."""
    found = []
    for word in filter(None, value.split(",")):
        mention = re.fullmatch(r"<@([UW][A-Z0-9]{1,20})>", word)
        name = re.fullmatch(r"@?([A-Za-z0-9][A-Za-z0-9._-]{0,79})", word)
        if mention:
            found.append(mention[1])
        elif name and name[1].lower() not in ("channel", "here", "everyone"):
            found.append(name[1] if re.fullmatch(r"[UW][A-Z0-9]{8,20}", name[1]) else f"@{name[1]}")
        else:
            raise Wrong(f"`notify={value}`: `{word}` is not one person. {EXAMPLES['notify']}")
    if not found:
        raise Wrong(f"`notify=` names nobody. {EXAMPLES['notify']}")
    return found


def reason(value: str) -> str:
    """Return the reason in one line; raises `Wrong` where it is a story."""
    text = " ".join(value.split())
    if len(text) > LONGEST_REASON:
        raise Wrong(f"The reason has {len(text)} characters; {LONGEST_REASON} are shown.")
    return text


def unknown(key: str, value: str) -> Wrong:
    """Return what to say of a key that is none."""
    folded = key.lower().replace("-", "_")
    if folded in _IN_THE_FILE:
        return Wrong(f"`{key}` is set in `.hourglass.yml`, not on the line.")
    if folded in ("ref", "branch", "commit", "sha", "tag", "revision"):
        return Wrong(f"`{key}=`: the commit stands behind the repository, like `acme/vit@{value or 'main'}`.")
    if key.isupper() and key not in ("GPU", "GPUS"):
        instead = f"env.{key}={quoted(value)}"
        return Wrong(f"`{key}` is not a key; an environment variable is written `env.{key}=…`.", instead)
    meant = _MEANT.get(folded) or next(iter(get_close_matches(folded, KEYS, n=1, cutoff=0.6)), None)
    if meant is None:
        return Wrong(f"`{key}` is not a key. There are {', '.join(KEYS)} and env.NAME.")
    return Wrong(f"`{key}` is not a key; did you mean `{meant}`?", f"{meant}={quoted(value)}")


def stray(word: str, *, has_gpu: bool, has_hours: bool) -> str | None:
    """Return the `key=value` that a lone word was probably meant to be."""
    colon = re.fullmatch(r"([A-Za-z_]+):(.+)", word)
    if colon and colon[1].lower() in KEYS:
        return f"{colon[1].lower()}={colon[2]}"
    if not has_hours and re.fullmatch(r"\d[\d.]*(?:h|hrs?|hours?|m|mins?)", word.lower()):
        return f"hours={word}"
    if word.lower() in ("spot", "on-demand"):
        return f"spot={word.lower()}"
    try:
        return None if has_gpu else f"gpu={parse_gpu(word)}"
    except BadSpec:
        return None


def _gpu(value: str) -> str:
    try:
        return str(parse_gpu(value))
    except BadSpec as error:
        count = re.search(r":(\d+)$", value)
        near = nearest(value)
        for guess in (f"{near}:{count[1]}" if count else near, near):
            if guess and _reads_as_gpu(guess):
                raise Wrong(str(error), guess) from error
        raise


def _reads_as_gpu(word: str) -> bool:
    try:
        parse_gpu(word)
    except BadSpec:
        return False
    return True


def _hours(value: str) -> str:
    try:
        parse_minutes(value)
    except BadSpec as error:
        raise Wrong(str(error), _hours_instead(value)) from error
    return value.lower()


def _hours_instead(value: str) -> str | None:
    for guess in (value.lstrip("+-~="), value.replace(",", "."), value.replace(" ", "")):
        try:
            parse_minutes(guess)
        except BadSpec:
            continue
        return guess
    number = re.fullmatch(r"-?(\d+(?:\.\d+)?)h?", value.lower())
    if number is None:
        return None
    return "24" if float(number[1]) * 60 > LONGEST_MINUTES else "1"


def _spot(value: str) -> str:
    words = {"yes": SpotPolicy.SPOT, "true": SpotPolicy.SPOT, "no": SpotPolicy.ON_DEMAND, "false": SpotPolicy.ON_DEMAND}
    plain = value.lower().replace("_", "-")
    if plain in words:
        return words[plain].value
    if plain in [policy.value for policy in SpotPolicy]:
        return plain
    close = get_close_matches(plain.replace("ondemand", "on-demand"), [*SpotPolicy, *words], n=1)
    raise Wrong("it is one of auto, spot, on-demand, yes, no.", str(close[0]) if close else None)


def _provider(value: str) -> str:
    names = [name for name in value.lower().split(",") if name]
    bad = [name for name in names if not re.fullmatch(r"[a-z][a-z0-9_-]{0,39}", name)]
    if bad or not names:
        raise Wrong(f"`{(bad or [value])[0]}` is not the name of a provider. {EXAMPLES['provider']}")
    return ",".join(names)


def _image(value: str) -> str:
    parse_reference(value)
    return value


def _dollars(value: str) -> str:
    if parse_dollars(value) == 0:
        raise Wrong("nothing can be rented for nothing; name an amount above 0.")
    return value.strip("$").lower().removesuffix("usd")


def _nodes(value: str) -> str:
    return str(parse_count(value, least=1, most=MOST_NODES))


_READERS: Final[Mapping[str, Callable[[str], str]]] = MappingProxyType(
    {
        "gpu": _gpu,
        "hours": _hours,
        "spot": _spot,
        "provider": _provider,
        "image": _image,
        "max_cost": _dollars,
        "max_price": _dollars,
        "nodes": _nodes,
    }
)
OVERRIDES: Final = tuple(_READERS)
KEYS: Final = (*OVERRIDES, "notify", "reason")
EXAMPLES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "gpu": "Like `gpu=a100` or `gpu=a100-80gb:2`.",
        "hours": "Like `hours=4`, `hours=90m` or `hours=0.5`.",
        "spot": "Like `spot=auto`.",
        "provider": "Like `provider=docker` or `provider=aws,lambda`.",
        "image": "Like `image=pytorch/pytorch:2.13.0-cuda12.8-cudnn9-runtime`.",
        "max_cost": "Dollars for the whole job, like `max_cost=12`.",
        "max_price": "Dollars an hour, like `max_price=2.5`.",
        "nodes": "Like `nodes=2`.",
        "notify": "Like `notify=@ada`.",
        "reason": 'Like `reason="the last one diverged"`.',
    }
)
_MEANT: Final[Mapping[str, str]] = MappingProxyType(
    {
        **dict.fromkeys(("gpus", "accelerator", "accelerators", "card", "machine"), "gpu"),
        **dict.fromkeys(("h", "hour", "time", "duration", "max_duration", "for", "limit"), "hours"),
        **dict.fromkeys(("spot_policy", "use_spot", "preemptible", "interruptible"), "spot"),
        **dict.fromkeys(("providers", "backend", "backends", "cloud", "infra"), "provider"),
        **dict.fromkeys(("docker", "container", "docker_image"), "image"),
        **dict.fromkeys(("cost", "budget", "max_budget", "cap", "maxcost"), "max_cost"),
        **dict.fromkeys(("price", "max_hourly_cost", "maxprice", "bid"), "max_price"),
        **dict.fromkeys(("node", "num_nodes", "workers"), "nodes"),
        **dict.fromkeys(("cc", "mention", "tell"), "notify"),
        **dict.fromkeys(("why", "because", "comment", "note"), "reason"),
    }
)
_IN_THE_FILE: Final = frozenset(
    {
        "commands",
        "command",
        "run",
        "setup",
        "secrets",
        "secret",
        "registry_auth",
        "resources",
        "disk",
        "disk_size",
        "shm",
    }
    | {"shm_size", "retry", "utilization_policy", "checkpoints", "inputs"}
)
