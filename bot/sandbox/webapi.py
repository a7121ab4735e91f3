"""The Web API's gate: token, scope, rate, arguments; then one method. Answers are Slack's, errors too.

The methods stand in methods_*.py, each registering a `Method` under Slack's name.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from urllib.parse import parse_qsl

from bot.sandbox.arguments import Arguments
from bot.sandbox.ratelimit import TIER_3, Rate
from bot.sandbox.records import Json, SlackError
from bot.sandbox.state import State

Run = Callable[[State, Arguments], Json]


@dataclass(frozen=True, kw_only=True)
class Method:
    """One Web API method and what Slack asks of its caller."""

    run: Run
    scope: str | None = None  # None: any bot token
    rate: Rate | None = TIER_3  # None: the method keeps its own buckets
    app_token: bool = False  # True: wants the app-level token instead of the bot's


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What goes back over HTTP."""

    body: Json
    status: int = 200
    headers: Mapping[str, str]


class RateLimited(SlackError):
    """The call came too early; answered 429."""

    def __init__(self, retry_after: int) -> None:
        super().__init__("ratelimited")
        self.retry_after = retry_after


def parse_body(content_type: str, body: bytes, query: str) -> Json:
    """The arguments of a call as sent: JSON, form or query; a broken one raises Slack's error."""
    values: Json = dict(parse_qsl(query, keep_blank_values=True))
    kind = content_type.partition(";")[0].strip().lower()
    if kind == "application/json":
        try:
            tree = json.loads(body or b"{}")
        except ValueError:
            raise SlackError("invalid_json") from None
        if not isinstance(tree, dict):
            raise SlackError("json_not_object")
        return values | tree
    if kind == "application/x-www-form-urlencoded":
        try:
            return values | dict(parse_qsl(body.decode(), keep_blank_values=True))
        except UnicodeDecodeError:
            raise SlackError("invalid_charset") from None
    if kind == "multipart/form-data" or body:
        raise SlackError("invalid_post_type")
    return values


class WebApi:
    """Answers calls for one workspace."""

    def __init__(
        self,
        state: State,
        *,
        bot_token: str,
        app_token: str,
        methods: Mapping[str, Method],
        request_id: Callable[[], str],
    ) -> None:
        self._state = state
        self._bot_token = bot_token
        self._app_token = app_token
        self._methods = methods
        self._request_id = request_id

    def call(self, name: str, authorization: str, content_type: str, body: bytes, query: str) -> Answer:
        """Run one call; never raises, whatever was sent."""
        headers = {
            "x-slack-req-id": self._request_id(),
            "x-oauth-scopes": ",".join(sorted(self._state.app.scopes)),
        }
        try:
            values = parse_body(content_type, body, query)
            token = authorization.removeprefix("Bearer ").strip() or str(values.pop("token", ""))
            method = self._admit(name, token)
            headers["x-accepted-oauth-scopes"] = method.scope or ""
            with self._state.feed.lock:
                return Answer(body={"ok": True} | method.run(self._state, Arguments(values)), headers=headers)
        except RateLimited as late:
            headers["Retry-After"] = str(late.retry_after)
            return Answer(body={"ok": False, "error": late.code}, status=429, headers=headers)
        except SlackError as error:
            return Answer(body={"ok": False, "error": error.code, **error.extra}, headers=headers)

    def _admit(self, name: str, token: str) -> Method:
        method = self._methods.get(name)
        if method is None:
            raise SlackError("unknown_method", req_method=name)
        if not token:
            raise SlackError("not_authed")
        if token not in (self._bot_token, self._app_token):
            raise SlackError("invalid_auth")
        if (token == self._app_token) != method.app_token:
            raise SlackError("not_allowed_token_type")
        if method.scope is not None and not self._has(method.scope):
            raise SlackError("missing_scope", needed=method.scope, provided=",".join(sorted(self._state.app.scopes)))
        if method.rate is not None:
            with self._state.feed.lock:
                wait = self._state.limiter.take(name, method.rate)
            if wait:
                raise RateLimited(wait)
        return method

    def _has(self, scope: str) -> bool:
        """True when the app holds the scope, or one of several that a method takes ("channels:read|im:read")."""
        return any(one in self._state.app.scopes for one in scope.split("|"))
