"""What EC2 is asked when a machine is launched: the same request, to the byte, for the same offer and order.

Everything that a region says of its images and subnets is asked once and kept; it decides where machines may stand,
and nothing else about the request.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from jobs.errors import NoCapacity, Rejected, Scope
from jobs.providers import LaunchOrder, Offer
from jobs.providers.aws_errors import translated
from jobs.values import DOLLAR, Micros

Clients = Callable[[str, str], Any]  # service and region to a client; the SDK ships no types

# Driver, container engine and the toolkit between them; AWS keeps the parameter at the newest build.
IMAGE_PARAMETER = (
    "/aws/service/deeplearning/ami/x86_64/base-oss-nvidia-driver-gpu-ubuntu-22.04/latest/ami-id"  # a name of SSM's
)
# The newest CUDA that its driver runs, by the release notes of September 2026: driver 595, CUDA 13.2.
IMAGE_CUDA = "13.2"
USER_DATA_LIMIT = 16 * 1024  # bytes before base64
TOKEN_LIMIT = 64
TITLE = "Name"  # the tag that Amazon's console shows as a machine's name; for people, so it is not read back
NETWORK_TAG = "hourglass"  # what was made for machines to stand in is tagged so, `network` its value


class Requests:
    """Makes the requests of one home."""

    def __init__(
        self,
        *,
        home: str,
        clients: Clients,
        image: str | None,
        subnets: Sequence[str],
        security_group: str | None,
    ) -> None:
        """Take the operator's choices.

        `image` None takes AWS's own, `subnets` empty those that are tagged, else the default network's.
        """
        self._home = home
        self._client = clients
        self._image = image
        self._subnets = tuple(subnets)
        self._group = security_group
        self._facts: dict[tuple[str, ...], Any] = {}  # what a region said; it does not change

    def launch(self, offer: Offer, order: LaunchOrder, script: str) -> dict[str, Any]:
        """Return the parameters of RunInstances; asks for the region's image and subnets where they are not known."""
        if len(script.encode()) > USER_DATA_LIMIT:
            raise Rejected(f"The boot script is longer than the {USER_DATA_LIMIT} bytes that EC2 takes.")
        image = self._image_in(offer.region)
        tags = {**order.tags, "app": "hourglass", "home": self._home, "key": order.launch_key, TITLE: order.launch_key}
        tagged = [{"Key": key, "Value": value} for key, value in sorted(tags.items())]
        request: dict[str, Any] = {
            "ImageId": image,
            "InstanceType": offer.name,
            "MinCount": 1,
            "MaxCount": 1,
            "ClientToken": client_token(order.launch_key),
            "UserData": script,
            "InstanceInitiatedShutdownBehavior": "terminate",
            # Without a session token and beyond one hop, the metadata service is out of a container's reach.
            # The machine reads its deadline's tag there, which is how it learns of another one.
            "MetadataOptions": {
                "HttpEndpoint": "enabled",
                "HttpTokens": "required",
                "HttpPutResponseHopLimit": 1,
                "InstanceMetadataTags": "enabled",
            },
            "BlockDeviceMappings": [self._root_volume(offer.region, image, order.disk_gb)],
            "TagSpecifications": [{"ResourceType": kind, "Tags": tagged} for kind in ("instance", "volume")],
            **self._place(offer, order),
        }
        if offer.spot:
            request["InstanceMarketOptions"] = _spot(offer.micros_per_hour if offer.bid is None else offer.bid)
        return request

    def zones(self, region: str) -> frozenset[str] | None:
        """Return the zones in which machines may stand; None where the default network has one everywhere."""
        subnets = self._subnets_in(region)
        return frozenset(subnets.values()) if subnets else None

    # ------------------------------------------------------------ the parts

    def _place(self, offer: Offer, order: LaunchOrder) -> dict[str, Any]:
        place: dict[str, Any] = {}
        subnets = self._subnets_in(offer.region)
        if subnets:
            fitting = [name for name, zone in subnets.items() if offer.zone in ("", zone)]
            if not fitting:
                raise NoCapacity(f"No subnet for the machines of this bot lies in {offer.zone} any more.")
            # One call, one subnet, fixed by the order: two tries of one key may never be two requests. The next
            # attempt has another number, and so another zone where the offer names none.
            place["SubnetId"] = fitting[(order.attempt - 1 + order.rank) % len(fitting)]
        elif offer.zone:
            place["Placement"] = {"AvailabilityZone": offer.zone}
        group = self._group or (self._tagged_group(offer.region) if subnets and not self._subnets else None)
        group = group or self._default_group(offer.region)
        if group:
            self._must_let_nothing_in(offer.region, group)
            place["SecurityGroupIds"] = [group]
        return place

    def _image_in(self, region: str) -> str:
        if self._image:
            return self._image

        def ask() -> str:
            with translated("the look-up of the machine image", region):
                answer = self._client("ssm", region).get_parameter(Name=IMAGE_PARAMETER)
            return str(answer["Parameter"]["Value"])

        return str(self._once(("image", region), ask))

    def _root_volume(self, region: str, image: str, disk_gb: int) -> dict[str, Any]:
        def ask() -> tuple[str, int]:
            with translated("the look-up of the machine image", region):
                images = self._client("ec2", region).describe_images(ImageIds=[image])["Images"]
            if not images:
                raise Rejected(f"There is no machine image {image} in {region}. Check HOURGLASS_AWS_IMAGE.")
            root = str(images[0].get("RootDeviceName", "/dev/sda1"))
            sizes = [
                int(mapping.get("Ebs", {}).get("VolumeSize", 0))
                for mapping in images[0].get("BlockDeviceMappings", ())
                if mapping.get("DeviceName") == root
            ]
            return root, max(sizes, default=0)

        root, least = self._once(("root", region, image), ask)
        volume = {
            "VolumeSize": max(disk_gb, least),
            "VolumeType": "gp3",
            "Encrypted": True,
            "DeleteOnTermination": True,
        }
        return {"DeviceName": root, "Ebs": volume}

    def _subnets_in(self, region: str) -> Mapping[str, str]:
        """Return the subnets for machines with their zones, in the operator's order; none where the default's do."""

        def ask() -> Mapping[str, str]:
            what = _filter("subnet-id", self._subnets) if self._subnets else _filter(f"tag:{NETWORK_TAG}", ["network"])
            with translated("the look-up of the subnets", region):
                pages = self._client("ec2", region).describe_subnets(Filters=[what])["Subnets"]
            zones = {str(subnet["SubnetId"]): str(subnet["AvailabilityZone"]) for subnet in pages}
            return {name: zones[name] for name in (self._subnets or sorted(zones)) if name in zones}

        subnets: Mapping[str, str] = self._once(("subnets", region), ask)
        if self._subnets and not subnets:
            raise Rejected(f"None of HOURGLASS_AWS_SUBNETS lies in {region}.")
        return subnets

    def _tagged_group(self, region: str) -> str | None:
        def ask() -> str | None:
            with translated("the look-up of the security group", region):
                found = self._client("ec2", region).describe_security_groups(
                    Filters=[_filter(f"tag:{NETWORK_TAG}", ["network"])]
                )["SecurityGroups"]
            return min((str(group["GroupId"]) for group in found), default=None)

        group: str | None = self._once(("group", region), ask)
        return group

    def _default_group(self, region: str) -> str | None:
        """Return the group that a machine is put into where nobody names one: the network's own, which is anybody's."""

        def ask() -> str | None:
            subnets = self._subnets_in(region)
            mine = _filter("subnet-id", list(subnets)) if subnets else _filter("default-for-az", ["true"])
            with translated("the look-up of the security group", region):
                client = self._client("ec2", region)
                networks = {str(subnet["VpcId"]) for subnet in client.describe_subnets(Filters=[mine])["Subnets"]}
                if len(networks) != 1:
                    return None  # none, which EC2 says better; or several, and then each has a group of its own
                found = client.describe_security_groups(
                    Filters=[_filter("vpc-id", sorted(networks)), _filter("group-name", ["default"])]
                )["SecurityGroups"]
            return min((str(group["GroupId"]) for group in found), default=None)

        group: str | None = self._once(("default group", region), ask)
        return group

    def _must_let_nothing_in(self, region: str, group: str) -> None:
        """Refuse a group with a way in: nobody has to reach a machine. What machines of one group do among
        themselves is theirs.
        """

        def ask() -> bool:
            with translated("the look-up of the security group", region):
                found = self._client("ec2", region).describe_security_groups(GroupIds=[group])["SecurityGroups"]
            ways = [way for each in found for rule in each.get("IpPermissions", ()) for way in _ways_in(rule, group)]
            if ways:
                raise Rejected(
                    f"The security group {group} in {region} lets in {', '.join(ways[:4])}, and no machine of this bot "
                    "needs a way in. Remove its inbound rules, or name another group in HOURGLASS_AWS_SECURITY_GROUP.",
                    scope=Scope.REGION,
                )
            return True

        self._once(("closed", region, group), ask)

    def _once(self, key: tuple[str, ...], ask: Callable[[], Any]) -> Any:
        if key not in self._facts:
            self._facts[key] = ask()
        return self._facts[key]


