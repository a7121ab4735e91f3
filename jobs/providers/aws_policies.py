"""What each of ours may do at Amazon, and nothing more: the policies of bot, schedules, jobs and reaper.

Pure: an `Estate` becomes policy documents. A statement's id says what it is for, so that a refusal can name the
statement that is missing. Machines and volumes are bounded by their tag `app`, regions and types where they are named.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

APP = "hourglass"
SCHEDULER = "scheduler.amazonaws.com"
ACCOUNTANT = "CompareTheBill"  # the one statement of whoever runs `hourglass reconcile`; the bot needs it not

Document = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Estate:
    """What one deployment has at Amazon."""

    account: str
    bucket: str
    prefix: str = ""  # of the store in the bucket
    regions: Sequence[str] = ("us-east-1",)
    types: Sequence[str] = ()  # that may be rented; empty: all
    partition: str = "aws"
    bot_role: str = "hourglass-bot"
    job_role: str = "hourglass-job"
    scheduler_role: str = "hourglass-scheduler"
    reaper_role: str = "hourglass-reaper"
    accountant_role: str = "hourglass-accountant"
    group: str = "hourglass"  # of schedules
    kms_key: str = ""  # ARN, where the bucket is encrypted with a key of the team's own

    def role(self, name: str) -> str:
        """Return a role's ARN."""
        return f"arn:{self.partition}:iam::{self.account}:role/{name}"

    def ec2(self, *kinds: str, public: Sequence[str] = ()) -> list[str]:
        """Return the ARNs of EC2's resources of these kinds, in the regions that are rented in."""
        owned = [
            f"arn:{self.partition}:ec2:{region}:{self.account}:{kind}/*" for region in self.regions for kind in kinds
        ]
        return owned + [f"arn:{self.partition}:ec2:{region}::{kind}/*" for region in self.regions for kind in public]

    @property
    def objects(self) -> str:
        """Return the ARN of everything in the store."""
        root = f"{self.prefix.strip('/')}/" if self.prefix.strip("/") else ""
        return f"arn:{self.partition}:s3:::{self.bucket}/{root}*"

    @property
    def schedules(self) -> list[str]:
        """Return the ARNs of every schedule of the group."""
        return [
            f"arn:{self.partition}:scheduler:{region}:{self.account}:schedule/{self.group}/*" for region in self.regions
        ]


_TAGGED = {"aws:ResourceTag/app": APP}


def bot(estate: Estate) -> Document:
    """Return what the bot may do."""
    requested: dict[str, Any] = {"StringEquals": {"aws:RequestTag/app": APP}}
    typed = {**requested, "StringEquals": {**requested["StringEquals"], "ec2:InstanceType": list(estate.types)}}
    machines = estate.ec2("instance")
    statements = [
        _allow("RentMachines", "ec2:RunInstances", machines, typed if estate.types else requested),
        _allow("WithDisks", "ec2:RunInstances", estate.ec2("volume"), requested),
        _allow(
            "InTheNetwork",
            "ec2:RunInstances",
            estate.ec2("subnet", "network-interface", "security-group", "spot-instances-request", public=["image"]),
        ),
        _allow(
            "TagWhatIsRented",
            "ec2:CreateTags",
            estate.ec2("instance", "volume"),
            {"StringEquals": {"ec2:CreateAction": "RunInstances"}},
        ),
        _allow(
            "MoveADeadline",
            "ec2:CreateTags",
            machines,
            {"StringEquals": _TAGGED, "ForAllValues:StringEquals": {"aws:TagKeys": ["deadline"]}},
        ),
        _allow("EndMachines", "ec2:TerminateInstances", machines, {"StringEquals": _TAGGED}),
        _allow("SeeMachinesAndPrices", _SEEN, ["*"]),
        _allow(
            "FindTheMachineImage",
            "ssm:GetParameter",
            [f"arn:{estate.partition}:ssm:{region}::parameter/aws/service/*" for region in estate.regions],
        ),
        _allow("KeepSchedules", _SCHEDULES, estate.schedules),
        _allow("ListSchedules", "scheduler:ListSchedules", ["*"]),
        _allow(
            "HandOverTheSchedulersRole",
            "iam:PassRole",
            [estate.role(estate.scheduler_role)],
            {"StringEquals": {"iam:PassedToService": SCHEDULER}},
        ),
        _allow("LendTheJobsRole", "sts:AssumeRole", [estate.role(estate.job_role)]),
        *_files(estate),
        _allow("SeeTheBucketsRules", _RULES, [f"arn:{estate.partition}:s3:::{estate.bucket}"]),
    ]
    return _document(statements)


