"""The metrics: true to the rows, bounded in their labels, and shown to nobody who should not see them."""

from __future__ import annotations

import copy
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError
from starlette.requests import Request

from bot import web
from bot.app import build_app
from bot.calls import CountedClient
from bot.counted import CountedProvider
from bot.health import Health
from bot.metrics import Metrics, counting
from bot.scrapes import Scrapes
from jobs.errors import NoCapacity, ProviderError, Unknown
from jobs.values import DOLLAR
from tests.face.relay import Relay, down, limited
from tests.face.stage import Stage
from tests.support.builders import a_need, a_spec
from tests.support.world import World


def scraped(metrics: Metrics) -> dict[str, float]:
    """Return what a scrape says, by name with labels, counters' creation times left out."""
    return {
        sample.name + "".join(f" {value}" for _, value in sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(metrics.page().decode())
        for sample in family.samples
        if not sample.name.endswith("_created")
    }


def test_rows_are_what_the_gauges_say(tmp_path: Path) -> None:
    world = World(tmp_path)
    metrics = Metrics(world.db, world.clock)
    world.running()
    world.queued()
    world.tick()
    world.clock.advance(40)
    period, seen = world.period(), scraped(metrics)
    assert (seen["hourglass_jobs running"], seen["hourglass_jobs failed"]) == (1, 0)
    assert sum(value for name, value in seen.items() if name.startswith("hourglass_jobs ")) == 2
    assert seen["hourglass_attempts up"] >= 1
    assert seen["hourglass_held_dollars vision"] == period.held / DOLLAR
    assert seen["hourglass_free_dollars vision"] == (period.cap - period.held) / DOLLAR
    assert seen["hourglass_enforced_age_seconds"] == 40
    assert seen["hourglass_ending_age_seconds"] == 0


def test_an_overdue_machine_and_its_end_are_seen(tmp_path: Path) -> None:
    world = World(tmp_path)
    metrics = Metrics(world.db, world.clock)
    world.running(a_spec(minutes=30))
    world.cloud.deaf = True
    world.pass_time(minutes=40, every=60)
    seen = scraped(metrics)
    assert seen["hourglass_overdue_machines"] == 1
    assert seen["hourglass_ending_age_seconds"] >= 540
    assert seen["hourglass_owed_age_seconds"] > 0  # nobody fans out here
    world.cloud.deaf = False
    world.pass_time(minutes=3)
    assert scraped(metrics)["hourglass_overdue_machines"] == 0


def test_before_the_first_pass_its_age_is_absent(tmp_path: Path) -> None:
    world = World(tmp_path)
    assert "hourglass_enforced_age_seconds" not in scraped(Metrics(world.db, world.clock))


def test_calls_of_a_provider_are_counted_by_what_came_of_them(tmp_path: Path) -> None:
    world = World(tmp_path)
    metrics = Metrics(world.db, world.clock)
    provider = CountedProvider(world.cloud, metrics.provider)
    world.cloud.fail("list", Unknown("silence"), NoCapacity("full"), KeyError("oops"))
    for error in (Unknown, ProviderError, KeyError):
        with pytest.raises(error):
            provider.list()
    provider.list()
    provider.offers(a_need())
    assert provider.boot_delay == world.cloud.boot_delay  # what only this one has is still there
    seen = scraped(metrics)
    counted = {name: seen[f"hourglass_provider_calls_total {name}"] for name in ("ok cloud list", "ok cloud offers")}
    counted |= {
        name: seen[f"hourglass_provider_calls_total {name} cloud list"] for name in ("unknown", "zone", "broke")
    }
    assert set(counted.values()) == {1.0}


def test_calls_of_slack_are_counted_by_method_and_outcome(stage: Stage, relay: Relay) -> None:
    metrics = Metrics(stage.db, stage.clock)
    made = CountedClient(count=counting(metrics), token=stage.sandbox.bot_token, base_url=relay.url, retry_handlers=[])
    client: WebClient = copy.deepcopy(made)  # as Bolt does for each delivery
    relay.faults = [limited("chat.postMessage", 1), down("chat.postMessage")]
    for channel in (stage.vision, stage.vision, "C0NOWHERE"):
        with pytest.raises((SlackApiError, OSError)):
            client.chat_postMessage(channel=channel, text="hello")
    client.auth_test()
    seen = scraped(metrics)
    outcomes = {
        one: seen[f"hourglass_slack_calls_total chat.postMessage {one}"] for one in ("limited", "failed", "refused")
    }
    assert outcomes == {"limited": 1, "failed": 1, "refused": 1}
    assert seen["hourglass_slack_calls_total auth.test ok"] == 1


def test_how_long_slack_waited_is_measured(stage: Stage) -> None:
    metrics = Metrics(stage.db, stage.clock)
    app = build_app(stage.parts, stage.client, metrics.acknowledged)
    site = web.build(links=stage.parts.links, health=Health(db=stage.db, clock=stage.clock), app=app)
    assert site is not None
    from slack_bolt.request import BoltRequest

    app.dispatch(BoltRequest(body="command=%2Ftrain&text=help", mode="http"))
    assert scraped(metrics)["hourglass_acknowledgement_seconds_count command"] == 1


@pytest.mark.parametrize(
    ("scrapes", "host", "header", "status"),
    [
        ({}, "127.0.0.1", "", 200),
        ({}, "::1", "", 200),
        ({}, "10.0.0.7", "", 403),
        ({"published": True}, "127.0.0.1", "", 403),
        ({"token": "right"}, "10.0.0.7", "Bearer right", 200),
        ({"token": "right", "published": True}, "127.0.0.1", "Bearer right", 200),
        ({"token": "right"}, "127.0.0.1", "", 401),
        ({"token": "right"}, "127.0.0.1", "Bearer wrong", 401),
        ({"token": "right"}, "127.0.0.1", "Bearer r\u00efght", 401),
    ],
)
def test_who_may_read_them(stage: Stage, scrapes: dict[str, object], host: str, header: str, status: int) -> None:
    door = Scrapes(page=Metrics(stage.db, stage.clock).page, **scrapes)  # type: ignore[arg-type]  # the table's values
    headers = [(b"authorization", header.encode("latin-1"))] if header else []
    answer = door.answer(Request({"type": "http", "method": "GET", "headers": headers, "client": (host, 4711)}))
    assert answer.status_code == status
    assert (b"hourglass_build_info" in bytes(answer.body)) is (status == 200)


def test_no_person_and_no_job_is_named(stage: Stage) -> None:
    job = stage.running()
    stage.tell()
    page = Metrics(stage.db, stage.clock).page().decode()
    assert [name for name in (job.id, stage.ada, stage.lea, stage.sandbox.bot_token) if name in page] == []


def test_a_prometheus_that_asks_over_http_gets_its_own_format(stage: Stage) -> None:
    server = web.WebServer.bind("127.0.0.1", 0)
    metrics = Metrics(stage.db, stage.clock)
    server.start(
        web.build(
            links=stage.parts.links,
            health=Health(db=stage.db, clock=stage.clock),
            scrapes=Scrapes(page=metrics.page),
        )
    )
    try:
        answer = httpx.get(f"{server.url}/metrics")
    finally:
        server.stop()
    assert answer.headers["content-type"].startswith("text/plain; version=")
    assert "# TYPE hourglass_jobs gauge" in answer.text