def _ways_in(rule: Mapping[str, Any], group: str) -> Sequence[str]:
    """Return what an inbound rule lets in, each as `tcp 22 from 0.0.0.0/0`."""
    what = "everything" if rule.get("IpProtocol") == "-1" else str(rule.get("IpProtocol"))
    if "FromPort" in rule and rule["FromPort"] != -1:
        first, last = rule["FromPort"], rule.get("ToPort")
        what += f" {first}" if last in (None, first) else f" {first}-{last}"
    sources = [each["CidrIp"] for each in rule.get("IpRanges", ())]
    sources += [each["CidrIpv6"] for each in rule.get("Ipv6Ranges", ())]
    sources += [each["PrefixListId"] for each in rule.get("PrefixListIds", ())]
    sources += [each["GroupId"] for each in rule.get("UserIdGroupPairs", ()) if each.get("GroupId") != group]
    return [f"{what} from {source}" for source in sources]


def client_token(launch_key: str) -> str:
    """Return what EC2 knows the launch by: the key itself where it fits, else its digest."""
    fits = len(launch_key) <= TOKEN_LIMIT and launch_key.isascii()
    return launch_key if fits else hashlib.sha256(launch_key.encode()).hexdigest()


def _spot(bid: Micros) -> dict[str, Any]:
    return {
        "MarketType": "spot",
        "SpotOptions": {
            "MaxPrice": f"{bid // DOLLAR}.{bid % DOLLAR:06d}",
            "SpotInstanceType": "one-time",
            "InstanceInterruptionBehavior": "terminate",
        },
    }


def _filter(name: str, values: Sequence[str]) -> dict[str, Any]:
    return {"Name": name, "Values": list(values)}
