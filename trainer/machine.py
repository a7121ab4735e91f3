"""Who this machine is: the few variables that a provider sets, read once and checked before anything starts."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from trainer import wire
from trainer.notice import BadSource, Source

_JOB = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")


class BadMachine(ValueError):
    """A variable that the provider should have set is missing or is not what it must be."""


@dataclass(frozen=True, kw_only=True)
class Machine:
    """One rented machine, as its environment describes it."""

    store: str  # store URI
    job: str
    attempt: int
    rank: int
    deadline: float  # unix seconds
    instance: str  # the provider's own id, "" where it is not known yet
    address: str  # under which the other machines of its attempt reach it, "" where there are none
    spot_notice: str  # where it learns that it is taken back (`trainer.notice.Source`), "" where nothing tells
    workdir: Path | None  # None: a temporary folder is made, and removed at the end


def machine_from(env: Mapping[str, str]) -> Machine:
    """Return the machine that `env` describes; raises `BadMachine` naming the variable that is wrong."""
    job = _word(env, wire.ENV_JOB)
    if not _JOB.fullmatch(job):
        raise BadMachine(f"{wire.ENV_JOB}={job!r} is not a job's id: use letters, digits, '-' and '_'.")
    workdir = env.get(wire.ENV_WORKDIR, "")
    return Machine(
        store=_word(env, wire.ENV_STORE),
        job=job,
        attempt=_number(env, wire.ENV_ATTEMPT),
        rank=_number(env, wire.ENV_RANK) if wire.ENV_RANK in env else 0,
        deadline=_time(env, wire.ENV_DEADLINE),
        instance=env.get(wire.ENV_INSTANCE, ""),
        address=env.get(wire.ENV_ADDRESS, ""),
        spot_notice=_source(env),
        workdir=Path(workdir).absolute() if workdir else None,
    )


def _word(env: Mapping[str, str], name: str) -> str:
    value = env.get(name, "")
    if not value:
        raise BadMachine(f"{name} is not set; the provider that starts the machine sets it.")
    return value


def _source(env: Mapping[str, str]) -> str:
    said = env.get(wire.ENV_SPOT_NOTICE, "")
    try:
        return Source(said).said if said else ""
    except BadSource as error:
        raise BadMachine(f"{wire.ENV_SPOT_NOTICE}: {error}") from error


def _number(env: Mapping[str, str], name: str) -> int:
    value = _word(env, name)
    if not value.isdecimal():
        raise BadMachine(f"{name}={value!r} is not a whole number.")
    return int(value)


def _time(env: Mapping[str, str], name: str) -> float:
    value = _word(env, name)
    try:
        seconds = float(value)
    except ValueError:
        seconds = math.nan
    if not math.isfinite(seconds):
        raise BadMachine(f"{name}={value!r} is not a time: give unix seconds.")
    return seconds
