"""Clients of Slack's Web API: each asker has its own patience, and every call is told to whoever counts."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any, TypeVar

from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError
from slack_sdk.web import SlackResponse

Client = TypeVar("Client", bound=WebClient)
Count = Callable[[str, str], None]  # (method, outcome): told of each call

OK, LIMITED, REFUSED, FAILED = "ok", "limited", "refused", "failed"


def patient(client: Client, seconds: int) -> Client:
    """Return a client like this one that waits `seconds` for an answer."""
    other = copy.copy(client)
    other.timeout = seconds
    return other


def once(client: Client, seconds: int) -> Client:
    """Return a client like this one that waits `seconds` and never tries again by itself."""
    other = patient(client, seconds)
    other.retry_handlers = []
    return other


class CountedClient(WebClient):
    """A client that tells `count` of every call: its method, and one of ok, limited, refused, failed.

    `count` has to be a plain function: Bolt deep-copies its client for each delivery, and functions are left alone.
    """

    def __init__(self, *, count: Count, **options: Any) -> None:
        super().__init__(**options)
        self._count = count

    def api_call(self, api_method: str, **sent: Any) -> SlackResponse:
        """Call, and tell what became of it."""
        outcome = FAILED
        try:
            answer = super().api_call(api_method, **sent)
            outcome = OK
        except SlackApiError as error:
            outcome = _outcome(error)
            raise
        finally:
            self._count(api_method, outcome)
        return answer


def _outcome(error: SlackApiError) -> str:
    status = error.response.get("status") if isinstance(error.response, dict) else error.response.status_code
    if status == 429:
        return LIMITED
    return FAILED if int(status or 0) >= 500 else REFUSED
