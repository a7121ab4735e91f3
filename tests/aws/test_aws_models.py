"""botocore's models check every request before it leaves: of the bot's own clients, and of those of the tests."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from jobs.errors import Rejected
from jobs.providers.aws import sdk_clients
from tests.aws.books import SMALL, Scripts, order, provider
from tests.aws.cloud import REGION, Cloud
from tests.crashes.aws import WIRE

SERVICES = ("ec2", "scheduler", "ssm", "pricing", "sts", "ce")


@pytest.fixture
def cloud() -> Iterator[Cloud]:
    with Cloud() as cloud:
        yield cloud


@pytest.mark.parametrize("service", SERVICES)
def test_no_client_sends_what_its_model_does_not_know(service: str, cloud: Cloud) -> None:
    for clients in (sdk_clients(), cloud.client, WIRE.client):
        assert clients(service, REGION).meta.config.parameter_validation is True


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"MinCount": "1"}, "Invalid type for parameter MinCount"),
        ({"InstanceInitiatedShutdownBehaviour": "terminate"}, "Unknown parameter in input"),
        ({"MaxCount": None}, "Invalid type for parameter MaxCount"),
        ({"TagSpecifications": {"ResourceType": "instance"}}, "Invalid type for parameter TagSpecifications"),
        ({"BlockDeviceMappings": [{"Ebs": {"Encrypted": "yes"}}]}, "BlockDeviceMappings"),
    ],
)
def test_a_request_that_the_model_does_not_know_never_leaves(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch, changes: Mapping[str, Any], words: str
) -> None:
    aws = provider(cloud, Scripts())
    whole = aws._requests.launch(SMALL, order(), "#!/bin/bash\n")
    monkeypatch.setattr(aws._requests, "launch", lambda *_: {**whole, **changes})
    with pytest.raises(Rejected, match=words):
        aws.launch(SMALL, order())
    assert "RunInstances" not in cloud.front.calls
    monkeypatch.setattr(aws._requests, "launch", lambda *_: whole)
    aws.launch(SMALL, order())
    assert cloud.front.calls.count("RunInstances") == 1
