"""The site: files behind links, health that tells the truth, Slack's deliveries checked and taken once."""

from __future__ import annotations

import gzip
import hashlib
import hmac
import http.client
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from urllib.parse import urlencode

import httpx
import pytest
from sqlmodel import select
from starlette.applications import Starlette

from bot import web
from bot.app import build_app
from bot.door import Door
from bot.health import Health
from bot.links import Links
from bot.replay import Signatures
from jobs import db
from jobs.errors import Misconfigured
from jobs.lifecycle import JobState
from jobs.model import Job, NoteKind
from tests.face.stage import Stage
from trainer.storage import FolderStore, StoreFault
from trainer.wire import log_key

KEY = "jobs/job0001/a1/ckpt/step-1/model.pt"


@pytest.fixture
def links(stage: Stage) -> Links:
    """Links into the stage's store, which has one file."""
    stage.store.put(KEY, bytes(range(200)))
    return stage.parts.links


@contextmanager
def serving(site: Starlette) -> Iterator[httpx.Client]:
    """Serve a site on a free port; return who asks it."""
    server = web.WebServer.bind("127.0.0.1", 0)
    server.start(site)
    try:
        with httpx.Client(base_url=server.url) as client:
            yield client
    finally:
        server.stop()


@pytest.fixture
def site(stage: Stage, links: Links) -> Iterator[httpx.Client]:
    """The site of a bot that takes Slack over HTTP."""
    app = build_app(stage.parts, stage.client)
    health = Health(db=stage.db, clock=stage.clock)
    door = Door(secret=stage.sandbox.signing_secret, clock=stage.clock)
    with serving(web.build(links=links, health=health, app=app, door=door)) as client:
        yield client


def path(links: Links) -> str:
    """Return the file's link without its base."""
    return (links.url(KEY) or "").removeprefix("http://files.test")


def test_a_file_comes_as_a_download_that_no_browser_runs(site: httpx.Client, links: Links) -> None:
    answer = site.get(path(links))
    assert answer.content == bytes(range(200))
    assert answer.headers["content-disposition"] == 'attachment; filename="model.pt"'
    assert answer.headers["content-type"] == "application/octet-stream"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["content-length"] == "200"


def test_a_download_can_be_resumed(site: httpx.Client, links: Links) -> None:
    answer = site.get(path(links), headers={"Range": "bytes=190-"})
    assert answer.status_code == 206
    assert answer.content == bytes(range(190, 200))


def test_a_changed_link_is_refused_with_words(site: httpx.Client, links: Links) -> None:
    answer = site.get(path(links).replace("model", "other"))
    assert (answer.status_code, answer.text) == (403, "This link was changed. Copy it again from Slack.")


def test_a_whole_log_comes_as_one_text(site: httpx.Client, stage: Stage, links: Links) -> None:
    for number, text in ((1, b"step 1\n"), (2, b"step 2\n"), (10, b"step 10\n")):
        stage.store.put(log_key("job0001", 2, number, 1), gzip.compress(text))
    url = (links.log("job0001", 2, 1) or "").removeprefix("http://files.test")
    answer = site.get(url)
    assert answer.text == "step 1\nstep 2\nstep 10\n"
    assert answer.headers["content-disposition"] == 'attachment; filename="job0001-a2-r1.log"'
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert site.get(url.replace("a2-r1", "a1")).status_code == 403
    assert site.get(url.replace("/logs/", "/files/")).status_code == 403


