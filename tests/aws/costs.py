"""Cost Explorer as Amazon runs it: it knows activated tags alone, yesterday at the latest, a page at a time.

moto answers `GetCostAndUsage` with nothing, or with what a queue holds, whatever is asked. This layer keeps lines of
a bill and groups them as it is asked to; what it is asked wrongly it refuses.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

TARGET = "AWSInsightsIndexService.GetCostAndUsage"


@dataclass(frozen=True)
class Line:
    """What one resource cost on one day."""

    day: date
    dollars: str
    tags: Mapping[str, str]


@dataclass
class Costs:
    """The bill of an account."""

    lines: list[Line] = field(default_factory=list)
    activated: set[str] = field(default_factory=lambda: {"job", "home"})
    today: date = date(2026, 12, 3)
    closed_before: date = date(2026, 12, 1)  # later days are estimated
    page: int = 1000  # groups on one
    unit: str = "USD"
    refusal: tuple[str, str] | None = None  # Amazon's code and words, for whatever is asked
    asked: int = 0  # pages, at $0.01 each

    def answer(self, body: bytes) -> tuple[int, dict[str, Any]]:
        """Return status and answer."""
        self.asked += 1
        asked = json.loads(body)
        refusal = self.refusal or self._wrong(asked)
        if refusal is not None:
            return 400, {"__type": refusal[0], "message": refusal[1]}
        begin, end = (date.fromisoformat(asked["TimePeriod"][name]) for name in ("Start", "End"))
        days = [begin + timedelta(days=number) for number in range((end - begin).days)]
        keys = [each["Key"] for each in asked["GroupBy"]]
        groups = [(day, group) for day in days for group in self._groups(day, keys)]
        skip = int(asked.get("NextPageToken", 0))
        shown, left = groups[skip : skip + self.page], len(groups) - skip - self.page
        told: dict[str, Any] = {
            "GroupDefinitions": asked["GroupBy"],
            "ResultsByTime": [
                {
                    "TimePeriod": {"Start": day.isoformat(), "End": (day + timedelta(days=1)).isoformat()},
                    "Total": {},
                    "Groups": [group for on, group in shown if on == day],
                    "Estimated": day >= self.closed_before,
                }
                for day in days
            ],
        }
        return 200, told | ({"NextPageToken": str(skip + self.page)} if left > 0 else {})

    def _wrong(self, asked: Mapping[str, Any]) -> tuple[str, str] | None:
        begin, end = asked["TimePeriod"]["Start"], asked["TimePeriod"]["End"]
        if begin >= end:
            return "ValidationException", "Start date (and hour) should be before end date (and hour)"
        if date.fromisoformat(begin) > self.today:
            return "ValidationException", "start date is past the current date"
        if asked["Granularity"] != "DAILY" or asked["Metrics"] != ["UnblendedCost"]:
            return "ValidationException", "This stand-in knows days and unblended costs alone."
        if len(asked["GroupBy"]) > 2 or any(each["Type"] != "TAG" for each in asked["GroupBy"]):
            return "ValidationException", "This stand-in groups by two tags at most."
        return None

    def _groups(self, day: date, keys: list[str]) -> list[dict[str, Any]]:
        sums: defaultdict[tuple[str, ...], Decimal] = defaultdict(Decimal)
        for line in self.lines:
            if line.day == day and day < self.today:
                sums[tuple(line.tags.get(key, "") if key in self.activated else "" for key in keys)] += Decimal(
                    line.dollars
                )
        return [
            {
                "Keys": [f"{key}${value}" for key, value in zip(keys, values, strict=True)],
                "Metrics": {"UnblendedCost": {"Amount": str(total), "Unit": self.unit}},
            }
            for values, total in sorted(sums.items())
        ]
