"""What each role may do: everything that the code asks of Amazon, and nothing that it must not ask."""

from __future__ import annotations

import ast
import dataclasses
import http.client
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import boto3
import pytest
from botocore.exceptions import ClientError

from jobs.errors import Unauthorized
from jobs.providers import Need
from jobs.providers.aws import Aws
from jobs.providers.aws_policies import Estate, bot, job, reaper, scheduler, statement_for
from jobs.reaper import Reaper
from tests.aws import timers
from tests.aws.books import HOME, SMALL, Scripts, order, provider
from tests.aws.cloud import REGION, Cloud
from tests.support.clock import FakeClock
from trainer.storage import open_store

ACCOUNT = "123456789012"
ESTATE = Estate(account=ACCOUNT, bucket="team-files", prefix="hg")
NOW = datetime(2026, 11, 12, 10, tzinfo=UTC)
ENDS = order().deadline
OTHERS: Any = {"ImageId": "ami-9b32e8e2", "MinCount": 1, "MaxCount": 1, "InstanceType": "c7i.large"}


@pytest.fixture
def cloud() -> Iterator[Cloud]:
    with Cloud() as cloud:
        cloud.front.now = lambda: NOW
        yield cloud


def rented(cloud: Cloud, policy: Mapping[str, Any] | None = None) -> Aws:
    """Return the provider, its policy enforced from now on."""
    aws = provider(cloud, Scripts(), schedules=cloud.with_schedules())
    cloud.front.policy = policy if policy is not None else bot(ESTATE)
    return aws


def denied(call: Any, **what: Any) -> str:
    with pytest.raises(ClientError) as caught:
        call(**what)
    return str(caught.value.response["Error"]["Code"])


# ---------------------------------------------------------------- what the code takes is allowed


def test_the_bots_policy_is_enough_for_a_whole_rental(cloud: Cloud) -> None:
    aws = rented(cloud)
    machine = aws.launch(SMALL, order())
    aws.extend(machine, ENDS)
    aws.extend(machine, ENDS + timedelta(hours=1))
    found = aws.find(order().launch_key)
    assert found is not None and found.limit == ENDS + timedelta(hours=1)
    assert len(aws.list()) == 1
    aws.terminate(found)
    gone = aws.find(order().launch_key)
    assert gone is not None
    aws.terminate(gone)
    assert timers.standing(REGION) == []


def test_a_spot_machine_and_the_answers_that_lead_to_one_are_in_it(cloud: Cloud) -> None:
    aws = rented(cloud)
    aws.launch(dataclasses.replace(SMALL, spot=True), order())
    ec2 = cloud.client("ec2", REGION)
    for look in (ec2.describe_spot_price_history, ec2.describe_instance_type_offerings, ec2.describe_subnets):
        look()
    assert list(aws.offers(Need(gpu="cpu", memory_gb=None, count=0, spot=False, disk_gb=100)))


def test_the_bot_keeps_files_in_its_own_prefix_alone(cloud: Cloud) -> None:
    for name in ("team-files", "other-files"):
        cloud.bucket(name)
    cloud.front.policy = bot(ESTATE)
    store = open_store("s3://team-files/hg", cloud.store_environment())
    store.put("jobs/J1/a1/x", b"x")
    assert (store.get("jobs/J1/a1/x"), [*store.keys("jobs")]) == (b"x", ["jobs/J1/a1/x"])
    store.delete("jobs/J1/a1/x")
    s3 = cloud.client("s3", REGION)
    for bucket, key in (("team-files", "payroll/x"), ("other-files", "hg/x")):
        assert denied(s3.put_object, Bucket=bucket, Key=key, Body=b"x") == "AccessDenied"


def test_the_reapers_policy_is_enough_to_end_what_is_past_its_deadline(cloud: Cloud) -> None:
    provider(cloud, Scripts()).launch(SMALL, order())
    cloud.front.policy = reaper(ESTATE)
    report = Reaper({"aws": provider(cloud, Scripts())}, FakeClock(ENDS + timedelta(minutes=5)), HOME).round()
    assert (len(report.ended), report.failed) == (1, {})


@pytest.mark.parametrize("action", ["launch", "extend"])
def test_the_reaper_can_neither_rent_nor_move_a_deadline(cloud: Cloud, action: str) -> None:
    machine = provider(cloud, Scripts()).launch(SMALL, order())
    cloud.front.policy = reaper(ESTATE)
    aws = provider(cloud, Scripts())
    with pytest.raises(Unauthorized):
        aws.launch(SMALL, order("other12")) if action == "launch" else aws.extend(machine, ENDS)


