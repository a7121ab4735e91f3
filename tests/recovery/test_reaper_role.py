"""The reaper's process has the rights to list and to end, and asks for nothing that needs others."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bot.machines import OnlyEnds, enders
from jobs.clock import SystemClock
from jobs.providers.aws import Aws
from jobs.providers.registry import NoScripts
from jobs.reaper import Reaper
from jobs.settings import load
from tests.support.clock import START, FakeClock
from tests.support.fake_provider import FakeProvider

HOME = "6f1f7d5c-0000-4000-8000-000000000001"
VERBS = {"offers", "launch", "find", "list", "terminate", "extend"}


class Ec2:
    """EC2 under a role that may describe and terminate instances: every other call is refused."""

    def __init__(self, home: str) -> None:
        self.called: list[str] = []
        tags = {"app": "hourglass", "home": home, "job": "k3", "attempt": "1", "rank": "0", "key": "hg-k3"}
        tags["deadline"] = str(int(START.timestamp()))
        self._machine = {
            "InstanceId": "i-1",
            "State": {"Name": "running"},
            "LaunchTime": START,
            "Tags": [{"Key": key, "Value": value} for key, value in tags.items()],
        }

    def get_paginator(self, verb: str) -> Ec2:
        """Return the pages of a listing."""
        assert verb == "describe_instances"
        return self

    def paginate(self, **_: Any) -> Iterator[dict[str, Any]]:
        """Yield one page."""
        self.called.append("DescribeInstances")
        yield {"Reservations": [{"Instances": [self._machine]}]}

    def terminate_instances(self, **what: Any) -> dict[str, Any]:
        """End it."""
        self.called.append(f"TerminateInstances {what['InstanceIds']}")
        return {}

    def __getattr__(self, verb: str) -> Any:
        raise PermissionError(f"UnauthorizedOperation: {verb}")


def test_on_aws_it_describes_and_terminates_and_nothing_else() -> None:
    ec2 = Ec2(HOME)

    def clients(service: str, region: str) -> Ec2:
        assert (service, region) == ("ec2", "us-east-1")
        return ec2

    aws = Aws(home=HOME, regions=["us-east-1"], prices=(), boot=NoScripts(), clients=clients)
    clock = FakeClock()
    clock.advance(hours=1)
    report = Reaper({"aws": OnlyEnds(aws)}, clock, HOME).round()
    assert (report.ended, report.failed) == (["aws/i-1"], {})
    assert ec2.called == ["DescribeInstances", "TerminateInstances ['i-1']"]


def test_what_it_is_handed_cannot_rent_nor_move_a_deadline() -> None:
    assert {verb for verb in VERBS if hasattr(OnlyEnds(FakeProvider(FakeClock())), verb)} == {"list", "terminate"}


@pytest.mark.parametrize("providers", ["practice", "docker", "aws", "docker,aws"])
def test_it_is_built_without_store_role_prices_secrets_or_slack(tmp_path: Path, providers: str) -> None:
    settings = load({"HOURGLASS_STATE": str(tmp_path), "HOURGLASS_HOME": HOME, "HOURGLASS_PROVIDERS": providers})
    assert list(enders(settings, SystemClock())) == providers.split(",")
    assert list(tmp_path.iterdir()) == []  # no archive of the trainer, no database


def test_the_command_needs_its_home_and_its_providers_alone(tmp_path: Path) -> None:
    named = {"HOURGLASS_STATE": str(tmp_path), "HOURGLASS_HOME": HOME, "HOURGLASS_PROVIDERS": "practice"}
    # Nobody there to tell the time: that keeps nothing from its end.
    environment = {"PATH": os.environ["PATH"], "SLACK_API_URL": "http://127.0.0.1:1/api/", **named}
    ran = subprocess.run(
        [sys.executable, "-m", "bot.cli", "reap"], env=environment, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
    assert "0 ended; 0 in their time" in ran.stdout + ran.stderr
    assert not (tmp_path / "hourglass.db").exists()
