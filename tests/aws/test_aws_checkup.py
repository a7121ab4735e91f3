"""What `hourglass doctor` sees at Amazon: all is well after the setup, and each thing that is missing is named."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from bot import checkup
from bot.aws import setup
from jobs.clock import SystemClock
from jobs.credentials import JobCredentials
from jobs.errors import Rejected
from jobs.providers.aws_checkup import Seen
from jobs.providers.aws_policies import Estate, bot
from jobs.settings import load
from tests.aws.books import HOME, SMALL, Scripts, order, provider
from tests.aws.cloud import IMAGE, REGION, ROLE, SCHEDULER_ROLE, Cloud
from tests.aws.harness import prices

SETTINGS = {
    "HOURGLASS_STORE": "s3://team-files/hg",
    "HOURGLASS_AWS_REGIONS": REGION,
    "HOURGLASS_AWS_JOB_ROLE": ROLE,
    "HOURGLASS_AWS_SCHEDULER_ROLE": SCHEDULER_ROLE,
    "HOURGLASS_AWS_IMAGE": IMAGE,
}
PARTS = [f"launch {REGION}", f"timers {REGION}", "job role", "files", "encryption", "lifecycle"]
PRICES = f"prices {REGION}"
ESTATE = Estate(account="123456789012", bucket="team-files", prefix="hg")


@pytest.fixture
def cloud() -> Iterator[Cloud]:
    with Cloud() as cloud:
        yield cloud


def made(cloud: Cloud, **changes: str) -> None:
    """Make what `hourglass aws setup --apply` makes."""
    setup(
        apply=True,
        bot="arn:aws:iam::123456789012:user/bot",
        reaper="",
        types=(),
        vpc="",
        subnets=(),
        keep_days=90,
        clients=cloud.client,
        configured=load({**SETTINGS, **changes}),
    )


def looked(cloud: Cloud, **changes: str) -> dict[str, Seen]:
    """Return what the doctor sees, by part."""
    settings = load({**SETTINGS, **changes})
    clock = SystemClock()  # as the cloud's own
    lender = JobCredentials(
        role=ROLE,
        store_uri=settings.store_uri(),
        clock=clock,
        environment=cloud.environment(),
        sts=cloud.client("sts", REGION),
    )
    found = checkup.aws(settings, HOME, clients=cloud.client, lender=lender, clock=clock, offers=prices())
    return {seen.part: seen for seen in found}


def test_after_the_setup_all_is_well_and_the_bots_own_policy_is_enough(cloud: Cloud) -> None:
    made(cloud)
    cloud.front.policy = bot(ESTATE)
    seen = looked(cloud)
    assert list(seen) == [PRICES, *PARTS]
    assert [each.says for each in seen.values() if not each.well] == []
    assert "g4dn.xlarge" in seen[PARTS[0]].says and "which lets nothing in" in seen[PARTS[0]].says
    assert "lent for 12 hours" in seen["job role"].says
    assert "AES256" in seen["encryption"].says
    assert cloud.instances() == [], "nothing was rented"


@pytest.mark.parametrize(
    ("statement", "part", "named"),
    [
        ("SeeMachinesAndPrices", PRICES, "its statement SeeMachinesAndPrices"),
        ("RentMachines", PARTS[0], "`ec2:RunInstances`, its statement RentMachines, WithDisks, InTheNetwork"),
        ("TagWhatIsRented", PARTS[0], "`ec2:CreateTags`, its statement TagWhatIsRented"),
        ("SeeMachinesAndPrices", PARTS[0], "its statement SeeMachinesAndPrices"),
        ("ListSchedules", PARTS[1], "`scheduler:ListSchedules`, its statement ListSchedules"),
        ("KeepSchedules", PARTS[1], "`scheduler:GetSchedule`, its statement KeepSchedules"),
        ("LendTheJobsRole", "job role", "`sts:AssumeRole`, its statement LendTheJobsRole"),
        ("KeepFiles", "files", "`s3:PutObject`, its statement KeepFiles"),
        ("ListFiles", "files", "`s3:ListBucket`, its statement ListFiles"),
        ("SeeTheBucketsRules", "encryption", "`s3:GetEncryptionConfiguration`, its statement SeeTheBucketsRules"),
        ("SeeTheBucketsRules", "lifecycle", "`s3:GetLifecycleConfiguration`, its statement SeeTheBucketsRules"),
    ],
)
def test_a_statement_that_is_missing_is_named(cloud: Cloud, statement: str, part: str, named: str) -> None:
    made(cloud)
    whole: Mapping[str, Any] = bot(ESTATE)
    cloud.front.policy = {"Statement": [each for each in whole["Statement"] if each["Sid"] != statement]}
    seen = looked(cloud)[part]
    assert not seen.well
    assert named in seen.says


def test_where_nothing_was_made_each_part_says_what_to_do(cloud: Cloud) -> None:
    cloud.client("s3", REGION).create_bucket(Bucket="team-files")
    seen = looked(cloud)
    assert "no group of schedules hourglass" in seen[PARTS[1]].says
    assert "removes uploads that were cut off" in seen["lifecycle"].says
    for part in (PARTS[1], "lifecycle"):
        assert not seen[part].well and "`hourglass aws setup --apply` does it." in seen[part].says


def test_another_key_than_the_teams_is_told(cloud: Cloud) -> None:
    made(cloud)
    seen = looked(cloud, HOURGLASS_AWS_KMS_KEY="arn:aws:kms:us-east-1:123456789012:key/1")
    assert "not encrypted with HOURGLASS_AWS_KMS_KEY" in seen["encryption"].says


@pytest.mark.parametrize(
    ("rule", "well"),
    [
        ({"Filter": {"Prefix": ""}, "Status": "Enabled"}, True),
        ({"Filter": {"Prefix": "hg/"}, "Status": "Enabled"}, True),
        ({"Filter": {"Prefix": "hg/jobs/"}, "Status": "Enabled"}, False),
        ({"Filter": {"Prefix": ""}, "Status": "Disabled"}, False),
        ({"Filter": {"Tag": {"Key": "a", "Value": "b"}}, "Status": "Enabled"}, False),
    ],
)
def test_a_rule_counts_where_it_reaches_all_of_the_store(cloud: Cloud, rule: dict[str, Any], well: bool) -> None:
    s3 = cloud.client("s3", REGION)
    s3.create_bucket(Bucket="team-files")
    whole = {"ID": "theirs", "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 7}, **rule}
    s3.put_bucket_lifecycle_configuration(Bucket="team-files", LifecycleConfiguration={"Rules": [whole]})
    assert looked(cloud)["lifecycle"].well is well


def test_without_schedules_there_are_none_to_look_for(cloud: Cloud) -> None:
    made(cloud)
    assert PARTS[1] not in looked(cloud, HOURGLASS_AWS_SCHEDULER_ROLE="")


# ---------------------------------------------------------------- a way in


def a_group(cloud: Cloud, *rules: dict[str, Any]) -> str:
    ec2 = cloud.client("ec2", REGION)
    (vpc,) = ec2.describe_vpcs(Filters=[{"Name": "is-default", "Values": ["true"]}])["Vpcs"]
    group = str(ec2.create_security_group(GroupName="open", Description="-", VpcId=vpc["VpcId"])["GroupId"])
    for rule in rules:
        own = [{"GroupId": group}] if rule.pop("own", False) else []
        ec2.authorize_security_group_ingress(
            GroupId=group, IpPermissions=[{**rule, **({"UserIdGroupPairs": own} if own else {})}]
        )
    return group


SSH = {"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}
PORTS = {"IpProtocol": "tcp", "FromPort": 8000, "ToPort": 8080, "Ipv6Ranges": [{"CidrIpv6": "::/0"}]}


def test_a_group_with_a_way_in_is_refused_in_words_and_nothing_is_rented(cloud: Cloud) -> None:
    group = a_group(cloud, SSH, PORTS)
    aws = provider(cloud, Scripts(), security_group=group)
    with pytest.raises(
        Rejected, match=r"lets in tcp 22 from 0\.0\.0\.0/0, tcp 8000-8080 from ::/0.*Remove its inbound"
    ):
        aws.launch(SMALL, order())
    assert cloud.instances() == []
    seen = looked(cloud, HOURGLASS_AWS_SECURITY_GROUP=group)[PARTS[0]]
    assert not seen.well and f"The security group {group} in {REGION} lets in tcp 22" in seen.says


def test_once_its_rules_are_removed_the_next_launch_stands(cloud: Cloud) -> None:
    group = a_group(cloud, SSH)
    aws = provider(cloud, Scripts(), security_group=group)
    with pytest.raises(Rejected, match="lets in"):
        aws.launch(SMALL, order())
    cloud.client("ec2", REGION).revoke_security_group_ingress(GroupId=group, IpPermissions=[SSH])
    aws.launch(SMALL, order())
    (machine,) = cloud.instances()
    assert machine["SecurityGroups"][0]["GroupId"] == group


def test_machines_of_one_group_may_reach_each_other(cloud: Cloud) -> None:
    group = a_group(cloud, {"IpProtocol": "-1", "own": True})
    provider(cloud, Scripts(), security_group=group).launch(SMALL, order())


@pytest.mark.parametrize("named", [False, True])
def test_the_networks_own_group_is_looked_at_where_nobody_names_one(cloud: Cloud, named: bool) -> None:
    ec2 = cloud.client("ec2", REGION)
    (vpc,) = ec2.describe_vpcs(Filters=[{"Name": "is-default", "Values": ["true"]}])["Vpcs"]
    inside = {"Name": "vpc-id", "Values": [vpc["VpcId"]]}
    default = {"Name": "group-name", "Values": ["default"]}
    (group,) = ec2.describe_security_groups(Filters=[inside, default])["SecurityGroups"]
    subnets = [ec2.describe_subnets(Filters=[inside])["Subnets"][0]["SubnetId"]] if named else []
    ec2.authorize_security_group_ingress(GroupId=group["GroupId"], IpPermissions=[SSH])
    with pytest.raises(Rejected, match=rf"group {group['GroupId']} in {REGION} lets in tcp 22"):
        provider(cloud, Scripts(), subnets=subnets).launch(SMALL, order())
    assert cloud.instances() == []

    ec2.revoke_security_group_ingress(GroupId=group["GroupId"], IpPermissions=[SSH])
    provider(cloud, Scripts(), subnets=subnets).launch(SMALL, order())
    (machine,) = cloud.instances()
    assert [one["GroupId"] for one in machine["SecurityGroups"]] == [group["GroupId"]]
