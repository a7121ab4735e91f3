"""The contract between the control plane and the rented machine: keys, events, orders and the control file.

Both sides import this file and nothing else of each other. Everything on the wire is JSON with times in unix
seconds (float) and money nowhere. The machine writes under its attempt's prefix and reads under its job's;
the control plane writes the order, the source and the control file. Nothing calls in: whoever wants to know
reads the next object by its number.

    jobs/<job>/source.tar.gz                    the commit, packed by the bot
    jobs/<job>/a<attempt>/order.json            what to run (`AgentOrder`)
    jobs/<job>/a<attempt>/events/00000001.jsonl an immutable chunk of events, numbered from 1
    jobs/<job>/a<attempt>/log/00000001.txt.gz   an immutable chunk of the command's output, gzip
    jobs/<job>/a<attempt>/ckpt/<name>/…         a checkpoint's files, then its manifest.json
    jobs/<job>/a<attempt>/boot/00000001.txt     what the warden of a VM saw before the agent spoke
    jobs/<job>/a<attempt>/peer.json             where one of several machines is reached (`Peer`)
    control/<job>/a<attempt>.json               `Control`: stop, new deadline; only read by the machine
    control/<job>/a<attempt>.lease.json         `Lease`: the next credentials of the store; only read by the machine
    data/…                                      what jobs take along (`trainer.datasets`); only read by the machine
"""

from __future__ import annotations

import dataclasses
import json
import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

if sys.version_info >= (3, 11):  # noqa: UP036  this file also runs on the machine, on the image's Python
    from enum import StrEnum
else:  # images with 3.10 are still common
    from enum import Enum

    class StrEnum(str, Enum):  # noqa: UP042  it is what stands in for the enum.StrEnum that 3.10 lacks
        """A string with a name, as Python 3.11 has it."""

        __str__ = str.__str__


WIRE_VERSION = 1

# How the machine learns where its files are. `HOURGLASS_STORE` is a store URI (`file:///…`, `s3://…`).
ENV_STORE = "HOURGLASS_STORE"
ENV_JOB = "HOURGLASS_JOB"
ENV_ATTEMPT = "HOURGLASS_ATTEMPT"
ENV_RANK = "HOURGLASS_RANK"
ENV_DEADLINE = "HOURGLASS_DEADLINE"  # unix seconds; `init` ends everything then, whatever the agent does
ENV_INSTANCE = "HOURGLASS_INSTANCE"
# Where there are several machines: the name under which the others reach this one. Names sort as ranks do.
ENV_ADDRESS = "HOURGLASS_ADDRESS"
ENV_WORKDIR = "HOURGLASS_WORKDIR"  # scratch folder of the agent; a temporary one when it is not given
ENV_CACHE = "HOURGLASS_CACHE"  # folder for inputs that outlives the machine; default: in the scratch folder
ENV_SECRETS = "HOURGLASS_SECRETS"  # names, comma-separated, of the variables whose values never enter a log
ENV_SPOT_NOTICE = "HOURGLASS_SPOT_NOTICE"  # where it learns that it is taken back: `trainer.notice.Source`
# Credentials of the store where they must not meet the team's own: `HOURGLASS_STORE_AWS_ACCESS_KEY_ID` and the
# like. They are taken out of the environment of the team's command.
ENV_STORE_PREFIX = "HOURGLASS_STORE_"
ENV_LEASE_URL = "HOURGLASS_STORE_LEASE_URL"  # a signed link to the next ones (`Lease`), for when these have ended
ENV_KEYS = "HOURGLASS_STORE_DATA_KEY"  # the team's keys, one a line (`trainer.sealed`); the first seals
# What the team's command finds in its environment.
ENV_RESUME = "HOURGLASS_RESUME"  # folder with the last whole checkpoint, or unset
ENV_RESUME_FILE = "HOURGLASS_RESUME_FILE"  # the checkpoint itself, where it is one file
ENV_RESUME_STEP = "HOURGLASS_RESUME_STEP"  # the step it was saved at, where that is known
ENV_SOCKET = "HOURGLASS_SOCKET"  # where `import hourglass` reports to
ENV_INPUT_PREFIX = "HOURGLASS_INPUT_"  # and an input's name in capitals: where its files are


