"""How git is called: nothing of a person's or of a token's where others can read it, no prompt, no detour."""

from __future__ import annotations

import base64
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from pydantic import SecretStr

from jobs.errors import BadSource
from jobs.git import Git, GitFailed, Limits, Trouble
from jobs.repository import locate, relative, split_reference
from jobs.source import SourceResolver

TOKEN = "ghp_planted0123456789"
HEADER = "Basic " + base64.b64encode(f"x-access-token:{TOKEN}".encode()).decode()


class Web:
    """A web server on this computer that answers every request alike and remembers the headers."""

    def __init__(self, status: int, location: str | None = None) -> None:
        self.seen: list[tuple[str, str | None]] = []
        web = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                web.seen.append((self.path, self.headers.get("authorization")))
                self.send_response(status)
                if location:
                    self.send_header("location", location + self.path)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, format: str, *words: object) -> None:
                return None

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.prefix = f"http://127.0.0.1:{self.server.server_port}/"


@contextmanager
def serving(status: int, location: str | None = None) -> Iterator[Web]:
    web = Web(status, location)
    thread = threading.Thread(target=web.server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield web
    finally:
        web.server.shutdown()
        thread.join(10)
        web.server.server_close()


def resolver(tmp_path: Path, *hosts: str, tokens: dict[str, str] | None = None) -> SourceResolver:
    secrets = {prefix: SecretStr(token) for prefix, token in (tokens or {}).items()}
    return SourceResolver(git_hosts=hosts, git_tokens=secrets, cache_dir=tmp_path / "cache")


def refusal(source: SourceResolver, repo: str = "acme/vit") -> str:
    with pytest.raises(BadSource) as caught:
        source.resolve(repo, "main")
    return str(caught.value)


def test_a_token_goes_to_its_own_host_alone(tmp_path: Path) -> None:
    with serving(404) as ours, serving(404) as other:
        source = resolver(tmp_path, ours.prefix, other.prefix, tokens={ours.prefix: TOKEN})
        refusal(source)
        refusal(source, f"{other.prefix}acme/vit")

    assert {authorization for _, authorization in ours.seen} == {HEADER}
    assert {authorization for _, authorization in other.seen} == {None}


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (404, "There is no repository `acme/vit`"),
        (401, "does not exist, or is private"),
        (403, "or is private"),
        (503, "did not answer"),
    ],
)
def test_each_answer_of_a_host_is_told_apart_and_no_token_is_in_the_words(
    tmp_path: Path, status: int, said: str
) -> None:
    with serving(status) as web:
        words = refusal(resolver(tmp_path, web.prefix, tokens={web.prefix: TOKEN}))

    assert said in words
    assert TOKEN not in words
    assert HEADER.rpartition(" ")[2] not in words


def test_a_repository_may_be_called_like_a_trouble(tmp_path: Path) -> None:
    with serving(404) as web:
        assert "There is no repository `acme/redirect-SSL`" in refusal(
            resolver(tmp_path, web.prefix), "acme/redirect-SSL"
        )


def test_a_redirect_to_another_host_is_not_followed(tmp_path: Path) -> None:
    with serving(404) as elsewhere, serving(301, elsewhere.prefix.rstrip("/")) as web:
        words = refusal(resolver(tmp_path, web.prefix, tokens={web.prefix: TOKEN}))

    assert "has moved to another address" in words
    assert elsewhere.seen == []


def test_no_token_is_in_an_argument_list_and_nothing_of_this_process_is_handed_on(tmp_path: Path) -> None:
    # A program called git that writes down how it was called, in front of the real one.
    record, real = tmp_path / "calls", shutil.which("git")
    program = tmp_path / "bin" / "git"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\necho "$@" >> {record}.words\nenv >> {record}.env\nexec {real} "$@"\n')
    program.chmod(0o755)
    with serving(404) as web:
        git = Git(
            home=tmp_path / "home",
            hosts=[web.prefix],
            tokens={web.prefix: SecretStr(TOKEN)},
            limits=Limits(),
            environment={
                "PATH": f"{program.parent}:/usr/bin:/bin",
                "AWS_SECRET_ACCESS_KEY": "planted",
                "GIT_DIR": "/etc",
            },
        )
        at = tmp_path / "bare"
        at.mkdir()
        # The child looks `git` up in the environment that it is given.
        git.run("init", "--quiet", "--bare", at=at)
        with pytest.raises(GitFailed):
            git.run("ls-remote", "--", f"{web.prefix}acme/vit", at=at, online=True)

    words, environment = (Path(f"{record}.{kind}").read_text() for kind in ("words", "env"))
    assert web.seen[0][1] == HEADER
    assert TOKEN not in words
    assert "planted" not in environment.replace(TOKEN, "")
    assert "GIT_DIR=/etc" not in environment


