"""Socket Mode: an envelope of a shape that nobody knows does nothing, and the next one is answered."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlmodel import select

from jobs.model import Job
from tests.face.stage import Stage

TYPED = {"command": "/train", "text": "acme/vit@main gpu=a100 hours=1", "user_id": "U1", "channel_id": "C1"}
PRESSED = {"type": "block_actions", "user": {"id": "U1"}, "trigger_id": "t", "api_app_id": "A1", "team": {"id": "T1"}}

PAYLOADS: tuple[tuple[str, Any], ...] = (
    ("nothing", {}),
    ("null", None),
    ("a word", "approve"),
    ("a number", 7),
    ("a list", [TYPED]),
    ("a command without its person", {key: value for key, value in TYPED.items() if key != "user_id"}),
    ("a command without its trigger", TYPED),
    ("a command with a table for a text", TYPED | {"text": {"a": 1}, "trigger_id": "t"}),
    ("a command with a list for a person", TYPED | {"user_id": ["U1"], "trigger_id": "t"}),
    ("another command", TYPED | {"command": "/rm", "trigger_id": "t"}),
    ("a press of nothing", PRESSED),
    ("a press without actions", PRESSED | {"actions": []}),
    ("a press of an unknown button", PRESSED | {"actions": [{"action_id": "format", "value": "x", "block_id": "b"}]}),
    ("an approval of a job that is none", PRESSED
     | {"actions": [{"action_id": "approve", "value": "../../x", "block_id": "b", "action_ts": "1"}]}),
    ("an approval without a value", PRESSED
     | {"actions": [{"action_id": "approve", "block_id": "b", "action_ts": "2"}]}),
    ("more time than there is", PRESSED
     | {"actions": [{"action_id": "extend_" + "9" * 400, "value": "x", "block_id": "b", "action_ts": "3"}]}),
    ("a form without a state", {"type": "view_submission", "user": {"id": "U1"}, "view": {"callback_id": "deny"}}),
    ("an unknown form", {"type": "view_submission", "user": {"id": "U1"}, "view": {"callback_id": "other", "id": "V"}}),
    ("an event without one", {"type": "event_callback", "event_id": "E1"}),
    ("a mention without words", {"type": "event_callback", "event_id": "E2", "event": {"type": "app_mention"}}),
    ("a mention by nobody", {"type": "event_callback", "event_id": "E3",
                             "event": {"type": "app_mention", "text": "help", "channel": "C1", "ts": "1"}}),
    ("an unknown event", {"type": "event_callback", "event_id": "E4", "event": {"type": "tokens_revoked"}}),
    ("a certificate check", {"ssl_check": "1"}),
    ("a challenge", {"type": "url_verification", "challenge": "c"}),
)  # fmt: skip
FRAMES: tuple[tuple[str, str], ...] = (
    ("no JSON", "approve"),
    ("half of one", '{"envelope_id": "x", "type": '),
    ("a list", "[]"),
    ("null", "null"),
    ("nothing", ""),
    ("deep", "[" * 50_000),
    ("an unknown type", json.dumps({"envelope_id": "e", "type": "format_disk", "payload": TYPED})),
    ("no type", json.dumps({"envelope_id": "e", "payload": TYPED})),
    ("no id", json.dumps({"type": "slash_commands", "payload": TYPED | {"trigger_id": "t"}})),
    ("a type that is a table", json.dumps({"envelope_id": "e", "type": {}, "payload": {}})),
    ("hidden letters", json.dumps({"envelope_id": "\u202e", "type": "\x00", "payload": {}})),
)


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    stage = Stage(tmp_path_factory.mktemp("stage"))
    stage.open()
    yield stage
    stage.close()


def send(stage: Stage, frame: str) -> None:
    """Put a frame on the bot's own connection, as Slack alone could."""
    sandbox = stage.sandbox
    stage.until(lambda: sandbox.connections() > 0)
    (link,) = sandbox._sockets._links
    loop = sandbox._running_loop()
    asyncio.run_coroutine_threadsafe(link.socket.send_text(frame), loop).result(10)


def goes_on(stage: Stage) -> None:
    """Assert that the next command is answered, and that nothing was asked for."""
    stage.until(lambda: stage.sandbox.connections() > 0)
    outcome = stage.people.type("ada", "#vision", "/train help")
    assert outcome.ok, outcome
    with stage.db.read() as tx:
        assert list(tx.exec(select(Job))) == []


@pytest.mark.parametrize("kind", ["slash_commands", "interactive", "events_api"])
def test_an_envelope_of_an_unknown_shape_does_nothing(
    stage: Stage, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL)
    for number, (_, payload) in enumerate(PAYLOADS):
        if kind == "slash_commands" and isinstance(payload, dict) and "trigger_id" in payload and number < 8:
            continue  # what is whole but for its person's kind is Slack's own form of it
        send(stage, json.dumps({"envelope_id": f"{kind}-{number}", "type": kind, "payload": payload}))
    goes_on(stage)


def test_a_frame_that_is_no_envelope_does_nothing(stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL)
    for _, frame in FRAMES:
        send(stage, frame)
    goes_on(stage)


def test_the_stage_itself_takes_what_is_genuine(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    try:
        stage.open()
        assert stage.people.type("ada", "#vision", "/train acme/vit@main gpu=a100 hours=1").ok
        with stage.db.read() as tx:
            assert len(list(tx.exec(select(Job)))) == 1
    finally:
        stage.close()
