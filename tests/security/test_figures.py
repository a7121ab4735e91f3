"""The figures of security, measured small."""

from __future__ import annotations

import pytest

from tests.promises.figure import Scale
from tests.promises.security import measure


@pytest.mark.promises
@pytest.mark.timeout(300)
@pytest.mark.xdist_group("practice stories")
def test_every_promise_of_security_holds() -> None:
    found = measure(Scale(full=False, seed=3))
    assert [promise.name for promise in found if not promise.held] == []
    assert len(found) == 3
