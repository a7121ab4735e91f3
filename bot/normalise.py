"""What phones, input methods and Slack do to a typed line, undone before anybody parses it.

Three things happen to a command on its way here: Slack turns words into markup (`<http://train.py|train.py>`,
`<@U123|ada>`, `&amp;`), keyboards turn punctuation into typography (smart quotes, an em dash for `--`,
full-width forms), and copying brings characters that nobody sees. `normalise` gives back the line that was
meant. Words between the quotes of `reason="…"` are for people: their dashes and their script stay.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final

# Slack's markup and its three entities, in one pass, so that nothing is undone twice.
_MARKUP = re.compile(r"<([^<>\n]{1,2000})>|&(amp|lt|gt);")
_ENTITIES: Final = {"amp": "&", "lt": "<", "gt": ">"}

# Zero-width characters, joiners, soft hyphens, byte order marks, bidirectional controls, fillers, variation
# selectors, tags and halves of surrogate pairs: all of them invisible, none of them part of a command.
_UNSEEN = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164"
    "\ud800-\udfff\ufe00-\ufe0f\ufeff\uffa0\U000e0000-\U000e0fff]"
)

_DOUBLE = "“”„‟«»〝〞〟＂「」『』″"
_SINGLE = "‘’‚‛‹›＇′"
_HYPHENS = "‐‑‒−﹣－⁃"
_FULL_STOPS = "。｡"
_SPACES = "\t\u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f\u205f\u3000\u2800"
_SHAPES: Final = str.maketrans(
    {
        **dict.fromkeys(_DOUBLE, '"'),
        **dict.fromkeys(_SINGLE, "'"),
        **dict.fromkeys(_SPACES, " "),
        "\r": "\n",
        "\u0085": "\n",
        "\u2028": "\n",
        "\u2029": "\n",
    }
)
_PUNCTUATION: Final = str.maketrans(
    {
        **dict.fromkeys(_HYPHENS, "-"),
        **dict.fromkeys(_FULL_STOPS, "."),
        **{chr(code): chr(code - 0xFEE0) for code in range(0xFF01, 0xFF5F)},  # the full-width ASCII block
        "…": "...",
        "⋯": "...",
        "、": ",",
        "﹫": "@",
        "﹕": ":",
        "﹦": "=",
        "⁄": "/",
        "∕": "/",
        "∶": ":",
        "⎯": "—",
    }
)
_REASON = re.compile(r"(\breason)\s?[=＝﹦]\s?(\"[^\"]*\")", re.IGNORECASE)
_LONG_DASH = re.compile(r"(?P<start>(?<!\S))?(?P<dash>[—―⸺–]+)")


def normalise(text: str) -> str:
    """Return the line that was meant; never raises, and a clean line comes back as it was."""
    seen = _UNSEEN.sub("", _MARKUP.sub(_plain, text)).translate(_SHAPES)
    seen = _without_code_marks(seen.strip())
    parts: list[str] = []
    position = 0
    for match in _REASON.finditer(seen):
        parts += [_typed(seen[position : match.start()]), f"{match[1]}={match[2]}"]
        position = match.end()
    return "".join([*parts, _typed(seen[position:])])


def _plain(match: re.Match[str]) -> str:
    if match[2]:
        return _ENTITIES[match[2]]
    inner: str = match[1]
    if inner.startswith("@"):
        return f"<{inner.partition('|')[0]}>"
    if inner.startswith("#"):
        channel, _, name = inner.partition("|")
        return f"#{name or channel[1:]}"
    if inner.startswith("!"):
        name, _, label = inner[1:].partition("|")
        if name.startswith("date^"):
            return label
        return f"@{(label or name.removeprefix('subteam^')).removeprefix('@')}"  # nobody is called by a command
    return _link(inner)


def _link(inner: str) -> str:
    """Return what was typed where Slack made the link itself, the address where a person linked other words."""
    address, _, label = inner.partition("|")
    if not re.match(r"[a-z][a-z0-9+.-]*:", address, re.IGNORECASE):
        return f"<{inner}>"  # not Slack's: somebody's own angle brackets
    bare = re.sub(r"^(?:mailto:|tel:|[a-z]+://)", "", address, flags=re.IGNORECASE)
    if not label:
        return bare if address.lower().startswith(("mailto:", "tel:")) else address
    if label.rstrip("/") in (bare.rstrip("/"), address.rstrip("/")) or not address.lower().startswith("http"):
        return label
    return address


def _without_code_marks(text: str) -> str:
    """Take off the backticks of a line that was copied together with its code formatting."""
    for marks in ("```", "`"):
        if len(text) > 2 * len(marks) and text.startswith(marks) and text.endswith(marks):
            inner = text[len(marks) : -len(marks)]
            return text if "`" in inner else inner.strip()
    return text


def _typed(text: str) -> str:
    return _LONG_DASH.sub(_dash, _digits(text.translate(_PUNCTUATION)))


def _digits(text: str) -> str:
    if text.isascii():
        return text
    return "".join(str(unicodedata.decimal(letter)) if letter.isdecimal() else letter for letter in text)


def _dash(match: re.Match[str]) -> str:
    """Return `--` where keyboards make a long dash of it: an em dash anywhere, an en dash that begins a word."""
    return "-" if match["dash"][0] == "–" and match["start"] is None else "--"
