"""Amazon's judgement of one request by one policy: action, resources and conditions, read off the wire.

A stand-in for IAM's evaluation, for what our policies use of it: Allow statements, wildcards, StringEquals, StringLike
and ForAllValues:StringEquals. moto's own judges actions and cannot judge resources and conditions. A request that needs
several permissions (a launch with its image, its disk and its tags; a schedule with its role) has all of them judged.
"""

from __future__ import annotations

import fnmatch
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, unquote

ACCOUNT = "123456789012"  # moto's own
Words = Mapping[str, str]
_S3 = {
    "GET": "s3:GetObject",
    "HEAD": "s3:GetObject",
    "PUT": "s3:PutObject",
    "DELETE": "s3:DeleteObject",
    "POST": "s3:PutObject",
}


_OF_BUCKETS = {"encryption": "s3:GetEncryptionConfiguration", "lifecycle": "s3:GetLifecycleConfiguration"}


@dataclass(frozen=True, kw_only=True)
class Asked:
    """One permission that a request needs."""

    action: str
    resource: str
    context: Mapping[str, Sequence[str]] = field(default_factory=dict)


def refused(policy: Mapping[str, Any], asked: Sequence[Asked]) -> Asked | None:
    """Return the first permission that the policy does not give; None where it gives all of them."""
    return next((one for one in asked if not any(_allows(each, one) for each in policy["Statement"])), None)


def _allows(statement: Mapping[str, Any], asked: Asked) -> bool:
    assert statement["Effect"] == "Allow"
    acts = any(fnmatch.fnmatchcase(asked.action, pattern) for pattern in statement["Action"])
    reaches = any(fnmatch.fnmatchcase(asked.resource, pattern) for pattern in statement["Resource"])
    return acts and reaches and all(_holds(how, keys, asked) for how, keys in statement.get("Condition", {}).items())


def _holds(how: str, keys: Mapping[str, Any], asked: Asked) -> bool:
    for key, wanted in keys.items():
        patterns = [wanted] if isinstance(wanted, str) else wanted
        values = asked.context.get(key, ())
        match how:
            case "StringEquals":
                good = bool(values) and all(value in patterns for value in values)
            case "StringLike":
                good = bool(values) and all(any(fnmatch.fnmatchcase(v, p) for p in patterns) for v in values)
            case "ForAllValues:StringEquals":
                good = all(value in patterns for value in values)
            case _:
                raise NotImplementedError(how)
        if not good:
            return False
    return True


# ---------------------------------------------------------------- what a request needs


def needs(environ: dict[str, Any]) -> list[Asked]:
    """Return the permissions that a request needs; the request can still be read by whoever comes next."""
    scope = environ.get("HTTP_AUTHORIZATION", "").split("Credential=")[-1].split("/")
    region, service = scope[2], scope[3]
    raw = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    environ["wsgi.input"] = io.BytesIO(raw)
    if service in ("ec2", "sts"):
        return list(_form(service, region, dict(parse_qsl(raw.decode(), keep_blank_values=True))))
    if service == "scheduler":
        return list(_schedule(environ, region, raw))
    if service == "s3":
        return [_object(environ)]
    action = environ["HTTP_X_AMZ_TARGET"].rsplit(".", 1)[-1]  # JSON protocols name it in a header
    named = json.loads(raw or b"{}").get("Name", "")
    where = f"arn:aws:ssm:{region}::parameter{named}" if service == "ssm" else "*"
    return [Asked(action=f"{service}:{action}", resource=where)]


def _form(service: str, region: str, words: Words) -> Iterator[Asked]:
    action = f"{service}:{words['Action']}"
    arn = f"arn:aws:ec2:{region}:{ACCOUNT}:"
    match words["Action"]:
        case "AssumeRole":
            yield Asked(action=action, resource=words["RoleArn"])
        case "RunInstances":
            yield from _launch(action, arn, region, words)
        case "TerminateInstances":
            for name in _numbered(words, "InstanceId"):
                yield Asked(action=action, resource=f"{arn}instance/{name}", context=_tags_of(region, name))
        case "CreateTags":
            keys = {"aws:TagKeys": [words[key] for key in words if key.startswith("Tag.") and key.endswith(".Key")]}
            for name in _numbered(words, "ResourceId"):
                yield Asked(action=action, resource=f"{arn}instance/{name}", context={**_tags_of(region, name), **keys})
        case _:
            yield Asked(action=action, resource="*")


