"""What the machine wrote, turned into facts: columns of the job, points of curves, checkpoints, troubles.

Pure. The machine runs a team's code, so nothing here trusts it: every name is bounded, every number is
checked, a line that makes no sense is counted and left out.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, TypeGuard

from trainer.wire import Event, EventKind, Manifest, Reason, Stage, tame

LINE_LIMIT = 256 * 1024  # bytes of one event
_TEXT = 600  # characters kept of a sentence
_NAME = 64
_STEP_LIMIT = 2**53
# A machine's clock may be wrong; what it says is believed within this of ours.
_CLOCK_SLACK = timedelta(hours=1)
_ETA_LIMIT = 366 * 86_400.0
_PACE_LIMIT = 1e9  # steps a second
_TAIL_LINES = 40
_REMOVED, _SERIES = 100, 200
_LARGEST = 2**62  # bytes; what a column of the database takes, with room for sums
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, kw_only=True)
class Point:
    """A value of a curve; NaN and infinity have no value and say which in `odd`. `step` None: not said."""

    series: str
    step: int | None
    value: float | None
    odd: str
    at: datetime


@dataclass(frozen=True, kw_only=True)
class Saved:
    """A checkpoint that the machine says is whole; its manifest is the proof."""

    name: str
    step: int | None
    manifest: str
    at: datetime  # when it was saved, where the machine says so
    removed: Sequence[str] = ()  # older checkpoints of the attempt that it pushed out of the store


@dataclass(frozen=True, kw_only=True)
class Trouble:
    """Something that a person should read."""

    code: str
    text: str
    part: str = ""  # of the run, where each is told of by itself
    template: str = ""  # how lines could be described that nothing read


@dataclass(frozen=True, kw_only=True)
class Tidings:
    """A chunk of events, read. `columns` are the job's, by name."""

    spoke: bool  # there was at least one event
    columns: Mapping[str, Any] = field(default_factory=dict)
    points: Sequence[Point] = ()
    anew: Sequence[str] = ()  # series whose points before these were misread
    saved: Sequence[Saved] = ()
    troubles: Sequence[Trouble] = ()
    steps: Sequence[tuple[datetime, int]] = ()  # when which was told, since the command began where it did in here
    stages: Sequence[Stage] = ()
    resumed: Mapping[str, Any] | None = None  # the checkpoint that the command goes on from: name, step
    outcome: Mapping[str, Any] | None = None  # as `Job.outcome` holds it, without the attempt
    garbage: int = 0  # lines that were none


def read_events(data: bytes) -> tuple[list[Event], int]:
    """Return the chunk's events in order, and how many of its lines were none."""
    events: list[Event] = []
    garbage = 0
    for line in data.split(b"\n"):
        if not line.strip():
            continue
        event = _event(line)
        if event is None:
            garbage += 1
        else:
            events.append(event)
    return events, garbage


def _event(line: bytes) -> Event | None:
    if len(line) > LINE_LIMIT:
        return None
    try:
        raw = json.loads(line)
        return Event(t=float(raw["t"]), kind=EventKind(raw["kind"]), data=_mapping(raw["data"]))
    except (ValueError, KeyError, TypeError, RecursionError, OverflowError):
        return None


def _mapping(value: object) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise TypeError("An event's data is an object.")
    return value