_RULES = ("s3:GetEncryptionConfiguration", "s3:GetLifecycleConfiguration")  # for `hourglass doctor`
_SEEN = (
    "ec2:DescribeImages",
    "ec2:DescribeInstanceTypeOfferings",
    "ec2:DescribeInstances",
    "ec2:DescribeSecurityGroups",
    "ec2:DescribeSpotPriceHistory",
    "ec2:DescribeSubnets",
    "pricing:GetProducts",
)
_SCHEDULES = (
    "scheduler:CreateSchedule",
    "scheduler:DeleteSchedule",
    "scheduler:GetSchedule",
    "scheduler:UpdateSchedule",
)
_OBJECTS = ("s3:AbortMultipartUpload", "s3:DeleteObject", "s3:GetObject", "s3:ListMultipartUploadParts", "s3:PutObject")


def job(estate: Estate) -> Document:
    """Return what a job's machine may do at most; each session of the role is narrowed to its own attempt."""
    return _document(_files(estate))


def scheduler(estate: Estate) -> Document:
    """Return what a schedule may do: end machines of ours."""
    return _document(
        [_allow("EndMachines", "ec2:TerminateInstances", estate.ec2("instance"), {"StringEquals": _TAGGED})]
    )


def reaper(estate: Estate) -> Document:
    """Return what the reaper may do: see machines, and end ours. It can neither rent nor move a deadline."""
    return _document(
        [
            _allow("EndMachines", "ec2:TerminateInstances", estate.ec2("instance"), {"StringEquals": _TAGGED}),
            _allow("SeeMachines", "ec2:DescribeInstances", ["*"]),
        ]
    )


def accountant() -> Document:
    """Return what whoever compares the ledger with the bill may do; it shows the whole account's costs."""
    return _document([_allow(ACCOUNTANT, "ce:GetCostAndUsage", ["*"])])


def trust_service(estate: Estate) -> Document:
    """Return who may take the schedulers' role: the scheduler, for this account alone."""
    return _document(
        [
            {
                "Effect": "Allow",
                "Principal": {"Service": SCHEDULER},
                "Action": "sts:AssumeRole",
                "Condition": {"StringEquals": {"aws:SourceAccount": estate.account}},
            }
        ]
    )


def trust(*principals: str) -> Document:
    """Return that these principals (ARNs) may take a role."""
    return _document([{"Effect": "Allow", "Principal": {"AWS": list(principals)}, "Action": "sts:AssumeRole"}])


def _files(estate: Estate) -> list[Document]:
    statements = [
        _allow("KeepFiles", _OBJECTS, [estate.objects]),
        _allow("ListFiles", "s3:ListBucket", [f"arn:{estate.partition}:s3:::{estate.bucket}"]),
    ]
    if estate.kms_key:
        statements.append(_allow("UseTheBucketsKey", ("kms:Decrypt", "kms:GenerateDataKey"), [estate.kms_key]))
    return statements


def statement_for(action: str) -> str | None:
    """Return the ids of the bot's statements that allow an action ("ec2:RunInstances"); None where none does."""
    told = bot(Estate(account="0" * 12, bucket="bucket", kms_key="key"))["Statement"]
    sids = [each["Sid"] for each in told if action in _listed(each["Action"])]
    return ", ".join(sids) or None


def text(document: Document) -> str:
    """Return a policy as it is pasted into Amazon's console."""
    return json.dumps(document, indent=2)


def _allow(
    sid: str, action: str | Sequence[str], resources: Sequence[str], condition: Document | None = None
) -> Document:
    statement: dict[str, Any] = {"Sid": sid, "Effect": "Allow", "Action": _listed(action), "Resource": list(resources)}
    return statement if condition is None else {**statement, "Condition": condition}


def _listed(one: str | Sequence[str]) -> list[str]:
    return [one] if isinstance(one, str) else list(one)


def _document(statements: Sequence[Document]) -> Document:
    return {"Version": "2012-10-17", "Statement": list(statements)}
