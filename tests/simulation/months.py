"""The teams' calendars reckoned a second time: the month that a moment falls into, and when months end.

From the rules of the zones that the teams live in, not from a database of zones, which is what the product goes by.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

ZONES = ("Europe/Berlin", "UTC")
SUNDAY = 6


def month(zone: str, at: datetime) -> str:
    """Return the month of a moment on a zone's wall calendar: `2026-11`."""
    return f"{at + offset(zone, at):%Y-%m}"


def next_end(zone: str, at: datetime) -> datetime:
    """Return when the month that a moment falls into ends in a zone, UTC."""
    here = at + offset(zone, at)
    first = datetime(here.year + here.month // 12, here.month % 12 + 1, 1, tzinfo=UTC)
    return first - offset(zone, first)  # no zone of ours changes its clocks on a first of the month


def offset(zone: str, at: datetime) -> timedelta:
    """Return how far a zone's clocks are ahead of UTC."""
    if zone == "UTC":
        return timedelta(0)
    if zone == "Europe/Berlin":
        return timedelta(hours=2 if _changes(at.year, 3) <= at < _changes(at.year, 10) else 1)
    raise ValueError(f"no team lives in {zone}")


def _changes(year: int, in_month: int) -> datetime:
    """Return when Europe changes its clocks: at 01:00 UTC of the last Sunday."""
    last = datetime(year, in_month, 31, 1, tzinfo=UTC)
    return last - timedelta(days=(last.weekday() - SUNDAY) % 7)
