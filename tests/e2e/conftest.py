"""Deployments for the end-to-end stories; one serves all the stories of a file."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.e2e.deployment import Deployment


@pytest.fixture(scope="module")
def deployment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """A bot on practice machines, with a budget of 300 dollars."""
    with Deployment(tmp_path_factory.mktemp("deployment")) as running:
        running.budget()
        yield running
