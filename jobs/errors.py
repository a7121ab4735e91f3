"""Every error that Hourglass raises on purpose.

    HourglassError
    ├── BadRequest              a person's input; the message quotes the bad word and says what to type
    │   ├── BadSpec             the task file or the command's arguments
    │   ├── BadSource           repository, ref or archive
    │   └── BadImage            the container image
    ├── Refused                 understood, and not allowed
    │   ├── OverBudget          the hold does not fit under the cap
    │   ├── NotAllowed          this person may not do that
    │   └── Frozen              the team has stopped new rentals
    ├── TooLate                 the thing was decided, ended or moved before this came
    ├── IllegalEvent            an event that the life cycle has no arrow for; nothing was changed
    ├── NotFound                no such job, team or checkpoint
    ├── Misconfigured           the operator's settings; raised at start-up, never in mid-run
    ├── NotWritten              the database could not take it; nothing was changed
    ├── StoreError              the file store did not do what was asked
    └── ProviderError           a provider said no; `scope` says how far that reaches
        ├── NoCapacity          nothing free in that zone or region
        ├── QuotaExceeded       the account may not have more of it
        ├── Unauthorized        credentials missing, expired or too narrow
        ├── Throttled           asked too often; ask again
        ├── Rejected            the request itself is wrong; repeating it will not help
        └── Unknown             no answer, or half of one: look it up, never launch again blindly

A message is a whole sentence for the person who meets it: what happened, and what to do next. Provider
errors are raised only by `jobs.providers`, from the SDK's own (`raise … from`).
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum


class HourglassError(Exception):
    """The base of every error raised on purpose; `str()` of it may be shown to people."""


class BadRequest(HourglassError):
    """A person's input cannot be used; `fix` is a corrected line to copy, where one can be given."""

    def __init__(self, message: str, *, fix: str | None = None) -> None:
        super().__init__(message)
        self.fix = fix


class BadSpec(BadRequest):
    """The task file or the command's arguments cannot be used."""


class BadSource(BadRequest):
    """The repository, the ref or its archive cannot be used; `nearest` is the ref that was probably meant."""

    def __init__(self, message: str, *, fix: str | None = None, nearest: str | None = None) -> None:
        super().__init__(message, fix=fix)
        self.nearest = nearest


class BadImage(BadRequest):
    """The container image does not exist or cannot run on the machine that was asked for."""


class Refused(HourglassError):
    """The request was understood and is not allowed; `fix` is a line that would be, where one can be given."""

    def __init__(self, message: str, *, fix: str | None = None) -> None:
        super().__init__(message)
        self.fix = fix


class OverBudget(Refused):
    """The hold would not fit under the team's cap."""


class NotAllowed(Refused):
    """This person may not do that."""


class Frozen(Refused):
    """The team has stopped new rentals."""


class TooLate(HourglassError):
    """It was decided, ended or moved before this came; the message says by whom or when.

    `by` is the person's id ("" where it was the system or is not known), `at` the moment, where it is known.
    """

    def __init__(self, message: str, *, by: str = "", at: datetime | None = None) -> None:
        super().__init__(message)
        self.by = by
        self.at = at


class IllegalEvent(HourglassError):
    """The life cycle has no arrow for this event in this state."""


class NotFound(HourglassError):
    """There is no such job, team or checkpoint."""


class Misconfigured(HourglassError):
    """The operator's settings cannot work; the message names the variable."""


class NotWritten(HourglassError):
    """The database was busy, full or away; nothing was changed, and the same may be asked again."""


class StoreError(HourglassError):
    """The file store did not do what was asked."""


class Scope(StrEnum):
    """How far a provider's refusal reaches, and so what may be tried next."""

    ZONE = "zone"
    REGION = "region"
    ACCOUNT = "account"
    PERMANENT = "permanent"
    UNKNOWN = "unknown"


class ProviderError(HourglassError):
    """A provider did not do what was asked; `scope` says how far that reaches."""

    def __init__(self, message: str, *, scope: Scope) -> None:
        super().__init__(message)
        self.scope = scope


class NoCapacity(ProviderError):
    """Nothing of that kind is free in the zone or region that was asked."""

    def __init__(self, message: str, *, scope: Scope = Scope.ZONE) -> None:
        super().__init__(message, scope=scope)


class QuotaExceeded(ProviderError):
    """The account may not have more of it here."""

    def __init__(self, message: str, *, scope: Scope = Scope.REGION) -> None:
        super().__init__(message, scope=scope)


class Unauthorized(ProviderError):
    """The credentials are missing, expired or too narrow."""

    def __init__(self, message: str, *, scope: Scope = Scope.ACCOUNT) -> None:
        super().__init__(message, scope=scope)


class Throttled(ProviderError):
    """Asked too often; the same call may be made again later."""

    def __init__(self, message: str, *, scope: Scope = Scope.UNKNOWN) -> None:
        super().__init__(message, scope=scope)


class Rejected(ProviderError):
    """The request itself is wrong; repeating it will not help."""

    def __init__(self, message: str, *, scope: Scope = Scope.PERMANENT) -> None:
        super().__init__(message, scope=scope)


class Unknown(ProviderError):
    """No answer or half of one: the effect may have happened, so it is looked up before anything else."""

    def __init__(self, message: str, *, scope: Scope = Scope.UNKNOWN) -> None:
        super().__init__(message, scope=scope)
