"""Time and names as ports: handed in through constructors, so that a test owns both."""

from __future__ import annotations

import secrets
import time
import uuid
from datetime import UTC, datetime
from typing import Protocol

# Without vowels no job is called something rude; without 0, 1, l none is misread on a phone.
_LETTERS = "23456789bcdfghjkmnpqrstvwxz"


class Clock(Protocol):
    """What time it is."""

    def now(self) -> datetime:
        """Return the wall clock, aware, UTC."""

    def monotonic(self) -> float:
        """Return seconds that never jump."""


class Ids(Protocol):
    """Where names come from."""

    def job(self) -> str:
        """Return a new job's id: short, to be typed by people."""

    def token(self) -> str:
        """Return an unguessable name."""


class SystemClock:
    """This machine's clocks."""

    def now(self) -> datetime:
        """Return the wall clock, aware, UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Return seconds that never jump."""
        return time.monotonic()


class RandomIds:
    """Names from the system's randomness."""

    def job(self) -> str:
        """Return seven letters: 27⁷ is ten thousand million, and the primary key refuses a repeat."""
        return "".join(secrets.choice(_LETTERS) for _ in range(7))

    def token(self) -> str:
        """Return a version-4 UUID."""
        return str(uuid.uuid4())
