"""The demo's story follows the job that it typed, whatever else is typed on its page meanwhile."""

from __future__ import annotations

import io
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from rich.console import Console

from bot.demo.story import Story
from tests.support.house import House


def a_stage(url: str) -> Any:
    people = SimpleNamespace(user_id=lambda name: f"U{name.upper()}")
    settings = SimpleNamespace(database=lambda: url, team="vision")
    return SimpleNamespace(sandbox=SimpleNamespace(people=people), settings=settings)


def test_what_others_type_while_it_runs_is_not_its_job(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'demo.db'}"
    house = House(url=url)
    with closing(Story(cast(Any, a_stage(url)), Console(file=io.StringIO()), limit=1.0)) as story:
        assert story.job() is None
        typed = house.asked()
        assert (found := story.job()) is not None and found.id == typed.id
        house.clock.advance(5)
        house.asked(person="U2BOB")
        assert (found := story.job()) is not None and found.id == typed.id