def test_only_the_operators_protocols_are_spoken(tmp_path: Path) -> None:
    git = Git(home=tmp_path / "home", hosts=["https://git.example/"], tokens={}, limits=Limits(), environment=None)
    at = tmp_path / "bare"
    at.mkdir()
    git.run("init", "--quiet", "--bare", at=at)

    for address in (f"file://{at}", "ext::sh -c 'touch %S' x", "git://git.example/x"):
        with pytest.raises(GitFailed, match="not allowed"):
            git.run("ls-remote", "--", address, at=at, online=True)


def test_a_host_that_never_answers_is_given_up_within_the_limit(tmp_path: Path) -> None:
    class Silent(BaseHTTPRequestHandler):
        def handle(self) -> None:
            ended.wait(30)

    ended = threading.Event()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Silent)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    git = Git(home=tmp_path / "home", hosts=["http://127.0.0.1/"], tokens={}, limits=Limits(seconds=0.5))
    try:
        with pytest.raises(GitFailed) as caught:
            git.run("ls-remote", "--", f"http://127.0.0.1:{server.server_port}/x", at=tmp_path, online=True)
    finally:
        ended.set()
        server.shutdown()
        thread.join(10)
        server.server_close()

    assert caught.value.trouble is Trouble.TOO_SLOW


# ---------------------------------------------------------------- addresses

HOSTS = [
    "https://github.com/acme",
    "https://git.lab.example/",
    "ssh://git@box.example/",
    "git@other.example:",
    "file:///srv/git/",
]


@pytest.mark.parametrize(
    ("repo", "shown", "first"),
    [
        ("team/vit", "team/vit", "https://github.com/acme/team/vit.git"),
        ("https://git.lab.example/a/vit", "a/vit", "https://git.lab.example/a/vit.git"),
        ("https://GIT.lab.example/a/vit.git/", "a/vit", "https://git.lab.example/a/vit.git"),
        ("git.lab.example/a/vit", "a/vit", "https://git.lab.example/a/vit.git"),
        ("git@git.lab.example:a/vit.git", "a/vit", "https://git.lab.example/a/vit.git"),
        ("ssh://git@box.example/a/vit", "a/vit", "ssh://git@box.example/a/vit.git"),
        ("git@other.example:a/vit", "a/vit", "git@other.example:a/vit.git"),
        ("file:///srv/git/a/vit", "a/vit", "file:///srv/git/a/vit"),
    ],
)
def test_a_repository_lies_under_the_operators_prefixes(repo: str, shown: str, first: str) -> None:
    place = locate(repo, HOSTS)

    assert (place.repo, place.urls[0]) == (shown, first)


@pytest.mark.parametrize(
    "repo",
    [
        "https://github.com/acme-evil/vit",  # the prefix ends at a slash
        "https://github.com.evil.example/acme/vit",
        "https://git.lab.example/../etc/x",
        "https://git.lab.example/%2e%2e/x",
        "https://ada@git.lab.example/a/vit",
        "ssh://ada:pw@box.example/a/vit",
        "http://git.lab.example/a/vit",
        "file:///etc/a/vit",
        "file:///srv/git/../../etc/x",
        "https://git.lab.example/",
        "ext::sh/x",
        "/srv/git/x",
        "~/x/y",
        "a/vit?x=1",
        "a/vit#x",
        "a//vit",
        "a/.git",
        "",
    ],
)
def test_what_lies_elsewhere_or_climbs_is_refused(repo: str) -> None:
    with pytest.raises(BadSource):
        locate(repo, HOSTS)


@pytest.mark.parametrize(
    ("base", "address", "whole"),
    [
        ("https://git.example/acme/vit.git", "../lib.git", "https://git.example/acme/lib.git"),
        ("https://git.example/acme/vit.git", "../../other/lib", "https://git.example/other/lib"),
        ("git@git.example:acme/vit.git", "../lib.git", "git@git.example:acme/lib.git"),
        ("file:///srv/git/acme/vit", "./sub", "file:///srv/git/acme/vit/sub"),
        ("https://git.example/acme/vit.git", "https://git.example/x/y", "https://git.example/x/y"),
    ],
)
def test_a_submodules_address_may_start_from_its_parents(base: str, address: str, whole: str) -> None:
    assert relative(base, address) == whole


def test_a_submodules_address_may_not_climb_out_of_its_host() -> None:
    with pytest.raises(BadSource, match="climbs out"):
        relative("https://git.example/acme/vit.git", "../../../x")


def test_a_reference_without_a_ref_says_none() -> None:
    assert split_reference("acme/vit") == ("acme/vit", None)
