"""`hourglass aws smoke` over moto, with machines that power off by their user data and schedules that fire.

Time is the clock's: each wait of the command is a step in which the cloud does what it would have done meanwhile.
"""

from __future__ import annotations

import json
import re
from base64 import b64decode
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from bot.cli import cli
from bot.smoke import World, run
from jobs import smoke
from jobs.errors import Refused
from jobs.providers.aws_policies import Estate, bot
from jobs.settings import Settings, load
from jobs.smoke import Layer
from tests.aws import timers
from tests.aws.cloud import GROUP, IMAGE, REGION, SCHEDULER_ROLE, Cloud
from tests.support.clock import FakeClock

HOME = "5m0ke000-0000-4000-8000-000000000000"
ZONE = "us-east-1a"
LIVE = ("pending", "running")


class Ground:
    """A cloud whose time passes only while somebody waits."""

    def __init__(self, cloud: Cloud, folder: Path) -> None:
        self.cloud, self.folder = cloud, folder
        self.clock = FakeClock()
        cloud.front.now = self.clock.now
        cloud.front.supply.list_prices = {(REGION, "g4dn.xlarge"): "0.526", (REGION, "g5.xlarge"): "1.006"}
        cloud.with_schedules()
        self.born: dict[str, datetime] = {}
        self.waits = 0
        self.interrupted_at = 0  # the wait in which somebody presses Ctrl-C
        self.dead: set[str] = set()  # what does not work: "timers", "schedules"

    def wait(self, seconds: float) -> None:
        self.waits += 1
        if self.waits == self.interrupted_at:
            raise KeyboardInterrupt
        self.clock.advance(seconds)
        now = self.clock.now()
        for machine, words in self.machines():
            born = self.born.setdefault(machine["InstanceId"], now)
            if now >= self.power_off(words, born) and "timers" not in self.dead:
                self.cloud.books().terminate_instances(InstanceIds=[machine["InstanceId"]])
        if "schedules" not in self.dead:
            timers.fire(self.cloud.as_hosts, REGION, now)

    def machines(self) -> list[tuple[dict[str, Any], dict[str, str]]]:
        """Return what stands, each with the request that made it."""
        standing = self.cloud.instances(*LIVE)
        requests = {words["ClientToken"]: words for words in self.cloud.front.launches()}
        return [(one, requests[tag["Value"]]) for one in standing for tag in one["Tags"] if tag["Key"] == "key"]

    def power_off(self, words: dict[str, str], born: datetime) -> datetime:
        """Return when a machine's user data powers it off, as bash would read it."""
        script = b64decode(words["UserData"]).decode()
        deadline = re.search(r"^DEADLINE=(\d+)$", script, re.MULTILINE)
        if deadline:
            assert "\nwork() { exec sleep infinity; }\n" in script and script.rstrip().endswith("esac")
            return datetime.fromtimestamp(int(deadline[1]), born.tzinfo)
        minutes = re.fullmatch(r"#!/bin/bash\nshutdown -P \+(\d+)\n", script)
        assert minutes is not None
        return born + timedelta(minutes=int(minutes[1]))

    def run(self, max_cost: float = 1.0, **variables: str) -> int:
        named = {"HOURGLASS_AWS_IMAGE": IMAGE, "HOURGLASS_AWS_SCHEDULER_ROLE": SCHEDULER_ROLE}
        settings: Settings = load(named | {"HOURGLASS_AWS_SCHEDULE_GROUP": GROUP} | variables)
        world = World(clients=self.cloud.client, clock=self.clock, wait=self.wait, home=HOME)
        return run(max_cost, self.folder, yes=True, settings=settings, world=world)

    def report(self) -> tuple[dict[str, dict[str, Any]], str]:
        (plain,) = self.folder.glob("*.json")
        told = json.loads(plain.read_text())
        return {trial["layer"]: trial for trial in told["trials"]}, plain.with_suffix(".md").read_text()

    def outcomes(self) -> dict[str, str]:
        return {layer: trial["outcome"] for layer, trial in self.report()[0].items()}


@pytest.fixture
def ground(tmp_path: Path) -> Iterator[Ground]:
    with Cloud() as cloud:
        yield Ground(cloud, tmp_path / "reports")


def test_each_layer_alone_ends_its_machine_and_the_report_says_when(ground: Ground) -> None:
    assert ground.run() == 0
    trials, text = ground.report()
    assert ground.outcomes() == dict.fromkeys(("schedule", "warden", "reaper", "bot"), "proved")
    late = {layer: trial["late"] for layer, trial in trials.items()}
    assert all(0 <= late[layer] <= 10 for layer in ("schedule", "warden", "bot"))
    assert 60 <= late["reaper"] <= 70, "it leaves a minute to listings that lag"
    assert len({trial["instance"] for trial in trials.values()}) == 4
    assert ground.cloud.instances(*LIVE) == [] and timers.standing(REGION) == []
    assert all(trial["instance"] in text for trial in trials.values())
    assert "Account 123456789012, g4dn.xlarge" in text
    assert sum(trial["micros"] for trial in trials.values()) < 250_000


def test_machines_are_the_cheapest_end_by_themselves_and_are_of_no_deployment(ground: Ground) -> None:
    ground.run()
    launches = ground.cloud.front.launches()
    assert {words["InstanceType"] for words in launches} == {"g4dn.xlarge"}
    assert {words["InstanceInitiatedShutdownBehavior"] for words in launches} == {"terminate"}
    tagged = [value for words in launches for value in words.values() if value == HOME]
    assert len(tagged) == 2 * len(launches), "instance and volume"
    created = [call for call in ground.cloud.front.calls if call == "CreateSchedule"]
    assert len(created) == 1, "only the machine whose layer it is has a schedule"


