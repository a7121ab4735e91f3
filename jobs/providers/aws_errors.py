"""The boundary where the AWS SDK's errors become ours: by AWS's own code, never by its prose.

Everything that leaves a `translated` block is a `jobs.errors.ProviderError`. What is neither in the table nor a
plain 4xx is `Unknown`: a call whose answer was lost may have had its effect.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    CredentialRetrievalError,
    LoginError,
    NoAuthTokenError,
    NoCredentialsError,
    ParamValidationError,
    PartialCredentialsError,
    SSOError,
    TokenRetrievalError,
)
from botocore.parsers import ResponseParserError

from jobs.errors import NoCapacity, ProviderError, QuotaExceeded, Rejected, Scope, Throttled, Unauthorized, Unknown
from jobs.providers.aws_policies import statement_for
from jobs.providers.aws_words import Quota, credentials_ended, more_of, right

# No key, or a login of a person that has to be renewed by one.
_NO_CREDENTIALS = (
    NoCredentialsError,
    PartialCredentialsError,
    CredentialRetrievalError,
    TokenRetrievalError,
    SSOError,
    LoginError,
    NoAuthTokenError,
)
MISMATCH = "IdempotentParameterMismatch"  # a machine was asked for under this token, in other words
NOT_FOUND = ("InvalidInstanceID.NotFound", "InvalidInstanceID.Malformed")

_QUOTA_HELP = "Ask for a higher one in Service Quotas, or name another region in HOURGLASS_AWS_REGIONS."
_RIGHTS_HELP = "Check the bot's AWS credentials and its policy (docs/providers/aws.md)."
_RENEW_HELP = (
    "Whoever runs the bot gives it credentials that are valid. Machines that run keep their timers and end in time."
)
_CAPACITY_HELP = "Another zone, region or type may have one."

_CAPACITY = frozenset(
    {
        "InsufficientInstanceCapacity",
        "InsufficientHostCapacity",
        "InsufficientReservedInstanceCapacity",
        "InsufficientCapacity",
        "InsufficientFreeAddressesInSubnet",
        "SpotMaxPriceTooLow",
        "Unsupported",  # that type is not sold in that zone
        "VolumeTypeNotAvailableInZone",
    }
)
_QUOTA = frozenset(
    {
        "VcpuLimitExceeded",
        "InstanceLimitExceeded",
        "MaxSpotInstanceCountExceeded",
    }
)
# Limits that count something else than machines.
_OTHER_LIMITS = {
    "VolumeLimitExceeded": "The AWS account may not have more disks: whoever runs it asks for more room for gp3 volumes"
    " under Amazon EBS in Service Quotas, or removes volumes that are of no use any more.",
    "MaxIOPSLimitExceeded": "The AWS account may not have more IOPS on its disks: whoever runs it asks for more under"
    " Amazon EBS in Service Quotas.",
    "PendingVerification": "AWS is still looking at this account, which takes minutes, seldom hours, and rents it"
    " nothing there until then. Nobody has to ask for anything.",
}
_RIGHTS = frozenset(
    {
        "AccessDenied",
        "AccessDeniedException",
        "AuthFailure",
        "AuthFailure.ServiceLinkedRoleCreationNotPermitted",  # of an account that never rented on the spot market
        "Blocked",
        "ExpiredToken",
        "ExpiredTokenException",
        "InvalidAccessKeyId",
        "InvalidClientTokenId",
        "MissingAuthenticationToken",
        "OptInRequired",
        "RequestExpired",
        "SignatureDoesNotMatch",
        "UnauthorizedOperation",
        "UnrecognizedClientException",
    }
)
_THROTTLE = frozenset(
    {
        "EC2ThrottledException",
        "RequestLimitExceeded",
        "RequestThrottled",
        "RequestThrottledException",
        "SlowDown",
        "ThrottledException",
        "Throttling",
        "ThrottlingException",
        "TooManyRequestsException",
    }
)
# No subnet of the default network lies in that zone.
_ZONE_ALONE = frozenset({"MissingInput"})
_SETTINGS = {
    "InvalidAMIID": "HOURGLASS_AWS_IMAGE",
    "InvalidSubnetID": "HOURGLASS_AWS_SUBNETS",
    "InvalidSubnet": "HOURGLASS_AWS_SUBNETS",
    "InvalidGroup": "HOURGLASS_AWS_SECURITY_GROUP",
    "InvalidSecurityGroupID": "HOURGLASS_AWS_SECURITY_GROUP",
    "ParameterNotFound": "HOURGLASS_AWS_IMAGE",
    "VPCIdNotSpecified": "HOURGLASS_AWS_SUBNETS",
}


def code_of(error: BaseException | None) -> str:
    """Return AWS's own code for the error, or an empty string."""
    return str(error.response.get("Error", {}).get("Code", "")) if isinstance(error, ClientError) else ""


