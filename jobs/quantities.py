"""What people write for times, sizes and money, read into exact numbers.

`hours=` and the task file share these readers, so that `4h` means the same in both. Anything that a person
would not write by hand (`1e3`, `nan`, `inf`, signs) is refused: a slip of the finger must not become a rental.
Each reader raises `BadSpec`; the message quotes the word and shows what to write instead.
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Final

from jobs.errors import BadSpec
from jobs.values import DOLLAR, Micros

SHORTEST_MINUTES: Final = 1.0
LONGEST_MINUTES: Final = 30 * 24 * 60.0  # no provider's own limit reaches further than a month or so

_NUMBER = r"(?:\d{1,9}(?:\.\d{1,6})?|\.\d{1,6})"
_BARE = re.compile(_NUMBER, re.ASCII)
_DURATION = re.compile(
    rf"(?:(?P<d>{_NUMBER})(?:d|days?))?(?:(?P<h>{_NUMBER})(?:h|hrs?|hours?))?"
    rf"(?:(?P<m>{_NUMBER})(?:m|mins?|minutes?))?(?:(?P<s>{_NUMBER})(?:s|secs?|seconds?))?",
    re.ASCII,
)
_UNIT_SECONDS: Final = {"d": Decimal(86400), "h": Decimal(3600), "m": Decimal(60), "s": Decimal(1)}
_SIZE = re.compile(rf"({_NUMBER})(mb|mib|gb|gib|g|tb|tib|t)?", re.ASCII)
_SIZE_GB: Final = {
    "mb": Decimal(1) / 1024,
    "mib": Decimal(1) / 1024,
    "gb": Decimal(1),
    "gib": Decimal(1),
    "g": Decimal(1),
    "tb": Decimal(1024),
    "tib": Decimal(1024),
    "t": Decimal(1024),
}
_DOLLARS = re.compile(r"\$?(\d{1,9}(?:\.\d{1,6})?|\.\d{1,6})(?:\$|usd)?", re.ASCII)
_COUNT = re.compile(r"\d{1,9}", re.ASCII)


def parse_minutes(text: str) -> float:
    """Read a rental's length: `4`, `0.05`, `90m`, `4h`, `1h30m`; a bare number is hours.

    Returns minutes, between one minute and thirty days.
    """
    seconds = _seconds(text, bare=Decimal(3600))
    if seconds is None:
        raise BadSpec(f"`{text}` is not a length of time. Write it as `4h`, `90m`, `1h30m` or `0.5` (hours).")
    minutes = float(seconds / 60)
    if minutes < SHORTEST_MINUTES or minutes > LONGEST_MINUTES:
        raise BadSpec(f"`{text}` is outside of what can be rented: from 1 minute (`1m`) to 30 days (`30d`).")
    return minutes


def parse_seconds(text: str) -> float:
    """Read an interval with its unit, `30s`, `10m`, `1h`, into seconds; more than nothing, at most thirty days."""
    seconds = _seconds(text, bare=None)
    if seconds is None:
        raise BadSpec(f"`{text}` is not an interval. Write a number and its unit: `30s`, `10m`, `1h`.")
    if not 0 < seconds <= Decimal(LONGEST_MINUTES) * 60:
        raise BadSpec(f"`{text}` must be more than nothing and at most 30 days, like `10m`.")
    return float(seconds)


def parse_gigabytes(text: str) -> int:
    """Read a size, `200GB`, `200`, `0.5TB`, into whole gigabytes, rounded up; at least 1, at most 64 TB."""
    match = _SIZE.fullmatch(text.strip().lower())
    if match is None:
        raise BadSpec(f"`{text}` is not a size. Write it as `200GB` or `1TB`.")
    exact = Decimal(match[1]) * _SIZE_GB[match[2] or "gb"]
    gigabytes = int(exact.to_integral_value(rounding="ROUND_CEILING"))
    if not 1 <= gigabytes <= 64 * 1024:
        raise BadSpec(f"`{text}` is outside of what can be asked for: from `1GB` to `64TB`.")
    return gigabytes


def parse_dollars(text: str) -> Micros:
    """Read an amount, `12`, `$12`, `2.50`, into micro-dollars; zero is an amount."""
    match = _DOLLARS.fullmatch(text.strip().lower())
    if match is None:
        raise BadSpec(f"`{text}` is not an amount of dollars. Write it as `12` or `2.50`.")
    return int(Decimal(match[1]) * DOLLAR)


def parse_count(text: str, *, least: int, most: int) -> int:
    """Read a whole number between `least` and `most`, both included."""
    match = _COUNT.fullmatch(text.strip())
    if match is None or not least <= int(text) <= most:
        raise BadSpec(f"`{text}` must be a whole number from {least} to {most}.")
    return int(text)


def _seconds(text: str, *, bare: Decimal | None) -> Decimal | None:
    word = text.strip().lower()
    if _BARE.fullmatch(word):
        return None if bare is None else Decimal(word) * bare
    match = _DURATION.fullmatch(word)
    if match is None or not any(match.groups()):
        return None
    return sum((Decimal(match[unit]) * size for unit, size in _UNIT_SECONDS.items() if match[unit]), Decimal(0))
