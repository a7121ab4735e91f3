"""For how long a machine's credentials are lent, written down beside its boot script.

    launch/<job>/a<attempt>-r<rank>/lease    since when and until when, in unix seconds; no machine can read it

Who lends says so; who lends no end is not renewed.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from trainer import wire
from trainer.storage import Store
from trainer.wire import Lease

# Variables in which a machine finds its store's credentials: (job, attempt, deadline, what else it may read) -> names
# and values.
Lender = Callable[[str, int, datetime, Sequence[str]], Mapping[str, str]]

# Among the variables that are lent: until when they are good, in unix seconds; a lender may leave it out.
EXPIRES = f"{wire.ENV_STORE_PREFIX}EXPIRES"
KEY_ID = f"{wire.ENV_STORE_PREFIX}AWS_ACCESS_KEY_ID"
SECRET = f"{wire.ENV_STORE_PREFIX}AWS_SECRET_ACCESS_KEY"
TOKEN = f"{wire.ENV_STORE_PREFIX}AWS_SESSION_TOKEN"


@dataclass(frozen=True, kw_only=True)
class Span:
    """One loan of credentials."""

    since: datetime
    until: datetime

    def spent(self, part: float) -> datetime:
        """Return when this part of it is over."""
        return self.since + part * (self.until - self.since)


def span_key(job: str, attempt: int, rank: int) -> str:
    """Return where a machine's loan is written down."""
    return f"launch/{job}/a{attempt}-r{rank}/lease"


def span_of(lent: Mapping[str, str], now: datetime) -> Span | None:
    """Return for how long these are lent, None where the lender says nothing of an end."""
    return Span(since=now, until=datetime.fromtimestamp(int(lent[EXPIRES]), UTC)) if EXPIRES in lent else None


def note_span(store: Store, job: str, attempt: int, rank: int, now: datetime, lent: Mapping[str, str]) -> Span | None:
    """Write down and return for how long these are lent, as `span_of`; raises `StoreFault`."""
    span = span_of(lent, now)
    if span is not None:
        said = {"since": span.since.timestamp(), "until": span.until.timestamp()}
        store.put(span_key(job, attempt, rank), json.dumps(said).encode())
    return span


def read_span(store: Store, job: str, attempt: int, rank: int = 0) -> Span | None:
    """Return what is written down; None where nothing is, or nothing that can be read. Raises `StoreFault`."""
    data = store.get(span_key(job, attempt, rank))
    try:
        said = json.loads(data or b"")
        return Span(**{name: datetime.fromtimestamp(said[name], UTC) for name in ("since", "until")})
    except (ValueError, TypeError, LookupError, OverflowError, OSError):
        return None


def lease_of(lent: Mapping[str, str]) -> Lease:
    """Return credentials as a machine reads them that runs already."""
    return Lease(
        until=float(lent[EXPIRES]),
        access_key_id=lent[KEY_ID],
        secret_access_key=lent[SECRET],
        session_token=lent.get(TOKEN),
    )