def digest(data: bytes, now: datetime) -> Tidings:
    """Return what a chunk tells; `now` is our clock, which bounds the machine's."""
    events, garbage = read_events(data)
    columns: dict[str, Any] = {}
    points: list[Point] = []
    anew: list[str] = []
    saved: list[Saved] = []
    troubles: list[Trouble] = []
    steps: list[tuple[datetime, int]] = []
    stages: list[Stage] = []
    resumed: Mapping[str, Any] | None = None
    outcome: Mapping[str, Any] | None = None
    for event in events:
        at = _moment(event.t, now)
        match event.kind:
            case EventKind.STAGE:
                stages.extend(begun := _stage(event.data, at, columns))
                if Stage.RUN in begun:  # how fast and until when another one went is not true of this one
                    columns.update(eta_at=None, pace=None)
                    steps.clear()
                resumed = _resumed(event.data) or resumed
            case EventKind.GPU:
                columns["gpu_seen"] = _gpu(event.data)
            case EventKind.METRIC:
                points.extend(_points(event.data, at))
            case EventKind.ANEW:
                anew += (again := _series(event.data))
                points = [point for point in points if point.series not in again]
            case EventKind.PROGRESS:
                columns.update(progress := _progress(event.data, at))
                if "step" in progress:
                    steps.append((at, progress["step"]))
            case EventKind.CHECKPOINT:
                saved.extend(_saved(event.data, at))
            case EventKind.NOTICE:
                code, part = _name(event.data.get("code")), _name(event.data.get("part"))
                text, template = _text(event.data.get("text")), _text(event.data.get("template"))
                troubles.append(Trouble(code=code, text=text, part=part, template=template))
            case EventKind.OUTCOME:
                outcome = _outcome(event.data, at)
            case EventKind.HEARTBEAT:
                pass
    if events:
        columns.update(heard_at=now, said_at=max(_moment(event.t, now) for event in events))
    return Tidings(
        spoke=bool(events),
        columns=columns,
        points=points,
        anew=anew,
        saved=saved,
        troubles=troubles,
        steps=steps,
        stages=stages,
        resumed=resumed,
        outcome=outcome,
        garbage=garbage,
    )


def files(manifest: Manifest) -> list[dict[str, Any]]:
    """Return a checkpoint's files as its row keeps them; raises `ValueError` for a manifest that no agent writes."""
    listed: dict[str, dict[str, Any]] = {}
    for file in manifest.files:
        path, size, digest = file.path, file.size, file.sha256
        if not isinstance(path, str) or not tame(path) or path in listed:
            raise ValueError(f"{ascii(path)[:100]} is no file's name, or stands there twice.")
        if type(size) is not int or not 0 <= size <= _LARGEST:
            raise ValueError(f"{ascii(path)[:100]} has no size.")
        if not isinstance(digest, str) or not _SHA256.fullmatch(digest):
            raise ValueError(f"{ascii(path)[:100]} has no sha256.")
        listed[path] = {"path": path, "size": size, "sha256": digest}
        if path in manifest.unproven:
            listed[path]["unproven"] = True
    if sum(file["size"] for file in listed.values()) > _LARGEST:
        raise ValueError("Its files are larger than any store.")
    return list(listed.values())


# ---------------------------------------------------------------- one kind of event each


def _stage(data: Mapping[str, Any], at: datetime, columns: dict[str, Any]) -> list[Stage]:
    try:
        stage = Stage(str(data.get("stage")))
    except ValueError:
        return []
    columns.update(stage=stage.value, stage_note=_text(data.get("note")), stage_at=at)
    return [stage]


def _resumed(data: Mapping[str, Any]) -> Mapping[str, Any] | None:
    told = data.get("resumed")
    if data.get("stage") != Stage.RUN or not isinstance(told, dict):
        return None
    return {"name": _name(told.get("name")), "step": _whole(told.get("step"))}


def _gpu(data: Mapping[str, Any]) -> str:
    """Return the GPU in one line: `NVIDIA A100 80GB, driver 570.1, CUDA 12.8, torch 2.13.0`."""
    count = _whole(data.get("count")) or 0
    name = _text(data.get("name")) or "no GPU"
    parts = [f"{count} × {name}" if count > 1 else name]
    for label, key in (("driver", "driver"), ("CUDA", "cuda"), ("torch", "torch")):
        if seen := _text(data.get(key)):
            parts.append(f"{label} {seen}")
    return ", ".join(parts)[:200]


