"""Machines of Amazon EC2, on demand and spot: one RunInstances call each, found again by the tag it was launched with.

Nothing is remembered here. The launch key is AWS's client token, so that asking twice is asking once; every
machine ends its own rental (terminate on shutdown, and a boot script whose first act is a timer) and carries
tags from which anybody can end it.
"""

from __future__ import annotations

import builtins
import dataclasses
import re
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

import boto3
from botocore.config import Config

from jobs.errors import NoCapacity, ProviderError, QuotaExceeded, Rejected, Unauthorized, Unknown
from jobs.providers import Guarantee, Instance, InstanceState, LaunchOrder, Metered, Need, Offer, Traits
from jobs.providers.aws_errors import MISMATCH, NOT_FOUND, code_of, repeated, translated
from jobs.providers.aws_offers import Offers
from jobs.providers.aws_prices import NOT_CHARGED, Prices, spot_rates
from jobs.providers.aws_request import IMAGE_CUDA, TITLE, Clients, Requests, client_token
from jobs.providers.aws_schedule import Limit, Schedules
from jobs.providers.aws_words import quota_of


def traits(*, scheduled: bool) -> Traits:
    """Return what machines promise, with a schedule of AWS's own behind each and without."""
    return Traits(
        name="aws",
        guarantee=Guarantee.EXTERNAL if scheduled else Guarantee.ON_BOX,
        # `shutdown -P +N` counts in minutes; a schedule fires within its minute, and what it asks for takes seconds.
        hard_lag=timedelta(seconds=120 if scheduled else 60),
        startup=timedelta(minutes=10),
        granule=timedelta(seconds=1),
        minimum=timedelta(seconds=60),
        bills=True,
        extendable=True,
        idempotent=True,
        runs_images=True,
        disk_micros_per_gb_hour=110,  # gp3 in us-east-1: $0.08 a GB and month
        egress_micros_per_gb=90_000,  # to the internet from us-east-1, beyond the first 100 GB of an account's month
    )


_STATES = {
    "pending": InstanceState.PENDING,
    "running": InstanceState.RUNNING,
    "shutting-down": InstanceState.ENDING,
    # Only a person stops our machines. They train nothing and their disks still cost: on the way out.
    "stopping": InstanceState.ENDING,
    "stopped": InstanceState.ENDING,
    "terminated": InstanceState.GONE,
}
TAKEN_BACK = "Server.SpotInstanceTermination"  # EC2's word for a spot machine that it wanted itself
# Seconds after a launch in which EC2 may answer that it has never heard of the machine.
NOT_YET = 300.0
# "User initiated (2026-11-12 10:00:00 GMT)"
_TRANSITION = re.compile(r"\((\d{4}-\d\d-\d\d \d\d:\d\d:\d\d) (?:GMT|UTC)\)")


class BootScripts(Protocol):
    """What turns an order into user data. Both verbs may raise `jobs.errors.ProviderError`, and nothing else."""

    def script(self, order: LaunchOrder) -> str:
        """Return the user data, the same for the same order, also after a restart of the bot."""

    def forget(self, job: str, attempt: int, rank: int) -> None:
        """Remove what was kept for that machine; it will not be launched again."""


def sdk_clients() -> Clients:
    """Return a source of real clients, one a service and region; endpoints and credentials are the SDK's own."""
    session = boto3.session.Session()
    made: dict[tuple[str, str], Any] = {}
    lock = threading.Lock()  # clients may be shared between threads, making them may not
    # RunInstances may take 20 s. Retries are safe: every call here is a question or carries a token.
    config = Config(connect_timeout=5, read_timeout=40, retries={"mode": "standard", "total_max_attempts": 3})

    def client(service: str, region: str) -> Any:
        with lock:
            if (service, region) not in made:
                made[service, region] = session.client(service, region_name=region, config=config)
            return made[service, region]

    return client


