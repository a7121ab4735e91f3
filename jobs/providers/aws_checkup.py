"""Whether Amazon would do what the bot is going to ask: tried with its own credentials, before anybody's job is.

A launch is asked for as a dry run, which judges rights and parameters and rents nothing; schedules and the bucket's
rules are read. A refusal names the statement of `hourglass aws setup` that is missing. That a machine can be ended, and
a schedule made, shows only where there is one: `hourglass aws smoke` does that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from jobs.errors import ProviderError
from jobs.providers import LaunchOrder, Offer
from jobs.providers.aws_errors import code_of, translated
from jobs.providers.aws_prices import PLATFORM, PRICE_LIST
from jobs.providers.aws_request import Clients, Requests
from jobs.providers.aws_schedule import MISSING

_DRY = "DryRunOperation"  # how EC2 says that it would have done it
_NAME = "hourglass-doctor"
_ABSENT = ("NoSuchLifecycleConfiguration", "ServerSideEncryptionConfigurationNotFoundError")
_SETUP = "`hourglass aws setup --apply` does it."


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What one look showed."""

    part: str
    well: bool
    says: str  # what was seen, or what to do


@dataclass(frozen=True, kw_only=True)
class Bucket:
    """Where the store lies."""

    name: str
    prefix: str  # of the store in it
    region: str
    kms_key: str = ""  # ARN of the team's own; empty: any encryption will do


