"""What a deployment needs at Amazon, made once by somebody who may: roles, policies, bucket, schedules, network.

Doing it again changes nothing but what differs. Nothing is ever removed, and what others made is left as it is: of a
bucket's lifecycle only our own rules are replaced. The rights that this takes are the operator's, not the bot's.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from jobs.providers import aws_policies as policies
from jobs.providers.aws_errors import code_of, translated
from jobs.providers.aws_policies import Document, Estate
from jobs.providers.aws_request import NETWORK_TAG, Clients

RULES = "hourglass-"  # our lifecycle rules' ids begin so
INLINE = "hourglass"  # our policy's name in each role
LONGEST_SESSION = 12 * 3600  # seconds; the most that a role may be lent for
_VERSIONS = 5  # of a managed policy, at most
_NET = "10.86"  # the addresses of a network that is made; nothing else has to reach them
_MOST_ZONES = 16  # that its addresses are enough for


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What the operator chose beside the estate."""

    estate: Estate
    bot: str  # ARN of whom the bot runs as
    reaper: str  # and of whom the reaper does
    accountant: str = ""  # and of whom `hourglass reconcile` does; empty: no role is made for that
    keep_days: int = 90  # attempts' files in the store; 0 keeps them for ever
    vpc: str = ""  # empty: the default one of each region, and where there is none, a new one
    subnets: Sequence[str] = ()  # empty: all of that VPC's


def documents(wanted: Wanted) -> Mapping[str, Document]:
    """Return every policy by the name under which it is made."""
    estate = wanted.estate
    return {
        f"{estate.bot_role} (policy of whom the bot runs as)": policies.bot(estate),
        f"{estate.job_role} (role)": policies.job(estate),
        f"{estate.job_role} (who may take it)": policies.trust(wanted.bot),
        f"{estate.scheduler_role} (role)": policies.scheduler(estate),
        f"{estate.scheduler_role} (who may take it)": policies.trust_service(estate),
        f"{estate.reaper_role} (role)": policies.reaper(estate),
        f"{estate.reaper_role} (who may take it)": policies.trust(wanted.reaper),
        f"{estate.accountant_role} (optional: who runs `hourglass reconcile`)": policies.accountant(),
        **(
            {f"{estate.accountant_role} (who may take it)": policies.trust(wanted.accountant)}
            if wanted.accountant
            else {}
        ),
    }


def settings(wanted: Wanted) -> Mapping[str, str]:
    """Return the settings that lead the bot to what was made."""
    estate = wanted.estate
    prefix = f"/{estate.prefix.strip('/')}" if estate.prefix.strip("/") else ""
    named = {
        "HOURGLASS_STORE": f"s3://{estate.bucket}{prefix}",
        "HOURGLASS_AWS_REGIONS": ",".join(estate.regions),
        "HOURGLASS_AWS_JOB_ROLE": estate.role(estate.job_role),
        "HOURGLASS_AWS_SCHEDULER_ROLE": estate.role(estate.scheduler_role),
        "HOURGLASS_AWS_SCHEDULE_GROUP": estate.group,
        "HOURGLASS_AWS_KMS_KEY": estate.kms_key,
    }
    return {name: value for name, value in named.items() if value}