class Aws:
    """EC2 instances of one home, in the regions that the operator names."""

    def __init__(
        self,
        *,
        home: str,
        regions: Sequence[str],
        prices: Sequence[Offer],
        boot: BootScripts,
        clients: Clients | None = None,
        image: str | None = None,
        cuda: str | None = None,
        subnets: Sequence[str] = (),
        security_group: str | None = None,
        own_prices: Sequence[Offer] = (),
        live: Prices | None = None,
        schedules: Schedules | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Take `prices` from the catalogue, `own_prices` from the operator; without `live` no others are asked for.

        `image` None takes AWS's own, `subnets` empty those that are tagged, else the default network's. `cuda` is the
        newest that the driver of `image` runs, None where nobody says. Without `schedules` no timer of AWS's own
        stands behind a machine.
        """
        self.traits = traits(scheduled=schedules is not None)
        self._schedules = schedules
        self._home = home
        self._cuda = cuda or (IMAGE_CUDA if image is None else None)
        self._regions = tuple(regions)
        self._boot = boot
        self._client = clients or sdk_clients()
        self._requests = Requests(
            home=home, clients=self._client, image=image, subnets=subnets, security_group=security_group
        )
        self._offers = Offers(
            regions=self._regions, catalogue=prices, own=own_prices, live=live, zones=self._requests.zones
        )
        self._monotonic = monotonic
        self._new: dict[str, tuple[float, Instance]] = {}  # launch key to when EC2 named it, and what it was then
        self._seen: dict[str, tuple[str, str]] = {}  # launch key to region and id: tags leave a machine before it goes

    # ------------------------------------------------------------ the six verbs

    def offers(self, need: Need) -> Sequence[Offer]:
        """Return the machines that satisfy `need`, at the newest prices, cheapest whole instance first."""
        found = self._offers.matching(need)
        return [dataclasses.replace(one, cuda=self._cuda) if one.gpus and one.cuda is None else one for one in found]

    def launch(self, offer: Offer, order: LaunchOrder) -> Instance:
        """Ask EC2 for the machine; the same order is the same machine, also after a lost answer."""
        if order.image is None:
            raise Rejected("A machine of AWS runs a container image. Name one: image=… or `image:` in the task file.")
        try:
            script = order.boot if order.boot is not None else self._boot.script(order)
            request = self._requests.launch(offer, order, script)
            quota = quota_of(offer.name, spot=offer.spot)
            with translated("the launch of a machine", offer.zone or offer.region, quota=quota):
                answer = self._client("ec2", offer.region).run_instances(**request)
        except ProviderError as error:
            if code_of(error.__cause__) == MISMATCH and (standing := self.find(order.launch_key)) is not None:
                return standing
            room = not isinstance(error, NoCapacity | QuotaExceeded)
            if room and repeated(error.__cause__):
                # The SDK asked again after an answer that was lost, and that first call may have made the machine.
                raise Unknown(f"{error} An earlier try of the same launch may have happened.") from error
            # Only where it is sure that no machine stands: one that does still has to read what was kept for it.
            if isinstance(error, NoCapacity | QuotaExceeded | Rejected):
                self._boot.forget(order.job, order.attempt, order.rank)
            raise
        if not answer.get("Instances"):
            raise Unknown(f"AWS in {offer.region} took the launch and named no machine. It may have happened.")
        instance = self._instance(answer["Instances"][0], offer.region)
        self._new[order.launch_key] = (self._monotonic(), instance)
        return instance

    def find(self, launch_key: str) -> Instance | None:
        """Return the machine with this key in any region, also one that ended within about the last hour."""
        found: list[Instance] = []
        unheard: list[ProviderError] = []
        for region in self._regions:
            try:
                found += self._described(region, Filters=[*self._ours(), _filter("tag:key", launch_key)])
            except ProviderError as error:
                unheard.append(error)
        if not found and launch_key in self._seen and not unheard:
            region, name = self._seen[launch_key]
            found += self._described(region, InstanceIds=[name]) or self._not_yet(launch_key)
        if not found and unheard:
            raise _partial(unheard)
        found = self._with_limits(found)
        # One key is one machine. Were there ever two, the one that still costs money has to be seen.
        order = (InstanceState.RUNNING, InstanceState.PENDING, InstanceState.ENDING, InstanceState.GONE)
        return min(found, key=lambda one: (order.index(one.state), one.id), default=None)

    def list(self) -> Sequence[Instance]:
        """Return this home's machines in every region; one region that does not answer makes it `Unknown`."""
        found: list[Instance] = []
        for region in self._regions:
            try:
                found += self._described(region, Filters=[*self._ours()])
            except Unauthorized:
                raise
            except ProviderError as error:
                raise _partial([error]) from error
        return self._with_limits(found)

    def terminate(self, instance: Instance) -> None:
        """Ask EC2 to terminate it; what EC2 no longer knows is gone. Another home's machine is refused.

        The schedule of one that is gone is removed; while it may stand, that is what ends it if we are not heard.
        """
        self._must_be_ours(instance)
        with translated("the end of a machine", instance.region):
            try:
                self._client("ec2", instance.region).terminate_instances(InstanceIds=[instance.id])
            except Exception as error:
                if code_of(error) not in NOT_FOUND:
                    raise
        tags = instance.tags
        if tags.get("job") and tags.get("attempt", "").isdigit():
            self._boot.forget(tags["job"], int(tags["attempt"]), int(tags.get("rank") or 0))
        if self._schedules is not None and instance.state is InstanceState.GONE and tags.get("key"):
            self._schedules.remove(instance.region, client_token(tags["key"]))

    def extend(self, instance: Instance, deadline: datetime) -> None:
        """Let schedule and tag say the deadline, in this order; the machine's own timers follow its tag."""
        self._must_be_ours(instance)
        key = instance.tags.get("key", "")
        if self._schedules is not None:
            self._schedules.set(instance.region, client_token(key), instance.id, deadline)
        try:
            with translated("the new deadline of a machine", instance.region):
                tag = {"Key": "deadline", "Value": str(int(deadline.timestamp()))}
                self._client("ec2", instance.region).create_tags(Resources=[instance.id], Tags=[tag])
        except ProviderError:
            if self._schedules is not None and instance.limit is not None:
                self._schedules.set(instance.region, client_token(key), instance.id, instance.limit)
            raise

    # ------------------------------------------------------------ the bill

    def metered(self, offer: Offer, instance: Instance | None, since: datetime, until: datetime) -> Metered | None:
        """Return what a spot machine's time cost, by the market of its zone; None on demand."""
        own = self._offers.own(offer.region, offer.name, spot=True)
        if not offer.spot or own is not None:
            return None
        zone = (instance.zone if instance is not None else "") or offer.zone
        return Metered(
            rates=spot_rates(self._client, offer, zone, since, until),
            on_demand=self._offers.on_demand(offer.region, offer.name),
            free=instance is not None and instance.taken_back and until - since < NOT_CHARGED,
        )

    def _must_be_ours(self, instance: Instance) -> None:
        if instance.tags.get("home", self._home) != self._home:
            raise Rejected(f"{instance.id} is not of this deployment: it belongs to home {instance.tags['home']}.")

    def _with_limits(self, found: Sequence[Instance]) -> builtins.list[Instance]:
        """Return the machines with what their schedules say, where each has to have one."""
        if self._schedules is None:
            return [*found]
        limits: dict[tuple[str, str], Limit] = {}
        standing = [one for one in found if one.state is not InstanceState.GONE and "key" in one.tags]
        for region in {one.region for one in standing}:
            mine = {client_token(one.tags["key"]): one.id for one in standing if one.region == region}
            said = (
                self._schedules.all(region, mine)
                if len(mine) > 1
                else {name: self._schedules.of(region, name, machine) for name, machine in mine.items()}
            )
            limits |= {(region, mine[name]): limit for name, limit in said.items()}
        return [
            dataclasses.replace(one, limit=limit.at, limit_seen=limit.seen)
            if (limit := limits.get((one.region, one.id))) is not None
            else one
            for one in found
        ]

    # ------------------------------------------------------------ the answer

    def _ours(self) -> tuple[dict[str, Any], ...]:
        return (_filter("tag:app", "hourglass"), _filter("tag:home", self._home))

    def _not_yet(self, launch_key: str) -> Sequence[Instance]:
        """Return a machine that was named a moment ago and that EC2 does not know yet: that is no absence."""
        named, instance = self._new.get(launch_key, (0.0, None))
        if instance is None or self._monotonic() - named >= NOT_YET:
            self._new.pop(launch_key, None)
            return ()
        return (dataclasses.replace(instance, state=InstanceState.PENDING, note="not listed yet"),)

    def _described(self, region: str, **what: Any) -> Sequence[Instance]:
        found: list[Instance] = []
        with translated("a listing of machines", region):
            try:
                for page in self._client("ec2", region).get_paginator("describe_instances").paginate(**what):
                    for reservation in page["Reservations"]:
                        found += [self._instance(one, region) for one in reservation["Instances"]]
            except Exception as error:
                if code_of(error) not in NOT_FOUND:
                    raise
        return found

    def _instance(self, described: Mapping[str, Any], region: str) -> Instance:
        tags = {tag["Key"]: tag["Value"] for tag in described.get("Tags", ()) if tag["Key"] != TITLE}
        state = _STATES.get(described["State"]["Name"], InstanceState.PENDING)
        ended = _TRANSITION.search(described.get("StateTransitionReason") or "")
        launched: datetime | None = described.get("LaunchTime")
        over = state in (InstanceState.ENDING, InstanceState.GONE)
        instance = Instance(
            provider=self.traits.name,
            id=str(described["InstanceId"]),
            region=region,
            state=state,
            tags=tags,
            launched_at=launched.astimezone(UTC) if launched is not None else None,
            ended_at=datetime.fromisoformat(ended[1]).replace(tzinfo=UTC) if over and ended else None,
            note=str(described.get("StateReason", {}).get("Message", "")),
            zone=str(described.get("Placement", {}).get("AvailabilityZone", "")),
            taken_back=over and described.get("StateReason", {}).get("Code") == TAKEN_BACK,
        )
        if "key" in tags:
            self._seen[tags["key"]] = (region, instance.id)
        return instance


def _filter(name: str, value: str) -> dict[str, Any]:
    return {"Name": name, "Values": [value]}


def _partial(errors: Sequence[ProviderError]) -> Unknown:
    return Unknown(f"The listing of machines is not whole. {errors[0]}")
