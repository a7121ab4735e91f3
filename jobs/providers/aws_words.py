"""What Amazon's refusals mean for whoever runs the bot: which quota, which right, and how to get more of it.

Pure: a type's name, an error's code and Amazon's own sentence go in, sentences come out.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

# The rights that are named after another service than EC2, by the SDK's name of the call.
_SERVICES = {
    "AssumeRole": "sts",
    "GetParameter": "ssm",
    "GetProducts": "pricing",
    "CreateSchedule": "scheduler",
    "GetBucketEncryption": "s3",
    "GetBucketLifecycleConfiguration": "s3",
    "PutObject": "s3",
    "GetObject": "s3",
    "DeleteObject": "s3",
    "ListObjectsV2": "s3",
    "DeleteSchedule": "scheduler",
    "GetSchedule": "scheduler",
    "ListSchedules": "scheduler",
    "UpdateSchedule": "scheduler",
}
# Calls whose right has a name of its own.
_NAMED = {
    "GetBucketEncryption": "GetEncryptionConfiguration",
    "GetBucketLifecycleConfiguration": "GetLifecycleConfiguration",
    "ListObjectsV2": "ListBucket",
}
_DENIED = re.compile(r"not authorized to perform:? ([a-z0-9-]+:[A-Za-z]+)")
_EXPIRED = frozenset(
    {
        "AuthFailure",
        "ExpiredToken",
        "ExpiredTokenException",
        "InvalidAccessKeyId",
        "InvalidClientTokenId",
        "RequestExpired",
        "SignatureDoesNotMatch",
        "UnrecognizedClientException",
    }
)
_NEVER_ASKED = "AuthFailure.ServiceLinkedRoleCreationNotPermitted"


@dataclass(frozen=True, kw_only=True)
class Quota:
    """A quota of EC2's; it counts vCPUs."""

    code: str
    name: str


_ON_DEMAND = {
    "g": Quota(code="L-DB2E81BA", name="Running On-Demand G and VT instances"),
    "p": Quota(code="L-417A185B", name="Running On-Demand P instances"),
    "": Quota(code="L-1216C47A", name="Running On-Demand Standard (A, C, D, H, I, M, R, T, Z) instances"),
}
_SPOT = {
    "g": Quota(code="L-3819A6DF", name="All G and VT Spot Instance Requests"),
    "p5": Quota(code="L-C4BD4855", name="All P5 Spot Instance Requests"),
    "p": Quota(code="L-7212CCBC", name="All P4, P3 and P2 Spot Instance Requests"),
    "": Quota(code="L-34B43A08", name="All Standard (A, C, D, H, I, M, R, T, Z) Spot Instance Requests"),
}


def quota_of(name: str, *, spot: bool) -> Quota:
    """Return the quota that a machine of this type counts against."""
    known = _SPOT if spot else _ON_DEMAND
    return next(quota for start, quota in known.items() if name.startswith(start))


def more_of(quota: Quota, region: str) -> str:
    """Return how to get more of it."""
    page = f"https://{region}.console.aws.amazon.com/servicequotas/home/services/ec2/quotas/{quota.code}"
    return (
        f"The quota is `{quota.name}`, counted in vCPUs. Whoever runs the account asks for more of it at {page}, "
        "or names another region in HOURGLASS_AWS_REGIONS."
    )


def credentials_ended(code: str) -> bool:
    """Say whether Amazon does not know, or no longer knows, who is asking."""
    return code in _EXPIRED


def right(operation: str, code: str, said: str) -> str:
    """Return the right that is missing, as a policy names it."""
    if code == _NEVER_ASKED:
        return "iam:CreateServiceLinkedRole"
    found = _DENIED.search(said)
    return found[1] if found else f"{_SERVICES.get(operation, 'ec2')}:{_NAMED.get(operation, operation)}"