def repeated(error: BaseException | None) -> bool:
    """Return whether this is the answer to a repeat that the SDK made by itself."""
    return isinstance(error, ClientError) and bool(error.response.get("ResponseMetadata", {}).get("RetryAttempts"))


@contextmanager
def translated(doing: str, region: str, *, quota: Quota | None = None) -> Iterator[None]:
    """Turn whatever the SDK raises inside into a `ProviderError` that says what was being done, and where.

    `region` may be a zone; `quota` is what a launch counts against.
    """
    try:
        yield
    except ClientError as error:
        raise _refusal(error, doing, region, quota) from error
    except _NO_CREDENTIALS as error:
        raise Unauthorized(f"There are no usable AWS credentials for {doing}: {error}. {_RENEW_HELP}") from error
    except ParamValidationError as error:
        raise Rejected(f"The SDK refused {doing} in {region}: {error}") from error
    except (BotoCoreError, ResponseParserError) as error:
        raise Unknown(f"AWS in {region} gave no whole answer to {doing}: {error}. It may have happened.") from error


def _refusal(error: ClientError, doing: str, region: str, quota: Quota | None) -> ProviderError:
    code = code_of(error)
    status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    # Ours comes first: what is shown may be cut short, and Amazon's own words go on for long.
    said = f"Amazon's words: {code}: {str(error.response.get('Error', {}).get('Message', ''))[:300]}"
    # The table goes before the status: AWS reports a lack of capacity as a 500.
    if code in _CAPACITY:
        return NoCapacity(f"AWS has none of these machines free in {region}. {_CAPACITY_HELP} {said}")
    if code in _OTHER_LIMITS:
        return QuotaExceeded(f"{_OTHER_LIMITS[code]} It is {region} that refuses. {said}")
    if code in _QUOTA:
        more = _QUOTA_HELP if quota is None else more_of(quota, region.rstrip("abcdefgh"))
        return QuotaExceeded(f"The AWS account may not have more of these machines in {region}. {more} {said}")
    if code in _RIGHTS:
        return _unauthorized(error, code, doing, region, said)
    if code in _THROTTLE:
        return Throttled(f"AWS in {region} wants {doing} to be asked more slowly. {said}")
    if status >= 500 or status == 0 or code in (MISMATCH, "RequestTimeout"):
        return Unknown(f"AWS in {region} failed during {doing}. It may have happened. {said}")
    setting = _SETTINGS.get(code.partition(".")[0])
    check = f" Check {setting}." if setting else ""
    return Rejected(f"AWS refused {doing} in {region}.{check} {said}", scope=_reach(code))


def _unauthorized(error: ClientError, code: str, doing: str, region: str, said: str) -> Unauthorized:
    if credentials_ended(code):
        return Unauthorized(f"AWS does not take the bot's credentials for {doing} in {region}. {_RENEW_HELP} {said}")
    message = str(error.response.get("Error", {}).get("Message", ""))
    missing = right(str(error.operation_name), code, message)
    # A role that only the spot market wants says nothing of machines on demand.
    scope = Scope.REGION if missing.startswith("iam:") else Scope.ACCOUNT
    statement = statement_for(missing)
    named = f", its statement {statement}" if statement else ""
    return Unauthorized(
        f"AWS did not allow {doing} in {region}. The bot's policy lacks `{missing}`{named}; "
        f"`hourglass aws setup` prints it. {said}",
        scope=scope,
    )


def _reach(code: str) -> Scope:
    if code in _ZONE_ALONE:
        return Scope.ZONE
    # An AMI, subnet or type that one region does not know says nothing of the next one.
    return Scope.REGION if code.partition(".")[0] in _SETTINGS or code == "InvalidParameterValue" else Scope.PERMANENT
