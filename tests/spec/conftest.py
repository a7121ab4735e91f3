"""A git host in a folder, and who resolves commits on it."""

from __future__ import annotations

from pathlib import Path

import pytest

from jobs.source import SourceResolver
from tests.spec.repositories import Host


@pytest.fixture
def host(tmp_path: Path) -> Host:
    home = tmp_path / "author"
    home.mkdir()
    return Host(root=tmp_path / "host", home=home)


@pytest.fixture
def resolver(host: Host, tmp_path: Path) -> SourceResolver:
    return SourceResolver(git_hosts=[host.prefix], git_tokens={}, cache_dir=tmp_path / "cache")
