"""`hourglass aws setup` makes what a deployment needs, twice as well as once, and leaves what others made alone."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator

import pytest

from bot.aws import setup
from jobs.errors import Misconfigured
from jobs.providers.aws_policies import Estate, bot, job, scheduler
from jobs.settings import load
from tests.aws.books import SMALL, Scripts, order, provider
from tests.aws.cloud import REGION, Cloud

BOT = "arn:aws:iam::123456789012:user/bot"
SETTINGS = {"HOURGLASS_STORE": "s3://team-files/hg", "HOURGLASS_AWS_REGIONS": f"{REGION},us-west-2"}


@pytest.fixture
def cloud() -> Iterator[Cloud]:
    with Cloud() as cloud:
        yield cloud


def ran(
    cloud: Cloud,
    *,
    apply: bool = True,
    environment: dict[str, str] | None = None,
    keep_days: int = 90,
    accountant: str = "",
    vpc: str = "",
    subnets: tuple[str, ...] = (),
) -> None:
    setup(
        apply=apply,
        bot=BOT,
        reaper="",
        types=(),
        vpc=vpc,
        subnets=subnets,
        keep_days=keep_days,
        accountant=accountant,
        clients=cloud.client,
        configured=load(environment or SETTINGS),
    )


def test_printed_it_makes_nothing_and_shows_every_policy_and_setting(
    cloud: Cloud, capsys: pytest.CaptureFixture[str]
) -> None:
    ran(cloud, apply=False)
    printed = capsys.readouterr().out
    estate = Estate(account="123456789012", bucket="team-files", prefix="hg", regions=(REGION, "us-west-2"))
    for policy in (bot(estate), job(estate), scheduler(estate)):
        assert json.dumps(policy, indent=2) in printed
    assert "HOURGLASS_AWS_SCHEDULER_ROLE=arn:aws:iam::123456789012:role/hourglass-scheduler" in printed
    assert cloud.client("s3", REGION).list_buckets()["Buckets"] == []


def test_a_role_for_the_comparison_with_the_bill_is_made_for_whom_it_is_asked(
    cloud: Cloud, capsys: pytest.CaptureFixture[str]
) -> None:
    ran(cloud)
    printed = capsys.readouterr().out
    assert "CompareTheBill" in printed, "its policy is printed all the same"
    assert "CompareTheBill" not in json.dumps(bot(Estate(account="1", bucket="team-files")))
    who = "arn:aws:iam::123456789012:user/controller"
    ran(cloud, accountant=who)
    role = cloud.client("iam", REGION).get_role(RoleName="hourglass-accountant")["Role"]
    (statement,) = role["AssumeRolePolicyDocument"]["Statement"]
    assert statement["Principal"] == {"AWS": [who]}
    with pytest.raises(Misconfigured, match="is nobody a role can trust"):
        ran(cloud, accountant="controller")


def test_made_the_bucket_is_private_encrypted_and_forgets_old_attempts(cloud: Cloud) -> None:
    ran(cloud)
    s3 = cloud.client("s3", REGION)
    shut = s3.get_public_access_block(Bucket="team-files")["PublicAccessBlockConfiguration"]
    assert set(shut.values()) == {True}
    (rule,) = s3.get_bucket_encryption(Bucket="team-files")["ServerSideEncryptionConfiguration"]["Rules"]
    assert rule["ApplyServerSideEncryptionByDefault"]["SSEAlgorithm"] == "AES256"
    rules = {one["ID"]: one for one in s3.get_bucket_lifecycle_configuration(Bucket="team-files")["Rules"]}
    assert rules["hourglass-attempts"]["Expiration"]["Days"] == 90
    assert rules["hourglass-attempts"]["Filter"]["Prefix"] == "hg/jobs/"
    assert rules["hourglass-uploads"]["AbortIncompleteMultipartUpload"]["DaysAfterInitiation"] == 2


def test_done_again_it_changes_only_what_differs_and_nothing_of_others(cloud: Cloud) -> None:
    s3 = cloud.client("s3", REGION)
    s3.create_bucket(Bucket="team-files")
    theirs = {"ID": "theirs", "Status": "Enabled", "Filter": {"Prefix": "x/"}, "Expiration": {"Days": 1}}
    s3.put_bucket_lifecycle_configuration(Bucket="team-files", LifecycleConfiguration={"Rules": [theirs]})
    ran(cloud)
    ran(cloud, keep_days=30)
    rules = {one["ID"]: one for one in s3.get_bucket_lifecycle_configuration(Bucket="team-files")["Rules"]}
    assert sorted(rules) == ["hourglass-attempts", "hourglass-launches", "hourglass-uploads", "theirs"]
    assert rules["hourglass-attempts"]["Expiration"]["Days"] == 30
    iam = cloud.client("iam", REGION)
    assert iam.get_role(RoleName="hourglass-job")["Role"]["MaxSessionDuration"] == 12 * 3600
    arn = "arn:aws:iam::123456789012:policy/hourglass-bot"
    assert len(iam.list_policy_versions(PolicyArn=arn)["Versions"]) == 1
    for region in (REGION, "us-west-2"):
        groups = cloud.client("ec2", region).describe_security_groups(
            Filters=[{"Name": "tag:hourglass", "Values": ["network"]}]
        )["SecurityGroups"]
        assert [group["IpPermissions"] for group in groups] == [[]], "nothing comes in"


def test_a_network_of_one_region_is_made_there_and_the_other_region_goes_without(
    cloud: Cloud, capsys: pytest.CaptureFixture[str]
) -> None:
    ec2 = cloud.client("ec2", REGION)
    vpc = ec2.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
    subnet, other = (
        ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.9.{number}.0/24")["Subnet"]["SubnetId"] for number in (1, 2)
    )
    ran(cloud, vpc=vpc, subnets=(subnet,))
    told = capsys.readouterr().out
    assert f"network in {REGION}: 1 subnets of {vpc}" in told
    assert f"network in us-west-2: {vpc} is not in this region" in told
    tagged = [{"Name": "tag:hourglass", "Values": ["network"]}]
    assert [one["SubnetId"] for one in ec2.describe_subnets(Filters=tagged)["Subnets"]] == [subnet] != [other]
    assert cloud.client("ec2", "us-west-2").describe_security_groups(Filters=tagged)["SecurityGroups"] == []


def test_where_there_is_no_network_one_is_made_with_a_way_out_once(cloud: Cloud) -> None:
    ec2 = cloud.client("ec2", REGION)
    (default,) = ec2.describe_vpcs(Filters=[{"Name": "is-default", "Values": ["true"]}])["Vpcs"]
    for subnet in ec2.describe_subnets(Filters=[{"Name": "vpc-id", "Values": [default["VpcId"]]}])["Subnets"]:
        ec2.delete_subnet(SubnetId=subnet["SubnetId"])
    ec2.delete_vpc(VpcId=default["VpcId"])
    ran(cloud)
    ran(cloud)
    (vpc,) = ec2.describe_vpcs(Filters=[{"Name": "tag:hourglass", "Values": ["network"]}])["Vpcs"]
    inside = [{"Name": "vpc-id", "Values": [vpc["VpcId"]]}]
    subnets = ec2.describe_subnets(Filters=inside)["Subnets"]
    zones = ec2.describe_availability_zones()["AvailabilityZones"]
    assert sorted(one["AvailabilityZone"] for one in subnets) == sorted(one["ZoneName"] for one in zones)
    assert all(one["MapPublicIpOnLaunch"] for one in subnets)
    (table,) = ec2.describe_route_tables(Filters=inside)["RouteTables"]
    assert [one["GatewayId"][:4] for one in table["Routes"] if one["DestinationCidrBlock"] == "0.0.0.0/0"] == ["igw-"]

    provider(cloud, Scripts()).launch(dataclasses.replace(SMALL, zone=f"{REGION}b"), order())
    (machine,) = cloud.instances()
    assert (machine["VpcId"], machine["SecurityGroups"][0]["GroupName"]) == (vpc["VpcId"], "hourglass")


def test_a_machine_then_stands_in_that_network(cloud: Cloud) -> None:
    ran(cloud)
    provider(cloud, Scripts()).launch(dataclasses.replace(SMALL, zone=f"{REGION}a"), order())
    (machine,) = cloud.instances()
    (group,) = machine["SecurityGroups"]
    assert group["GroupName"] == "hourglass"


def test_a_key_of_the_teams_own_encrypts_the_bucket_and_may_be_used(cloud: Cloud) -> None:
    key = "arn:aws:kms:us-east-1:123456789012:key/1"
    ran(cloud, environment={**SETTINGS, "HOURGLASS_AWS_KMS_KEY": key})
    found = cloud.client("s3", REGION).get_bucket_encryption(Bucket="team-files")
    (rule,) = found["ServerSideEncryptionConfiguration"]["Rules"]
    assert rule["ApplyServerSideEncryptionByDefault"] == {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": key}
    told = cloud.client("iam", REGION).get_role_policy(RoleName="hourglass-job", PolicyName="hourglass")
    assert "UseTheBucketsKey" in [each["Sid"] for each in told["PolicyDocument"]["Statement"]]


def test_a_store_that_is_no_bucket_is_refused(cloud: Cloud) -> None:
    with pytest.raises(Misconfigured, match="HOURGLASS_STORE"):
        ran(cloud, environment={"HOURGLASS_AWS_REGIONS": REGION})
