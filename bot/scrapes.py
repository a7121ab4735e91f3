"""Who may read the metrics: whoever has the token; without one, programs on this machine, while it is not published."""

from __future__ import annotations

import hmac
import ipaddress
from collections.abc import Callable
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from bot.metrics import TYPE


@dataclass(frozen=True, kw_only=True)
class Scrapes:
    """The answer to `/metrics`."""

    page: Callable[[], bytes]
    token: str | None = None
    # Whether the site is reached through a proxy: then everybody seems to be on this machine.
    published: bool = False

    def answer(self, request: Request) -> Response:
        """Return the page, or what to do to be shown it."""
        if self.token is not None:
            sent = request.headers.get("authorization", "").encode()
            if not hmac.compare_digest(sent, f"Bearer {self.token}".encode()):
                return PlainTextResponse("Send HOURGLASS_METRICS_TOKEN as a bearer token.", 401, _ASKS)
        elif self.published or not _here(request.client.host if request.client else ""):
            return PlainTextResponse("Set HOURGLASS_METRICS_TOKEN, and send it as a bearer token.", 403)
        return Response(self.page(), media_type=TYPE)


_ASKS = {"WWW-Authenticate": "Bearer"}


def _here(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:  # a name, or nothing: a socket that has no address
        return False
