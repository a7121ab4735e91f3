"""Single files of a commit, read for an answer: what was asked for, what is small text, what stood at that commit."""

from __future__ import annotations

import pytest

from jobs.source import SourceResolver
from jobs.strict_yaml import LARGEST
from tests.spec.repositories import Host, Repository


@pytest.fixture
def gpt(host: Host) -> Repository:
    repository = host.repository("acme/gpt")
    repository.commit({"train.py": "n_layer = 4\n", "config/a.py": "n_embd = 8\n", "huge.py": "#" * (LARGEST + 1)})
    return repository


def test_what_is_there_is_read_at_that_commit_and_what_is_not_is_left_out(
    resolver: SourceResolver, gpt: Repository
) -> None:
    source = resolver.resolve("acme/gpt", "main")
    gpt.commit({"train.py": "n_layer = 99\n"})
    assert resolver.read(source, ["train.py", "config/a.py", "config.json"]) == {
        "train.py": "n_layer = 4\n",
        "config/a.py": "n_embd = 8\n",
    }
    assert resolver.read(source, []) == {}


def test_what_is_large_a_link_or_a_folder_is_left_out(resolver: SourceResolver, gpt: Repository) -> None:
    (gpt.path / "link.py").symlink_to("train.py")
    gpt.commit({"folder.py/inner.py": "n_layer = 5\n"})
    source = resolver.resolve("acme/gpt", "main")
    assert resolver.read(source, ["huge.py", "link.py", "folder.py"]) == {}


@pytest.mark.parametrize("path", ["/etc/passwd", "../other", "--output=x", "config/../train.py", ""])
def test_a_path_that_leads_elsewhere_is_not_even_asked_for(
    resolver: SourceResolver, gpt: Repository, path: str
) -> None:
    assert resolver.read(resolver.resolve("acme/gpt", "main"), [path]) == {}
