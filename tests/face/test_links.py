"""Links to files: signed, expiring, and no way out of the store."""

from __future__ import annotations

import stat
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

import pytest

from bot.links import LinkRefused, Links, link_key
from jobs.errors import Misconfigured
from tests.support.clock import FakeClock
from trainer.storage import FolderStore, StoreFault

KEY = "jobs/k7m2pqx/a1/ckpt/step-4000/model weights.pt"


@pytest.fixture
def clock() -> FakeClock:
    """A clock that the story moves."""
    return FakeClock()


@pytest.fixture
def links(tmp_path: Path, clock: FakeClock) -> Links:
    """Links of an hour into a store with one file, and with one beside it that is nobody's."""
    store = FolderStore(tmp_path / "store")
    store.put(KEY, b"weights")
    (tmp_path / "secret").write_text("token")
    return Links(store=store, secret=b"s" * 32, base="https://bot.example/", minutes=60, clock=clock)


def parts(url: str) -> tuple[str, str, str]:
    """Return key, expiry and signature of a link."""
    split = urlsplit(url)
    asked = parse_qs(split.query)
    return unquote(split.path.removeprefix("/files/")), asked["exp"][0], asked["sig"][0]


def test_a_link_opens_its_file(links: Links) -> None:
    url = links.url(KEY)
    assert url is not None
    assert url.startswith("https://bot.example/files/jobs/k7m2pqx/a1/ckpt/step-4000/model%20weights.pt?exp=")
    assert links.open(*parts(url)).read_bytes() == b"weights"


def test_a_link_ends(links: Links, clock: FakeClock) -> None:
    key, expires, signature = parts(links.url(KEY) or "")
    clock.advance(minutes=60)
    links.open(key, expires, signature)
    clock.advance(1)
    with pytest.raises(LinkRefused, match="expired"):
        links.open(key, expires, signature)


def test_nothing_in_a_link_can_be_changed(links: Links) -> None:
    key, expires, signature = parts(links.url(KEY) or "")
    for changed in (
        (key + "x", expires, signature),
        (key.replace("a1", "a2"), expires, signature),
        (key, str(int(expires) + 1), signature),
        (key, "0" + expires, "0" * 64),
        (key, expires, signature[:-1] + ("0" if signature[-1] != "0" else "1")),
        (key, expires, ""),
        (key, expires, "é"),
        (key, "", signature),
        (key, "soon", signature),
        (key, "٣", signature),
        (key, "9" * 400, signature),
    ):
        with pytest.raises(LinkRefused):
            links.open(*changed)


@pytest.mark.parametrize(
    "key",
    [
        "../secret",
        "jobs/../../secret",
        "/etc/passwd",
        "jobs//x",
        "jobs/./x",
        "",
        "a\\b",
        "a\0b",
        "jobs",
        "nothing/there",
    ],
)
def test_even_a_rightly_signed_key_leads_only_to_files_of_the_store(links: Links, key: str) -> None:
    expires = 4_000_000_000
    signature = links._sign(key, expires)
    with pytest.raises(LinkRefused):
        links.open(key, str(expires), signature)


def test_a_symbolic_link_in_the_store_leads_nowhere(links: Links, tmp_path: Path) -> None:
    (tmp_path / "store" / "jobs" / "out").symlink_to(tmp_path / "secret")
    with pytest.raises(LinkRefused, match="no longer here"):
        links.open("jobs/out", "4000000000", links._sign("jobs/out", 4_000_000_000))


def test_another_deployment_s_link_is_not_ours(links: Links, clock: FakeClock) -> None:
    other = Links(store=links.store, secret=b"t" * 32, base="https://bot.example", minutes=60, clock=clock)
    with pytest.raises(LinkRefused, match="changed"):
        links.open(*parts(other.url(KEY) or ""))


def test_a_store_without_links_says_so(clock: FakeClock) -> None:
    links = Links(store=object(), secret=b"s" * 32, base="https://x", minutes=60, clock=clock)  # type: ignore[arg-type]
    assert links.url(KEY) is None
    with pytest.raises(StoreFault, match="no links"):
        links.fresh(KEY)
    with pytest.raises(LinkRefused):
        links.open(KEY, "4000000000", "x")


def log_parts(url: str) -> tuple[str, str, str]:
    """Return prefix, expiry and signature of a link to a log."""
    split = urlsplit(url)
    asked = parse_qs(split.query)
    return unquote(split.path.removeprefix("/logs/")), asked["exp"][0], asked["sig"][0]


def test_a_link_to_a_log_opens_that_log_until_it_ends(links: Links, clock: FakeClock) -> None:
    url = links.log("k7m2pqx", 3) or ""
    assert url.startswith("https://bot.example/logs/jobs/k7m2pqx/a3?exp=")
    prefix, expires, signature = log_parts(url)
    assert links.open_log(prefix, expires, signature) == "jobs/k7m2pqx/a3/log/"
    with pytest.raises(LinkRefused, match="changed"):
        links.open_log("jobs/k7m2pqx/a2", expires, signature)
    with pytest.raises(LinkRefused, match="changed"):
        links.open(f"{prefix}/log/00000001.txt.gz", expires, signature)
    clock.advance(minutes=61)
    with pytest.raises(LinkRefused, match="expired"):
        links.open_log(prefix, expires, signature)


def test_a_file_s_signature_opens_no_log(links: Links) -> None:
    with pytest.raises(LinkRefused, match="changed"):
        links.open_log("jobs/k7m2pqx/a3", "4000000000", links._sign("jobs/k7m2pqx/a3", 4_000_000_000))


def test_logs_in_a_bucket_are_linked_only_where_the_site_is_published(clock: FakeClock) -> None:
    def of(*, published: bool) -> str | None:
        bucket = object()
        links = Links(
            store=bucket,  # type: ignore[arg-type]
            secret=b"s" * 32,
            base="https://x",
            minutes=60,
            clock=clock,
            published=published,
        )
        return links.log("k7m2pqx", 1)

    assert of(published=False) is None
    assert (of(published=True) or "").startswith("https://x/logs/jobs/k7m2pqx/a1?exp=")


def test_the_key_is_made_once_and_read_by_its_owner_alone(tmp_path: Path) -> None:
    key = link_key(tmp_path / "state")
    path = tmp_path / "state" / "links.key"
    assert link_key(tmp_path / "state") == key
    assert len(key) == 32
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    path.write_bytes(b"short")
    with pytest.raises(Misconfigured, match="damaged"):
        link_key(tmp_path / "state")


def test_a_state_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(Misconfigured, match="HOURGLASS_STATE"):
        link_key(tmp_path / "file" / "state")