# ---------------------------------------------------------------- what it must not take is refused


def test_machines_that_are_not_ours_can_be_neither_made_nor_ended_nor_named_anew(cloud: Cloud) -> None:
    (theirs,) = cloud.books().run_instances(**OTHERS)["Instances"]
    cloud.front.policy = bot(ESTATE)
    ec2 = cloud.client("ec2", REGION)
    assert denied(ec2.run_instances, **OTHERS) == "UnauthorizedOperation"
    assert denied(ec2.terminate_instances, InstanceIds=[theirs["InstanceId"]]) == "UnauthorizedOperation"
    tag = [{"Key": "deadline", "Value": "1"}]
    assert denied(ec2.create_tags, Resources=[theirs["InstanceId"]], Tags=tag) == "UnauthorizedOperation"


@pytest.mark.parametrize("key", ["app", "home", "hold", "Name"])
def test_of_our_own_machines_only_the_deadline_is_named_anew(cloud: Cloud, key: str) -> None:
    aws = rented(cloud)
    machine = aws.launch(SMALL, order())
    tags = [{"Key": "deadline", "Value": "1"}, {"Key": key, "Value": "x"}]
    refusal = denied(cloud.client("ec2", REGION).create_tags, Resources=[machine.id], Tags=tags)
    assert refusal == "UnauthorizedOperation"


def test_a_type_or_a_region_that_is_not_named_is_refused(cloud: Cloud) -> None:
    aws = rented(cloud, bot(dataclasses.replace(ESTATE, types=("g4dn.xlarge",))))
    with pytest.raises(Unauthorized):
        aws.launch(SMALL, order())
    cloud.front.policy = bot(dataclasses.replace(ESTATE, regions=("us-west-2",)))
    with pytest.raises(Unauthorized):
        aws.launch(SMALL, order())
    cloud.front.policy = bot(dataclasses.replace(ESTATE, types=(SMALL.name,)))
    aws.launch(SMALL, order())


def test_a_schedule_acts_under_its_own_role_and_no_other_and_only_in_its_group(cloud: Cloud) -> None:
    aws = rented(cloud)
    machine = aws.launch(SMALL, order())
    aws.extend(machine, ENDS)
    asked = cloud.client("scheduler", REGION).get_schedule(GroupName="hourglass", Name=order().launch_key)
    told = {name: asked[name] for name in ("ScheduleExpression", "FlexibleTimeWindow", "Target")}
    client = cloud.client("scheduler", REGION)
    admin = {**told["Target"], "RoleArn": f"arn:aws:iam::{ACCOUNT}:role/admin"}
    cloud.front.roles.add(admin["RoleArn"])
    mine: Any = {"GroupName": "hourglass", "Name": "mine"}
    assert denied(client.create_schedule, **{**told, **mine, "Target": admin}) == "AccessDeniedException"
    elsewhere: Any = {"GroupName": "default", "Name": "mine"}
    assert denied(client.create_schedule, **told, **elsewhere) == "AccessDeniedException"


@pytest.mark.parametrize("role", ["admin", "hourglass-scheduler", "hourglass-reaper"])
def test_of_all_roles_the_bot_takes_the_jobs_alone(cloud: Cloud, role: str) -> None:
    cloud.front.policy = bot(ESTATE)
    sts = cloud.client("sts", REGION)
    sts.assume_role(RoleArn=ESTATE.role("hourglass-job"), RoleSessionName="test")
    refusal = denied(sts.assume_role, RoleArn=f"arn:aws:iam::{ACCOUNT}:role/{role}", RoleSessionName="test")
    assert refusal == "AccessDenied"


def test_a_schedule_ends_our_machines_and_nobody_elses(cloud: Cloud) -> None:
    (theirs,) = cloud.books().run_instances(**OTHERS)["Instances"]
    ours = provider(cloud, Scripts()).launch(SMALL, order())
    cloud.front.policy = scheduler(ESTATE)
    ec2 = cloud.client("ec2", REGION)
    assert denied(ec2.terminate_instances, InstanceIds=[theirs["InstanceId"]]) == "UnauthorizedOperation"
    assert denied(ec2.describe_instances) == "UnauthorizedOperation"
    ec2.terminate_instances(InstanceIds=[ours.id])


def test_a_jobs_role_keeps_files_and_can_rent_nothing(cloud: Cloud) -> None:
    cloud.bucket("team-files")
    cloud.front.policy = job(ESTATE)
    store = open_store("s3://team-files/hg", cloud.store_environment())
    store.put("jobs/J1/a1/x", b"x")
    assert denied(cloud.client("ec2", REGION).run_instances, **OTHERS) == "UnauthorizedOperation"
    assert denied(cloud.client("ec2", REGION).describe_instances) == "UnauthorizedOperation"