class EventKind(StrEnum):
    """What a line in an event chunk tells."""

    STAGE = "stage"
    GPU = "gpu"
    METRIC = "metric"
    PROGRESS = "progress"
    ANEW = "anew"  # what was told of these series so far was misread
    CHECKPOINT = "checkpoint"
    NOTICE = "notice"  # something a person should read: NaN, a lost upload, a spot notice
    HEARTBEAT = "heartbeat"
    OUTCOME = "outcome"


class Stage(StrEnum):
    """What the machine is doing now."""

    SOURCE = "source"
    INPUTS = "inputs"  # what the job takes along is fetched; told again and again, the note says how far it is
    SETUP = "setup"
    JOIN = "join"  # ready, and waiting for the other machines
    CHECK = "check"
    RUN = "run"
    SAVE = "save"  # asked to stop: the last checkpoint is being written and uploaded
    DONE = "done"


class Reason(StrEnum):
    """Why a job ended; the state says how it is filed, this says what happened."""

    FINISHED = "finished"
    ERROR = "error"  # the command left with a non-zero code
    OOM = "oom"  # killed for the host's memory
    GPU_OOM = "gpu_oom"
    DEADLINE = "deadline"
    STOPPED = "stopped"  # somebody pressed Stop
    IDLE_GPU = "idle_gpu"
    DIVERGED = "diverged"
    NO_GPU = "no_gpu"  # the GPU that is paid for is not there
    SETUP_FAILED = "setup_failed"
    BAD_SOURCE = "bad_source"
    BAD_SPEC = "bad_spec"
    BAD_IMAGE = "bad_image"
    NO_CAPACITY = "no_capacity"
    LAUNCH_FAILED = "launch_failed"
    UNSECURED = "unsecured"  # no timer of its provider's would have ended the machine
    LOST = "lost"  # the machine went away and told nobody why
    LEFT_BEHIND = "left_behind"  # of several machines, one had left the training and another had not
    PREEMPTED = "preempted"
    REFUSED = "refused"  # budget, limits or rights said no
    NO_CHANNEL = "no_channel"
    INTERNAL = "internal"


@dataclass(frozen=True, kw_only=True)
class GpuNeed:
    """The accelerators that were paid for."""

    name: str  # catalogue name, lower case: "a100"; "cpu" for none
    count: int
    memory_gb: int | None
    required: bool  # False only where a stand-in is announced on the card


@dataclass(frozen=True, kw_only=True)
class CheckpointRule:
    """Where checkpoints appear and how they are kept."""

    path: str  # relative to the working directory
    upload_every: float  # seconds between looks that may upload
    keep: int  # newest whole ones of each name kept in the store, at least 2
    encrypt: bool = False  # sealed with the team's key before they leave the machine


@dataclass(frozen=True, kw_only=True)
class IdleRule:
    """When a GPU does so little that its rental is ended."""

    least: int  # percent of utilisation, as the driver tells it
    window: float  # seconds for which a GPU has to stay below that


@dataclass(frozen=True, kw_only=True)
class Again:
    """What is run where there is a checkpoint to go on from; the order's own command where nothing is said."""

    commands: Sequence[str] = ()  # in place of the order's
    argv: Sequence[str] = ()
    known: bool = True  # with neither: add the flag of a trainer that is known


@dataclass(frozen=True, kw_only=True)
class Input:
    """Something that a job takes along: fetched before its command starts, and only read."""

    name: str  # small letters, digits and `_`; its variable is named after it
    source: str  # `s3://bucket/prefix`, or `name@version` of what `hourglass data push` sent
    to: str | None = None  # where the command finds it, beside its variable: in the source, or absolute


