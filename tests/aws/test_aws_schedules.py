"""The schedule that ends a machine when everything of ours is dead: set, seen, moved, removed, and really fired."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from botocore.exceptions import ClientError

from jobs.errors import Misconfigured, ProviderError, Rejected, Unauthorized, Unknown
from jobs.providers import Guarantee, Instance, InstanceState
from jobs.providers.aws import Aws
from jobs.providers.aws_schedule import Schedules
from tests.aws import timers
from tests.aws.books import SMALL, Scripts, order, provider
from tests.aws.cloud import GROUP, REGION, SCHEDULER_ROLE, Cloud

NOW = datetime(2026, 11, 12, 10, tzinfo=UTC)
ENDS = order().deadline
WEST = "us-west-2"


@pytest.fixture
def cloud() -> Iterator[Cloud]:
    with Cloud() as cloud:
        cloud.front.now = lambda: NOW
        yield cloud


@pytest.fixture
def aws(cloud: Cloud) -> Aws:
    return provider(cloud, Scripts(), schedules=cloud.with_schedules())


def found(aws: Aws, key: str = "") -> Instance:
    one = aws.find(key or order().launch_key)
    assert one is not None
    return one


def states(cloud: Cloud) -> list[str]:
    return [one["State"]["Name"] for one in cloud.instances()]


# ---------------------------------------------------------------- what is promised


def test_with_a_schedule_the_guarantee_is_amazons_and_without_one_the_machines_own(cloud: Cloud) -> None:
    assert provider(cloud, Scripts(), schedules=cloud.with_schedules()).traits.guarantee is Guarantee.EXTERNAL
    assert provider(cloud, Scripts()).traits.guarantee is Guarantee.ON_BOX


@pytest.mark.parametrize(("role", "group", "named"), [("hourglass", GROUP, "ROLE"), (SCHEDULER_ROLE, "a b", "GROUP")])
def test_a_setting_that_cannot_be_is_named(cloud: Cloud, role: str, group: str, named: str) -> None:
    with pytest.raises(Misconfigured, match=named):
        Schedules(role=role, group=group, clients=cloud.client)


# ---------------------------------------------------------------- set and seen


def test_a_new_machine_has_no_limit_until_its_schedule_was_set(cloud: Cloud, aws: Aws) -> None:
    machine = aws.launch(SMALL, order())
    assert (found(aws).limit, found(aws).limit_seen) == (None, True)
    aws.extend(machine, ENDS)
    assert [found(aws).limit, *(one.limit for one in aws.list())] == [ENDS, ENDS]


def test_the_schedule_is_one_time_exact_and_removes_itself(cloud: Cloud, aws: Aws) -> None:
    machine = aws.launch(SMALL, order())
    aws.extend(machine, ENDS + timedelta(milliseconds=400))
    (schedule,) = timers.standing(REGION)
    assert schedule.name == order().launch_key
    assert (schedule.schedule_expression, schedule.schedule_expression_timezone) == ("at(2026-11-12T14:00:01)", "UTC")
    assert schedule.flexible_time_window == {"Mode": "OFF"}
    assert schedule.action_after_completion == "DELETE"
    assert schedule.target["Arn"] == "arn:aws:scheduler:::aws-sdk:ec2:terminateInstances"
    assert (schedule.target["RoleArn"], schedule.target["Input"]) == (
        SCHEDULER_ROLE,
        f'{{"InstanceIds": ["{machine.id}"]}}',
    )


@pytest.mark.parametrize(
    "change",
    [
        {"schedule_expression": "at(2027-11-12T14:00:00)"},
        {"state": "DISABLED"},
        {"flexible_time_window": {"Mode": "FLEXIBLE", "MaximumWindowInMinutes": 600}},
        {"schedule_expression_timezone": "Asia/Tokyo"},
        {"target": {"Arn": "arn:aws:scheduler:::aws-sdk:ec2:startInstances"}},
        {"target": {"Input": '{"InstanceIds": ["i-0123456789abcdef0"]}'}},
        {"target": {"RoleArn": "arn:aws:iam::123456789012:role/other"}},
    ],
    ids=lambda change: "-".join(change),
)
def test_a_schedule_that_somebody_touched_is_seen_at_the_next_look_and_put_right(
    cloud: Cloud, aws: Aws, change: dict[str, object]
) -> None:
    machine = aws.launch(SMALL, order())
    aws.launch(SMALL, order("other12", launch_key="hg-other"))  # with two of them one listing serves both
    aws.extend(machine, ENDS)
    assert {one.limit for one in aws.list()} == {ENDS, None}
    (schedule,) = timers.standing(REGION)
    for name, value in change.items():
        setattr(schedule, name, {**schedule.target, **value} if name == "target" else value)  # type: ignore[dict-item]
    schedule.last_modified_date += 1
    assert ENDS not in {one.limit for one in aws.list()}
    aws.extend(found(aws), ENDS)
    assert found(aws).limit == ENDS


def test_a_schedule_that_was_deleted_is_missed(cloud: Cloud, aws: Aws) -> None:
    machine = aws.launch(SMALL, order())
    aws.extend(machine, ENDS)
    cloud.client("scheduler", REGION).delete_schedule(GroupName=GROUP, Name=order().launch_key)
    assert found(aws).limit is None


def test_what_is_known_of_a_schedule_is_not_asked_again(cloud: Cloud, aws: Aws) -> None:
    for job in ("one", "two", "three"):
        aws.extend(aws.launch(SMALL, order(job, launch_key=f"hg-{job}")), ENDS)
    cloud.front.calls.clear()
    assert {one.limit for one in aws.list()} == {ENDS}
    assert cloud.front.calls == ["DescribeInstances", "ListSchedules"]


# ---------------------------------------------------------------- when it cannot be


def test_a_scheduler_that_cannot_be_asked_makes_the_limit_unseen_and_never_absent(cloud: Cloud, aws: Aws) -> None:
    aws.extend(aws.launch(SMALL, order()), ENDS)
    with cloud.front.refusing("GetSchedule", "AccessDeniedException", 403):
        assert (found(aws).limit, found(aws).limit_seen) == (None, False)
    aws.extend(aws.launch(SMALL, order("other12", launch_key="hg-other")), ENDS)
    with cloud.front.refusing("ListSchedules", "ThrottlingException", 429):
        assert [one.limit_seen for one in aws.list()] == [False, False]


def test_a_machine_whose_schedule_is_refused_says_so_in_our_errors(cloud: Cloud, aws: Aws) -> None:
    machine = aws.launch(SMALL, order())
    with cloud.front.refusing("UpdateSchedule", "AccessDeniedException", 403), pytest.raises(Unauthorized):
        aws.extend(machine, ENDS)
    with pytest.raises(Rejected, match="past"):
        aws.extend(machine, NOW - timedelta(seconds=1))
    assert timers.standing(REGION) == []


def test_a_lost_answer_leaves_a_schedule_that_the_next_try_finds(cloud: Cloud, aws: Aws) -> None:
    machine = aws.launch(SMALL, order())
    with cloud.front.losing_answers("CreateSchedule"), pytest.raises(Unknown):
        aws.extend(machine, ENDS)
    aws.extend(machine, ENDS)
    assert found(aws).limit == ENDS
    assert len(timers.standing(REGION)) == 1


def test_a_schedule_that_does_not_show_what_was_asked_for_counts_for_nothing(cloud: Cloud, aws: Aws) -> None:
    machine = aws.launch(SMALL, order())
    aws.extend(machine, ENDS)
    with (
        cloud.front.refusing("GetSchedule", "InternalServerException", 500),
        pytest.raises(Unknown, match="does not show"),
    ):
        aws.extend(machine, ENDS + timedelta(hours=1))


def test_a_group_that_nobody_made_is_refused(cloud: Cloud) -> None:
    cloud.with_schedules()
    lonely = Schedules(role=SCHEDULER_ROLE, group="elsewhere", clients=cloud.client)
    aws = provider(cloud, Scripts(), schedules=lonely)
    machine = aws.launch(SMALL, order())
    with pytest.raises(ProviderError, match="elsewhere"):
        aws.extend(machine, ENDS)


# ---------------------------------------------------------------- moved


def test_a_moved_deadline_is_in_the_schedule_and_in_the_tag(cloud: Cloud, aws: Aws) -> None:
    aws.extend(aws.launch(SMALL, order()), ENDS)
    later = ENDS + timedelta(hours=1)
    aws.extend(found(aws), later)
    assert (found(aws).limit, found(aws).tags["deadline"]) == (later, str(int(later.timestamp())))


def test_a_tag_that_would_not_move_takes_the_schedule_back_with_it(cloud: Cloud, aws: Aws) -> None:
    aws.extend(aws.launch(SMALL, order()), ENDS)
    with cloud.front.refusing("CreateTags", "UnauthorizedOperation", 403), pytest.raises(Unauthorized):
        aws.extend(found(aws), ENDS + timedelta(hours=1))
    assert (found(aws).limit, found(aws).tags["deadline"]) == (ENDS, str(int(ENDS.timestamp())))


def test_without_schedules_the_tag_alone_moves(cloud: Cloud) -> None:
    aws = provider(cloud, Scripts())
    machine = aws.launch(SMALL, order())
    aws.extend(machine, ENDS + timedelta(hours=1))
    assert found(aws).tags["deadline"] == str(int((ENDS + timedelta(hours=1)).timestamp()))
    assert "CreateSchedule" not in cloud.front.calls


def test_another_homes_machine_is_not_moved(cloud: Cloud, aws: Aws) -> None:
    machine = aws.launch(SMALL, order())
    with pytest.raises(Rejected, match="not of this deployment"):
        provider(cloud, Scripts(), home="another").extend(machine, ENDS)


# ---------------------------------------------------------------- fired and removed


def test_the_schedule_alone_ends_the_machine(cloud: Cloud, aws: Aws) -> None:
    aws.extend(aws.launch(SMALL, order()), ENDS)
    assert timers.fire(cloud.as_hosts, REGION, ENDS - timedelta(seconds=1)) == []
    assert states(cloud) == ["running"]
    assert timers.fire(cloud.as_hosts, REGION, ENDS) == [order().launch_key]
    assert states(cloud) == ["terminated"]
    assert timers.standing(REGION) == []


def test_while_a_machine_may_stand_its_schedule_stays_and_goes_once_it_is_gone(cloud: Cloud, aws: Aws) -> None:
    aws.extend(aws.launch(SMALL, order()), ENDS)
    running = found(aws)
    aws.terminate(running)
    assert len(timers.standing(REGION)) == 1, "a terminate that says yes may not mean it"
    gone = found(aws)
    assert gone.state is InstanceState.GONE
    aws.terminate(gone)
    aws.terminate(gone)
    assert timers.standing(REGION) == []


def test_regions_keep_their_own_schedules(cloud: Cloud) -> None:
    aws = provider(cloud, Scripts(), regions=(REGION, WEST), schedules=cloud.with_schedules(REGION, WEST))
    machine = aws.launch(dataclasses.replace(SMALL, region=WEST), order())
    aws.extend(machine, ENDS)
    assert (timers.standing(REGION), len(timers.standing(WEST))) == ([], 1)
    timers.fire(cloud.as_hosts, WEST, ENDS)
    assert found(aws).state is InstanceState.GONE


# ---------------------------------------------------------------- the stand-in itself


@pytest.mark.parametrize(
    "change",
    [
        {"ScheduleExpression": "at(2026-11-12T09:59:59)"},
        {"ScheduleExpression": "rate(5 minutes)"},
        {"FlexibleTimeWindow": {"Mode": "ON"}},
        {"Target": {"Arn": "arn:aws:scheduler:::aws-sdk:ec2:TerminateInstances"}},
        {"Target": {"Arn": "arn:aws:lambda:us-east-1:123456789012:function:f"}},
        {"Target": {"RoleArn": "arn:aws:iam::123456789012:role/nobodys"}},
        {"Target": {"Input": "i-1"}},
    ],
)
def test_the_stand_in_refuses_what_amazon_refuses(cloud: Cloud, aws: Aws, change: dict[str, dict[str, str]]) -> None:
    wanted = Schedules(role=SCHEDULER_ROLE, group=GROUP, clients=cloud.client)._request("hg-1", "i-1", ENDS)
    asked = {
        name: {**value, **change.get(name, {})} if name == "Target" else change.get(name, value)
        for name, value in wanted.items()
    }
    with pytest.raises(ClientError, match="ValidationException"):
        cloud.client("scheduler", REGION).create_schedule(**asked)
    cloud.client("scheduler", REGION).create_schedule(**wanted)
