"""The timer of Amazon's own that ends a machine when everything of ours is dead: one EventBridge schedule each.

    at(2026-11-12T14:00:00), UTC, no window, deleted once it fired  ->  ec2:TerminateInstances of one machine

It fires within the minute, under a role that may do nothing but end machines with our tag. What was set is read back
and compared whole before it counts; a listing then shows whether anybody touched it since.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from jobs.errors import Misconfigured, ProviderError, Unknown
from jobs.providers.aws_errors import code_of, translated

TARGET = "arn:{partition}:scheduler:::aws-sdk:ec2:terminateInstances"  # any call of the SDK's may be a target
EXISTS = "ConflictException"
MISSING = "ResourceNotFoundException"

# An outage of EC2's control plane is waited out for a day; both numbers are Amazon's own largest.
_RETRIES = {"MaximumEventAgeInSeconds": 86_400, "MaximumRetryAttempts": 185}
_AT = re.compile(r"at\((\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)\)")
_NAME = re.compile(r"[0-9A-Za-z_.-]{1,64}")
_ROLE = re.compile(r"arn:(?P<partition>aws[a-z-]*):iam::\d{12}:role/.+")

Clients = Callable[[str, str], Any]  # service and region to a client


@dataclass(frozen=True, kw_only=True)
class Limit:
    """What a look showed of one machine's timer."""

    at: datetime | None  # None: there is none, or not as it has to be
    seen: bool = True  # False: it could not be asked


UNSEEN = Limit(at=None, seen=False)


class Schedules:
    """The timers of one deployment, in a group of their own in each region."""

    def __init__(self, *, role: str, group: str, clients: Clients) -> None:
        """Take the role that a timer acts under; raises `Misconfigured` on what is no role or no group's name."""
        match = _ROLE.fullmatch(role)
        if match is None:
            raise Misconfigured(
                f"HOURGLASS_AWS_SCHEDULER_ROLE is {role!r}, which is no role: write arn:aws:iam::<account>:role/<name>."
            )
        if not _NAME.fullmatch(group):
            raise Misconfigured(
                f"HOURGLASS_AWS_SCHEDULE_GROUP is {group!r}: use up to 64 letters, digits, - _ and dots."
            )
        self._role = role
        self._group = group
        self._target = TARGET.format(partition=match["partition"])
        self._clients = clients
        self._known: dict[tuple[str, str], tuple[str, datetime, datetime | None]] = {}  # machine, last change, its time

    def set(self, region: str, name: str, machine: str, at: datetime) -> None:
        """Let the timer `name` end the machine at that time, in whole seconds, and see that it stands.

        Raises `ProviderError`; what it says then is what it said before, or unknown.
        """
        wanted = self._request(name, machine, at)
        client = self._clients("scheduler", region)
        with translated("the schedule that ends the machine", region):
            try:
                client.update_schedule(**wanted)  # a timer that stands is the usual case but once
            except Exception as error:
                if code_of(error) != MISSING:
                    raise
                self._create(client, wanted)
        self._known.pop((region, name), None)
        if self.of(region, name, machine).at != whole_second(at):
            raise Unknown(f"AWS in {region} took the schedule that ends {machine} and does not show it as it was set.")

    @staticmethod
    def _create(client: Any, wanted: Mapping[str, Any]) -> None:
        try:
            client.create_schedule(**wanted)
        except Exception as error:
            if code_of(error) != EXISTS:  # another hand made it since, or an answer was lost: it is read below
                raise
            client.update_schedule(**wanted)

    def of(self, region: str, name: str, machine: str) -> Limit:
        """Return what the timer of one machine says now; `UNSEEN` where that could not be read."""
        try:
            with translated("a look at the schedule that ends the machine", region):
                try:
                    stands = self._clients("scheduler", region).get_schedule(GroupName=self._group, Name=name)
                except Exception as error:
                    if code_of(error) != MISSING:
                        raise
                    return Limit(at=None)
        except ProviderError:
            return UNSEEN
        at = self._time(stands, name, machine)
        self._known[region, name] = (machine, stands["LastModificationDate"], at)
        return Limit(at=at)

    def all(self, region: str, machines: Mapping[str, str]) -> Mapping[str, Limit]:
        """Return what the timers of these machines say, by name; one listing, and a look at what changed since."""
        try:
            listed = self._listed(region)
        except ProviderError:
            return dict.fromkeys(machines, UNSEEN)
        for key in [key for key in self._known if key[0] == region and key[1] not in listed]:
            self._known.pop(key)
        return {name: self._limit(region, name, machine, listed) for name, machine in machines.items()}

    def remove(self, region: str, name: str) -> None:
        """Remove the timer of a machine that is gone; one that fired has removed itself. Raises `ProviderError`."""
        self._known.pop((region, name), None)
        with translated("the removal of a schedule", region):
            try:
                self._clients("scheduler", region).delete_schedule(GroupName=self._group, Name=name)
            except Exception as error:
                if code_of(error) != MISSING:
                    raise

    # ------------------------------------------------------------ inside

    def _listed(self, region: str) -> Mapping[str, datetime]:
        """Return when each enabled timer of the group was changed last."""
        found: dict[str, datetime] = {}
        with translated("a listing of schedules", region):
            for page in (
                self._clients("scheduler", region).get_paginator("list_schedules").paginate(GroupName=self._group)
            ):
                found |= {one["Name"]: one["LastModificationDate"] for one in page["Schedules"] if _enabled(one)}
        return found

    def _limit(self, region: str, name: str, machine: str, listed: Mapping[str, datetime]) -> Limit:
        if name not in listed:
            return Limit(at=None)
        known = self._known.get((region, name))
        if known is not None and known[:2] == (machine, listed[name]):
            return Limit(at=known[2])
        return self.of(region, name, machine)

    def _request(self, name: str, machine: str, at: datetime) -> dict[str, Any]:
        return {
            "Name": name,
            "GroupName": self._group,
            "ScheduleExpression": f"at({whole_second(at):%Y-%m-%dT%H:%M:%S})",
            "ScheduleExpressionTimezone": "UTC",
            "FlexibleTimeWindow": {"Mode": "OFF"},
            "ActionAfterCompletion": "DELETE",
            "State": "ENABLED",
            "Description": f"Hourglass: ends {machine} at its deadline",
            "Target": {
                "Arn": self._target,
                "RoleArn": self._role,
                "Input": json.dumps({"InstanceIds": [machine]}),
                "RetryPolicy": _RETRIES,
            },
        }

    def _time(self, stands: Mapping[str, Any], name: str, machine: str) -> datetime | None:
        """Return when it ends the machine; None for anything but exactly what we would have set."""
        match = _AT.fullmatch(stands.get("ScheduleExpression", ""))
        if match is None:
            return None
        at = datetime.fromisoformat(match[1]).replace(tzinfo=UTC)
        wanted, target = self._request(name, machine, at), stands.get("Target", {})
        told = _without(wanted, "Target", "Name", "Description")
        same = all(stands.get(field) == value for field, value in told.items())
        parts = ("Arn", "RoleArn", "Input")
        return at if same and all(target.get(part) == wanted["Target"][part] for part in parts) else None


def whole_second(at: datetime) -> datetime:
    """Return the first whole second that is not before that time: no machine loses what was paid for."""
    return at if at.microsecond == 0 else at.replace(microsecond=0) + timedelta(seconds=1)


def _enabled(one: Mapping[str, Any]) -> bool:
    return bool(one.get("State") == "ENABLED")


def _without(told: Mapping[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in told.items() if name not in names}
