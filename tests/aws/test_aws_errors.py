"""Amazon's errors and the SDK's become ours at one boundary, and none slips through."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from botocore import exceptions as sdk
from botocore.parsers import ResponseParserError

from jobs.errors import NoCapacity, ProviderError, QuotaExceeded, Rejected, Scope, Throttled, Unauthorized, Unknown
from jobs.providers.aws_errors import translated
from tests.aws.books import SMALL, Scripts, order, provider
from tests.aws.cloud import REGION, Cloud


@pytest.fixture(scope="module")
def cloud() -> Iterator[Cloud]:
    with Cloud() as cloud:
        yield cloud


@pytest.fixture
def scripts() -> Scripts:
    return Scripts()


@pytest.mark.parametrize(
    ("code", "status", "kind", "scope", "forgotten"),
    [
        ("InsufficientInstanceCapacity", 500, NoCapacity, Scope.ZONE, True),
        ("Unsupported", 400, NoCapacity, Scope.ZONE, True),
        ("VcpuLimitExceeded", 400, QuotaExceeded, Scope.REGION, True),
        ("MaxSpotInstanceCountExceeded", 400, QuotaExceeded, Scope.REGION, True),
        ("UnauthorizedOperation", 403, Unauthorized, Scope.ACCOUNT, False),
        ("AuthFailure", 401, Unauthorized, Scope.ACCOUNT, False),
        ("RequestExpired", 400, Unauthorized, Scope.ACCOUNT, False),
        ("RequestLimitExceeded", 503, Throttled, Scope.UNKNOWN, False),
        ("InvalidSubnetID.NotFound", 400, Rejected, Scope.REGION, True),
        ("InvalidBlockDeviceMapping", 400, Rejected, Scope.PERMANENT, True),
        ("IdempotentParameterMismatch", 400, Unknown, Scope.UNKNOWN, False),
        ("InternalError", 500, Unknown, Scope.UNKNOWN, False),
        ("Unavailable", 503, Unknown, Scope.UNKNOWN, False),
        ("SomethingNew", 502, Unknown, Scope.UNKNOWN, False),
    ],
)
def test_amazons_codes_become_our_errors_with_their_reach(
    cloud: Cloud,
    scripts: Scripts,
    code: str,
    status: int,
    kind: type[ProviderError],
    scope: Scope,
    forgotten: bool,
) -> None:
    aws = provider(cloud, scripts)
    with cloud.front.refusing("RunInstances", code, status), pytest.raises(ProviderError) as caught:
        aws.launch(SMALL, order())
    assert (type(caught.value), caught.value.scope) == (kind, scope)
    assert code in str(caught.value)
    # Only where it is sure that no machine stands: one that does still has to read what was kept for it.
    assert bool(scripts.forgotten) is forgotten


def test_a_role_that_may_not_list_is_told_so(cloud: Cloud, scripts: Scripts) -> None:
    with (
        cloud.front.refusing("DescribeInstances", "UnauthorizedOperation", 403),
        pytest.raises(Unauthorized, match="policy"),
    ):
        provider(cloud, scripts).list()


# These tell of the SDK's own files, and come while a client is made.
NOT_OF_A_CALL = (sdk.UndefinedModelAttributeError, Warning)


def _sdk_errors() -> list[Exception]:
    kinds = [
        kind
        for kind in vars(sdk).values()
        if isinstance(kind, type) and issubclass(kind, Exception) and kind.__module__ == sdk.__name__
        if not issubclass(kind, NOT_OF_A_CALL)
    ]
    made: list[Exception] = []
    for kind in kinds:
        error = kind.__new__(kind)
        Exception.__init__(error, kind.__name__)
        if isinstance(error, sdk.ClientError):
            error = kind({"Error": {"Code": "Odd", "Message": ""}, "ResponseMetadata": {"HTTPStatusCode": 418}}, "Any")
        made.append(error)
    return [*made, ResponseParserError("not XML")]


@pytest.mark.parametrize("error", _sdk_errors(), ids=lambda error: type(error).__name__)
def test_no_error_of_the_sdk_slips_through(error: Exception) -> None:
    with pytest.raises(ProviderError) as caught, translated("a test", REGION):
        raise error
    assert caught.value.__cause__ is error


def test_missing_credentials_are_unauthorized_and_a_lost_connection_is_unknown() -> None:
    with pytest.raises(Unauthorized, match="no usable AWS credentials"), translated("a launch", REGION):
        raise sdk.NoCredentialsError
    with pytest.raises(Unknown, match="may have happened"), translated("a launch", REGION):
        raise sdk.ReadTimeoutError(endpoint_url="https://ec2")