def _points(data: Mapping[str, Any], at: datetime) -> list[Point]:
    values = data.get("values")
    if not isinstance(values, dict):
        return []
    step = _whole(data.get("step"))
    points = []
    for series, raw in values.items():
        number = _number(raw)
        if number is None or not _name(series):
            continue
        odd = "" if math.isfinite(number) else ("nan" if math.isnan(number) else "inf" if number > 0 else "-inf")
        points.append(Point(series=_name(series), step=step, value=None if odd else number, odd=odd, at=at))
    return points


def _series(data: Mapping[str, Any]) -> list[str]:
    told = data.get("series")
    return [name for each in told[:_SERIES] if (name := _name(each))] if isinstance(told, list) else []


def _progress(data: Mapping[str, Any], at: datetime) -> dict[str, Any]:
    columns: dict[str, Any] = {}
    if (step := _whole(data.get("step"))) is not None:
        columns["step"] = step
    if (total := _whole(data.get("total"))) is not None:
        columns["total"] = total
    eta = _number(data.get("eta"))
    if eta is not None and 0 <= eta <= _ETA_LIMIT:
        columns["eta_at"] = at + timedelta(seconds=eta)
    pace = _number(data.get("rate"))
    if pace is not None and 0 < pace <= _PACE_LIMIT:
        columns["pace"] = pace
    return columns


def _saved(data: Mapping[str, Any], at: datetime) -> list[Saved]:
    name, manifest = data.get("name"), data.get("manifest")
    if not _storable(name) or not _storable(manifest) or not 0 < len(name) <= 200 or len(manifest) > 1024:
        return []
    told = data.get("removed")
    removed = tuple(old for old in told if _storable(old))[:_REMOVED] if isinstance(told, list) else ()
    written = _number(data.get("written"))  # an older one may be sent after a newer one
    if written is not None and written < at.timestamp():
        at = _moment(written, at)
    return [Saved(name=name, step=_whole(data.get("step")), manifest=manifest, at=at, removed=removed)]


def _outcome(data: Mapping[str, Any], at: datetime) -> dict[str, Any]:
    try:
        reason = Reason(str(data.get("reason")))
    except ValueError:
        reason = Reason.INTERNAL
    tail = data.get("tail")
    lines = [_text(line) for line in tail if isinstance(line, str)] if isinstance(tail, list) else []
    return {
        "reason": reason.value,
        "code": _whole(data.get("code"), negative=True),
        "signal": _whole(data.get("signal")),
        "tail": lines[-_TAIL_LINES:],
        "steps": _whole(data.get("steps")),
        "memory": _text(data.get("memory")),  # older agents told none
        "at": at.timestamp(),
    }


# ---------------------------------------------------------------- bounds


def _moment(t: float, now: datetime) -> datetime:
    if not math.isfinite(t):
        return now
    try:
        told = datetime.fromtimestamp(t, UTC)
    except (OverflowError, ValueError, OSError):
        return now
    return told if told <= now + _CLOCK_SLACK else now


def _number(value: object) -> float | None:
    """Return a number, also one that travelled as a string (`"NaN"`); None for what is not one."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        return float(value)
    except (ValueError, OverflowError):
        return None


def _whole(value: object, *, negative: bool = False) -> int | None:
    number = _number(value)
    if number is None or not math.isfinite(number) or abs(number) > _STEP_LIMIT or (number < 0 and not negative):
        return None
    return int(number)


def _storable(value: object) -> TypeGuard[str]:
    # A file name that is no UTF-8 travels as half characters, which no database takes.
    return isinstance(value, str) and not any("\ud800" <= c <= "\udfff" for c in value)


def _text(value: object) -> str:
    if not isinstance(value, str):
        return ""
    return "".join(c if c.isprintable() else " " for c in value[: 2 * _TEXT]).strip()[:_TEXT]


def _name(value: object) -> str:
    return _text(value)[:_NAME]
