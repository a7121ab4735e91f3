"""What a machine may do with its credentials, and when none are lent."""

from __future__ import annotations

import fnmatch
import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError

from jobs.credentials import JobCredentials, job_policy
from jobs.errors import Misconfigured, Rejected, Unauthorized, Unknown
from tests.aws.cloud import REGION, ROLE, Cloud
from tests.support.clock import START, FakeClock


@pytest.fixture
def cloud() -> Iterator[Cloud]:
    with Cloud() as cloud:
        yield cloud


def lender(cloud: Cloud, **changes: object) -> JobCredentials:
    """Return a lender for jobs in s3://team-files/hg."""
    parts: dict[str, object] = {
        "role": ROLE,
        "store_uri": "s3://team-files/hg",
        "clock": FakeClock(),
        "environment": cloud.environment(),
        "sts": cloud.client("sts", REGION),
    }
    return JobCredentials(**(parts | changes))  # type: ignore[arg-type]  # tests name parts by hand


def allows(policy: str, action: str, resource: str, prefix: str = "") -> bool:
    """Return whether the policy allows it, as IAM reads `*`; `prefix` is what a listing asks for."""
    for statement in json.loads(policy)["Statement"]:
        named = action in statement["Action"]
        fits = any(fnmatch.fnmatchcase(resource, pattern) for pattern in statement["Resource"])
        within = statement.get("Condition", {}).get("StringLike", {}).get("s3:prefix", ["*"])
        if named and fits and any(fnmatch.fnmatchcase(prefix, pattern) for pattern in within):
            return True
    return False


BUCKET = "arn:aws:s3:::team-files"


@pytest.mark.parametrize(
    ("action", "key", "allowed"),
    [
        ("s3:PutObject", "hg/jobs/k3/a2/events/00000001.jsonl", True),
        ("s3:PutObject", "hg/jobs/k3/a2-r1/events/00000001.jsonl", True),
        ("s3:DeleteObject", "hg/jobs/k3/a2/ckpt/step-1/ckpt.pt", True),
        ("s3:GetObject", "hg/jobs/k3/source.tar.gz", True),
        ("s3:GetObject", "hg/jobs/k3/a1/ckpt/step-1/ckpt.pt", True),  # to continue from
        ("s3:GetObject", "hg/control/k3/a2.json", True),
        ("s3:GetObject", "hg/control/k3/a2.lease.json", True),
        ("s3:GetObject", "hg/control/k3/a1.lease.json", False),  # another attempt's credentials
        ("s3:GetObject", "hg/control/k3/a20.lease.json", False),
        ("s3:PutObject", "hg/jobs/k3/a1/events/00000001.jsonl", False),  # another attempt
        ("s3:PutObject", "hg/jobs/k3/a20/events/00000001.jsonl", False),
        ("s3:PutObject", "hg/jobs/k3/source.tar.gz", False),
        ("s3:PutObject", "hg/control/k3/a2.json", False),
        ("s3:GetObject", "hg/jobs/k31/source.tar.gz", False),  # another job
        ("s3:GetObject", "hg/launch/k3/a2-r0/bundle", False),
        ("s3:GetObject", "hg/receipts/k3.json", False),
        ("s3:GetObject", "other/jobs/k3/source.tar.gz", False),
    ],
)
def test_a_machine_writes_its_attempt_reads_its_job_and_nothing_else(action: str, key: str, allowed: bool) -> None:
    assert allows(job_policy(ROLE, "team-files", "hg", "k3", 2), action, f"{BUCKET}/{key}") is allowed


def test_a_machine_lists_its_own_files_only() -> None:
    policy = job_policy(ROLE, "team-files", "hg", "k3", 2)
    assert allows(policy, "s3:ListBucket", BUCKET, "hg/jobs/k3/a1/ckpt/")
    assert not allows(policy, "s3:ListBucket", BUCKET, "hg/jobs/")
    assert not allows(policy, "s3:ListBucket", BUCKET, "")


def test_the_policy_is_short_has_no_spaces_and_speaks_of_the_roles_own_partition() -> None:
    policy = job_policy("arn:aws-cn:iam::123456789012:role/x", "a-bucket-with-a-long-name" * 2, "p" * 60, "k3vd9wq", 12)
    assert " " not in policy
    assert len(policy) < 2048
    assert "arn:aws-cn:s3:::" in policy
    assert "arn:aws:" not in policy