@dataclass(frozen=True, kw_only=True)
class AgentOrder:
    """What one machine is to do; written once, before the machine is asked for. Holds no secret."""

    version: int = WIRE_VERSION
    job: str
    attempt: int
    rank: int
    nodes: int
    source_key: str
    source_sha256: str
    commit: str
    setup: Sequence[str]  # shell lines from the task file
    commands: Sequence[str]  # shell lines; empty when `argv` is given
    argv: Sequence[str]  # what followed `--`: run without a shell
    env: Mapping[str, str]
    gpu: GpuNeed
    checkpoints: CheckpointRule
    deadline: float  # unix seconds
    grace: float  # seconds before the deadline at which the command is asked to save and stop
    resume_key: str | None  # prefix of a whole checkpoint to put in place first
    flush_every: float  # seconds between event chunks
    idle: IdleRule | None = None
    again: Again = field(default_factory=Again)
    hang_timeout: float | None = None  # seconds without a sign of life after which people are told
    inputs: Sequence[Input] = ()
    progress: Sequence[str] = ()  # lines of progress as the task file describes them (`trainer.templates`)


@dataclass(frozen=True, kw_only=True)
class Peer:
    """One of several machines, ready: what the others have to know of it."""

    address: str
    port: int  # where the first machine's torchrun will be met; 0 from the others


@dataclass(frozen=True, kw_only=True)
class Control:
    """What the bot asks of a running machine; the newest `seq` wins."""

    seq: int
    deadline: float
    stop: Reason | None
    progress: Sequence[str] | None = None  # as in the order, described anew while it runs; None: says nothing of it


@dataclass(frozen=True, kw_only=True)
class Lease:
    """Credentials of the store that take the place of those before; for every machine of the attempt."""

    until: float  # unix seconds
    access_key_id: str = field(repr=False)
    secret_access_key: str = field(repr=False)
    session_token: str | None = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class Event:
    """One line of an event chunk. `data` by kind:

    stage       {"stage": Stage, "note": str}
    gpu         {"name": str, "count": int, "memory_gb": float, "driver": str, "torch": str, "cuda": str}
    metric      {"step": int | null, "values": {series: float}}; a NaN or Infinity travels as a string
    progress    {"step": int, "total": int | null, "percent": float | null, "eta": seconds | null, "rate": per second}
    anew        {"series": [str]}
    checkpoint  {"name": str, "step": int | null, "manifest": key, "bytes": int, "files": int,
                 "written": unix seconds of its newest file, "removed": [names of checkpoints that it pushes out]}
    notice      {"code": str, "text": str, "part": str}: told once a code, and once a part where there is one;
                 "template": how the task file could describe lines that nothing read, where that is what it is of
    heartbeat   {"uptime": seconds}
    outcome     {"reason": Reason, "code": int | null, "signal": int | null, "tail": [str], "steps": int | null,
                 "memory": the line that told of memory that was refused, where that is the reason, else null}
    """

    t: float
    kind: EventKind
    data: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class FileEntry:
    """One file of a checkpoint."""

    path: str  # relative to the checkpoint's prefix, POSIX, never absolute, no ".."
    size: int  # bytes
    sha256: str


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """What makes a checkpoint whole: written last, after every file stands."""

    name: str
    step: int | None
    at: float
    files: Sequence[FileEntry] = field(default_factory=tuple)
    key: str | None = None  # id of the key that its files are sealed with; their names then end in `.sealed`
    unproven: Sequence[str] = field(default_factory=tuple)  # paths of files that a kill may have cut off


def source_key(job: str) -> str:
    """Return where the packed commit lies."""
    return f"jobs/{job}/source.tar.gz"


def attempt_prefix(job: str, attempt: int, rank: int = 0) -> str:
    """Return the prefix that one machine may write; ranks above 0 have one of their own."""
    return f"jobs/{job}/a{attempt}" if rank == 0 else f"jobs/{job}/a{attempt}-r{rank}"


def order_key(job: str, attempt: int, rank: int = 0) -> str:
    """Return where the machine's order lies."""
    return f"{attempt_prefix(job, attempt, rank)}/order.json"


