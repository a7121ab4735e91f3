"""Slack's mrkdwn, and how facts become part of it without saying more than they are.

What comes from people, repositories or machines is text until `escape` has been over it: `&`, `<` and `>` become
entities, so that `<!channel>` calls nobody, and characters that reorder or hide text are dropped. `Markup` marks
what is mrkdwn already; everything else is escaped where a sentence takes it in.
"""

from __future__ import annotations

import math
import unicodedata
from datetime import UTC, datetime, timedelta

from jobs.values import DOLLAR, Micros

_KEPT_FORMAT = {"\u200d"}  # joins emoji; every other format character hides or reorders text
CENT = DOLLAR // 100


class Markup(str):
    """Text that is mrkdwn already: it is taken into sentences as it stands."""

    __slots__ = ()


def clean(text: str) -> str:
    """Return `text` without control, bidi and other invisible characters; line breaks stay."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(c for c in text if c in "\n\t" or c in _KEPT_FORMAT or not unicodedata.category(c).startswith("C"))


def escape(text: object) -> Markup:
    """Return the fact as inert mrkdwn; what is `Markup` already comes back unchanged."""
    if isinstance(text, Markup):
        return text
    cleaned = clean(str(text))
    return Markup(cleaned.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;"))


def plain(text: str) -> str:
    """Return mrkdwn as plain text: for notifications of phones and for plain_text objects."""
    return text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")


def short(text: str, most: int) -> str:
    """Return `text` on one line, cut to `most` characters with an ellipsis. Cut first, escape after."""
    line = " ".join(clean(text).split())
    return line if len(line) <= most else line[: most - 1].rstrip() + "…"


def output(line: str, most: int) -> str:
    """Return a line of a program's output cut to `most` characters; its indent stays, which tracebacks live on."""
    said = clean(line).expandtabs(4)
    return (" " * (len(said) - len(said.lstrip())))[: most // 2] + short(said, most)


def code(text: object) -> Markup:
    """Return the fact as a code span; its own backticks become apostrophes, which close nothing."""
    return Markup(f"`{escape(str(text).replace('`', chr(39)))}`")


def pre(text: str) -> Markup:
    """Return lines as a code block."""
    return Markup(f"```{escape(text.replace('```', chr(39) * 3))}```")


def link(url: str, label: object) -> Markup:
    """Return a link; characters that would end it are percent-encoded in the address and dropped from the label."""
    address = clean(url).replace("|", "%7C").replace(">", "%3E").replace("<", "%3C").replace("&", "&amp;")
    return Markup(f"<{address}|{escape(short(str(label), 200).replace('|', '/'))}>")


def mention(user: str) -> Markup:
    """Return a mention of a Slack user; what is no user id is shown as text and calls nobody."""
    return Markup(f"<@{user}>") if user.isalnum() and user[:1] in ("U", "W") else escape(user)


def room(channel: str) -> Markup:
    """Return a reference to a channel."""
    return Markup(f"<#{channel}>") if channel.isalnum() else escape(channel)


def when(at: datetime) -> Markup:
    """Return a moment in each reader's own zone, with the day; UTC where Slack cannot show it."""
    return Markup(
        f"<!date^{int(at.timestamp())}^{{date_short_pretty}} at {{time}}|{at.astimezone(UTC):%d %b %H:%M} UTC>"
    )


def clock(at: datetime) -> Markup:
    """Return a time of day in each reader's own zone."""
    return Markup(f"<!date^{int(at.timestamp())}^{{time}}|{at.astimezone(UTC):%H:%M} UTC>")


def dollars(micros: Micros, *, up: bool = False) -> str:
    """Return an amount in dollars and cents, "$1,234.50"; `up` rounds up, for what is promised as a maximum."""
    if 0 < micros < CENT:
        return "$0.01" if up else "<$0.01"
    cents = -(-abs(micros) // CENT) if up and micros > 0 else (abs(micros) + CENT // 2) // CENT
    return f"{'−' if micros < 0 and cents else ''}${cents // 100:,}.{cents % 100:02d}"


def span(length: timedelta | float) -> str:
    """Return a length of time (a number is minutes) as people say it: "45 s", "12 min", "3 h 20 min", "2 d 4 h"."""
    seconds = length.total_seconds() if isinstance(length, timedelta) else length * 60
    if seconds < 90 and seconds != 60:
        return f"{max(0, round(seconds))} s"
    minutes = round(seconds / 60)
    if minutes < 100 and minutes != 60:
        return f"{minutes} min"
    if minutes >= 48 * 60:
        days, rest = divmod(minutes, 24 * 60)
        return f"{days} d {rest // 60} h" if rest // 60 else f"{days} d"
    hours, rest = divmod(minutes, 60)
    return f"{hours} h {rest} min" if rest else f"{hours} h"


def size(count: int) -> str:
    """Return a number of bytes with a unit, "12 MB"."""
    value = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 999.5:
            return f"{value:.0f} {unit}" if value >= 9.95 or unit == "B" else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} TB"


def number(value: float) -> str:
    """Return a measured value in four significant digits; what is not finite is named."""
    if not math.isfinite(value):
        return "NaN" if math.isnan(value) else ("∞" if value > 0 else "−∞")
    return f"{value:.4g}" if abs(value) < 1e5 else f"{value:.3e}"


def bar(share: float, width: int = 12) -> str:
    """Return a bar of text for a share of 1; anything begun shows, and only the whole is full."""
    full = min(width, max(0, int(share * width)))
    if share > 0 and full == 0:
        full = 1
    return "▰" * full + "▱" * (width - full)
