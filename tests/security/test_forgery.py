"""Nothing comes in that Slack did not send for the first time, and every way of trying would fool some door."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from sqlmodel import select

from bot import web
from bot.door import Door
from bot.health import Health
from jobs.errors import Misconfigured
from jobs.model import Job
from tests.face.stage import Stage
from tests.security.forgery import FORM, WAYS, Doorstep, Way, doorstep


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    stage = Stage(tmp_path_factory.mktemp("stage"))
    yield stage
    stage.close()


@pytest.fixture(scope="module")
def step(stage: Stage) -> Iterator[Doorstep]:
    with doorstep(stage) as step:
        yield step


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.name)
def test_no_forged_delivery_is_taken(step: Doorstep, way: Way) -> None:
    assert not step.takes(way)


def test_what_is_genuine_is_taken_all_the_while(step: Doorstep, stage: Stage) -> None:
    assert step.genuine()
    with stage.db.read() as tx:
        assert list(tx.exec(select(Job)))


BROKEN = sorted({kind for way in WAYS for kind in way.fooled}, key=lambda kind: kind.__name__)


@pytest.mark.parametrize("kind", BROKEN, ids=lambda kind: kind.__name__)
def test_a_broken_door_falls_for_each_way_that_names_it(stage: Stage, kind: type[Door]) -> None:
    with doorstep(stage, kind) as step:
        kept_out = [way.name for way in WAYS if kind in way.fooled and not step.takes(way)]
    assert kept_out == []


def test_every_way_fools_some_door() -> None:
    assert [way.name for way in WAYS if not way.fooled] == []
    assert len({way.name for way in WAYS}) == len(WAYS)


def test_a_door_without_a_secret_is_none(stage: Stage) -> None:
    with pytest.raises(Misconfigured, match="SLACK_SIGNING_SECRET"):
        Door(secret=" ", clock=stage.clock)


def test_what_was_refused_leaves_no_memory(stage: Stage) -> None:
    door = Door(secret="s3cr3t-of-tests", clock=stage.clock, wall=lambda: 1000.0)
    for number in range(50):
        headers = [(b"x-slack-request-timestamp", b"1000"), (b"x-slack-signature", b"v0=%064d" % number)]
        assert door.refusal(headers, b"x") == "This delivery was not signed by Slack."
    assert door._seen._seen == {}


@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE", "HEAD"])
def test_there_is_no_other_way_to_knock(step: Doorstep, method: str) -> None:
    assert step._client.request(method, "/slack/events?ssl_check=1").status_code == 405


def test_a_flood_in_chunks_is_cut_off(step: Doorstep) -> None:
    def flood() -> Iterator[bytes]:
        for _ in range(40):
            yield b"x" * 65_536

    answer = step._client.post("/slack/events", content=flood(), headers={"Content-Type": FORM})
    assert answer.status_code == 413


def test_in_socket_mode_there_is_no_door(stage: Stage, tmp_path: Path) -> None:
    server = web.WebServer.bind("127.0.0.1", 0)
    server.start(web.build(links=stage.parts.links, health=Health(db=stage.db, clock=stage.clock)))
    try:
        assert httpx.post(f"{server.url}/slack/events", content=b"{}").status_code == 404
    finally:
        server.stop()
