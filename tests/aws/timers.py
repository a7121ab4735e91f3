"""EventBridge Scheduler as Amazon runs it: it refuses what it would refuse, and its schedules fire.

moto keeps the schedules' book and does nothing with it: a time in the past, a target that is no call, a role that
nobody has are all taken, and nothing ever happens. This layer stands before it. `fire` does what is due: the call that
a schedule names, as the role that it names, against the same cloud; one that asks to be deleted is.
"""

from __future__ import annotations

import io
import json
import re
import threading
from collections.abc import Callable, Iterable, Iterator, Set
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

import boto3

if TYPE_CHECKING:
    from moto.scheduler.models import Schedule

_AT = re.compile(r"at\((\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)\)")
_NAME = re.compile(r"[0-9A-Za-z_.-]{1,64}")
_TARGET = re.compile(r"arn:aws:scheduler:::aws-sdk:(?P<service>[a-z0-9]+):(?P<call>[A-Za-z0-9]+)")
_ACTIONS = {"POST": "CreateSchedule", "PUT": "UpdateSchedule", "GET": "GetSchedule", "DELETE": "DeleteSchedule"}

Refusal = tuple[str, str]  # Amazon's code and words


def action_of(environ: dict[str, Any]) -> str | None:
    """Return which of the scheduler's actions a request asks for; None where it is another service's."""
    if "/scheduler/aws4_request" not in environ.get("HTTP_AUTHORIZATION", ""):
        return None
    path = environ["PATH_INFO"].strip("/").split("/")
    if path[0] != "schedules":
        return "ScheduleGroup"
    return _ACTIONS.get(environ["REQUEST_METHOD"]) if len(path) > 1 else "ListSchedules"


def answer(start: Callable[..., Any], code: str, words: str, status: int = 400) -> Iterable[bytes]:
    """Answer with one of the scheduler's errors."""
    body = json.dumps({"Message": words}).encode()
    start(
        f"{status} Refused",
        [("Content-Type", "application/json"), ("x-amzn-errortype", code), ("Content-Length", str(len(body)))],
    )
    return [body]


def refusal(environ: dict[str, Any], action: str, now: datetime, roles: Set[str]) -> Refusal | None:
    """Return why Amazon would not take the request; None where moto may have it.

    `roles` are those that the scheduler may take.
    """
    if action == "ListSchedules":
        listed = dict(parse_qsl(environ.get("QUERY_STRING", ""))).get("ScheduleGroup", "default")
        known = listed in _groups(environ["HTTP_AUTHORIZATION"].split("/")[2])
        return None if known else ("ResourceNotFoundException", f"Schedule group {listed} does not exist.")
    if action not in ("CreateSchedule", "UpdateSchedule"):
        return None
    raw = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    environ["wsgi.input"] = io.BytesIO(raw)
    asked, region = json.loads(raw), environ["HTTP_AUTHORIZATION"].split("/")[2]
    name = environ["PATH_INFO"].rsplit("/", 1)[-1]
    group = _groups(region).get(asked.get("GroupName", "default"))
    if group is None:
        return "ResourceNotFoundException", f"Schedule group {asked.get('GroupName')} does not exist."
    if action == "UpdateSchedule" and name not in group.schedules:
        return "ResourceNotFoundException", f"Schedule {name} does not exist."
    wrong = _wrong(asked, name, now, roles)
    return None if wrong is None else ("ValidationException", wrong)


def _wrong(asked: dict[str, Any], name: str, now: datetime, roles: Set[str]) -> str | None:
    target = asked.get("Target", {})
    at = _AT.fullmatch(asked.get("ScheduleExpression", ""))
    call = _TARGET.fullmatch(target.get("Arn", ""))
    if not _NAME.fullmatch(name):
        return f"{name} is no name of a schedule."
    if at is None:
        return "Invalid Schedule Expression."
    if asked.get("ScheduleExpressionTimezone", "UTC") != "UTC":
        return "This stand-in knows UTC alone."
    if datetime.fromisoformat(at[1]).replace(tzinfo=UTC) <= now:
        return "The schedule lies in the past."
    if asked.get("FlexibleTimeWindow", {}).get("Mode") != "OFF":
        return "FlexibleTimeWindow must be OFF or have a window."
    if call is None or not _is_a_call(call["service"], call["call"]):
        return f"{target.get('Arn')} is not a valid target."
    if target.get("RoleArn") not in roles:
        return "The execution role you provide must allow AWS EventBridge Scheduler to assume the role."
    try:
        json.loads(target.get("Input", "{}"))
    except ValueError:
        return "Target Input is no JSON."
    return None


def _is_a_call(service: str, call: str) -> bool:
    if service != "ec2":
        return False
    model = boto3.client("ec2", region_name="us-east-1").meta.service_model
    return call[:1].islower() and call[:1].upper() + call[1:] in model.operation_names


def _groups(region: str) -> Any:
    """Return moto's own groups of schedules, by name; loaded by the one worker that runs these tests."""
    from moto.core.models import DEFAULT_ACCOUNT_ID
    from moto.scheduler.models import scheduler_backends

    return scheduler_backends[DEFAULT_ACCOUNT_ID][region].schedule_groups


def standing(region: str) -> list[Schedule]:
    """Return every schedule of a region."""
    groups = _groups(region).values()
    return [schedule for group in groups for schedule in group.schedules.values()]


def due(region: str, now: datetime) -> list[Schedule]:
    """Return what fires now."""
    return [one for one in standing(region) if one.state == "ENABLED" and (at := time_of(one)) and at <= now]


def time_of(schedule: Schedule) -> datetime | None:
    """Return when a schedule fires."""
    match = _AT.fullmatch(schedule.schedule_expression)
    return datetime.fromisoformat(match[1]).replace(tzinfo=UTC) if match else None


def fire(client: Callable[..., Any], region: str, now: datetime) -> list[str]:
    """Make the calls that are due; return the names of the schedules. `client` is of a service, a region and keys."""
    fired = []
    for schedule in due(region, now):
        role = schedule.target["RoleArn"]
        sts = client("sts", region)
        lent = sts.assume_role(RoleArn=role, RoleSessionName="scheduler")["Credentials"]
        call = _TARGET.fullmatch(schedule.target["Arn"])
        assert call is not None
        snake = re.sub(r"(?<!^)(?=[A-Z])", "_", call["call"]).lower()
        as_role = client(call["service"], region, lent)
        getattr(as_role, snake)(**json.loads(schedule.target["Input"]))
        if schedule.action_after_completion == "DELETE":
            _groups(region)[schedule.group_name].schedules.pop(schedule.name, None)
        fired.append(schedule.name)
    return fired


@contextmanager
def ticking(client: Callable[..., Any], region: str) -> Iterator[None]:
    """Fire what is due by the wall clock, twice a second, for the block."""
    over = threading.Event()

    def run() -> None:
        while not over.wait(0.5):
            fire(client, region, datetime.now(UTC))

    thread = threading.Thread(target=run, daemon=True, name="timers")
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join(30)