def _launch(action: str, arn: str, region: str, words: Words) -> Iterator[Asked]:
    tags: dict[str, dict[str, str]] = {}
    for number in range(1, 4):
        kind = words.get(f"TagSpecification.{number}.ResourceType")
        if kind is not None:
            head = f"TagSpecification.{number}.Tag."
            pairs = {key.removeprefix(head).split(".")[0] for key in words if key.startswith(head)}
            tags[kind] = {words[f"{head}{one}.Key"]: words[f"{head}{one}.Value"] for one in pairs}
    for kind in ("instance", "volume"):
        told = {f"aws:RequestTag/{key}": [value] for key, value in tags.get(kind, {}).items()}
        typed = {"ec2:InstanceType": [words["InstanceType"]]} if kind == "instance" else {}
        yield Asked(action=action, resource=f"{arn}{kind}/*", context={**told, **typed})
    for kind in tags:
        yield Asked(action="ec2:CreateTags", resource=f"{arn}{kind}/*", context={"ec2:CreateAction": ["RunInstances"]})
    yield Asked(action=action, resource=f"arn:aws:ec2:{region}::image/{words['ImageId']}")
    kinds = ["subnet", "network-interface", "security-group"]
    kinds += ["spot-instances-request"] if any(key.startswith("InstanceMarketOptions") for key in words) else []
    for kind in kinds:
        yield Asked(action=action, resource=f"{arn}{kind}/any")


def _tags_of(region: str, name: str) -> dict[str, list[str]]:
    from moto.ec2.models import ec2_backends  # for the one worker that runs these tests

    found = ec2_backends[ACCOUNT][region].describe_tags({"resource-id": [name]})
    return {f"aws:ResourceTag/{tag['key']}": [tag["value"]] for tag in found}


def _schedule(environ: dict[str, Any], region: str, raw: bytes) -> Iterator[Asked]:
    path = environ["PATH_INFO"].strip("/").split("/")
    if len(path) == 1:
        yield Asked(action="scheduler:ListSchedules", resource="*")
        return
    verb = {"POST": "Create", "PUT": "Update", "GET": "Get", "DELETE": "Delete"}[environ["REQUEST_METHOD"]]
    asked = json.loads(raw) if raw else {}
    group = asked.get("GroupName") or dict(parse_qsl(environ.get("QUERY_STRING", ""))).get("groupName", "default")
    arn = f"arn:aws:scheduler:{region}:{ACCOUNT}:schedule/{group}/{path[1]}"
    yield Asked(action=f"scheduler:{verb}Schedule", resource=arn)
    if "Target" in asked:
        service = {"iam:PassedToService": ["scheduler.amazonaws.com"]}
        yield Asked(action="iam:PassRole", resource=asked["Target"]["RoleArn"], context=service)


def _object(environ: dict[str, Any]) -> Asked:
    bucket, _, key = unquote(environ["PATH_INFO"]).strip("/").partition("/")
    if not key and (named := _OF_BUCKETS.get(environ.get("QUERY_STRING", ""))):
        return Asked(action=named, resource=f"arn:aws:s3:::{bucket}")
    if not key:
        return Asked(action="s3:ListBucket", resource=f"arn:aws:s3:::{bucket}")
    query, verb = environ.get("QUERY_STRING", ""), environ["REQUEST_METHOD"]
    aborts = verb == "DELETE" and "uploadId=" in query
    parts = verb == "GET" and "uploadId=" in query
    action = "s3:AbortMultipartUpload" if aborts else "s3:ListMultipartUploadParts" if parts else _S3[verb]
    return Asked(action=action, resource=f"arn:aws:s3:::{bucket}/{key}")


def _numbered(words: Words, name: str) -> list[str]:
    return [value for key, value in sorted(words.items()) if key.startswith(f"{name}.")]