# ---------------------------------------------------------------- the whole of it


def test_every_call_that_the_code_makes_is_in_the_policy() -> None:
    calls = set(_calls())
    assert {"ec2:RunInstances", "ec2:TerminateInstances", "scheduler:CreateSchedule"} <= calls
    assert [call for call in sorted(calls) if statement_for(call) is None] == []


def _calls() -> Iterator[str]:
    """Yield the actions of the SDK's calls in the provider's files, found by their names."""
    known: dict[str, str] = {}
    for service in ("ec2", "ssm", "scheduler", "pricing", "sts", "ce"):
        client = boto3.client(service, region_name=REGION, aws_access_key_id="x", aws_secret_access_key="y")
        known |= {name: f"{service}:{action}" for name, action in client.meta.method_to_api_mapping.items()}
    root = Path(__file__).parents[2] / "jobs"
    for path in [*root.glob("providers/aws*.py"), root / "credentials.py"]:
        if path.stem in ("aws_setup", "aws_smoke", "aws_costs"):
            continue  # an operator's own rights, not the bot's
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                named = node.args[0] if node.func.attr == "get_paginator" else None
                name = named.value if isinstance(named, ast.Constant) else node.func.attr
                if name in known:
                    yield known[str(name)]


def test_a_refusal_names_the_statement_that_is_missing(cloud: Cloud) -> None:
    whole = bot(ESTATE)
    lacking = {**whole, "Statement": [each for each in whole["Statement"] if each["Sid"] != "EndMachines"]}
    aws = rented(cloud, lacking)
    machine = aws.launch(SMALL, order())
    with pytest.raises(Unauthorized, match="lacks `ec2:TerminateInstances`, its statement EndMachines; `hourglass aws"):
        aws.terminate(machine)


def test_a_statement_is_found_by_the_action_that_it_allows() -> None:
    assert statement_for("ec2:TerminateInstances") == "EndMachines"
    assert statement_for("ec2:RunInstances") == "RentMachines, WithDisks, InTheNetwork"
    assert statement_for("iam:CreateUser") is None


def test_a_policy_fits_where_amazon_takes_it() -> None:
    wide = dataclasses.replace(ESTATE, regions=("us-east-1", "us-east-2", "us-west-2"), kms_key="arn:aws:kms:…")
    assert len(json.dumps(bot(wide), separators=(",", ":"))) < 6144, "of a managed policy"
    for made in (job, scheduler, reaper):
        assert len(json.dumps(made(wide), separators=(",", ":"))) < 2048


def test_motos_own_judge_agrees_about_the_actions(cloud: Cloud) -> None:
    """moto judges actions alone: its judge is given the same statements without resources and conditions.

    Of the scheduler it cannot check the signature of a look, so a rental without schedules is judged.
    """
    bare = [{"Effect": "Allow", "Action": each["Action"], "Resource": "*"} for each in bot(ESTATE)["Statement"]]
    iam = cloud.client("iam", REGION)
    iam.create_user(UserName="bot")
    iam.put_user_policy(
        UserName="bot",
        PolicyName="bot",
        PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": bare}),
    )
    keys = iam.create_access_key(UserName="bot")["AccessKey"]
    with enforced(cloud):

        def client(service: str, region: str) -> Any:
            return boto3.client(
                service,
                endpoint_url=cloud.endpoint,
                region_name=region,
                aws_access_key_id=keys["AccessKeyId"],
                aws_secret_access_key=keys["SecretAccessKey"],
            )

        aws = provider(cloud, Scripts(), clients=client)
        machine = aws.launch(SMALL, order())
        aws.extend(machine, ENDS)
        assert len(aws.list()) == 1
        aws.terminate(machine)
        assert denied(client("ec2", REGION).stop_instances, InstanceIds=[machine.id]) == "AccessDenied"
        assert denied(client("iam", REGION).list_users) == "AccessDenied"


@contextmanager
def enforced(cloud: Cloud) -> Iterator[None]:
    """Let moto judge whoever asks, for the block."""

    def after(calls: str) -> None:
        parts = urlsplit(cloud.endpoint)
        connection = http.client.HTTPConnection(str(parts.hostname), parts.port, timeout=30)
        connection.request("POST", "/moto-api/reset-auth", calls, {"Content-Type": "text/plain"})
        assert connection.getresponse().status == 200
        connection.close()

    after("0")
    try:
        yield
    finally:
        after("inf")
