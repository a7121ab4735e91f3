"""Credentials that are replaced while the machine works: every request from then on is signed with the newest."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.trainer.conftest import CREDENTIALS
from trainer import wire
from trainer.lent import LeaseWatch, Lent
from trainer.origins import origin_of
from trainer.sealed import Ring
from trainer.storage import S3Store, StoreFault
from trainer.wire import Input, Lease

NEVER = 86_400.0  # seconds between looks: the test looks itself


def a_lease(number: int = 2) -> Lease:
    keys = {"access_key_id": f"ASIA{number}", "secret_access_key": f"hush-{number}", "session_token": f"t{number}"}
    return Lease(until=9.0, **keys)


class Signed(http.server.BaseHTTPRequestHandler):
    """An S3 that takes everything and notes whose requests they were."""

    who: list[str]

    def do_PUT(self) -> None:
        self._answer(b"")

    def do_GET(self) -> None:
        listing = (
            b"<ListBucketResult><Contents><Key>coco/a</Key><Size>1</Size><ETag>e</ETag></Contents></ListBucketResult>"
        )
        self._answer(listing if "list-type" in self.path else b"x")

    def _answer(self, body: bytes) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        key = self.headers["Authorization"].partition("Credential=")[2].partition("/")[0]
        self.who.append(f"{key} {self.headers.get('X-Amz-Security-Token')}")
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def signed() -> Iterator[tuple[str, list[str]]]:
    """The address of such an S3, and who asked it."""
    who: list[str] = []
    handler = type("Handler", (Signed,), {"who": who})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}", who
    server.shutdown()
    server.server_close()


def store_at(endpoint: str) -> tuple[S3Store, dict[str, str]]:
    env = {
        **CREDENTIALS,
        "HOURGLASS_STORE_AWS_ACCESS_KEY_ID": "ASIA1",
        "HOURGLASS_STORE_AWS_SESSION_TOKEN": "t1",
        "HOURGLASS_STORE_AWS_ENDPOINT_URL": endpoint,
    }
    return S3Store("acme", "hg", env=env), env


def test_a_store_signs_with_the_newest(signed: tuple[str, list[str]]) -> None:
    store, _ = store_at(signed[0])
    store.put("a", b"x")
    assert store.lent is not None
    store.lent.take(a_lease())
    store.put("a", b"x")
    assert signed[1] == ["ASIA1 t1", "ASIA2 t2"]


def test_the_buckets_of_inputs_are_renewed_with_the_store(signed: tuple[str, list[str]]) -> None:
    store, env = store_at(signed[0])
    found = origin_of(Input(name="coco", source="s3://others/coco"), store, Ring(), env=env)
    assert store.lent is not None
    store.lent.take(a_lease())
    list(found.blocks(0, 0))
    assert signed[1] == ["ASIA1 t1", "ASIA2 t2"]


def test_each_lease_is_taken_once_and_what_cannot_be_read_changes_nothing() -> None:
    answers: list[bytes | Exception | None] = [
        None, StoreFault("no answer"), b"{half", b"{}", wire.to_json(a_lease()), wire.to_json(a_lease()),
        wire.to_json(Lease(until=1.0, access_key_id="", secret_access_key="", session_token=None)),
        wire.to_json(a_lease(3)),
    ]  # fmt: skip

    def read() -> bytes | None:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    taken: list[str] = []
    watch = LeaseWatch(read, take=lambda lease: taken.append(lease.access_key_id), every=NEVER)
    for _ in range(len(answers)):
        watch.look()
    assert taken == ["ASIA2", "ASIA3"]


def test_credentials_that_have_ended_are_got_over_by_the_link(tmp_path: Path) -> None:
    ready = tmp_path / "lease.json"
    ready.write_bytes(wire.to_json(a_lease()))

    def ended() -> bytes | None:
        raise StoreFault("ExpiredToken")

    taken: list[str] = []
    take = lambda lease: taken.append(lease.access_key_id)  # noqa: E731  one word, said twice
    LeaseWatch(ended, take=take, every=NEVER).look()
    assert taken == []
    LeaseWatch(ended, take=take, every=NEVER, link=ready.as_uri()).look()
    assert taken == ["ASIA2"]


def test_where_nothing_is_lent_the_sdk_finds_its_own() -> None:
    assert Lent.in_env({}) is None
    assert Lent.in_env({"HOURGLASS_STORE_AWS_ACCESS_KEY_ID": "A"}) is None


def test_a_lease_does_not_show_what_it_holds() -> None:
    assert "hush" not in repr(a_lease()) and "ASIA" not in repr(a_lease())