@pytest.mark.parametrize(
    ("action", "resource", "listed", "allowed"),
    [
        ("s3:GetObject", f"{BUCKET}/hg/data/parts/coco/0a", "", True),
        ("s3:GetObject", f"{BUCKET}/hg/data/index/coco/0a.json", "", True),
        ("s3:PutObject", f"{BUCKET}/hg/data/parts/coco/0a", "", False),
        ("s3:DeleteObject", f"{BUCKET}/hg/data/parts/coco/0a", "", False),
        ("s3:GetObject", f"{BUCKET}/hg/data/parts/coco-secret/0a", "", False),
        ("s3:GetObject", "arn:aws:s3:::acme-data/imagenet/train/1.tar", "", True),
        ("s3:GetObject", "arn:aws:s3:::acme-data/imagenet", "", True),  # the prefix may be one object
        ("s3:PutObject", "arn:aws:s3:::acme-data/imagenet/train/1.tar", "", False),
        ("s3:GetObject", "arn:aws:s3:::acme-data/imagenet-secret/1.tar", "", False),
        ("s3:ListBucket", "arn:aws:s3:::acme-data", "imagenet/", True),
        ("s3:ListBucket", "arn:aws:s3:::acme-data", "", False),
        ("s3:ListBucket", "arn:aws:s3:::acme-data", "imagenet-secret/", False),
        ("s3:ListBucket", BUCKET, "hg/data/parts/coco/", False),
        ("s3:GetObject", "arn:aws:s3:::whole-bucket/anything", "", True),
        ("s3:ListBucket", "arn:aws:s3:::whole-bucket", "", True),
    ],
)
def test_a_machine_reads_its_inputs_and_nothing_beside_them(
    action: str, resource: str, listed: str, allowed: bool
) -> None:
    inputs = ("data/index/coco", "data/parts/coco", "s3://acme-data/imagenet", "s3://whole-bucket")
    assert allows(job_policy(ROLE, "team-files", "hg", "k3", 2, inputs), action, resource, listed) is allowed


def test_inputs_that_no_policy_can_hold_are_refused_and_not_cut_off() -> None:
    with pytest.raises(Rejected, match=r"STS takes 2048\. Name fewer inputs, or shorter prefixes"):
        job_policy(ROLE, "team-files", "hg", "k3", 2, [f"s3://acme-data-{n}/{'p' * 200}" for n in range(8)])


def test_a_bucket_with_a_key_of_the_teams_own_is_read_and_written_with_that_key_alone() -> None:
    key = "arn:aws:kms:us-east-1:123456789012:key/1"
    told = json.loads(job_policy(ROLE, "team-files", "hg", "k3vd9wq", 2, kms_key=key))["Statement"]
    assert [each["Resource"] for each in told if "kms:Decrypt" in each["Action"]] == [[key]]
    without = json.loads(job_policy(ROLE, "team-files", "hg", "k3vd9wq", 2))["Statement"]
    assert not any("kms" in str(each) for each in without)


def test_without_a_prefix_keys_begin_at_the_bucket() -> None:
    assert allows(job_policy(ROLE, "team-files", "", "k3", 1), "s3:PutObject", f"{BUCKET}/jobs/k3/a1/x")


def test_lent_credentials_are_a_session_and_say_where_the_store_is(cloud: Cloud) -> None:
    lent = lender(cloud)("k3vd9wq", 1, START + timedelta(hours=4))
    assert lent["HOURGLASS_STORE_AWS_ACCESS_KEY_ID"].startswith("ASIA")
    assert lent["HOURGLASS_STORE_AWS_SESSION_TOKEN"]
    assert lent["HOURGLASS_STORE_AWS_SECRET_ACCESS_KEY"] != cloud.environment()["AWS_SECRET_ACCESS_KEY"]
    assert lent["HOURGLASS_STORE_AWS_ENDPOINT_URL"] == cloud.endpoint
    assert lent["HOURGLASS_STORE_AWS_REGION"] == REGION


class HeardSts:
    """An STS that notes what it was asked."""

    def __init__(self, cloud: Cloud) -> None:
        self._sts = cloud.client("sts", REGION)
        self.meta = self._sts.meta
        self.asked: dict[str, object] = {}
        self.spans: list[int] = []

    def assume_role(self, **asked: object) -> object:
        self.asked = asked
        self.spans.append(int(str(asked["DurationSeconds"])))
        return self._sts.assume_role(**asked)


