"""Doors that somebody could have built in place of `bot.door.Door`, each of which falls for something."""

from __future__ import annotations

import hashlib
import hmac
import re

from bot.door import Door, Headers


class Open(Door):
    """Lets everybody in."""

    def refusal(self, headers: Headers, body: bytes) -> str | None:
        return None


class Optional(Door):
    """Checks a signature only where there is one, and a time only where one is told."""

    def refusal(self, headers: Headers, body: bytes) -> str | None:
        names = {key.lower() for key, _ in headers}
        whole = {b"x-slack-signature", b"x-slack-request-timestamp"} <= names
        return super().refusal(headers, body) if whole else None


class Timeless(Door):
    """Does not look at the time."""

    def _is_fresh(self, stamp: bytes) -> bool:
        return True


class PastOnly(Door):
    """Refuses what is old and forgets what comes from the future."""

    def _is_fresh(self, stamp: bytes) -> bool:
        return stamp.isdigit() and self._wall() - int(stamp) <= 300


class Lasting(Door):
    """Has a memory that a restart wipes."""

    def _is_fresh(self, stamp: bytes) -> bool:
        return stamp.isdigit() and abs(self._wall() - int(stamp)) <= 300


class Beginning(Door):
    """Compares as much as was sent."""

    def _matches(self, expected: bytes, signature: bytes) -> bool:
        return expected.startswith(signature)


class Ending(Door):
    """Compares as much as it expects."""

    def _matches(self, expected: bytes, signature: bytes) -> bool:
        return signature.startswith(expected)


class CaseBlind(Door):
    """Compares without regard to case."""

    def _matches(self, expected: bytes, signature: bytes) -> bool:
        return expected.lower() == signature.lower()


class AnyVersion(Door):
    """Compares the digits and lets the version be."""

    def _matches(self, expected: bytes, signature: bytes) -> bool:
        return expected.partition(b"=")[2] == signature.rpartition(b"=")[2]


class ShapeOnly(Door):
    """Sees that it looks like a signature."""

    def _matches(self, expected: bytes, signature: bytes) -> bool:
        return re.fullmatch(rb"v0=[0-9a-f]{64}", signature) is not None


class Keyless(Door):
    """Hashes without a key."""

    def _signed(self, stamp: bytes, body: bytes) -> bytes:
        return b"v0=" + hashlib.sha256(b"v0:" + stamp + b":" + body).hexdigest().encode()


class EmptyKey(Door):
    """Was given no secret and did not mind."""

    def _signed(self, stamp: bytes, body: bytes) -> bytes:
        return b"v0=" + hmac.new(b"", b"v0:" + stamp + b":" + body, hashlib.sha256).hexdigest().encode()


class Trusting(Door):
    """Does not check again what proved right once, and so lets its bearer say something else."""

    def __init__(self, **parts: object) -> None:
        super().__init__(**parts)  # type: ignore[arg-type]
        self._good: set[bytes] = set()

    def refusal(self, headers: Headers, body: bytes) -> str | None:
        signature = dict(headers).get(b"x-slack-signature", b"")
        if signature in self._good:
            return None
        refusal = super().refusal(headers, body)
        if refusal is None:
            self._good.add(signature)
        return refusal


class Forgetful(Door):
    """Has no memory of what came before."""

    def refusal(self, headers: Headers, body: bytes) -> str | None:
        refusal = super().refusal(headers, body)
        return None if refusal == "This delivery came before." else refusal


class TwoReaders(Door):
    """Checks the last of two headers and remembers the first."""

    last = True

    def refusal(self, headers: Headers, body: bytes) -> str | None:
        found = list(headers) if self.last else list(reversed(headers))
        checked = dict(found)
        remembered = dict(reversed(found)).get(b"x-slack-signature", b"")
        stamp, signature = checked.get(b"x-slack-request-timestamp"), checked.get(b"x-slack-signature")
        if stamp is None or signature is None or not self._matches(self._signed(stamp, body), signature):
            return "This delivery was not signed by Slack."
        return None if self._seen.first(remembered.decode("latin-1")) else "This delivery came before."


class OtherTwoReaders(TwoReaders):
    """Checks the first of two headers and remembers the last."""

    last = False


class Splitting(Door):
    """Takes a header for a list and is content with one that fits."""

    def refusal(self, headers: Headers, body: bytes) -> str | None:
        for key, value in headers:
            if key == b"x-slack-signature":
                for one in value.split(b","):
                    others = [(k, v) for k, v in headers if k != b"x-slack-signature"]
                    refusal = super().refusal([*others, (b"x-slack-signature", one.strip())], body)
                    if refusal != "This delivery was not signed by Slack.":
                        return None if b"," in value else refusal
        return super().refusal(headers, body)