class Setup:
    """Makes it; each step yields one line for the operator and may raise `jobs.errors.ProviderError`."""

    def __init__(self, wanted: Wanted, clients: Clients) -> None:
        self._wanted, self._estate = wanted, wanted.estate
        self._client = clients
        self._home = self._estate.regions[0]  # where the bucket lies

    def apply(self) -> Iterator[str]:
        """Make what is missing, and put right what differs."""
        with translated("the setup", self._home):
            yield from self._bucket()
            yield from self._roles()
            yield self._bot_policy()
            yield self._spot_role()
            for region in self._estate.regions:
                yield self._group(region)
                yield self._network(region)

    # ------------------------------------------------------------ the bucket

    def _bucket(self) -> Iterator[str]:
        s3, name = self._client("s3", self._home), self._estate.bucket
        where = {} if self._home == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": self._home}}
        made = _unless(("BucketAlreadyOwnedByYou",), lambda: s3.create_bucket(Bucket=name, **where))
        yield f"bucket {name}: {'made' if made else 'there'}"
        shut = dict.fromkeys(
            ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets"), True
        )
        s3.put_public_access_block(Bucket=name, PublicAccessBlockConfiguration=shut)
        key = self._estate.kms_key
        how = {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": key} if key else {"SSEAlgorithm": "AES256"}
        rule = {"ApplyServerSideEncryptionByDefault": how, "BucketKeyEnabled": bool(key)}
        s3.put_bucket_encryption(Bucket=name, ServerSideEncryptionConfiguration={"Rules": [rule]})
        yield f"bucket {name}: private, encrypted with {'your key' if key else 'a key of S3'}"
        s3.put_bucket_lifecycle_configuration(Bucket=name, LifecycleConfiguration={"Rules": self._rules(s3, name)})
        kept = f"attempts are kept {self._wanted.keep_days} days" if self._wanted.keep_days else "attempts are kept"
        yield f"bucket {name}: {kept}, uploads that were cut off two"

    def _rules(self, s3: Any, name: str) -> list[dict[str, Any]]:
        """Return the bucket's rules: those of others, and ours."""
        root = f"{self._estate.prefix.strip('/')}/" if self._estate.prefix.strip("/") else ""
        try:
            stand = s3.get_bucket_lifecycle_configuration(Bucket=name)["Rules"]
        except Exception as error:
            if code_of(error) != "NoSuchLifecycleConfiguration":
                raise
            stand = []
        ours = [_rule("uploads", root, AbortIncompleteMultipartUpload={"DaysAfterInitiation": 2})]
        if self._wanted.keep_days:
            ours.append(_rule("attempts", f"{root}jobs/", Expiration={"Days": self._wanted.keep_days}))
        ours.append(_rule("launches", f"{root}launch/", Expiration={"Days": 14}))
        return [rule for rule in stand if not str(rule.get("ID", "")).startswith(RULES)] + ours

    # ------------------------------------------------------------ who may what

    def _roles(self) -> Iterator[str]:
        estate, wanted = self._estate, self._wanted
        yield self._role(estate.job_role, policies.trust(wanted.bot), policies.job(estate))
        yield self._role(estate.scheduler_role, policies.trust_service(estate), policies.scheduler(estate))
        yield self._role(estate.reaper_role, policies.trust(wanted.reaper), policies.reaper(estate))
        if wanted.accountant:
            yield self._role(estate.accountant_role, policies.trust(wanted.accountant), policies.accountant())

    def _role(self, name: str, trust: Document, policy: Document) -> str:
        iam, session = self._client("iam", self._home), LONGEST_SESSION
        trusted = json.dumps(trust)
        made = _unless(
            ("EntityAlreadyExists",),
            lambda: iam.create_role(RoleName=name, AssumeRolePolicyDocument=trusted, MaxSessionDuration=session),
        )
        if not made:
            iam.update_assume_role_policy(RoleName=name, PolicyDocument=trusted)
            iam.update_role(RoleName=name, MaxSessionDuration=session)
        iam.put_role_policy(RoleName=name, PolicyName=INLINE, PolicyDocument=json.dumps(policy))
        return f"role {name}: {'made' if made else 'brought up to date'}"

    def _bot_policy(self) -> str:
        iam, name = self._client("iam", self._home), self._estate.bot_role
        told = json.dumps(policies.bot(self._estate))
        if _unless(("EntityAlreadyExists",), lambda: iam.create_policy(PolicyName=name, PolicyDocument=told)):
            return f"policy {name}: made; attach it to {self._wanted.bot}"
        arn = f"arn:{self._estate.partition}:iam::{self._estate.account}:policy/{name}"
        versions = sorted(iam.list_policy_versions(PolicyArn=arn)["Versions"], key=lambda one: one["CreateDate"])
        stands = next(one["VersionId"] for one in versions if one["IsDefaultVersion"])
        if iam.get_policy_version(PolicyArn=arn, VersionId=stands)["PolicyVersion"]["Document"] == json.loads(told):
            return f"policy {name}: there"
        if len(versions) >= _VERSIONS:
            oldest = next(one["VersionId"] for one in versions if not one["IsDefaultVersion"])
            iam.delete_policy_version(PolicyArn=arn, VersionId=oldest)
        iam.create_policy_version(PolicyArn=arn, PolicyDocument=told, SetAsDefault=True)
        return f"policy {name}: brought up to date"

    def _spot_role(self) -> str:
        iam = self._client("iam", self._home)
        # Once an account; whoever rents a spot machine for the first time would need the right to make it.
        made = _unless(
            ("InvalidInput", "EntityAlreadyExists"),  # Amazon says the first
            lambda: iam.create_service_linked_role(AWSServiceName="spot.amazonaws.com"),
        )
        return f"the spot market's own role: {'made' if made else 'there'}"

    # ------------------------------------------------------------ in each region

    def _group(self, region: str) -> str:
        client, name = self._client("scheduler", region), self._estate.group
        made = _unless(("ConflictException",), lambda: client.create_schedule_group(Name=name))
        return f"schedule group {name} in {region}: {'made' if made else 'there'}"

    def _network(self, region: str) -> str:
        ec2, tag = self._client("ec2", region), {"Key": NETWORK_TAG, "Value": "network"}
        where = self._wanted.vpc
        # A network is of one region; asked for by a filter, it is simply not among those of another.
        named = [_is("vpc-id", where)] if where else [_is("is-default", "true")]
        ours = [] if where else [_is(f"tag:{NETWORK_TAG}", "network")]
        found = [one["VpcId"] for each in (ours, named) if each for one in ec2.describe_vpcs(Filters=each)["Vpcs"]]
        if not found and where:
            return f"network in {region}: {where} is not in this region; nothing was made"
        vpc = found[0] if found else _new_vpc(ec2, tag)
        groups = ec2.describe_security_groups(Filters=[_is("vpc-id", vpc), _is(f"tag:{NETWORK_TAG}", "network")])
        if not groups["SecurityGroups"]:
            # A new group lets nothing in, and everything out.
            ec2.create_security_group(
                GroupName="hourglass",
                Description="Machines of Hourglass: nothing comes in",
                VpcId=vpc,
                TagSpecifications=[{"ResourceType": "security-group", "Tags": [tag]}],
            )
        chosen = list(self._wanted.subnets)
        filters = [_is("subnet-id", *chosen)] if chosen else [_is("vpc-id", vpc)]
        subnets = [one["SubnetId"] for one in ec2.describe_subnets(Filters=filters)["Subnets"]]
        if subnets:
            ec2.create_tags(Resources=subnets, Tags=[tag])
        return f"network in {region}: {len(subnets)} subnets of {vpc}, a security group without a way in"


def _new_vpc(ec2: Any, tag: Mapping[str, str]) -> str:
    """Make a network with a way out, which the store and image registries are on, and a subnet in each zone."""

    def tagged(kind: str) -> list[dict[str, Any]]:
        return [{"ResourceType": kind, "Tags": [tag]}]

    vpc = str(ec2.create_vpc(CidrBlock=f"{_NET}.0.0/16")["Vpc"]["VpcId"])
    gateway = ec2.create_internet_gateway(TagSpecifications=tagged("internet-gateway"))["InternetGateway"]
    ec2.attach_internet_gateway(InternetGatewayId=gateway["InternetGatewayId"], VpcId=vpc)
    (table,) = ec2.describe_route_tables(Filters=[_is("vpc-id", vpc), _is("association.main", "true")])["RouteTables"]
    ec2.create_route(
        RouteTableId=table["RouteTableId"], DestinationCidrBlock="0.0.0.0/0", GatewayId=gateway["InternetGatewayId"]
    )
    zones = ec2.describe_availability_zones(Filters=[_is("zone-type", "availability-zone")])["AvailabilityZones"]
    for number, zone in enumerate(sorted(one["ZoneName"] for one in zones)[:_MOST_ZONES]):
        made = ec2.create_subnet(
            VpcId=vpc,
            AvailabilityZone=zone,
            CidrBlock=f"{_NET}.{16 * number}.0/20",
            TagSpecifications=tagged("subnet"),
        )["Subnet"]
        ec2.modify_subnet_attribute(SubnetId=made["SubnetId"], MapPublicIpOnLaunch={"Value": True})
    ec2.create_tags(Resources=[vpc], Tags=[tag])  # last: one that was cut off half made is not taken for whole
    return vpc


def _rule(name: str, prefix: str, **what: Any) -> dict[str, Any]:
    return {"ID": f"{RULES}{name}", "Status": "Enabled", "Filter": {"Prefix": prefix}, **what}


def _is(name: str, *values: str) -> dict[str, Any]:
    return {"Name": name, "Values": list(values)}


def _unless(codes: Sequence[str], make: Callable[[], Any]) -> bool:
    """Make something; return False where it is there already, by one of these codes."""
    try:
        make()
    except Exception as error:
        if code_of(error) not in codes:
            raise
        return False
    return True
