"""Deliveries that Slack never sent, or sent once before: a table of ways to forge them, and doors that fall for each.

A way is a short story: genuine deliveries that somebody saw pass, perhaps a restart, and then the forged one, which
alone is judged. Every way names the broken doors that let it in; a way that no door falls for would prove nothing.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from urllib.parse import urlencode

import httpx
from slack_bolt import App
from slack_bolt.middleware.request_verification import RequestVerification

from bot import web
from bot.app import build_app
from bot.door import Door, Headers
from bot.health import Health
from bot.sandbox.signed_http import signature
from tests.face.stage import Stage
from tests.security.doors import (
    AnyVersion,
    Beginning,
    CaseBlind,
    EmptyKey,
    Ending,
    Forgetful,
    Keyless,
    Lasting,
    Open,
    Optional,
    OtherTwoReaders,
    PastOnly,
    ShapeOnly,
    Splitting,
    Timeless,
    Trusting,
    TwoReaders,
)

FORM, JSON = "application/x-www-form-urlencoded", "application/json"
STAMP, SIGNATURE = "X-Slack-Request-Timestamp", "X-Slack-Signature"


@dataclass(frozen=True, kw_only=True)
class Letter:
    """One request to the door, as its headers and its body stand on the wire."""

    body: bytes
    headers: Sequence[tuple[str, str]]
    path: str = "/slack/events"
    later: float = 0.0  # seconds that pass before it is sent
    restarted: bool = False  # the bot is started anew before it is sent
    chunked: bool = False

    def header(self, name: str) -> str:
        """Return the value of the first header of that name."""
        return next(value for key, value in self.headers if key == name)

    def with_headers(self, **values: str | None) -> Letter:
        """Return the letter with headers replaced; None takes one out. `stamp`, `signature` and `kind` are known."""
        names = {"stamp": STAMP, "signature": SIGNATURE, "kind": "Content-Type"}
        changes = {names[name]: value for name, value in values.items()}
        kept = [(key, changes.get(key, value)) for key, value in self.headers]
        return replace(self, headers=[(key, value) for key, value in kept if value is not None])


@dataclass
class Post:
    """Whoever writes letters: Slack with the secret, and forgers without it."""

    secret: str
    person: str
    channel: str
    now: int
    written: int = 0

    def command(self, text: str = "acme/vit@main gpu=a100 hours=1") -> bytes:
        """Return the body of a `/train` that was never sent before."""
        self.written += 1
        facts = {"command": "/train", "text": text, "user_id": self.person, "channel_id": self.channel}
        facts |= {"trigger_id": f"t{self.written}", "team_id": "T1", "api_app_id": "A1"}
        return urlencode({**facts, "response_url": "http://127.0.0.1:9/"}).encode()

    def genuine(self, body: bytes | None = None, *, stamp: str | None = None, secret: str | None = None) -> Letter:
        """Return a letter as Slack writes it; a `stamp` or a `secret` of one's own makes it something else."""
        body = self.command() if body is None else body
        stamp = str(self.now) if stamp is None else stamp
        key = self.secret if secret is None else secret
        if key:
            signed = signature(key, stamp, body.decode())
        else:
            signed = "v0=" + hmac.new(b"", f"v0:{stamp}:".encode() + body, hashlib.sha256).hexdigest()
        return Letter(body=body, headers=[("Content-Type", FORM), (STAMP, stamp), (SIGNATURE, signed)])


# ------------------------------------------------------------ the table


@dataclass(frozen=True, kw_only=True)
class Way:
    """A way to forge: the letters in their order, of which the last is judged, and the doors that fall for it."""

    name: str
    letters: Callable[[Post], Sequence[Letter]]
    fooled: Sequence[type[Door]]


def _alone(name: str, make: Callable[[Post], Letter], *fooled: type[Door]) -> Way:
    return Way(name=name, letters=lambda post: [make(post)], fooled=fooled)


def _after(name: str, change: Callable[[Letter, Post], Letter], *fooled: type[Door]) -> Way:
    """Somebody saw a genuine letter pass, and sends what they made of it."""

    def letters(post: Post) -> Sequence[Letter]:
        seen = post.genuine()
        return [seen, change(seen, post)]

    return Way(name=name, letters=letters, fooled=fooled)


def _signed_by(post: Post, change: Callable[[str], str]) -> Letter:
    letter = post.genuine()
    return letter.with_headers(signature=change(letter.header(SIGNATURE)))


def _keyless(post: Post) -> Letter:
    letter = post.genuine()
    hashed = hashlib.sha256(f"v0:{post.now}:".encode() + letter.body).hexdigest()
    return letter.with_headers(signature=f"v0={hashed}")


def _flipped(body: bytes, at: int) -> bytes:
    changed = bytearray(body)
    changed[at] ^= 1
    return bytes(changed)


def _fields(body: bytes, order: Callable[[list[bytes]], list[bytes]]) -> bytes:
    return b"&".join(order(body.split(b"&")))


