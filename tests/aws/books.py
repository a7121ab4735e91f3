"""A provider over moto's books alone, where nothing boots: what the tests of its calls and errors build from."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime
from typing import Any

from jobs.providers import LaunchOrder, Offer
from jobs.providers.aws import Aws
from tests.aws.cloud import IMAGE, REGION, Cloud
from tests.aws.harness import prices
from tests.aws.orders import launch_order

HOME = "0a1b2c3d-0000-4000-8000-000000000000"
SMALL: Offer = prices()[1]


class Scripts:
    """Boot scripts out of a dictionary; notes what is forgotten."""

    def __init__(self, text: str = "#!/bin/bash\n") -> None:
        self.text = text
        self.forgotten: list[tuple[str, int, int]] = []

    def script(self, order: LaunchOrder) -> str:
        return self.text

    def forget(self, job: str, attempt: int, rank: int) -> None:
        self.forgotten.append((job, attempt, rank))


def provider(cloud: Cloud, scripts: Scripts, **changes: Any) -> Aws:
    """Return the provider of HOME in one region."""
    parts: dict[str, Any] = {
        "home": HOME,
        "regions": (REGION,),
        "prices": prices(),
        "boot": scripts,
        "clients": cloud.client,
        "image": IMAGE,
    }
    return Aws(**(parts | changes))


def order(job: str = "k3vd9wq", **changes: Any) -> LaunchOrder:
    """Return an order of HOME."""
    ends = datetime(2026, 11, 12, 14, tzinfo=UTC)
    asked = launch_order("s3://team-files/hg", home=HOME, job=job, deadline=ends)
    return dataclasses.replace(asked, **changes)
