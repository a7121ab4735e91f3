"""The provider's calls against moto's books: what is asked for, what is answered, and what becomes of errors."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from botocore.stub import Stubber

from jobs.errors import (
    NoCapacity,
    Rejected,
    Scope,
    Throttled,
    Unknown,
)
from jobs.providers import InstanceState
from jobs.providers.aws import NOT_YET
from jobs.providers.aws_request import IMAGE_PARAMETER, client_token
from tests.aws.books import HOME, SMALL, Scripts, order, provider
from tests.aws.cloud import IMAGE, KEY, KEY_ID, REGION, Cloud
from tests.support.builders import a_need
from tests.support.clock import FakeClock

WEST = "us-west-2"


@pytest.fixture
def cloud() -> Iterator[Cloud]:
    with Cloud() as cloud:
        yield cloud


@pytest.fixture
def scripts() -> Scripts:
    return Scripts()


# ---------------------------------------------------------------- what is asked for


def test_a_machine_ends_its_own_rental_hides_its_metadata_and_encrypts_its_disk(cloud: Cloud, scripts: Scripts) -> None:
    machine = provider(cloud, scripts).launch(SMALL, order())
    ec2 = cloud.client("ec2", REGION)
    shutdown = ec2.describe_instance_attribute(InstanceId=machine.id, Attribute="instanceInitiatedShutdownBehavior")
    assert shutdown["InstanceInitiatedShutdownBehavior"]["Value"] == "terminate"
    (found,) = cloud.instances()
    asked = {name: found["MetadataOptions"][name] for name in ("HttpTokens", "HttpPutResponseHopLimit")}
    assert asked == {"HttpTokens": "required", "HttpPutResponseHopLimit": 1}
    (disk,) = ec2.describe_volumes()["Volumes"]
    assert (disk["Size"], disk["Encrypted"], disk["VolumeType"]) == (100, True, "gp3")
    assert [mapping["Ebs"]["DeleteOnTermination"] for mapping in found["BlockDeviceMappings"]] == [True]
    assert (found["InstanceType"], found["ImageId"]) == (SMALL.name, IMAGE)


def test_instance_and_volume_carry_the_orders_tags(cloud: Cloud, scripts: Scripts) -> None:
    asked = order()
    machine = provider(cloud, scripts).launch(SMALL, asked)
    (disk,) = cloud.client("ec2", REGION).describe_volumes()["Volumes"]
    on_disk = {tag["Key"]: tag["Value"] for tag in disk["Tags"]}
    assert dict(machine.tags) == dict(asked.tags)
    assert on_disk == {**asked.tags, "Name": asked.launch_key}


def test_a_disk_is_never_smaller_than_the_machine_image_needs(cloud: Cloud, scripts: Scripts) -> None:
    provider(cloud, scripts).launch(SMALL, order(disk_gb=8))
    assert [disk["Size"] for disk in cloud.client("ec2", REGION).describe_volumes()["Volumes"]] == [15]


def test_a_spot_machine_is_asked_for_once_at_the_bid_and_goes_when_it_is_taken_back(
    cloud: Cloud, scripts: Scripts
) -> None:
    aws = provider(cloud, scripts)
    spot = dataclasses.replace(SMALL, spot=True, micros_per_hour=31_400, bid=47_105)
    aws.launch(spot, order("bid"))
    aws.launch(dataclasses.replace(spot, bid=None), order("price"))
    aws.launch(SMALL, order("steady"))
    market = "InstanceMarketOptions"
    bid, price, steady = cloud.front.launches()
    assert {key: value for key, value in bid.items() if key.startswith(market)} == {
        f"{market}.MarketType": "spot",
        f"{market}.SpotOptions.MaxPrice": "0.047105",
        f"{market}.SpotOptions.SpotInstanceType": "one-time",
        f"{market}.SpotOptions.InstanceInterruptionBehavior": "terminate",
    }
    assert price[f"{market}.SpotOptions.MaxPrice"] == "0.031400"
    assert not any(key.startswith(market) for key in steady)


def test_a_machine_stands_in_the_zone_of_its_offer(cloud: Cloud, scripts: Scripts) -> None:
    subnets = cloud.client("ec2", REGION).describe_subnets()["Subnets"]
    zones = {one["SubnetId"]: one["AvailabilityZone"] for one in subnets}
    there = dataclasses.replace(SMALL, zone="us-east-1b")
    provider(cloud, scripts).launch(there, order("default"))
    provider(cloud, scripts, subnets=tuple(zones)).launch(there, order("named", attempt=3))
    assert [one["Placement"]["AvailabilityZone"] for one in cloud.instances()] == ["us-east-1b", "us-east-1b"]
    assert [zones[one["SubnetId"]] for one in cloud.instances()] == ["us-east-1b", "us-east-1b"]
    here = tuple(name for name, zone in zones.items() if zone != "us-east-1b")
    with pytest.raises(NoCapacity, match="us-east-1b"):
        provider(cloud, scripts, subnets=here).launch(there, order("moved"))


def test_subnets_that_are_tagged_for_it_are_taken_where_the_settings_name_none(cloud: Cloud, scripts: Scripts) -> None:
    ec2 = cloud.client("ec2", REGION)
    made = ec2.describe_subnets()["Subnets"][3]
    group = ec2.create_security_group(GroupName="machines", Description="no port", VpcId=made["VpcId"])["GroupId"]
    ec2.create_tags(Resources=[made["SubnetId"], group], Tags=[{"Key": "hourglass", "Value": "network"}])
    provider(cloud, scripts).launch(SMALL, order())
    (found,) = cloud.instances()
    assert (found["SubnetId"], found["SecurityGroups"][0]["GroupId"]) == (made["SubnetId"], group)


def test_subnets_take_turns_by_attempt_and_only_those_of_the_region_are_used(cloud: Cloud, scripts: Scripts) -> None:
    ours = [one["SubnetId"] for one in cloud.client("ec2", REGION).describe_subnets()["Subnets"]][:2]
    elsewhere = cloud.client("ec2", WEST).describe_subnets()["Subnets"][0]["SubnetId"]
    group = cloud.client("ec2", REGION).describe_security_groups()["SecurityGroups"][0]["GroupId"]
    aws = provider(cloud, scripts, subnets=(elsewhere, *ours), security_group=group)
    for attempt in (1, 2, 3):
        aws.launch(SMALL, order(attempt=attempt, launch_key=f"hg-a{attempt}"))
    used = {one["ClientToken"]: one["SubnetId"] for one in cloud.instances()}
    assert used == {"hg-a1": ours[0], "hg-a2": ours[1], "hg-a3": ours[0]}
    assert {one["SecurityGroups"][0]["GroupId"] for one in cloud.instances()} == {group}


def test_subnets_that_all_lie_elsewhere_are_refused_by_their_settings_name(cloud: Cloud, scripts: Scripts) -> None:
    elsewhere = cloud.client("ec2", WEST).describe_subnets()["Subnets"][0]["SubnetId"]
    with pytest.raises(Rejected, match=f"HOURGLASS_AWS_SUBNETS lies in {REGION}"):
        provider(cloud, scripts, subnets=(elsewhere,)).launch(SMALL, order())


def test_without_an_image_in_the_settings_amazons_own_is_looked_up_once(cloud: Cloud, scripts: Scripts) -> None:
    ssm = boto3.client("ssm", region_name=REGION, aws_access_key_id="x", aws_secret_access_key="y")
    with Stubber(ssm) as told:
        told.add_response("get_parameter", {"Parameter": {"Value": IMAGE}}, {"Name": IMAGE_PARAMETER})
        aws = provider(
            cloud,
            scripts,
            image=None,
            clients=lambda service, region: ssm if service == "ssm" else cloud.client(service, region),
        )
        for job in ("one", "two"):
            aws.launch(SMALL, order(job))
        told.assert_no_pending_responses()
    assert {one["ImageId"] for one in cloud.instances()} == {IMAGE}


def test_an_image_that_the_region_does_not_know_names_its_setting(cloud: Cloud, scripts: Scripts) -> None:
    with pytest.raises(Rejected, match="HOURGLASS_AWS_IMAGE"):
        provider(cloud, scripts, image="ami-0000000000000000f").launch(SMALL, order())
    assert cloud.instances() == []


def test_a_refusal_of_the_sdks_own_repeat_says_nothing_of_the_first_try(cloud: Cloud, scripts: Scripts) -> None:
    patient = boto3.session.Session()

    def client(service: str, region: str) -> Any:
        retries = Config(retries={"mode": "standard", "total_max_attempts": 2})
        return patient.client(
            service,
            region_name=region,
            endpoint_url=cloud.endpoint,
            config=retries,
            aws_access_key_id=KEY_ID,
            aws_secret_access_key=KEY,
        )

    aws = provider(cloud, scripts, clients=client)
    asked = order()
    with (
        cloud.front.losing_one_answer_and_refusing("RunInstances", "RequestLimitExceeded"),
        pytest.raises(Unknown, match="may have happened"),
    ):
        aws.launch(SMALL, asked)
    standing = aws.find(asked.launch_key)
    assert standing is not None and standing.state is InstanceState.RUNNING
    assert scripts.forgotten == []


def test_what_cannot_run_there_is_refused_before_anything_is_asked(cloud: Cloud, scripts: Scripts) -> None:
    aws = provider(cloud, scripts)
    with pytest.raises(Rejected, match="container image"):
        aws.launch(SMALL, order(image=None))
    with pytest.raises(Rejected, match="16384 bytes"):
        aws.launch(SMALL, order(boot="#" * 16_385))
    assert cloud.front.calls == []


def test_the_stand_in_itself_takes_no_longer_script_than_ec2(cloud: Cloud, scripts: Scripts) -> None:
    ec2 = cloud.client("ec2", REGION)
    asked = {"ImageId": IMAGE, "InstanceType": "c7i.large", "MinCount": 1, "MaxCount": 1}
    with pytest.raises(ClientError, match="limited to 16384 bytes"):
        ec2.run_instances(**asked, UserData="#" * 16_385)
    provider(cloud, scripts).launch(SMALL, order(boot="#" * 16_384))
    assert len(cloud.instances()) == 1


def test_a_client_token_is_the_launch_key_or_its_digest_where_that_is_too_long() -> None:
    assert client_token("hg-0a1b2c3d-k3vd9wq-a1-r0") == "hg-0a1b2c3d-k3vd9wq-a1-r0"
    long = client_token("k" * 65)
    assert (len(long), long) == (64, client_token("k" * 65))
    assert long != client_token("k" * 66)


# ---------------------------------------------------------------- offers


def test_offers_are_in_the_regions_of_the_settings_and_cheapest_first(cloud: Cloud, scripts: Scripts) -> None:
    aws = provider(cloud, scripts, regions=(WEST, REGION))
    cpu = a_need(gpu="cpu", count=0)
    assert [(o.name, o.region) for o in aws.offers(cpu)] == [
        ("c7i.large", WEST),
        ("c7i.large", REGION),
        ("c7i.xlarge", REGION),
    ]
    assert [o.region for o in provider(cloud, scripts).offers(cpu)] == [REGION, REGION]
    assert list(aws.offers(dataclasses.replace(cpu, spot=True))) == [], "there is no spot price of it"


def test_a_whole_instance_meets_the_need_of_one_gpu_and_another_memory_does_not(cloud: Cloud, scripts: Scripts) -> None:
    aws = provider(cloud, scripts)
    assert [o.gpus for o in aws.offers(a_need(gpu="a100", count=1))] == [8]
    assert [o.gpus for o in aws.offers(a_need(gpu="a100", count=8, memory_gb=40))] == [8]
    assert list(aws.offers(a_need(gpu="a100", memory_gb=80))) == []
    assert list(aws.offers(a_need(gpu="t4", count=2))) == []


# ---------------------------------------------------------------- asked twice, answered to nobody


def test_the_same_order_is_the_same_machine_even_with_another_provider_object(cloud: Cloud, scripts: Scripts) -> None:
    first = provider(cloud, scripts).launch(SMALL, order())
    again = provider(cloud, scripts).launch(SMALL, order())
    assert first.id == again.id
    assert len(cloud.instances()) == 1


def test_a_key_that_comes_with_another_request_meets_the_machine_that_stands(cloud: Cloud, scripts: Scripts) -> None:
    aws = provider(cloud, scripts)
    first = aws.launch(SMALL, order())
    assert aws.launch(SMALL, order(disk_gb=500)).id == first.id
    assert len(cloud.instances()) == 1
    assert scripts.forgotten == []


def test_a_lost_answer_is_unknown_and_the_machine_is_found_by_its_key(cloud: Cloud, scripts: Scripts) -> None:
    aws = provider(cloud, scripts)
    asked = order()
    with cloud.front.losing_answers("RunInstances"), pytest.raises(Unknown, match="may have happened"):
        aws.launch(SMALL, asked)
    found = aws.find(asked.launch_key)
    assert found is not None
    assert found.state is InstanceState.RUNNING
    assert scripts.forgotten == []


def test_a_machine_whose_tags_have_gone_before_it_is_still_known_to_be_gone(cloud: Cloud, scripts: Scripts) -> None:
    aws = provider(cloud, scripts)
    asked = order()
    machine = aws.launch(SMALL, asked)
    aws.terminate(machine)
    cloud.client("ec2", REGION).delete_tags(Resources=[machine.id])
    found = aws.find(asked.launch_key)
    assert found is not None
    assert (found.id, found.state) == (machine.id, InstanceState.GONE)


def test_of_two_machines_with_one_key_the_one_that_costs_is_seen(cloud: Cloud, scripts: Scripts) -> None:
    asked = order()
    aws = provider(cloud, scripts, regions=(REGION, WEST))
    ended = aws.launch(SMALL, asked)
    aws.terminate(ended)
    alive = aws.launch(dataclasses.replace(SMALL, region=WEST), asked)
    assert [one.id for one in [aws.find(asked.launch_key)] if one is not None] == [alive.id]


def test_a_machine_that_ec2_does_not_know_yet_is_pending_and_not_absent(cloud: Cloud, scripts: Scripts) -> None:
    clock = FakeClock()
    aws = provider(cloud, scripts, monotonic=clock.monotonic)
    asked = order()
    cloud.front.supply.unseen_for = 4
    machine = aws.launch(SMALL, asked)
    assert list(aws.list()) == []
    found = aws.find(asked.launch_key)  # two looks: by its tag, and by its name
    assert found is not None and (found.id, found.state) == (machine.id, InstanceState.PENDING)
    clock.advance(NOT_YET)
    cloud.front.supply.unseen_for = 100
    assert aws.find(asked.launch_key) is None, "so long after, it is an absence"
    cloud.front.supply.unseen_for = 0
    found = aws.find(asked.launch_key)
    assert found is not None and found.state is InstanceState.RUNNING


def test_the_end_of_a_machine_that_is_not_known_yet_is_asked_for_again_until_it_is_gone(
    cloud: Cloud, scripts: Scripts
) -> None:
    aws = provider(cloud, scripts)
    asked = order()
    machine = aws.launch(SMALL, asked)
    with cloud.front.refusing("TerminateInstances", "InvalidInstanceID.NotFound"):
        aws.terminate(machine)
    found = aws.find(asked.launch_key)
    assert found is not None and found.state is InstanceState.RUNNING
    aws.terminate(found)
    assert aws.find(asked.launch_key) != found


def test_states_that_come_late_are_told_as_they_are(cloud: Cloud, scripts: Scripts) -> None:
    aws = provider(cloud, scripts)
    asked = order()
    cloud.front.supply.pending_for, cloud.front.supply.ending_for = 2, 2

    def look() -> InstanceState:
        found = aws.find(asked.launch_key)
        assert found is not None
        return found.state

    machine = aws.launch(SMALL, asked)
    assert [look() for _ in range(3)] == [InstanceState.PENDING, InstanceState.PENDING, InstanceState.RUNNING]
    aws.terminate(machine)
    assert [look() for _ in range(3)] == [InstanceState.ENDING, InstanceState.ENDING, InstanceState.GONE]


def test_a_zone_without_room_a_bid_too_low_and_a_type_not_sold_there_reach_no_further_than_their_zone(
    cloud: Cloud, scripts: Scripts
) -> None:
    aws, supply = provider(cloud, scripts), cloud.front.supply
    supply.room["us-east-1a", "c7i.large", False] = 1
    supply.spot_prices["us-east-1b", "c7i.large"] = "0.05"
    here = dataclasses.replace(SMALL, zone="us-east-1a")
    aws.launch(here, order("first"))
    cheap = dataclasses.replace(SMALL, zone="us-east-1b", spot=True, bid=49_999)
    nowhere = dataclasses.replace(SMALL, name="p4d.24xlarge", zone="us-east-1f")
    for job, offer in (("full", here), ("cheap", cheap), ("nowhere", nowhere)):
        with pytest.raises(NoCapacity, match=offer.zone) as caught:
            aws.launch(offer, order(job))
        assert caught.value.scope is Scope.ZONE
    aws.launch(dataclasses.replace(cheap, bid=50_000), order("enough"))
    assert len(cloud.instances()) == 2


def test_a_launch_that_was_throttled_may_be_asked_for_again_and_stands_once(cloud: Cloud, scripts: Scripts) -> None:
    cloud.front.supply.throttled["RunInstances"] = 1
    with pytest.raises(Throttled):
        provider(cloud, scripts).launch(SMALL, order())
    provider(cloud, scripts).launch(SMALL, order())
    assert cloud.front.tokens() == [order().launch_key]


# ---------------------------------------------------------------- listings


def test_a_region_that_does_not_answer_makes_a_listing_unknown_and_never_empty(cloud: Cloud, scripts: Scripts) -> None:
    def half(service: str, region: str) -> Any:
        if region == WEST:
            return boto3.client(
                service,
                region_name=region,
                endpoint_url="http://127.0.0.1:9",  # the discard port: nothing listens
                aws_access_key_id="x",
                aws_secret_access_key="y",
                config=boto3.session.Config(retries={"total_max_attempts": 1}),
            )
        return cloud.client(service, region)

    aws = provider(cloud, scripts, regions=(REGION, WEST), clients=half)
    asked = order()
    with pytest.raises(Unknown, match="not whole"):
        aws.list()
    with pytest.raises(Unknown, match="not whole"):
        aws.find(asked.launch_key)
    machine = aws.launch(SMALL, asked)
    found = aws.find(asked.launch_key)
    assert found is not None and found.id == machine.id, "what was found needs no second region"


def test_a_listing_goes_on_to_the_last_page(cloud: Cloud, scripts: Scripts) -> None:
    ec2 = boto3.client("ec2", region_name=REGION, aws_access_key_id="x", aws_secret_access_key="y")

    def page(name: str) -> dict[str, Any]:
        return {"Reservations": [{"Instances": [{"InstanceId": name, "State": {"Name": "running"}}]}]}

    ours = [{"Name": "tag:app", "Values": ["hourglass"]}, {"Name": "tag:home", "Values": [HOME]}]
    with Stubber(ec2) as told:
        told.add_response("describe_instances", {**page("i-1"), "NextToken": "more"}, {"Filters": ours})
        told.add_response("describe_instances", page("i-2"), {"Filters": ours, "NextToken": "more"})
        listed = provider(cloud, scripts, clients=lambda *_: ec2).list()
    assert [one.id for one in listed] == ["i-1", "i-2"]


def test_a_machine_that_somebody_stopped_is_on_its_way_out_and_can_be_ended(cloud: Cloud, scripts: Scripts) -> None:
    aws = provider(cloud, scripts)
    machine = aws.launch(SMALL, order())
    cloud.client("ec2", REGION).stop_instances(InstanceIds=[machine.id])
    assert [one.state for one in aws.list()] == [InstanceState.ENDING]
    aws.terminate(machine)
    assert [one.state for one in aws.list()] == [InstanceState.GONE]


def test_the_end_of_billing_is_read_out_of_amazons_words(cloud: Cloud, scripts: Scripts) -> None:
    ec2 = boto3.client("ec2", region_name=REGION, aws_access_key_id="x", aws_secret_access_key="y")
    one = {
        "InstanceId": "i-1",
        "State": {"Name": "shutting-down"},
        "StateTransitionReason": "User initiated (2026-11-12 10:03:20 GMT)",
        "StateReason": {"Message": "Client.UserInitiatedShutdown: User initiated shutdown"},
    }
    with Stubber(ec2) as told:
        told.add_response("describe_instances", {"Reservations": [{"Instances": [one]}]})
        (listed,) = provider(cloud, scripts, clients=lambda *_: ec2).list()
    assert listed.ended_at == datetime(2026, 11, 12, 10, 3, 20, tzinfo=UTC)
    assert "User initiated shutdown" in listed.note


def test_ending_a_machine_forgets_what_lay_ready_for_it(cloud: Cloud, scripts: Scripts) -> None:
    aws = provider(cloud, scripts)
    aws.terminate(aws.launch(SMALL, order()))
    assert scripts.forgotten == [("k3vd9wq", 1, 0)]


def test_another_homes_machine_is_not_ended(cloud: Cloud, scripts: Scripts) -> None:
    machine = provider(cloud, scripts).launch(SMALL, order())
    neighbour = provider(cloud, scripts, home="another")
    with pytest.raises(Rejected, match="not of this deployment"):
        neighbour.terminate(machine)
    assert [one["State"]["Name"] for one in cloud.instances()] == ["running"]