class Checkup:
    """Looks at one deployment's side of Amazon; never raises."""

    def __init__(
        self,
        *,
        clients: Clients,
        requests: Requests,
        offers: Mapping[str, Offer],
        bucket: Bucket,
        lend: Callable[[], timedelta],
        group: str | None,
    ) -> None:
        """Take a machine to try in each region, who lends jobs their credentials (and returns for how long), and the
        group of schedules, None where there are none.
        """
        self._client = clients
        self._requests = requests
        self._offers = offers
        self._bucket = bucket
        self._lend = lend
        self._group = group

    def run(self) -> Iterator[Seen]:
        """Yield what each look shows."""
        for region, offer in self._offers.items():
            yield _look(f"prices {region}", lambda: self._prices(region, offer))  # noqa: B023  called at once
            yield _look(f"launch {region}", lambda: self._launch(region, offer))  # noqa: B023  as above
            if self._group is not None:
                yield _look(f"timers {region}", lambda: self._schedules(region))  # noqa: B023  as above
        yield _look("job role", self._session)
        yield _look("files", self._files)
        yield _look("encryption", self._encryption)
        yield _look("lifecycle", self._lifecycle)

    # ------------------------------------------------------------ machines

    def _prices(self, region: str, offer: Offer) -> str:
        """Ask what offers are made of: without it the bot goes on, by the dated catalogue, and nobody is told."""
        ec2, types, zones = self._client("ec2", region), [offer.name], self._zones(region, offer)
        with translated("a look at the spot market's prices", region):
            now = datetime.now(UTC)
            ec2.describe_spot_price_history(
                InstanceTypes=types, ProductDescriptions=[PLATFORM], StartTime=now, EndTime=now
            )
        with translated("a look at the price list", PRICE_LIST):
            self._client("pricing", PRICE_LIST).get_products(
                ServiceCode="AmazonEC2",
                Filters=[
                    {"Type": "TERM_MATCH", "Field": field, "Value": value}
                    for field, value in (("regionCode", region), ("instanceType", offer.name))
                ],
                MaxResults=1,
            )
        return f"a {offer.name} is sold in {len(zones)} zones; the price list and the spot market answer"

    def _zones(self, region: str, offer: Offer) -> Sequence[str]:
        with translated("a look at the zones that sell a type", region):
            rows = self._client("ec2", region).describe_instance_type_offerings(
                LocationType="availability-zone", Filters=[{"Name": "instance-type", "Values": [offer.name]}]
            )["InstanceTypeOfferings"]
        return sorted(str(row["Location"]) for row in rows)

    def _launch(self, region: str, offer: Offer) -> str:
        sold, allowed = self._zones(region, offer), self._requests.zones(region)
        zone = next((zone for zone in sold if allowed is None or zone in allowed), offer.zone)
        offer = replace(offer, zone=zone)  # as an offer of the bot's names one; not every zone sells every type
        asked = self._requests.launch(offer, _order(offer), "#!/bin/bash\n")
        with translated("the dry run of a launch", region):
            try:
                self._client("ec2", region).run_instances(**{**asked, "DryRun": True})
            except Exception as error:
                if code_of(error) != _DRY:
                    raise
        standing = asked.get("SecurityGroupIds")
        where = f"in the security group {standing[0]}, which lets nothing in" if standing else "in the default network"
        return f"a {offer.name} could be asked for {where}"

    def _schedules(self, region: str) -> str:
        client = self._client("scheduler", region)
        with translated("a listing of schedules", region):
            try:
                count = len(client.list_schedules(GroupName=self._group)["Schedules"])
            except Exception as error:
                if code_of(error) == MISSING:
                    raise _Lacking(f"there is no group of schedules {self._group} in {region}; {_SETUP}") from error
                raise
        with translated("a look at the schedule that ends the machine", region):
            try:
                client.get_schedule(GroupName=self._group, Name=_NAME)
            except Exception as error:
                if code_of(error) != MISSING:
                    raise
        return f"{count} schedules in the group {self._group}"

    # ------------------------------------------------------------ files

    def _session(self) -> str:
        hours = self._lend() / timedelta(hours=1)
        return f"lent for {hours:.3g} hours at a time; what lasts longer is lent anew"

    def _files(self) -> str:
        """Write, read, list and remove one object, as the bot does all day; where a key is missing, S3 says so here."""
        s3, bucket = self._client("s3", self._bucket.region), self._bucket.name
        key = "/".join(part for part in (self._bucket.prefix, _NAME) if part)
        with translated("a file in the bucket", self._bucket.region):
            s3.put_object(Bucket=bucket, Key=key, Body=b"")
            s3.get_object(Bucket=bucket, Key=key)["Body"].read()
            s3.list_objects_v2(Bucket=bucket, Prefix=key, MaxKeys=1)
            s3.delete_object(Bucket=bucket, Key=key)
        return f"a file in s3://{bucket} was written, read and removed"

    def _encryption(self) -> str:
        answer = self._asked("get_bucket_encryption", "the bucket's encryption")
        rules = answer.get("ServerSideEncryptionConfiguration", {}).get("Rules", ())
        how = [rule.get("ApplyServerSideEncryptionByDefault", {}) for rule in rules]
        if not how:
            raise _Lacking(f"the bucket {self._bucket.name} is not encrypted; {_SETUP}")
        wanted = self._bucket.kms_key
        if wanted and wanted not in [each.get("KMSMasterKeyID") for each in how]:
            raise _Lacking(f"the bucket {self._bucket.name} is not encrypted with HOURGLASS_AWS_KMS_KEY; {_SETUP}")
        return f"{self._bucket.name} is encrypted with {'your key' if wanted else how[0].get('SSEAlgorithm')}"

    def _lifecycle(self) -> str:
        rules = self._asked("get_bucket_lifecycle_configuration", "the bucket's lifecycle").get("Rules", ())
        ours = [rule for rule in rules if rule.get("Status") == "Enabled" and self._covers(rule)]
        if not any("AbortIncompleteMultipartUpload" in rule for rule in ours):
            raise _Lacking(
                f"no rule of the bucket {self._bucket.name} removes uploads that were cut off: their parts are stored, "
                f"and billed, for ever; {_SETUP}"
            )
        days = [rule["Expiration"]["Days"] for rule in rules if "Days" in rule.get("Expiration", {})]
        kept = f"something after {min(days)} days" if days else "nothing else"
        return f"uploads that were cut off are removed from {self._bucket.name}, and {kept}"

    def _covers(self, rule: Mapping[str, Any]) -> bool:
        """Return whether a rule reaches all of the store."""
        within = rule.get("Filter", {})
        if set(within) - {"Prefix"}:
            return False  # by tags or sizes
        root = f"{self._bucket.prefix}/" if self._bucket.prefix else ""
        return root.startswith(str(within.get("Prefix", rule.get("Prefix", ""))))

    def _asked(self, verb: str, what: str) -> Mapping[str, Any]:
        with translated(f"a look at {what}", self._bucket.region):
            try:
                answer: Mapping[str, Any] = getattr(self._client("s3", self._bucket.region), verb)(
                    Bucket=self._bucket.name
                )
            except Exception as error:
                if code_of(error) in _ABSENT:
                    return {}
                raise
        return answer


class _Lacking(Exception):
    """Amazon answered, and something is missing there."""


def _look(part: str, look: Callable[[], str]) -> Seen:
    try:
        return Seen(part=part, well=True, says=look())
    except (ProviderError, _Lacking) as error:
        return Seen(part=part, well=False, says=str(error))


def _order(offer: Offer) -> LaunchOrder:
    tags = {"app": "hourglass", "job": _NAME, "attempt": "1", "rank": "0"}
    return LaunchOrder(
        launch_key=_NAME,
        tags=tags,
        deadline=datetime.fromtimestamp(0, UTC),
        image=None,
        store="",
        job=_NAME,
        attempt=1,
        rank=0,
        env={},
        gpus=offer.gpus,
        disk_gb=100,
        shm_gb=0,
    )


def tried(offers: Sequence[Offer], regions: Sequence[str]) -> dict[str, Offer]:
    """Return the cheapest machine with a GPU that each region has."""
    with_gpu = sorted((offer for offer in offers if offer.gpus), key=lambda offer: offer.micros_per_hour)
    found: dict[str, Offer] = {}
    for offer in with_gpu:
        if offer.region in regions:
            found.setdefault(offer.region, offer)
    return found