@pytest.mark.parametrize(("dead", "failed"), [("schedules", {"schedule"}), ("timers", {"warden"})])
def test_a_layer_that_does_not_work_fails_alone_and_its_machine_is_ended(
    ground: Ground, dead: str, failed: set[str]
) -> None:
    ground.dead = {dead}
    assert ground.run() == 1
    outcomes = ground.outcomes()
    assert {layer for layer, outcome in outcomes.items() if outcome == "failed"} == failed
    assert {layer for layer, outcome in outcomes.items() if outcome == "proved"} == set(Layer) - failed
    assert "It stood 5 minutes after its deadline." in ground.report()[1]
    assert ground.cloud.instances(*LIVE) == [] and timers.standing(REGION) == []


def test_a_machine_that_something_else_ends_proves_nothing(ground: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(smoke, "LAST", timedelta(minutes=2))
    assert ground.run() == 1
    assert ground.outcomes() == {"schedule": "failed", "warden": "proved", "reaper": "failed", "bot": "failed"}
    assert "something else ended it" in ground.report()[1]


@pytest.mark.parametrize("press", [1, 20, 75, 130])
def test_ctrl_c_leaves_nothing_behind_and_keeps_what_was_seen(
    ground: Ground, press: int, capsys: pytest.CaptureFixture[str]
) -> None:
    ground.interrupted_at = press
    assert ground.run() == 1
    assert ground.cloud.instances(*LIVE) == [] and timers.standing(REGION) == []
    assert "Nothing is left behind." in capsys.readouterr().out
    assert "failed" in ground.outcomes().values()
    assert "It was cut off." in ground.report()[1]


def test_a_lost_answer_is_a_machine_that_is_ended_by_its_tag(ground: Ground) -> None:
    with ground.cloud.front.losing_answers("RunInstances"):
        assert ground.run() == 1
    assert set(ground.outcomes().values()) == {"failed"}
    assert ground.cloud.instances("terminated") and ground.cloud.instances(*LIVE) == []


def test_what_is_not_seen_to_be_gone_is_named_with_its_tag(ground: Ground, capsys: pytest.CaptureFixture[str]) -> None:
    ground.interrupted_at, ground.dead = 20, {"schedules"}
    with ground.cloud.front.refusing("TerminateInstances", "UnauthorizedOperation", 403):
        ground.run()
    said = capsys.readouterr().out
    assert "LOOK YOURSELF" in said and f"home={HOME}" in said


def test_a_zone_without_room_leads_to_the_next_machine_that_the_money_pays_for(ground: Ground) -> None:
    ground.cloud.front.supply.room = {(f"us-east-1{zone}", "g4dn.xlarge", False): 0 for zone in "abcdef"}
    assert ground.run(max_cost=1.2) == 0
    assert {words["InstanceType"] for words in ground.cloud.front.launches()} == {"g5.xlarge"}


@pytest.mark.parametrize(
    ("max_cost", "role", "proved"),
    [
        (1.0, SCHEDULER_ROLE, ["schedule", "warden", "reaper", "bot"]),
        (0.3, SCHEDULER_ROLE, ["schedule", "warden"]),
        (0.3, "", ["warden", "reaper"]),
    ],
)
def test_only_what_the_money_pays_for_in_the_worst_case_is_tried_and_the_rest_is_named(
    ground: Ground, max_cost: float, role: str, proved: Sequence[str]
) -> None:
    assert ground.run(max_cost, HOURGLASS_AWS_SCHEDULER_ROLE=role) == 0
    assert [layer for layer, outcome in ground.outcomes().items() if outcome == "proved"] == list(proved)
    text = ground.report()[1]
    assert ("--max-cost does not pay for it" in text) == (max_cost < 1)
    assert ("HOURGLASS_AWS_SCHEDULER_ROLE is not set" in text) == (not role)


def test_less_than_one_machine_in_the_worst_case_rents_nothing(ground: Ground) -> None:
    with pytest.raises(Refused, match=r"One machine may cost \$0\.14, more than --max-cost 0\.1"):
        ground.run(0.1)
    assert ground.cloud.front.launches() == []


def test_the_worst_case_holds_where_nothing_but_the_last_timer_works() -> None:
    assert smoke.LAST + timedelta(minutes=2) <= smoke.PAID, "a boot takes two minutes at the most"
    assert smoke.LIVES + smoke.WATCHED < smoke.LAST, "no last timer ends a machine that is on trial"


def test_the_bots_own_rights_are_enough(ground: Ground) -> None:
    ground.cloud.front.policy = _with_identity(bot(Estate(account="123456789012", bucket="team-files")))
    assert ground.run() == 0


def _with_identity(policy: Any) -> Any:
    asks = {"Effect": "Allow", "Action": ["sts:GetCallerIdentity"], "Resource": ["*"]}  # which nobody can be refused
    return {**policy, "Statement": [*policy["Statement"], asks]}


def test_the_command_asks_first_and_a_no_rents_nothing(
    ground: Ground, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name, value in ground.cloud.environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("HOURGLASS_AWS_IMAGE", IMAGE)
    ran = CliRunner().invoke(cli, ["aws", "smoke", "--max-cost", "1", "--out", str(tmp_path)], input="n\n")
    assert (ran.exit_code, ground.cloud.front.launches()) == (1, [])
    assert "Rent them?" in ran.output and "Nothing was rented." in ran.output
    assert "3 × g4dn.xlarge ($0.53 an hour)" in ran.output and "in the worst case" in ran.output
