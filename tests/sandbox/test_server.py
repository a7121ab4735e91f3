"""Where the sandbox listens, who may act through its page, and that it leaves nothing behind."""

from __future__ import annotations

import json
import random
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import psutil
import pytest
from slack_bolt import App
from slack_sdk import WebClient

from bot.sandbox import Ids, ManualClock, Sandbox, SandboxError
from tests.sandbox.peers import over_sockets


def test_closing_leaves_no_thread_and_no_socket(sandbox: Sandbox) -> None:
    process = psutil.Process()
    threads, sockets = set(threading.enumerate()), {one.fd for one in process.net_connections()}
    with Sandbox.start() as other:
        client = WebClient(token=other.bot_token, base_url=other.api_url)
        app = App(client=client, signing_secret="unused")
        app.command("/train")(lambda ack: ack())
        with over_sockets(other, app):
            other.people.type("ada", "#vision", "/train x")
            other.people.type("ada", "#vision", "@hourglass nobody handles this")
    other.close()
    ours = {one for one in threading.enumerate() if one.name.startswith("sandbox")}
    assert ours <= threads
    assert {one.fd for one in process.net_connections()} <= sockets


def test_closing_does_not_wait_for_an_open_page_or_a_retry(sandbox: Sandbox) -> None:
    other = Sandbox.start()
    other.people.type("ada", "@hourglass", "nobody is connected: this waits a minute for its second retry")
    with httpx.stream("GET", f"{other.url}page/events?as=ada&after=0") as page:
        lines = page.iter_lines()
        assert next(lines).startswith("id:")
        other.close()
        # The stream is ended, not cut: httpx raises on a body that stops in the middle.
        assert [line for line in lines if line.startswith("event: reload")] == []


def test_it_listens_on_this_machine_only(sandbox: Sandbox) -> None:
    port = urlsplit(sandbox.url).port
    listening = {one.laddr.ip for one in psutil.Process().net_connections() if one.laddr.port == port and not one.raddr}
    assert listening == {"127.0.0.1"}


def test_a_busy_port_is_said_so() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(SandboxError, match=f"port {port} on 127.0.0.1 cannot be used .*give another port"):
            Sandbox.start(port)


def test_given_secrets_are_used(clock: ManualClock) -> None:
    with Sandbox.start(bot_token="xoxb-1", app_token="xapp-1", signing_secret="s") as sandbox:
        assert (sandbox.bot_token, sandbox.app_token, sandbox.signing_secret) == ("xoxb-1", "xapp-1", "s")
        assert WebClient(token="xoxb-1", base_url=sandbox.api_url).auth_test()["ok"]


def test_a_seeded_run_repeats_itself() -> None:
    def names(seed: int) -> list[str]:
        with Sandbox.start(ids=Ids(random.Random(seed))) as sandbox:
            return [sandbox.people.user_id("ada"), sandbox.people.channel_id("#vision"), sandbox.bot_token]

    assert names(1) == names(1) != names(2)


# -- who may act through the page ----------------------------------------------------------------------------

LINE = {"as": "ada", "channel": "#vision", "text": "hello"}


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example"},
        {"Host": "evil.example:80"},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Content-Type": "text/plain"},
        {"Content-Type": "application/x-www-form-urlencoded"},
    ],
)
def test_a_foreign_page_cannot_act(sandbox: Sandbox, headers: dict[str, str]) -> None:
    sent = {"Content-Type": "application/json"} | headers
    answer = httpx.post(f"{sandbox.url}page/type", content=json.dumps(LINE), headers=sent)
    assert answer.status_code == 403
    assert sandbox.people.messages("#vision") == []


@pytest.mark.parametrize("path", ["", "page/state?as=ada", "page/events?as=ada&after=0", "page/app.js"])
def test_a_foreign_name_for_this_address_reads_nothing(sandbox: Sandbox, path: str) -> None:
    answer = httpx.get(f"{sandbox.url}{path}", headers={"Host": "evil.example"})
    assert (answer.status_code, "evil.example" in answer.json()["error"]) == (403, True)


def test_the_page_itself_may_act(sandbox: Sandbox) -> None:
    answer = httpx.post(f"{sandbox.url}page/type", json=LINE, headers={"Origin": sandbox.url.rstrip("/")})
    assert answer.json()["ok"] is True
    assert [one["text"] for one in sandbox.people.messages("#vision")] == ["hello"]


def test_a_named_host_is_let_in() -> None:
    with Sandbox.start(allowed_hosts=["gpu.example:8080"]) as sandbox:
        headers = {"Host": "gpu.example:8080", "Origin": "https://gpu.example:8080"}
        assert httpx.post(f"{sandbox.url}page/type", json=LINE, headers=headers).json()["ok"]


