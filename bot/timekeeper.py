"""A clock that is not ours: the Date header of Slack's Web API, asked only when ours seems to have jumped."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

import httpx
import structlog

log = structlog.get_logger(__name__)

# The enforcing pass waits for it; a clock that takes longer is no help.
TIMEOUT = 3.0
_OURSELVES = ("127.0.0.1", "::1", "localhost")


class Timekeeper:
    """Asks the host behind `url` what time it is; called without arguments, it returns None where nobody can say."""

    def __init__(self, url: str, *, transport: httpx.BaseTransport | None = None) -> None:
        self._url = url
        self._transport = transport

    def __call__(self) -> datetime | None:
        """Return the other clock's time, aware, UTC; a server on this machine has our clock and says nothing."""
        if urlsplit(self._url).hostname in _OURSELVES:
            return None
        try:
            with httpx.Client(timeout=TIMEOUT, transport=self._transport) as client:
                return parsedate_to_datetime(client.head(self._url).headers["date"]).astimezone(UTC)
        except (httpx.HTTPError, KeyError, ValueError) as error:
            log.warning("timekeeper.silent", url=self._url, error=str(error))
            return None
