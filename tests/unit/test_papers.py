"""What the papers name is there: tests, files, make's targets, commands."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from bot.cli import cli

ROOT = Path(__file__).parents[2]
PAPERS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]
TESTS = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("*.py"))
FENCE = re.compile(r"```.*?```", re.DOTALL)


@pytest.fixture(params=PAPERS, ids=lambda path: path.name)
def paper(request: pytest.FixtureRequest) -> Path:
    return Path(request.param)


def test_every_test_that_is_named_exists(paper: Path) -> None:
    named = set(re.findall(r"`(test_\w+)`", paper.read_text(encoding="utf-8")))
    assert [name for name in sorted(named) if f"def {name}(" not in TESTS] == []


def test_every_link_leads_to_a_file(paper: Path) -> None:
    text = FENCE.sub("", paper.read_text(encoding="utf-8"))
    links = [link.partition("#")[0] for link in re.findall(r"\]\(([^)\s]+)\)", text) if "://" not in link]
    assert [link for link in links if link and not (paper.parent / link).exists()] == []


def test_every_target_of_make_that_is_named_exists(paper: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    assert set(re.findall(r"`make ([a-z-]+)", paper.read_text(encoding="utf-8"))) - targets == set()


def test_every_command_of_hourglass_that_is_named_exists(paper: Path) -> None:
    known = {command.name or command.callback.__name__ for command in cli.registered_commands if command.callback}
    known |= {group.name for group in cli.registered_groups}
    assert set(re.findall(r"`hourglass ([a-z]+)", paper.read_text(encoding="utf-8"))) - known == set()
