"""Credentials for a rented machine: a session of the job role, narrowed to one job's files, for as long as STS lends.

No key of the team's and none that can rent ever lies on a machine. What it gets writes the attempt's own prefix,
reads the job's and its inputs', and only reads the control file; STS takes it back by itself. While the machine runs
the next ones come in time (`jobs.renewals`).
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import unquote, urlsplit

import boto3
import structlog
from botocore.config import Config

from jobs.clock import Clock
from jobs.errors import Misconfigured, Rejected
from jobs.inputs import bucket_and_prefix
from jobs.leases import EXPIRES, KEY_ID, SECRET, TOKEN
from jobs.providers.aws_errors import translated
from trainer import wire

MARGIN = timedelta(minutes=15)  # after the deadline: the last upload, the last words
LONGEST = timedelta(hours=12)  # STS lends no longer
CHAINED = timedelta(hours=1)  # nor longer than this where the bot itself runs on a role
SHORTEST = timedelta(minutes=15)  # nor shorter
POLICY_LIMIT = 2048  # characters of a session policy
_log = structlog.get_logger(__name__)
_ROLE = re.compile(r"arn:(?P<partition>aws[a-z-]*):iam::\d{12}:role/.+")


def job_policy(
    role: str, bucket: str, prefix: str, job: str, attempt: int, inputs: Sequence[str] = (), *, kms_key: str = ""
) -> str:
    """Return the session policy of one attempt, all its ranks included, as JSON without spaces.

    `prefix` is the store's own within the bucket, "" or "a/b"; `inputs` are what else may be read (`inputs.reads`);
    `kms_key` is what the bucket is encrypted with, where that is a key of the team's own.
    STS counts every character of it: raises `Rejected` where the inputs have too many.
    """
    partition = _partition(role)
    root = f"{prefix.strip('/')}/" if prefix.strip("/") else ""
    objects = f"arn:{partition}:s3:::{bucket}/{root}"
    machine = wire.attempt_prefix(job, attempt)
    writes = [f"{objects}{machine}/*", f"{objects}{machine}-r*"]
    # Beside another attempt's control file lie that attempt's credentials.
    reads = [f"{objects}jobs/{job}/*", f"{objects}control/{job}/a{attempt}.*"]
    # An index and parts are asked for by their names alone, so that nothing of them need be listed.
    reads += [f"{objects}{kept}/*" for kept in inputs if not kept.startswith("s3://")]
    seen = [f"{root}jobs/{job}/*", f"{root}control/{job}/*"]
    statements = [
        _allow(["s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload"], writes),
        _allow(["s3:GetObject"], reads),
        {
            **_allow(["s3:ListBucket"], [f"arn:{partition}:s3:::{bucket}"]),
            "Condition": {"StringLike": {"s3:prefix": seen}},
        },
    ]
    foreign = [bucket_and_prefix(other) for other in inputs if other.startswith("s3://")]
    if foreign:
        statements.append(_allow(["s3:GetObject"], [name for other in foreign for name in _objects(partition, *other)]))
    statements += [_listing(partition, *other) for other in foreign]
    if kms_key:
        statements.append(_allow(["kms:Decrypt", "kms:GenerateDataKey"], [kms_key]))
    # Some stores refuse a policy with spaces in it.
    policy = json.dumps({"Version": "2012-10-17", "Statement": statements}, separators=(",", ":"))
    if len(policy) > POLICY_LIMIT:
        raise Rejected(
            f"The permission to read the inputs takes {len(policy)} characters, and STS takes {POLICY_LIMIT}. Name "
            "fewer inputs, or shorter prefixes; `hourglass data push` makes one of several folders."
        )
    return policy


def _objects(partition: str, bucket: str, prefix: str) -> list[str]:
    """Return what a prefix may mean: everything below it, or the one object of that name."""
    root = f"arn:{partition}:s3:::{bucket}"
    return [f"{root}/{prefix}", f"{root}/{prefix}/*"] if prefix else [f"{root}/*"]


def _listing(partition: str, bucket: str, prefix: str) -> dict[str, Any]:
    statement = _allow(["s3:ListBucket"], [f"arn:{partition}:s3:::{bucket}"])
    if prefix:
        # The slash is part of it: `s3:prefix` like `a/coco*` would show `a/coco-secret`, too.
        statement["Condition"] = {"StringLike": {"s3:prefix": [f"{prefix}/*"]}}
    return statement


def job_credentials(
    sts: Any,
    role: str,
    bucket: str,
    prefix: str,
    job: str,
    attempt: int,
    seconds: int,
    inputs: Sequence[str] = (),
    *,
    kms_key: str = "",
) -> dict[str, str]:
    """Return the variables in which a machine finds its store's credentials, good for `seconds`.

    `sts` is the SDK's client. Raises `jobs.errors.ProviderError`: `Rejected` where the role's own limit is shorter.
    """
    with translated("a session of HOURGLASS_AWS_JOB_ROLE", str(sts.meta.region_name)):
        answer = sts.assume_role(
            RoleArn=role,
            RoleSessionName=f"hourglass-{job}-a{attempt}"[:64],
            Policy=job_policy(role, bucket, prefix, job, attempt, inputs, kms_key=kms_key),
            DurationSeconds=seconds,
        )
    lent = answer["Credentials"]
    return {
        KEY_ID: lent["AccessKeyId"],
        SECRET: lent["SecretAccessKey"],
        TOKEN: lent["SessionToken"],
        EXPIRES: str(int(lent["Expiration"].timestamp())),
    }


class JobCredentials:
    """Lends each attempt a session of the job role; called as `(job, attempt, deadline, inputs) -> variables`."""

    def __init__(
        self,
        *,
        role: str | None,
        store_uri: str,
        clock: Clock,
        environment: Mapping[str, str] | None = None,  # the bot's own, for the store's region and endpoint
        sts: Any = None,  # the SDK's client; None makes one
        kms_key: str = "",  # ARN of the key that the bucket is encrypted with; empty: S3's own
    ) -> None:
        """Raises `Misconfigured` without a role, or where the store is no bucket."""
        parts = urlsplit(store_uri)
        if parts.scheme != "s3" or not parts.netloc:
            raise Misconfigured(
                f"A rented machine cannot reach {store_uri!r}. Set HOURGLASS_STORE to s3://bucket/prefix."
            )
        if not role:
            raise Misconfigured(
                "No cloud key goes to a rented machine, so it needs a role for its job's files alone. "
                "Set HOURGLASS_AWS_JOB_ROLE to that role's ARN (docs/providers/aws.md has its policy)."
            )
        _partition(role)
        self._role = role
        self._bucket = parts.netloc
        self._prefix = unquote(parts.path).strip("/")
        self._clock = clock
        self._kms_key = kms_key
        self._refused = LONGEST + timedelta(seconds=1)  # the shortest time for which STS would not lend this role
        session = boto3.session.Session()
        self._reach = _reach(os.environ if environment is None else environment, session.region_name)
        self._sts = sts or session.client(
            "sts",
            region_name=session.region_name or "us-east-1",  # any will do: a session is good everywhere
            config=Config(connect_timeout=5, read_timeout=20, retries={"mode": "standard", "total_max_attempts": 3}),
        )

    def __call__(self, job: str, attempt: int, deadline: datetime, inputs: Sequence[str] = ()) -> dict[str, str]:
        """Return the variables for one attempt; raises `jobs.errors.ProviderError`.

        They last for as long as STS lends the role, so that few have to be renewed; where it refuses 12 hours, for a
        quarter of an hour beyond the deadline or for an hour.
        """
        needed = min(max(deadline + MARGIN - self._clock.now(), SHORTEST), LONGEST)
        shortest = min(needed, CHAINED)
        longer = [span for span in (LONGEST, needed) if shortest < span < self._refused]
        for place, span in enumerate(spans := [*dict.fromkeys(longer), shortest]):
            try:
                lent = self._lent(job, attempt, span, inputs)
            except Rejected as error:
                if span is shortest:
                    raise
                # The role's own limit is shorter, or the bot runs on a role itself.
                _log.info("credentials.shorter", seconds=int(span.total_seconds()), error=str(error))
            else:
                self._refused = min([self._refused, *spans[:place]])
                break
        return {**lent, **self._reach}

    def _lent(self, job: str, attempt: int, span: timedelta, inputs: Sequence[str]) -> dict[str, str]:
        return job_credentials(
            self._sts,
            self._role,
            self._bucket,
            self._prefix,
            job,
            attempt,
            int(span.total_seconds()),
            inputs,
            kms_key=self._kms_key,
        )


def _reach(environment: Mapping[str, str], configured: str | None) -> dict[str, str]:
    # The machine has to find the same store that the bot's SDK found.
    region = environment.get("AWS_DEFAULT_REGION") or configured
    endpoint = environment.get("AWS_ENDPOINT_URL_S3") or environment.get("AWS_ENDPOINT_URL")
    named = {"AWS_REGION": region, "AWS_ENDPOINT_URL": endpoint}
    return {f"{wire.ENV_STORE_PREFIX}{name}": value for name, value in named.items() if value}


def _partition(role: str) -> str:
    match = _ROLE.fullmatch(role)
    if match is None:
        raise Misconfigured(
            f"HOURGLASS_AWS_JOB_ROLE is {role!r}, which is no role: write arn:aws:iam::<account>:role/<name>."
        )
    return match["partition"]


def _allow(actions: list[str], resources: list[str]) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": actions, "Resource": resources}