def _boundary(post: Post) -> Letter:
    """What is signed is `v0:time:body`: a longer time over a shorter body reads the same."""
    body = post.command()
    stamp = str(post.now)
    whole = post.genuine(b"x=1:" + body)
    return replace(whole, body=body).with_headers(stamp=f"{stamp}:x=1")


def _json(post: Post, facts: dict[str, object]) -> Letter:
    return post.genuine(json.dumps(facts).encode()).with_headers(kind=JSON, signature=None)


_ZEROS = "v0=" + "0" * 64

WAYS: tuple[Way, ...] = (
    # Without a signature, or with none to speak of
    _alone("no signature", lambda p: p.genuine().with_headers(signature=None), Optional, Open),
    _alone("an empty signature", lambda p: p.genuine().with_headers(signature=""), Beginning, Open),
    _alone("no headers at all", lambda p: replace(p.genuine(), headers=[("Content-Type", FORM)]), Optional, Open),
    _alone("a certificate check without a signature", lambda p: replace(
        p.genuine(b"ssl_check=1&token=x"), headers=[("Content-Type", FORM)]), Optional, Open),
    _alone("a challenge without a signature", lambda p: _json(
        p, {"type": "url_verification", "challenge": "c1"}), Optional, Open),
    # With a signature of somebody else's
    _alone("zeros", lambda p: p.genuine().with_headers(signature=_ZEROS), ShapeOnly, Open),
    _alone("another secret", lambda p: p.genuine(secret="another-secret"), ShapeOnly, Open),
    _alone("an empty secret", lambda p: p.genuine(secret=""), EmptyKey, ShapeOnly),
    _alone("a hash without a key", _keyless, Keyless, ShapeOnly),
    # With the right one, bent
    _alone("a wrong version", lambda p: _signed_by(p, lambda s: s.replace("v0", "v1")), AnyVersion),
    _alone("no version", lambda p: _signed_by(p, lambda s: s.removeprefix("v0=")), AnyVersion),
    _alone("the version alone", lambda p: _signed_by(p, lambda s: "v0="), Beginning),
    _alone("half of the digits", lambda p: _signed_by(p, lambda s: s[: 3 + 32]), Beginning),
    _alone("one digit short", lambda p: _signed_by(p, lambda s: s[:-1]), Beginning),
    _alone("a digit more", lambda p: _signed_by(p, lambda s: s + "0"), Ending),
    _alone("a second signature behind a comma", lambda p: _signed_by(p, lambda s: f"{_ZEROS}, {s}"), Splitting),
    _alone("digits in upper case", lambda p: _signed_by(p, lambda s: "v0=" + s[3:].upper()), CaseBlind),
    _alone("the version in upper case", lambda p: _signed_by(p, lambda s: "V0=" + s[3:]), CaseBlind, AnyVersion),
    # Another body under it
    _after("a byte of the body flipped", lambda s, p: replace(s, body=_flipped(s.body, 40)), Trusting),
    _after("the last byte of the body flipped", lambda s, p: replace(s, body=_flipped(s.body, -1)), Trusting),
    _after("a field more", lambda s, p: replace(s, body=s.body + b"&text=help"), Trusting),
    _after("a field less", lambda s, p: replace(s, body=_fields(s.body, lambda f: f[:-1])), Trusting),
    _after("the fields in another order", lambda s, p: replace(
        s, body=_fields(s.body, lambda f: f[::-1])), Trusting),
    _after("a line end more", lambda s, p: replace(s, body=s.body + b"\r\n"), Trusting),
    _after("the signature of another body", lambda s, p: replace(s, body=p.command()), Trusting),
    _after("an event under a command's signature", lambda s, p: replace(
        s, body=json.dumps({"type": "url_verification", "challenge": "c2"}).encode()), Trusting),
    # Another time
    _after("a newer time under an old signature", lambda s, p: s.with_headers(stamp=str(p.now + 60)), Trusting),
    _alone("no time", lambda p: p.genuine().with_headers(stamp=None), Optional),
    _alone("a time that is empty", lambda p: p.genuine(stamp=""), Timeless),
    _alone("a time that is a word", lambda p: p.genuine(stamp="soon"), Timeless),
    _alone("a time below zero", lambda p: p.genuine(stamp="-1"), Timeless),
    _alone("a time with a sign", lambda p: p.genuine(stamp=f"+{p.now}"), Timeless),
    _alone("a time with a fraction", lambda p: p.genuine(stamp=f"{p.now}.0"), Timeless),
    _alone("a time with an underscore", lambda p: p.genuine(stamp=f"{str(p.now)[:4]}_{str(p.now)[4:]}"), Timeless),
    _alone("a time with a thousand digits", lambda p: p.genuine(stamp="9" * 1000), Timeless),
    _alone("five minutes and a second old", lambda p: p.genuine(stamp=str(p.now - 301)), Timeless),
    _alone("a day old", lambda p: p.genuine(stamp=str(p.now - 86_400)), Timeless),
    _alone("five minutes and two seconds ahead", lambda p: p.genuine(stamp=str(p.now + 302)), PastOnly, Timeless),
    _alone("a part of the body moved into the time", _boundary, Timeless),
    # The same again
    _after("again at once", lambda s, p: s, Forgetful, Trusting),
    _after("again after four minutes", lambda s, p: replace(s, later=240.0), Forgetful),
    _after("again after a restart", lambda s, p: replace(s, restarted=True, later=2.0), Lasting),
    _after("again in chunks", lambda s, p: replace(s, chunked=True), Forgetful),
    _after("again with its headers in another case", lambda s, p: replace(
        s, headers=[(key.upper(), value) for key, value in s.headers]), Forgetful),
    _after("again with its headers in another order", lambda s, p: replace(
        s, headers=list(reversed(s.headers))), Forgetful),
    _after("again with another content type", lambda s, p: s.with_headers(kind="text/plain"), Forgetful),
    _after("again as a retry", lambda s, p: replace(
        s, headers=[*s.headers, ("X-Slack-Retry-Num", "1")]), Forgetful),
    _after("again with a query", lambda s, p: replace(s, path="/slack/events?again=1"), Forgetful),
    _after("again behind a signature of no worth", lambda s, p: replace(
        s, headers=[(SIGNATURE, _ZEROS), *s.headers]), TwoReaders),
    _after("again before a signature of no worth", lambda s, p: replace(
        s, headers=[*s.headers, (SIGNATURE, _ZEROS)]), OtherTwoReaders),
    _after("again with its signature twice", lambda s, p: replace(
        s, headers=[*s.headers, (SIGNATURE, s.header(SIGNATURE))]), Trusting),
    _alone("two times", lambda p: replace(
        (letter := p.genuine()), headers=[(STAMP, "0"), *letter.headers]), TwoReaders),
)  # fmt: skip