def event_key(job: str, attempt: int, number: int, rank: int = 0) -> str:
    """Return the key of event chunk `number`, counted from 1."""
    return f"{attempt_prefix(job, attempt, rank)}/events/{number:08d}.jsonl"


def log_key(job: str, attempt: int, number: int, rank: int = 0) -> str:
    """Return the key of log chunk `number`, counted from 1."""
    return f"{attempt_prefix(job, attempt, rank)}/log/{number:08d}.txt.gz"


def boot_key(job: str, attempt: int, number: int, rank: int = 0) -> str:
    """Return the key of chunk `number` of what the warden saw, counted from 1."""
    return f"{attempt_prefix(job, attempt, rank)}/boot/{number:08d}.txt"


def checkpoint_prefix(job: str, attempt: int, name: str, rank: int = 0) -> str:
    """Return the prefix of one checkpoint's files."""
    return f"{attempt_prefix(job, attempt, rank)}/ckpt/{name}"


def manifest_key(job: str, attempt: int, name: str, rank: int = 0) -> str:
    """Return the key whose presence makes the checkpoint whole."""
    return f"{checkpoint_prefix(job, attempt, name, rank)}/manifest.json"


def tame(path: str) -> bool:
    """Return whether a checkpoint's file of this relative path can be kept, shown and fetched again everywhere.

    A folder adds letters to a name while it is written, S3 takes 1,024 bytes in all, and a name that hides or breaks
    what stands around it is shown to nobody. `manifest.json` is the store's own.
    """
    if not path.isprintable() or "\\" in path or path == "manifest.json":  # half characters are not printable either
        return False
    parts = [part.encode() for part in path.split("/")]
    return not {b"", b".", b".."} & set(parts) and max(map(len, parts)) <= 200 and len(path.encode()) <= 600


def peer_key(job: str, attempt: int, rank: int) -> str:
    """Return where one of several machines says that it is ready."""
    return f"{attempt_prefix(job, attempt, rank)}/peer.json"


def control_key(job: str, attempt: int) -> str:
    """Return where the bot leaves its wishes for a running attempt."""
    return f"control/{job}/a{attempt}.json"


def lease_key(job: str, attempt: int) -> str:
    """Return where the bot leaves the next credentials of a running attempt."""
    return f"control/{job}/a{attempt}.lease.json"


def to_json(record: Any) -> bytes:
    """Return a wire record as compact JSON with sorted keys, byte for byte the same each time."""
    return json.dumps(dataclasses.asdict(record), sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


def wire_float(value: float) -> float | str:
    """Return `value` as JSON can carry it: NaN and the infinities become "NaN", "Infinity", "-Infinity"."""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    return value


Record = TypeVar("Record", AgentOrder, Control, Event, Lease, Manifest, Peer)


def from_json(kind: type[Record], data: bytes) -> Record:
    """Parse a wire record; raises `ValueError` on what is not one. Unknown keys are ignored (a newer peer)."""
    try:
        raw = json.loads(data)
        known = {f.name for f in dataclasses.fields(kind)}
        fields = {key: value for key, value in raw.items() if key in known}
        if kind is AgentOrder:
            fields["gpu"] = GpuNeed(**fields["gpu"])
            fields["checkpoints"] = CheckpointRule(**fields["checkpoints"])
            fields["idle"] = IdleRule(**fields["idle"]) if fields.get("idle") else None
            fields["again"] = Again(**(fields.get("again") or {}))
            fields["inputs"] = tuple(Input(**taken) for taken in fields.get("inputs") or ())
        elif kind is Control and fields.get("stop") is not None:
            fields["stop"] = Reason(fields["stop"])
        elif kind is Event:
            fields["kind"] = EventKind(fields["kind"])
        elif kind is Manifest:
            fields["files"] = tuple(FileEntry(**entry) for entry in fields["files"])
            fields["unproven"] = tuple(fields.get("unproven") or ())
        return kind(**fields)
    except (AttributeError, KeyError, TypeError) as error:
        raise ValueError(f"Not a {kind.__name__}: {error}") from error
