"""The door through which Slack's deliveries come over HTTP: signed for this body, just now, and for the first time.

Who knocks is not known before the signature was checked, so nothing is parsed before it. Each of the two headers
must be there once: of two signatures one reader would check the first and another remember the last, and a delivery
could come again under a new name.
"""

from __future__ import annotations

import hashlib
import hmac
import time
from collections.abc import Callable, Sequence

from bot.replay import Signatures
from jobs.clock import Clock
from jobs.errors import Misconfigured

FRESH = 300  # seconds either way; what Slack asks of every receiver
LONGEST_STAMP = 12  # digits of unix seconds

Headers = Sequence[tuple[bytes, bytes]]  # as they came, repeated ones included


class Door:
    """Decides which deliveries are Slack's. Safe between threads."""

    def __init__(self, *, secret: str, clock: Clock, wall: Callable[[], float] = time.time) -> None:
        """Check with the app's signing `secret`; `wall` is the clock that Slack's stamps are held against.

        Raises `Misconfigured` for a blank secret, with which anybody could sign.
        """
        if not secret.strip():
            raise Misconfigured("SLACK_SIGNING_SECRET is blank: copy it from the app's Basic Information page.")
        self._secret = secret.encode()
        self._wall = wall
        self._seen = Signatures(clock)
        self._opened = int(wall())

    def refusal(self, headers: Headers, body: bytes) -> str | None:
        """Return why a delivery is not taken, None for one that is; asked twice, the second is a replay."""
        stamp = self._only(headers, b"x-slack-request-timestamp")
        signature = self._only(headers, b"x-slack-signature")
        if stamp is None or signature is None:
            return "One signature and one timestamp belong to a delivery."
        if not self._is_fresh(stamp):
            return "This delivery was not signed just now."
        if not self._matches(self._signed(stamp, body), signature):
            return "This delivery was not signed by Slack."
        if not self._seen.first(signature.decode("ascii")):
            return "This delivery came before."
        return None

    def _only(self, headers: Headers, name: bytes) -> bytes | None:
        found = [value for key, value in headers if key.lower() == name]
        return found[0] if len(found) == 1 else None

    def _is_fresh(self, stamp: bytes) -> bool:
        if not stamp.isdigit() or len(stamp) > LONGEST_STAMP:
            return False
        # The memory began with this process: of what was signed before it, nobody knows whether it was taken.
        return int(stamp) >= self._opened and abs(self._wall() - int(stamp)) <= FRESH

    def _signed(self, stamp: bytes, body: bytes) -> bytes:
        whole = b"v0:" + stamp + b":" + body
        return b"v0=" + hmac.new(self._secret, whole, hashlib.sha256).hexdigest().encode()

    def _matches(self, expected: bytes, signature: bytes) -> bool:
        return hmac.compare_digest(expected, signature)