class ShortSts(HeardSts):
    """STS where the bot runs on a role, which lends for an hour at most, or where the role lends for less."""

    def __init__(self, cloud: Cloud, *, most: float = 1) -> None:
        super().__init__(cloud)
        self._most = most * 3600  # seconds

    def assume_role(self, **asked: object) -> object:
        answer = super().assume_role(**asked)
        if int(str(asked["DurationSeconds"])) > self._most:
            words = "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining"
            said: Any = {"Error": {"Code": "ValidationError", "Message": words}}
            raise ClientError({**said, "ResponseMetadata": {"HTTPStatusCode": 400}}, "AssumeRole")
        return answer


def test_a_session_lasts_as_long_as_sts_lends_so_that_a_rental_can_be_made_longer(cloud: Cloud) -> None:
    sts = HeardSts(cloud)
    lent = lender(cloud, sts=sts)("k3vd9wq", 2, START + timedelta(hours=4))
    assert sts.asked["DurationSeconds"] == 12 * 3600
    assert sts.asked["Policy"] == job_policy(ROLE, "team-files", "hg", "k3vd9wq", 2)
    assert sts.asked["RoleSessionName"] == "hourglass-k3vd9wq-a2"
    assert lent["HOURGLASS_STORE_EXPIRES"].isdigit()


@pytest.mark.parametrize(
    ("lasts", "seconds"),
    [
        (timedelta(minutes=40), 55 * 60),  # a quarter of an hour beyond the deadline
        (timedelta(minutes=-5), 15 * 60),  # STS lends no shorter
    ],
)
def test_where_sts_lends_for_less_a_session_outlives_the_deadline_by_a_quarter_of_an_hour(
    cloud: Cloud, lasts: timedelta, seconds: int
) -> None:
    sts = ShortSts(cloud)
    lend = lender(cloud, sts=sts)
    for _ in range(2):
        lend("k3vd9wq", 2, START + lasts)
    assert sts.asked["DurationSeconds"] == seconds


@pytest.mark.parametrize(
    ("most", "hours", "asked"),
    [
        (12, 30, [12]),  # as long as STS lends; the next ones are lent in time
        (1, 30, [12, 1]),  # the bot runs on a role
        (1, 2, [12, 2.25, 1]),
        (4, 3, [12, 3.25]),  # the role's own limit
    ],
)
def test_a_rental_that_is_longer_than_sts_lends_gets_what_there_is(
    cloud: Cloud, most: float, hours: float, asked: list[float]
) -> None:
    sts = ShortSts(cloud, most=most)
    lend = lender(cloud, sts=sts)
    for _ in range(2):
        lend("k3vd9wq", 1, START + timedelta(hours=hours))
    assert [each / 3600 for each in sts.spans] == [*asked, asked[-1]], "what was refused is not asked for again"


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"role": None}, "Set HOURGLASS_AWS_JOB_ROLE"),
        ({"role": ""}, "Set HOURGLASS_AWS_JOB_ROLE"),
        ({"role": "hourglass-job"}, "HOURGLASS_AWS_JOB_ROLE is 'hourglass-job', which is no role"),
        ({"store_uri": "file:///var/store"}, "cannot reach 'file:///var/store'. Set HOURGLASS_STORE to s3://"),
    ],
)
def test_what_cannot_work_is_told_at_the_start(cloud: Cloud, changes: dict[str, object], sentence: str) -> None:
    with pytest.raises(Misconfigured, match=sentence):
        lender(cloud, **changes)


def test_stss_refusals_come_out_as_ours(cloud: Cloud) -> None:
    lend = lender(cloud)
    ends = START + timedelta(hours=4)
    with cloud.front.refusing("AssumeRole", "AccessDenied", 403), pytest.raises(Unauthorized, match="JOB_ROLE"):
        lend("k3vd9wq", 1, ends)
    with cloud.front.refusing("AssumeRole", "ValidationError"), pytest.raises(Rejected, match="ValidationError"):
        lend("k3vd9wq", 1, ends)
    with cloud.front.down(), pytest.raises(Unknown):
        lend("k3vd9wq", 1, ends)