def test_a_log_that_is_gone_or_cannot_be_reached_is_no_empty_file(
    site: httpx.Client, stage: Stage, links: Links, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = (links.log("job0001", 2, 1) or "").removeprefix("http://files.test")
    assert site.get(url).status_code == 404

    def away(prefix: str) -> list[str]:
        raise StoreFault("away")

    monkeypatch.setattr(links.store, "keys", away)
    assert (site.get(url).status_code, "store cannot be reached" in site.get(url).text) == (503, True)


class FailingStore(FolderStore):
    """A folder that gives out so many more objects, and then is away."""

    left = 1_000_000
    also: Sequence[str] = ()  # what it lists and does not have

    def keys(self, prefix: str) -> Iterator[str]:
        """List, and say more than there is."""
        yield from super().keys(prefix)
        yield from self.also

    def get(self, key: str, most: int = -1) -> bytes | None:
        """Return the object, or fail."""
        self.left -= 1
        if self.left < 0:
            raise StoreFault("away")
        return super().get(key, most)


CHUNKS = 200
TEXT = "".join(f"step {number}: {'x' * 1000}\n" for number in range(CHUNKS)).encode()


@pytest.fixture
def failing(stage: Stage, links: Links) -> FailingStore:
    """The store of `links`, with a log of some chunks, which can be told to fail."""
    assert isinstance(stage.store, FolderStore)
    store = FailingStore(stage.store.root)
    for number, line in enumerate(TEXT.splitlines(keepends=True), 1):
        store.put(log_key("job0001", 2, number), gzip.compress(line))
    links.store = store
    return store


@pytest.fixture
def log_url(links: Links) -> str:
    """The link to that log, without its base."""
    return (links.log("job0001", 2) or "").removeprefix("http://files.test")


@pytest.mark.parametrize("version", [b"1.0", b"1.1"])
def test_a_log_that_breaks_off_is_a_failed_download(
    failing: FailingStore, site: httpx.Client, log_url: str, version: bytes
) -> None:
    # As a proxy asks that speaks HTTP/1.0, which takes no chunks: there only a length tells a cut text from a whole.
    failing.left = CHUNKS + CHUNKS // 2
    with socket.create_connection((site.base_url.host, site.base_url.port or 80), timeout=30) as line:
        line.sendall(b"GET %s HTTP/%s\r\nHost: x\r\nConnection: close\r\n\r\n" % (log_url.encode(), version))
        answer = http.client.HTTPResponse(line)
        answer.begin()
        assert (answer.status, answer.getheader("content-length")) == (200, str(len(TEXT)))
        with pytest.raises(http.client.IncompleteRead) as cut:
            answer.read()
    assert 0 < len(cut.value.partial) < len(TEXT)
    assert TEXT.startswith(cut.value.partial)


def test_a_log_that_broke_off_is_gone_on_with(failing: FailingStore, site: httpx.Client, log_url: str) -> None:
    failing.left = CHUNKS + CHUNKS // 2
    had = b""
    with pytest.raises(httpx.RemoteProtocolError), site.stream("GET", log_url) as answer:
        for piece in answer.iter_raw():
            had += piece
    assert 0 < len(had) < len(TEXT)
    failing.left = CHUNKS
    rest = site.get(log_url, headers={"Range": f"bytes={len(had)}-", "If-Range": answer.headers["etag"]})
    assert rest.status_code == 206
    assert rest.headers["content-range"] == f"bytes {len(had)}-{len(TEXT) - 1}/{len(TEXT)}"
    assert had + rest.content == TEXT


def test_of_a_log_that_grew_meanwhile_a_part_is_not_taken_for_the_rest(
    failing: FailingStore, site: httpx.Client, log_url: str
) -> None:
    mark = site.head(log_url).headers["etag"]
    failing.put(log_key("job0001", 2, CHUNKS + 1), gzip.compress(b"more\n"))
    answer = site.get(log_url, headers={"Range": "bytes=10-", "If-Range": mark})
    assert (answer.status_code, answer.content) == (200, TEXT + b"more\n")


@pytest.mark.parametrize(
    ("header", "status", "part"),
    [
        ("bytes=0-3", 206, slice(4)),
        ("bytes=5000-6999", 206, slice(5000, 7000)),
        ("bytes=-10", 206, slice(-10, None)),
        (f"bytes=-{len(TEXT) + 1}", 206, slice(None)),
        (f"bytes=10-{len(TEXT) * 2}", 206, slice(10, None)),
        (f"bytes={len(TEXT)}-", 416, slice(0)),
        ("bytes=-0", 416, slice(0)),
        ("bytes=0-1,4-5", 200, slice(None)),
        ("bytes=9-3", 200, slice(None)),
        ("bytes=-", 200, slice(None)),
        ("lines=1-2", 200, slice(None)),
    ],
)
def test_a_part_of_a_log_can_be_asked_for(
    failing: FailingStore, site: httpx.Client, log_url: str, header: str, status: int, part: slice
) -> None:
    answer = site.get(log_url, headers={"Range": header})
    assert answer.status_code == status
    assert answer.content == TEXT[part]
    assert answer.headers["content-length"] == str(len(TEXT[part]))


def test_a_store_that_fails_before_a_log_is_sent_is_said_in_words(
    failing: FailingStore, site: httpx.Client, log_url: str
) -> None:
    failing.left = CHUNKS // 2
    assert site.get(log_url).status_code == 503


def test_a_log_with_a_piece_that_is_gone_is_not_sent_as_if_it_were_whole(
    failing: FailingStore, site: httpx.Client, log_url: str
) -> None:
    site.head(log_url)  # its chunks are known now
    failing.also = [log_key("job0001", 2, CHUNKS + 1)]
    assert site.get(log_url).status_code == 503


@pytest.mark.parametrize("tricky", ["/files/../links.key", "/files/%2e%2e/links.key", "/files/", "/files/jobs"])
def test_no_path_leads_out(site: httpx.Client, tricky: str) -> None:
    assert site.get(tricky + "?exp=4000000000&sig=0").status_code in (403, 404)


def test_the_page_says_what_it_is(site: httpx.Client) -> None:
    assert "no machine outlives its deadline" in site.get("/").text


def test_health_asks_whether_deadlines_are_enforced_and_people_told(site: httpx.Client, stage: Stage) -> None:
    assert site.get("/healthz").json() == {"ok": False, "troubles": ["No enforcing pass has run yet."]}
    with stage.db.write() as tx:
        db.set_mark(tx, "enforced", "1", stage.clock.now())
    assert site.get("/healthz").status_code == 200
    stage.clock.advance(91)
    answer = site.get("/healthz")
    assert answer.status_code == 503
    assert answer.json()["troubles"] == ["The last enforcing pass was 91 s ago."]
    stage.typed(minutes=60)
    stage.happens(stage.running(), NoteKind.TROUBLE, {"text": "NaN"})
    stage.notifier.fan_out()
    stage.clock.advance(minutes=16)
    assert "A message for Slack has waited since 2026-11-12 10:01 UTC." in site.get("/healthz").json()["troubles"]


def signed(stage: Stage, body: str, *, at: float | None = None, secret: str = "") -> dict[str, str]:
    """Return the headers with which Slack signs a body now, by the machine's clock, which Bolt checks it with."""
    stamp = str(int(time.time() if at is None else at))
    key = (secret or stage.sandbox.signing_secret).encode()
    return {
        "X-Slack-Request-Timestamp": stamp,
        "X-Slack-Signature": "v0=" + hmac.new(key, f"v0:{stamp}:{body}".encode(), hashlib.sha256).hexdigest(),
        "Content-Type": "application/x-www-form-urlencoded",
    }


def command(stage: Stage, text: str, trigger: str = "t1") -> str:
    """Return the body of a slash command of Ada's."""
    return urlencode(
        {
            "command": "/train",
            "text": text,
            "user_id": stage.ada,
            "channel_id": stage.vision,
            "trigger_id": trigger,
            "team_id": "T1",
            "api_app_id": "A1",
            "response_url": "http://127.0.0.1:9/",
        }
    )


def test_a_signed_command_is_taken_once(site: httpx.Client, stage: Stage) -> None:
    body = command(stage, "acme/vit@main gpu=a100 hours=1")
    headers = signed(stage, body)
    answer = site.post("/slack/events", content=body, headers=headers)
    assert answer.status_code == 200
    assert answer.json()["response_type"] == "ephemeral"
    replayed = site.post("/slack/events", content=body, headers=headers)
    assert (replayed.status_code, replayed.text) == (401, "This delivery came before.")
    with stage.db.read() as tx:
        assert [job.state for job in tx.exec(select(Job))] == [JobState.REQUESTED]


@pytest.mark.parametrize("forged", ["secret", "old", "none"])
def test_what_slack_did_not_sign_now_is_refused_and_blocks_nothing(
    site: httpx.Client, stage: Stage, forged: str
) -> None:
    body = command(stage, "acme/vit@main gpu=a100 hours=1")
    headers = {
        "secret": signed(stage, body, secret="wrong"),
        "old": signed(stage, body, at=time.time() - 301),
        "none": {"Content-Type": "application/x-www-form-urlencoded"},
    }[forged]
    for _ in range(2):
        answer = site.post("/slack/events", content=body, headers=headers)
        assert answer.status_code == 401
        assert "came before" not in answer.text
    with stage.db.read() as tx:
        assert list(tx.exec(select(Job))) == []


def test_a_flood_is_cut_off(site: httpx.Client, stage: Stage) -> None:
    body = "x" * 1_000_001
    assert site.post("/slack/events", content=body, headers=signed(stage, body)).status_code == 413


def test_without_a_signing_secret_there_is_no_such_door(stage: Stage, links: Links) -> None:
    health = Health(db=stage.db, clock=stage.clock)
    with serving(web.build(links=links, health=health, app=build_app(stage.parts, stage.client))) as client:
        assert client.post("/slack/events", content="x").status_code == 404


def test_the_server_has_its_address_before_it_serves_and_leaves_it_behind(stage: Stage, links: Links) -> None:
    server = web.WebServer.bind("127.0.0.1", 0)
    address = server.url
    with pytest.raises(Misconfigured, match="HOURGLASS_WEB_PORT"):
        web.WebServer.bind("127.0.0.1", int(address.rpartition(":")[2]))
    server.start(web.build(links=links, health=Health(db=stage.db, clock=stage.clock)))
    assert httpx.get(f"{address}/").status_code == 200
    server.stop()
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{address}/")


def test_signatures_are_forgotten_when_slack_s_own_limit_has_passed(stage: Stage) -> None:
    seen = Signatures(stage.clock)
    assert seen.first("a")
    assert not seen.first("a")
    stage.clock.advance(601)
    assert seen.first("b")
    assert "a" not in seen._seen
