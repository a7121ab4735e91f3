"""Deployments for the end-to-end stories."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.deployment import Deployment


@pytest.fixture
def deployment(tmp_path: Path) -> Iterator[Deployment]:
    """A bot on practice machines, with a budget of 300 dollars."""
    with Deployment(tmp_path) as running:
        running.budget()
        yield running
