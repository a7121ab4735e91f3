"""Health tells the truth: each trouble turns it red by itself, and it comes back by itself."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from bot.health import Health, Line
from jobs import db
from jobs.model import NoteKind
from tests.face.stage import Stage
from tests.support.world import World


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    """A stage whose notifier works."""
    stage = Stage(tmp_path)
    with stage.db.write() as tx:
        db.set_mark(tx, "enforced", "1", stage.clock.now())
    yield stage
    stage.close()


def troubles(stage: Stage) -> list[str]:
    """Return what health says, with an enforcing pass that was just made."""
    with stage.db.write() as tx:
        db.set_mark(tx, "enforced", "1", stage.clock.now())
    return Health(db=stage.db, clock=stage.clock).troubles()


def test_a_pass_that_is_older_than_ninety_seconds_is_trouble(stage: Stage) -> None:
    health = Health(db=stage.db, clock=stage.clock)
    stage.clock.advance(90)
    assert health.troubles() == []
    stage.clock.advance(1)
    assert health.troubles() == ["The last enforcing pass was 91 s ago."]


def test_a_clock_that_was_set_back_does_not_hide_a_pass_that_stands_still(stage: Stage) -> None:
    stage.clock.jump(timedelta(hours=-1))
    assert "was the clock set back?" in Health(db=stage.db, clock=stage.clock).troubles()[0]


def test_a_connection_that_stays_down_is_trouble_until_it_stands_again(stage: Stage) -> None:
    line, stands = Line(stage.clock), [True]
    health = Health(db=stage.db, clock=stage.clock, line=line)
    stage.clock.advance(60)
    assert health.troubles() == []
    line.watch(lambda: stands[0])
    assert health.troubles() == []
    stands[0] = False
    stage.clock.advance(20)
    assert health.troubles() == []  # Slack asks for a new connection now and then
    stage.clock.advance(121)
    with stage.db.write() as tx:
        db.set_mark(tx, "enforced", "1", stage.clock.now())
    (trouble,) = health.troubles()
    assert trouble.startswith("Socket Mode is down since ")
    stands[0] = True
    assert health.troubles() == []


def test_a_message_that_is_owed_for_too_long_is_trouble_until_it_is_sent(stage: Stage) -> None:
    job = stage.running()
    stage.tell()
    stage.happens(job, NoteKind.TROUBLE, {"code": "nan", "text": "NaN"})
    stage.notifier.fan_out()
    stage.pass_time(16 * 60)
    assert "A message for Slack has waited since" in troubles(stage)[0]
    stage.tell()
    assert troubles(stage) == []


def test_a_card_that_was_never_posted_is_trouble(stage: Stage) -> None:
    stage.typed(minutes=60)
    stage.notifier.fan_out()
    stage.pass_time(16 * 60)
    assert "A message for Slack has waited since" in troubles(stage)[0]


def test_facts_that_nobody_fans_out_are_trouble(stage: Stage) -> None:
    stage.typed(minutes=60)
    stage.pass_time(16 * 60)
    assert "A message for Slack has waited since" in troubles(stage)[0]


def test_a_terminate_without_effect_is_trouble_after_five_minutes_until_the_machine_is_gone(tmp_path: Path) -> None:
    world = World(tmp_path)
    health = Health(db=world.db, clock=world.clock)
    job_id, _ = world.running()
    world.cloud.deaf = True
    world.stop(job_id)
    world.pass_time(minutes=5)
    asked = world.attempts(job_id)[0].end_asked_at
    assert asked is not None
    assert health.troubles() == []
    world.pass_time(asked + timedelta(minutes=5, seconds=30) - world.now())
    assert health.troubles() == [f"A machine was told to end at {asked:%Y-%m-%d %H:%M} UTC and is not confirmed gone."]
    world.cloud.deaf = False
    world.pass_time(minutes=2)
    assert health.troubles() == []


def test_a_database_that_cannot_be_read_is_trouble_in_words(tmp_path: Path) -> None:
    broken = tmp_path / "hourglass.db"
    broken.write_bytes(b"this is no database" * 100)
    house = db.Database.open(f"sqlite:///{broken}", migrate=False)
    world = World(tmp_path / "store")
    assert Health(db=house, clock=world.clock).troubles() == ["The database cannot be read (DatabaseError)."]
