"""Amazon's errors and the SDK's become ours at one boundary, and none slips through."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import pytest
from botocore import exceptions as sdk
from botocore.parsers import ResponseParserError

from jobs.errors import NoCapacity, ProviderError, QuotaExceeded, Rejected, Scope, Throttled, Unauthorized, Unknown
from jobs.providers.aws_errors import translated
from jobs.providers.aws_words import right
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
        pytest.raises(Unauthorized, match="policy lacks `ec2:DescribeInstances`"),
    ):
        provider(cloud, scripts).list()


def test_what_is_missing_stands_before_amazons_own_words_which_are_long() -> None:
    """A reply shows five hundred characters, a card four hundred."""
    said = (
        "User: arn:aws:sts::123456789012:assumed-role/hourglass-bot/i-0123456789abcdef0 is not authorized to perform: "
        "scheduler:CreateSchedule on resource: arn:aws:scheduler:us-east-1:123456789012:schedule/hourglass/"
        "hg-5e0f3c1e-job0001-a1-r0 because no identity-based policy allows the scheduler:CreateSchedule action"
    )
    refused = {"Error": {"Code": "AccessDeniedException", "Message": said}, "ResponseMetadata": {"HTTPStatusCode": 403}}
    with pytest.raises(Unauthorized) as caught, translated("the schedule that ends the machine", REGION):
        raise sdk.ClientError(refused, "CreateSchedule")
    assert "its statement KeepSchedules; `hourglass aws setup` prints it." in str(caught.value)[:250]
    assert "not authorized to perform" in str(caught.value)


@pytest.mark.parametrize(
    ("code", "says"),
    [
        ("VolumeLimitExceeded", "may not have more disks"),
        ("MaxIOPSLimitExceeded", "more IOPS"),
        ("PendingVerification", "Nobody has to ask for anything"),
    ],
)
def test_a_limit_of_something_else_than_machines_is_not_told_as_theirs(
    cloud: Cloud, scripts: Scripts, code: str, says: str
) -> None:
    with cloud.front.refusing("RunInstances", code, 400), pytest.raises(QuotaExceeded, match=says) as caught:
        provider(cloud, scripts).launch(SMALL, order())
    assert "vCPU" not in str(caught.value)


def test_a_right_is_named_as_amazons_sentence_names_it() -> None:
    said = "User: arn:aws:iam::1:user/bot is not authorized to perform: ec2:CreateTags on resource: x because no policy"
    assert right("RunInstances", "UnauthorizedOperation", said) == "ec2:CreateTags"
    assert right("GetParameter", "AccessDeniedException", "No.") == "ssm:GetParameter"
    assert right("GetProducts", "AccessDeniedException", "No.") == "pricing:GetProducts"


def test_an_account_that_never_rented_on_spot_is_told_the_right_and_rents_on_demand(
    cloud: Cloud, scripts: Scripts
) -> None:
    code = "AuthFailure.ServiceLinkedRoleCreationNotPermitted"
    with cloud.front.refusing("RunInstances", code, 403), pytest.raises(Unauthorized) as caught:
        provider(cloud, scripts).launch(dataclasses.replace(SMALL, spot=True), order())
    assert "`iam:CreateServiceLinkedRole`" in str(caught.value)
    assert caught.value.scope is Scope.REGION


@pytest.mark.parametrize(
    ("name", "spot", "quota"),
    [
        ("g4dn.xlarge", False, "L-DB2E81BA"),
        ("g6e.48xlarge", True, "L-3819A6DF"),
        ("p5.48xlarge", False, "L-417A185B"),
        ("p5en.48xlarge", True, "L-C4BD4855"),
        ("p4d.24xlarge", True, "L-7212CCBC"),
        ("c7i.large", False, "L-1216C47A"),
        ("c7i.large", True, "L-34B43A08"),
    ],
)
def test_a_quota_that_is_used_up_is_named_with_the_page_where_more_is_asked_for(
    cloud: Cloud, scripts: Scripts, name: str, spot: bool, quota: str
) -> None:
    cloud.front.supply.quotas[REGION, spot] = 0
    offer = dataclasses.replace(SMALL, name=name, spot=spot, zone="us-east-1b" if name.startswith("c") else "")
    with pytest.raises(QuotaExceeded, match=f"https://{REGION}.console.aws.amazon.com/.*/{quota}"):
        provider(cloud, scripts).launch(offer, order(name))
    cloud.front.supply.quotas.clear()


@pytest.mark.parametrize("code", ["ExpiredToken", "RequestExpired", "AuthFailure"])
def test_credentials_that_ended_are_told_apart_from_rights_that_lack(cloud: Cloud, scripts: Scripts, code: str) -> None:
    with (
        cloud.front.refusing("DescribeInstances", code, 400),
        pytest.raises(Unauthorized, match=r"credentials that are valid\. Machines that run keep their timers"),
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
    for login in (sdk.UnauthorizedSSOTokenError, sdk.LoginRefreshRequired):  # of a person, who renews it
        with pytest.raises(Unauthorized, match="credentials that are valid"), translated("a launch", REGION):
            raise login
    with pytest.raises(Unknown, match="may have happened"), translated("a launch", REGION):
        raise sdk.ReadTimeoutError(endpoint_url="https://ec2")
