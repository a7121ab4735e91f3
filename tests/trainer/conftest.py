"""The archive is built once, the machine for each test anew."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.trainer.rented import Rented
from trainer.archive import build


@pytest.fixture(scope="session")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The agent as it goes to a machine."""
    return build(tmp_path_factory.mktemp("archive") / "trainer.pyz", with_s3=False)


@pytest.fixture
def rented(tmp_path: Path, archive: Path) -> Iterator[Rented]:
    """A machine that has its archive and no order yet."""
    machine = Rented(tmp_path, archive)
    yield machine
    machine.close()
