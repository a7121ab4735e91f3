"""Deliveries over signed HTTP: Slack's v0 signature, forms for commands and interactions, JSON for events."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
from collections.abc import Callable
from concurrent.futures import Future
from urllib.parse import urlencode

import httpx

from bot.sandbox.clock import Clock
from bot.sandbox.deliver import Envelope, Reply
from bot.sandbox.records import Json, SandboxError

# Longer than the three seconds an acknowledgement may take: the courier's clock decides, this only ends sockets.
GIVE_UP_S = 10.0


def signature(secret: str, timestamp: str, body: str) -> str:
    """Slack's signature of a request body: `v0=` and the HMAC-SHA256 of version, timestamp and body."""
    return "v0=" + hmac.new(secret.encode(), f"v0:{timestamp}:{body}".encode(), hashlib.sha256).hexdigest()


def encode(envelope: Envelope) -> tuple[str, str]:
    """Content type and body of an envelope."""
    if envelope.kind == "slash_commands":
        return "application/x-www-form-urlencoded", urlencode(envelope.payload)
    if envelope.kind == "interactive":
        return "application/x-www-form-urlencoded", urlencode({"payload": json.dumps(envelope.payload)})
    return "application/json", json.dumps(envelope.payload)


class SignedHttp:
    """The transport to one request URL."""

    timeout_reason = "http_timeout"

    def __init__(self, *, url: str, secret: str, clock: Clock, loop: Callable[[], asyncio.AbstractEventLoop]) -> None:
        self._url = url
        self._secret = secret
        self._clock = clock
        self._loop = loop
        self._client = httpx.AsyncClient(timeout=GIVE_UP_S, trust_env=False)

    def verify(self, challenge: str) -> None:
        """Slack's check of a new request URL: it must answer the challenge."""
        body = json.dumps({"type": "url_verification", "token": "", "challenge": challenge})
        answer = asyncio.run_coroutine_threadsafe(self._post("application/json", body, {}), self._loop())
        try:
            response = answer.result()
        except httpx.HTTPError as error:
            raise SandboxError(f"{self._url} did not answer ({error}): start the app first") from error
        if response.status_code != 200 or challenge not in response.text:
            raise SandboxError(
                f"{self._url} answered {response.status_code} without the challenge: "
                "is it the app's request URL, and does the app have this sandbox's signing secret?"
            )

    def send(self, envelope: Envelope, on_reply: Callable[[Reply], None]) -> Callable[[], None]:
        """POST the envelope; the response is the reply."""
        content_type, body = encode(envelope)
        retry: dict[str, str] = {}
        if envelope.retry_attempt:
            retry = {
                "X-Slack-Retry-Num": str(envelope.retry_attempt),
                "X-Slack-Retry-Reason": envelope.retry_reason,
            }

        async def post() -> None:
            try:
                response = await self._post(content_type, body, retry)
            except httpx.ConnectError:
                on_reply(Reply(error="app_did_not_respond"))
            except httpx.HTTPError:
                on_reply(Reply(error="operation_timeout"))
            else:
                on_reply(_read(response))

        sending = asyncio.run_coroutine_threadsafe(post(), self._loop())
        return lambda: _cancel(sending)

    async def close(self) -> None:
        """Close every connection."""
        await self._client.aclose()

    async def _post(self, content_type: str, body: str, extra: dict[str, str]) -> httpx.Response:
        timestamp = str(int(self._clock.now().timestamp()))
        headers = {
            "Content-Type": content_type,
            "X-Slack-Request-Timestamp": timestamp,
            "X-Slack-Signature": signature(self._secret, timestamp, body),
            "User-Agent": "Slackbot 1.0 (+https://api.slack.com/robots)",
            **extra,
        }
        return await self._client.post(self._url, content=body.encode(), headers=headers)


def _cancel(sending: Future[None]) -> None:
    sending.cancel()


def _read(response: httpx.Response) -> Reply:
    no_retry = response.headers.get("X-Slack-No-Retry") == "1"
    if response.status_code != 200:
        return Reply(error="dispatch_failed", no_retry=no_retry)
    if not response.text.strip():
        return Reply()
    if response.headers.get("content-type", "").startswith("application/json"):
        payload: Json = response.json()
        return Reply(payload=payload)
    return Reply(payload={"text": response.text})
