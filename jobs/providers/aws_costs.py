"""What Amazon billed for each job, by the tag that its machines and disks carry: Cost Explorer's answers.

Each page of an answer costs $0.01. Cost Explorer knows a tag only once it was activated for cost allocation, and what
was used up to about a day ago.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from botocore.exceptions import ClientError

from jobs.errors import Rejected, Unauthorized, Unknown
from jobs.providers.aws_errors import code_of, translated
from jobs.providers.aws_policies import ACCOUNTANT
from jobs.providers.aws_request import Clients
from jobs.values import DOLLAR, Micros

COST_EXPLORER = "us-east-1"  # one for all regions
PAGE = "$0.01"  # what Amazon asks for each page of an answer
_MOST_PAGES = 100  # of a hundred groups a day and more; beyond it something is wrong, and it costs
_BY = ("job", "home")  # the tags; an answer may be grouped by two
ACTIVATE = (
    "Activate the tags `job` and `home` for cost allocation, in the account that pays: "
    "`aws ce update-cost-allocation-tags-status --cost-allocation-tags-status TagKey=job,Status=Active "
    "TagKey=home,Status=Active`. They count from then on, and are seen up to 24 hours later."
)


@dataclass(frozen=True, kw_only=True)
class Billed:
    """A job's cost on one day (UTC)."""

    job: str
    home: str  # empty where that tag is not activated
    day: date
    micros: Micros
    estimated: bool  # Amazon may still change it


def billed(clients: Clients, since: date, until: date) -> list[Billed]:
    """Return what was billed from `since` up to, but not with, `until`, for whatever has a tag `job`.

    Raises `jobs.errors.ProviderError`: `Rejected` where Cost Explorer has nothing of that time or was never switched
    on, `Unauthorized` with the statement that is missing.
    """
    found: list[Billed] = []
    with translated("the comparison with the bill", COST_EXPLORER):
        try:
            for day in _days(clients("ce", COST_EXPLORER), since, until):
                found += _of_day(day)
        except ClientError as error:
            _explain(error)
            raise
    return found


def _days(client: Any, since: date, until: date) -> Iterator[Mapping[str, Any]]:
    asked: dict[str, Any] = {
        "TimePeriod": {"Start": since.isoformat(), "End": until.isoformat()},
        "Granularity": "DAILY",
        "Metrics": ["UnblendedCost"],
        "GroupBy": [{"Type": "TAG", "Key": key} for key in _BY],
    }
    for _ in range(_MOST_PAGES):  # this call has no paginator
        page = client.get_cost_and_usage(**asked)
        yield from page["ResultsByTime"]
        if not page.get("NextPageToken"):
            return
        asked["NextPageToken"] = page["NextPageToken"]
    raise Unknown(f"Cost Explorer's answer has more than {_MOST_PAGES} pages; at {PAGE} each that was enough.")


def _of_day(day: Mapping[str, Any]) -> Iterator[Billed]:
    on, estimated = date.fromisoformat(day["TimePeriod"]["Start"]), bool(day.get("Estimated"))
    for group in day["Groups"]:
        # A group is named `job$k3vd9wq`; what has no such tag is `job$`.
        values = dict(key.split("$", 1) for key in group["Keys"])
        cost = group["Metrics"]["UnblendedCost"]
        if not values.get("job"):
            continue
        if cost["Unit"] != "USD":
            raise Rejected(f"Cost Explorer bills in {cost['Unit']}, and the ledger is in dollars.")
        micros = int((Decimal(cost["Amount"]) * DOLLAR).to_integral_value(ROUND_HALF_UP))
        yield Billed(job=values["job"], home=values.get("home", ""), day=on, micros=micros, estimated=estimated)


def _explain(error: ClientError) -> None:
    """Raise our own error where Cost Explorer's means something of its own."""
    code, said = code_of(error), str(error)
    if code == "DataUnavailableException":
        raise Rejected("Cost Explorer has nothing of that time yet; it lags by up to 24 hours.") from error
    if code == "AccessDeniedException" and "not enabled for cost explorer" in said.lower():
        raise Rejected(
            "Cost Explorer was never switched on in this account. Open it once in Amazon's console (Billing, Cost "
            "Explorer); it has data up to 24 hours later."
        ) from error
    if code in ("AccessDeniedException", "AccessDenied", "UnauthorizedOperation"):
        raise Unauthorized(
            f"AWS did not allow `ce:GetCostAndUsage` ({said}). Whoever runs this needs the statement {ACCOUNTANT}; "
            "`hourglass aws setup` prints it."
        ) from error
