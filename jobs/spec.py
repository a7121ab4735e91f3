"""The command and the task file, merged into the one validated `JobSpec` that everything after it reads.

The command line overrides the file, the file overrides the defaults. `-- command` replaces the file's `commands`
but not its `setup`. Nothing here looks anything up.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from jobs.environment import MOST_NAMES, check_name, check_value
from jobs.errors import BadSpec
from jobs.gpus import Gpu, parse_gpu
from jobs.quantities import parse_count, parse_dollars, parse_minutes
from jobs.resuming import again
from jobs.strict_yaml import FILE_NAME
from jobs.taskfile import MOST_NODES, TaskFile, parse_task_file
from jobs.values import JobSpec, Micros, Request, SpotPolicy


@dataclass(frozen=True, kw_only=True)
class Defaults:
    """What holds where neither command nor file says anything."""

    image: str | None = None
    disk_gb: int = 100
    shm_gb: int = 8
    checkpoint_path: str = "out"
    checkpoint_every: float = 600.0  # seconds
    checkpoint_keep: int = 3
    hang_timeout: float = 1800.0  # seconds


DEFAULTS: Final = Defaults()


def merge(request: Request, task_file: str | None, *, defaults: Defaults = DEFAULTS) -> JobSpec:
    """Return the validated spec; `task_file` is the file's text at the commit, None where there is none.

    Raises `BadSpec`; its fix is the corrected `/train` line, or the corrected line of the file.
    """
    said = request.overrides
    file = TaskFile() if task_file is None else parse_task_file(task_file)
    gpu = parse_gpu(str(said["gpu"])) if "gpu" in said else file.gpu
    if gpu is None:
        question = "Which GPU? Add `gpu=a100`, or `resources: {gpu: A100}` to the task file."
        raise _missing(request, question, "gpu=a100")
    minutes = parse_minutes(str(said["hours"])) if "hours" in said else file.minutes
    if minutes is None:
        raise _missing(request, "For how long? Add `hours=1`, or `max_duration: 1h` to the task file.", "hours=1")
    if not request.argv and not file.commands:
        raise _no_command(request, task_file)
    commands = () if request.argv else tuple(file.commands)
    resume_commands, resume_argv = again(file.resume, commands, tuple(request.argv))
    return JobSpec(
        gpu=gpu.name,
        gpu_memory_gb=gpu.memory_gb,
        gpus=gpu.count,
        nodes=_nodes(said, file),
        minutes=minutes,
        image=said.get("image") or file.image or defaults.image,
        registry_auth=file.registry_auth,
        setup=tuple(file.setup),
        commands=commands,
        argv=tuple(request.argv),
        env=_env(said, file),
        secrets=tuple(dict.fromkeys(file.secrets)),
        disk_gb=file.disk_gb or defaults.disk_gb,
        shm_gb=file.shm_gb or defaults.shm_gb,
        providers=_providers(said, file),
        spot=(spot := SpotPolicy(said["spot"]) if "spot" in said else file.spot or SpotPolicy.ON_DEMAND),
        max_price=_dollars(said, "max_price", file.max_price),
        max_cost=_dollars(said, "max_cost", file.max_cost),
        retry_on=_retry_on(file, spot),
        checkpoint_path=file.checkpoint_path or defaults.checkpoint_path,
        checkpoint_every=file.checkpoint_every or defaults.checkpoint_every,
        checkpoint_keep=file.checkpoint_keep or defaults.checkpoint_keep,
        resume_commands=tuple(resume_commands),
        resume_argv=tuple(resume_argv),
        # What the file runs again belongs to the file's own commands; a typed one is looked at like any other.
        resume_known=file.resume is None or bool(request.argv and file.resume.commands),
        inputs=tuple(file.inputs),
        checkpoint_encrypt=bool(file.checkpoint_encrypt),
        progress=tuple(said.get("progress", file.progress)),
        described="progress" in said,
        hang_timeout=(defaults.hang_timeout if file.hang_timeout is None else file.hang_timeout) or None,
        **_idle_rule(file, gpu),
    )


def _retry_on(file: TaskFile, spot: SpotPolicy) -> tuple[str, ...]:
    """Return what is retried: as the file says, else what whoever rents on the spot market takes into account."""
    if file.retry_on is not None:
        return tuple(dict.fromkeys(file.retry_on))
    return () if spot is SpotPolicy.ON_DEMAND else ("interruption",)


def _nodes(said: Mapping[str, Any], file: TaskFile) -> int:
    return parse_count(str(said["nodes"]), least=1, most=MOST_NODES) if "nodes" in said else file.nodes or 1


def _providers(said: Mapping[str, Any], file: TaskFile) -> tuple[str, ...]:
    names = str(said["provider"]).split(",") if "provider" in said else file.providers
    return tuple(dict.fromkeys(name for name in names if name))


def _dollars(said: Mapping[str, Any], key: str, of_file: Micros | None) -> Micros | None:
    return parse_dollars(str(said[key])) if key in said else of_file


def _env(said: Mapping[str, Any], file: TaskFile) -> dict[str, str]:
    env = {**(file.env or {}), **said.get("env", {})}
    for name, value in env.items():
        check_value(check_name(name), value)
        if name in file.secrets:
            raise BadSpec(f"`{name}` is both a variable and a secret. Keep it under `secrets` in `{FILE_NAME}` alone.")
    if len(env) > MOST_NAMES:
        raise BadSpec(f"{len(env)} environment variables; {MOST_NAMES} are carried. Put them into a file.")
    return env


def _idle_rule(file: TaskFile, gpu: Gpu) -> dict[str, Any]:
    """Return the two fields that end a machine whose GPU does nothing: both, or neither."""
    least, window = file.min_gpu_utilization, file.utilization_window
    if (least is None) != (window is None):
        raise BadSpec(f"`utilization_policy` in `{FILE_NAME}` needs both `min_gpu_utilization` and `time_window`.")
    if gpu.count == 0:
        return {"min_gpu_utilization": None, "utilization_window": None}
    return {"min_gpu_utilization": least, "utilization_window": window}


def _no_command(request: Request, task_file: str | None) -> BadSpec:
    no_file = f"`{request.repo}` has no `{FILE_NAME}` at this commit"
    there = no_file if task_file is None else f"`{FILE_NAME}` names no command"
    return BadSpec(
        f"What is to be run? {there}: add `commands:` to it, or the command to the line: `-- python train.py`.",
        fix=f"/train {request.text} -- python train.py" if request.text else None,
    )


def _missing(request: Request, message: str, word: str) -> BadSpec:
    head, separator, command = request.text.partition(" -- ")
    return BadSpec(message, fix=f"/train {head} {word}{separator}{command}" if request.text else None)