def test_the_page_forbids_inline_scripts_and_frames(sandbox: Sandbox) -> None:
    answer = httpx.get(sandbox.url)
    policy = answer.headers["content-security-policy"]
    assert "script-src 'self'" in policy and "unsafe" not in policy and "frame-ancestors 'none'" in policy
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_wrong_requests_are_answered_and_not_raised(sandbox: Sandbox) -> None:
    for body, status in [({}, 400), ([], 400), (LINE | {"as": "nobody"}, 409), (LINE | {"channel": "#nowhere"}, 409)]:
        answer = httpx.post(f"{sandbox.url}page/type", json=body)
        assert (answer.status_code, answer.json()["ok"]) == (status, False)
    assert httpx.get(f"{sandbox.url}page/state?as=nobody").status_code == 404
    assert httpx.get(f"{sandbox.url}page/events?as=ada&after=x").status_code == 400


def test_a_page_shows_only_what_its_person_may_see(sandbox: Sandbox, client: WebClient) -> None:
    sandbox.people.type("ada", "#nlp", "not for guests")
    client.chat_postEphemeral(
        channel=sandbox.people.channel_id("#vision"), user=sandbox.people.user_id("ada"), text="for Ada"
    )
    client.chat_postMessage(channel=sandbox.people.user_id("lea"), text="for Lea")

    def words(who: str) -> set[str]:
        state: dict[str, Any] = httpx.get(f"{sandbox.url}page/state?as={who}").json()
        return {message["text"] for room in state["channels"] for message in room["messages"]}

    assert (words("ada"), words("lea"), words("gus")) == (
        {"not for guests", "for Ada"},
        {"not for guests", "for Lea"},
        set(),
    )


@contextmanager
def following(sandbox: Sandbox, who: str) -> Iterator[Iterator[dict[str, Any]]]:
    """The changes that this person's page is sent."""
    seq = httpx.get(f"{sandbox.url}page/state?as={who}").json()["seq"]
    with httpx.stream("GET", f"{sandbox.url}page/events?as={who}&after={seq}") as page:
        lines = page.iter_lines()
        yield (json.loads(line.removeprefix("data: ")) for line in lines if line.startswith('data: {"kind"'))


def test_changes_come_as_they_happen_and_only_to_whom_they_concern(sandbox: Sandbox, client: WebClient) -> None:
    vision = sandbox.people.channel_id("#vision")
    with following(sandbox, "tam") as changes:
        client.chat_postEphemeral(channel=vision, user=sandbox.people.user_id("ada"), text="for Ada")
        posted = client.chat_postMessage(channel=vision, text="for all")
        client.chat_delete(channel=vision, ts=posted["ts"])
        first, second = next(changes), next(changes)
    assert {first["kind"], second["kind"]} <= {"message", "deleted"}
    assert second == {"kind": "deleted", "channel": vision, "ts": posted["ts"]}


def test_an_uploaded_page_is_offered_for_download_and_never_shown(sandbox: Sandbox, client: WebClient) -> None:
    uploaded = client.files_upload_v2(content=b"<script>alert(1)</script>", filename='a"b.html')["file"]
    answer = httpx.get(f"{sandbox.url}page/files/{uploaded['id']}")
    assert answer.headers["content-type"] == "application/octet-stream"
    assert answer.headers["content-disposition"] == 'attachment; filename="a_b.html"'


def test_deep_links_name_the_person_the_channel_and_the_thread(sandbox: Sandbox) -> None:
    link = sandbox.page_url("lea", "#vision", "1.000001")
    query = {key: value[0] for key, value in parse_qs(urlsplit(link).query).items()}
    assert query == {"as": "lea", "channel": sandbox.people.channel_id("#vision"), "thread": "1.000001"}


def test_a_manual_clock_wants_a_time_zone_and_wakes_its_waiters() -> None:
    with pytest.raises(ValueError, match="no time zone"):
        ManualClock(datetime(2026, 1, 1))  # noqa: DTZ001  the mistake under test
    clock, condition, results = ManualClock(datetime(2026, 1, 1, tzinfo=UTC)), threading.Condition(), []
    entered = threading.Event()

    def wait() -> None:
        with condition:
            entered.set()
            results.append(clock.wait(condition, lambda: False, 5))

    waiter = threading.Thread(target=wait)
    waiter.start()
    entered.wait()
    clock.advance(4)
    assert waiter.is_alive()
    clock.advance(1)
    waiter.join()
    assert results == [False]
