"""Fifty secrets go through a whole deployment, and none of them is seen."""

from __future__ import annotations

from pathlib import Path

import pytest

from jobs import db
from jobs.db import Database
from jobs.model import NoteKind
from jobs.settings import load, mask_of, secrets_of
from tests.security.planting import search, secrets
from tests.support.world import World


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.xdist_group("practice stories")
def test_none_of_fifty_secrets_is_seen(tmp_path: Path) -> None:
    found = search(tmp_path, seed=1)
    assert found.planted >= 50
    assert found.seen == []
    assert found.lines >= 2  # the bot's first word and its last; what it says between them depends on its pace
    assert min(found.messages, found.files) > 50


def test_fifty_are_planted_and_each_is_another() -> None:
    planted = secrets(seed=7)
    assert len({one.value for one in planted}) == len(planted) >= 50
    assert secrets(seed=7) == planted


def environment() -> dict[str, str]:
    return {f"HOURGLASS_SECRET_S{n}": one.value for n, one in enumerate(secrets(seed=3))}


def test_words_of_others_are_masked_before_they_are_written(tmp_path: Path) -> None:
    mask = mask_of(environment())
    world = World(tmp_path)
    job, _ = world.running()
    database = Database(world.db.engine, mask=mask)
    for number, one in enumerate(secrets(seed=3)):
        with database.write() as tx:
            row = db.get_job(tx, job)
            db.touch(tx, row, world.clock.now(), error=f"it said {one.value}", stage_note=one.value)
            db.touch_attempt(tx, db.attempts(tx, job)[0], world.clock.now(), note=one.value)
            db.note_on(tx, row, NoteKind.TROUBLE, world.clock.now(), key=f"k{number}", data={"text": [one.value]})
        with database.read() as tx:
            said = f"{db.get_job(tx, job)!r} {db.attempts(tx, job)!r} {[note.data for note in db.notes(tx, job)]!r}"
        assert one.value not in said, one.kind
        assert repr(one.value)[1:-1] not in said, one.kind


@pytest.mark.parametrize(
    ("name", "value", "secret"),
    [
        ("AWS_SESSION_TOKEN", "abcdefgh", "abcdefgh"),
        ("SOMETHING_PASSWORD", "abcdefgh", "abcdefgh"),
        ("HTTPS_PROXY", "http://me:abcdefgh@proxy:1", "abcdefgh"),
        ("HTTPS_PROXY", "http://me:abc%40efgh@proxy:1", "abc@efgh"),
        ("DATABASE_URL", "postgresql://u:abcdefgh@h/x", "abcdefgh"),
        ("HOURGLASS_REGISTRIES", '{"r": "https://u:abcdefgh@m"}', "abcdefgh"),
        ("HOURGLASS_GIT_TOKENS", '{"https://h/": "name:abcdefgh"}', "abcdefgh"),
        ("HOURGLASS_GIT_TOKENS", "{not json abcdefgh", "{not json abcdefgh"),
        ("HOURGLASS_SECRET_DOCKER", "robot:abcdefgh", "abcdefgh"),
        ("VAST_KEY", "abcdefgh", "abcdefgh"),
    ],
)
def test_every_way_to_tell_a_secret_is_known(name: str, value: str, secret: str) -> None:
    assert secret in secrets_of({name: value, "PATH": "/usr/bin", "HOURGLASS_TEAM": "vision"})
    assert "/usr/bin" not in secrets_of({name: value, "PATH": "/usr/bin"})


def test_settings_do_not_show_what_they_hold() -> None:
    held = {
        "SLACK_BOT_TOKEN": "t" * 20,
        "SLACK_SIGNING_SECRET": "s" * 20,
        "HOURGLASS_GIT_TOKENS": '{"h": "ggggggggggg"}',
    }
    shown = repr(load(held)) + str(load(held))
    assert not any(secret in shown for secret in ("t" * 20, "s" * 20, "g" * 11))
