"""One contract, two stores: a folder, and S3 as moto's server speaks it."""

from __future__ import annotations

import urllib.error
import urllib.request
from pathlib import Path

import pytest
from botocore.exceptions import ClientError, ConnectionClosedError

from tests.trainer.conftest import CREDENTIALS
from trainer.storage import FolderStore, S3Store, Store, StoreFault, open_store


@pytest.fixture
def s3(endpoint: str, tmp_path: Path) -> S3Store:
    store = open_store(f"s3://acme/runs/{tmp_path.name}", {**CREDENTIALS, "HOURGLASS_STORE_AWS_ENDPOINT_URL": endpoint})
    assert isinstance(store, S3Store)
    return store


@pytest.fixture(params=["folder", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    if request.param == "folder":
        return FolderStore(tmp_path / "store")
    found: S3Store = request.getfixturevalue("s3")
    return found


def test_what_is_put_is_got_and_replaced_and_removed(store: Store, tmp_path: Path) -> None:
    assert (store.get("a/b"), store.size("a/b"), store.get_file("a/b", tmp_path / "got")) == (None, None, False)
    store.put("a/b", b"one")
    store.put("a/b", b"three")
    assert (store.get("a/b"), store.size("a/b")) == (b"three", 5)
    assert [store.get("a/b", most) for most in (0, 2, 5, 6)] == [b"", b"th", b"three", b"three"]
    assert store.get_file("a/b", tmp_path / "deep" / "got")
    assert (tmp_path / "deep" / "got").read_bytes() == b"three"
    store.delete("a/b")
    store.delete("a/b")
    assert store.get("a/b") is None


def test_files_go_both_ways(store: Store, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(bytes(range(256)) * 4_000)
    store.put_file("x/file", tmp_path / "file")
    assert store.size("x/file") == 1_024_000
    assert store.get_file("x/file", tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == (tmp_path / "file").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_file()) == ["back", "file"]


def test_an_object_is_copied_under_another_key(store: Store) -> None:
    assert store.copy("a/b", "c/d") is False
    store.put("a/b", b"one")
    store.put("c/d", b"what is replaced")
    assert store.copy("a/b", "c/d") is True
    assert (store.get("a/b"), store.get("c/d")) == (b"one", b"one")
    assert list(store.keys("")) == ["a/b", "c/d"]


def test_a_copy_within_s3_does_not_come_by_here(s3: S3Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(s3, "get_file", None)
    monkeypatch.setattr(s3, "get", None)
    s3.put("a/b", b"one")
    assert s3.copy("a/b", "c/d")
    assert s3.size("c/d") == 3


@pytest.mark.parametrize("code", ["NotImplemented", "AccessDenied"])
def test_what_s3_does_not_copy_comes_by_here(s3: S3Store, code: str) -> None:
    def refuse(**_: object) -> None:
        raise ClientError({"Error": {"Code": code, "Message": "no"}}, "CopyObject")

    s3.put("a/b", b"one")
    s3._client.meta.events.register("before-call.s3.CopyObject", refuse)  # as a gateway that cannot would answer
    assert s3.copy("a/b", "c/d")
    assert s3.get("c/d") == b"one"


def test_keys_are_those_of_a_folder_in_order(store: Store) -> None:
    for key in ("a/2", "a/1", "a/10", "a/b/c", "ab/1", "z"):
        store.put(key, b"")
    assert list(store.keys("a")) == ["a/1", "a/10", "a/2", "a/b/c"]
    assert list(store.keys("a/")) == list(store.keys("a"))
    assert list(store.keys("nothing")) == []
    assert list(store.keys("")) == ["a/1", "a/10", "a/2", "a/b/c", "ab/1", "z"]


@pytest.mark.parametrize("key", ["", "/a", "a/../b", "..", "a//b", "./a", "a\\b", "a\0b", "a/"])
def test_a_key_that_could_leave_its_place_is_refused_by_every_verb(store: Store, key: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    verbs = (
        lambda: store.put(key, b""),
        lambda: store.put_file(key, tmp_path / "file"),
        lambda: store.get(key),
        lambda: store.get_file(key, tmp_path / "got"),
        lambda: store.copy(key, "a"),
        lambda: store.copy("a", key),
        lambda: store.size(key),
        lambda: store.delete(key),
    )
    for verb in verbs:
        with pytest.raises(StoreFault, match="is not a key"):
            verb()


def test_a_folder_store_shows_no_half_written_object(tmp_path: Path) -> None:
    store = FolderStore(tmp_path)
    store.put("a/b", b"whole")
    (tmp_path / "a" / ".c.0123456789ab").write_bytes(b"half")
    assert list(store.keys("a")) == ["a/b"]


def test_a_folder_that_cannot_be_written_is_a_fault(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    store = FolderStore(tmp_path / "file")
    with pytest.raises(StoreFault, match="Could not write a/b"):
        store.put("a/b", b"")
    assert store.get("a/b") is None


def test_an_s3_that_is_not_there_is_a_fault_for_every_verb(endpoint: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    missing = S3Store("nobody", env={**CREDENTIALS, "HOURGLASS_STORE_AWS_ENDPOINT_URL": endpoint})
    for verb in (
        lambda: missing.put("a", b""),
        lambda: missing.put_file("a", tmp_path / "file"),
        lambda: list(missing.keys("a")),
        lambda: missing.delete("a"),
    ):
        with pytest.raises(StoreFault, match="s3://nobody/a"):
            verb()


def test_a_line_that_was_closed_without_an_answer_has_no_code_and_is_no_crash() -> None:
    closed = ConnectionClosedError(endpoint_url="http://127.0.0.1")
    assert closed.response is None  # where others of its kind have an answer, or no such attribute
    assert S3Store.code(closed) == ""


def test_a_signed_link_saves_a_file_and_holds_nothing_else(s3: S3Store) -> None:
    s3.put("ckpt/ckpt.pt", b"weights")
    link = s3.link("ckpt/ckpt.pt", 60)
    with urllib.request.urlopen(link, timeout=10) as answer:  # noqa: S310  a link to our own test server
        assert answer.read() == b"weights"
        assert answer.headers["Content-Disposition"].startswith('attachment; filename="ckpt.pt"')
    assert "X-Amz-Algorithm=AWS4-HMAC-SHA256" in link
    assert CREDENTIALS["HOURGLASS_STORE_AWS_SECRET_ACCESS_KEY"] not in link
    with pytest.raises(urllib.error.HTTPError):
        urllib.request.urlopen(s3.link("ckpt/none.pt", 60), timeout=10)  # noqa: S310  the same


@pytest.mark.parametrize("uri", ["", "/var/files", "file://", "file://elsewhere/dir", "s3://", "http://x/y", "s3:/b"])
def test_what_is_no_store_is_refused_with_what_would_be_one(uri: str) -> None:
    with pytest.raises(StoreFault, match=r"is not a store: use file:///dir or s3://bucket/prefix"):
        open_store(uri)


def test_a_folder_with_spaces_is_a_store(tmp_path: Path) -> None:
    store = open_store((tmp_path / "a b").as_uri())
    store.put("k", b"v")
    assert (tmp_path / "a b" / "k").read_bytes() == b"v"