# ------------------------------------------------------------ trying them


class Hinge(Door):
    """A door that can be hung anew, as a restart does."""

    def __init__(self, make: Callable[[], Door]) -> None:
        self._make = make
        self.hung = make()

    def restart(self) -> None:
        self.hung = self._make()

    def refusal(self, headers: Headers, body: bytes) -> str | None:
        return self.hung.refusal(headers, body)


class Doorstep:
    """A bot that takes Slack over HTTP, on a real socket, behind a door of one's choice."""

    def __init__(self, stage: Stage, kind: type[Door], client: httpx.Client, hinge: Hinge, post: Post) -> None:
        self.stage, self.kind, self._client, self._hinge, self.post = stage, kind, client, hinge, post
        self.passed = 0.0

    def takes(self, way: Way) -> bool:
        """Send a way's letters; return whether the last was taken. Raises where a genuine one was not."""
        *before, forged = way.letters(self.post)
        for letter in before:
            if not self._send(letter):
                raise AssertionError(f"{self.kind.__name__} refuses what is genuine")
        return self._send(forged)

    def genuine(self) -> bool:
        """Send a letter of Slack's own; return whether it was taken."""
        self.post.now += 1
        return self._send(self.post.genuine())

    def _send(self, letter: Letter) -> bool:
        self.passed += letter.later
        if letter.restarted:
            self._hinge.restart()
        content = iter([letter.body[:7], letter.body[7:]]) if letter.chunked else letter.body
        request = self._client.build_request("POST", letter.path, content=content, headers=list(letter.headers))
        taken = self._client.send(request).status_code < 400
        if letter.restarted:
            self.post.now += int(letter.later)  # the story goes on from there
        else:
            self.passed -= letter.later
        return taken


@contextmanager
def doorstep(stage: Stage, kind: type[Door] = Door) -> Iterator[Doorstep]:
    """Serve a bot behind a door; behind a broken one Bolt's own check is taken out, so that it does not help."""
    app = build_app(stage.parts, stage.client)
    if kind is not Door:
        _unlock(app)
    start = time.time()  # Bolt holds the stamps against the machine's clock, so the story has to begin there
    step: list[Doorstep] = []
    hinge = Hinge(
        lambda: kind(
            secret=stage.sandbox.signing_secret,
            clock=stage.clock,
            wall=lambda: start + (step[0].passed if step else 0.0),
        )
    )
    health = Health(db=stage.db, clock=stage.clock)
    server = web.WebServer.bind("127.0.0.1", 0)
    server.start(web.build(links=stage.parts.links, health=health, app=app, door=hinge))
    try:
        with httpx.Client(base_url=server.url, timeout=30.0) as client:
            post = Post(secret=stage.sandbox.signing_secret, person=stage.ada, channel=stage.vision, now=int(start))
            step.append(Doorstep(stage, kind, client, hinge, post))
            yield step[0]
    finally:
        server.stop()


def _unlock(app: App) -> None:
    app._middleware_list[:] = [one for one in app._middleware_list if not isinstance(one, RequestVerification)]
