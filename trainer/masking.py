"""Secrets taken out of a text before it is kept or shown: the values that are known, and what looks like a token.

A value is looked for as it is and as programs pass it on: in base64 (also as a part of something longer), escaped
for a shell's line, for JSON and for an address, in hex, and line by line where it has several. A short value is not
looked for: it would mask ordinary words. No list of forms is whole; what leaves here is cleaner, not proven clean.
"""

from __future__ import annotations

import base64
import html
import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from urllib.parse import quote, quote_plus

MASK = "•••"
SHORTEST = 6  # characters of a value that is looked for
_SHORTEST_LINE = 16  # of one that is a line of a longer value
_SHORTEST_BEGINNING = 4  # of a secret that the end of a text cut off
_SHORTEST_TOKEN = 10  # of what the pattern below finds: `ab://:pwd@`
_SHORTEST_FORM = 8  # of a part of base64 or hex, which few letters may make by chance

# What issuers made to be recognised, and where a password stands by custom.
_TOKENS = re.compile(
    r"""
      (?P<token>
        \bxox[a-z](?:\.xox[a-z])?-[A-Za-z0-9-]{10,}
      | \bxapp-\d-[A-Za-z0-9-]{10,}
      | \bhooks\.slack\.com/(?:services|workflows|triggers)/[A-Za-z0-9/_-]{10,}
      | \bgh[opusr]_[A-Za-z0-9]{20,}
      | \bgithub_pat_[A-Za-z0-9_]{20,}
      | \bgl(?:pat|dt|rt|cbt|ptt|ft|soat|imt|agent)-[A-Za-z0-9_-]{16,}
      | \bhf_[A-Za-z0-9]{20,}
      | \b(?:AKIA|ASIA)[A-Z0-9]{16}\b
      | \bsk-[A-Za-z0-9_-]{20,}
      | \bAIza[A-Za-z0-9_-]{35}
      | \bnpm_[A-Za-z0-9]{30,}
      | \bpypi-[A-Za-z0-9_-]{40,}
      | \bdckr_pat_[A-Za-z0-9_-]{20,}
      | \bhgk_[A-Za-z0-9_-]{43}
      | \beyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}
      | -----BEGIN[A-Z\ ]*\ PRIVATE\ KEY-----(?:.*?-----END[A-Z\ ]*\ PRIVATE\ KEY-----|.*)
      )
    | (?P<before>
        (?i:\bauthorization["']?\s*[:=]\s*["']?(?:basic|bearer|token)\s+)
      | (?i:\baws_secret_access_key["']?\s*[:=]\s*["']?)
      | \b[a-z][a-z0-9+.-]{1,20}://[^\s/:@"'<>|]{0,100}:(?=[^\s/@"'<>|]+@)
      )
      (?P<value>[^\s"'@<>|]{3,})
    """,
    re.VERBOSE | re.DOTALL,
)
# One of these stands in whatever the pattern finds: to look for them costs a hundredth of trying it everywhere.
_HINTS = (
    *("xox", "xapp-", "hooks.slack.com/", "github_pat_", "hf_", "AKIA", "ASIA", "sk-", "AIza", "npm_", "pypi-"),
    *("ghp_", "gho_", "ghu_", "ghs_", "ghr_", "glpat-", "gldt-", "glrt-", "glcbt-", "glptt-", "glft-", "glsoat-"),
    *("glimt-", "glagent-", "dckr_pat_", "eyJ", "PRIVATE KEY", "uthorization", "UTHORIZATION", "://"),
    *("aws_secret", "AWS_SECRET", "hgk_"),
)
# A link to a file is a key for an hour; whoever may press its button is meant to have it.
_SIGNED_LINK = re.compile(r"https?://[^\s<>|\"]*[?&]X-Amz-Signature=[^\s<>|\"]*")


class Mask:
    """Takes secrets out of texts; `secrets` are values by what is said in their place. Safe between threads."""

    def __init__(self, secrets: Mapping[str, str]) -> None:
        forms: dict[str, str] = {}
        for value, said in secrets.items():
            if len(value) >= SHORTEST:
                forms |= dict.fromkeys(_forms(value), said)
        # The longest first: one secret may be the beginning of another.
        self._forms = sorted(forms.items(), key=lambda form: len(form[0]), reverse=True)

    def __call__(self, text: str) -> str:
        """Return `text` with every secret that is found in it replaced."""
        for form, said in self._forms:
            if form in text:
                text = text.replace(form, said)
        if len(text) >= _SHORTEST_TOKEN and any(hint in text for hint in _HINTS):
            text = _TOKENS.sub(lambda found: f"{found['before'] or ''}{MASK}", text)
        return text

    def deep(self, value: object) -> Any:
        """Return `value`, as JSON has it, with every text in it masked, names included."""
        return _deep(value, self)

    def shown(self, value: object) -> Any:
        """Return what people are about to be shown, masked but for links that they are meant to press."""
        return _deep(value, self.outside_links)

    def cut(self, text: str) -> str:
        """Return a text that was cut off without the beginning of a secret at its end."""
        for form, said in self._forms:
            for length in range(min(len(form) - 1, len(text)), _SHORTEST_BEGINNING - 1, -1):
                if text.endswith(form[:length]):
                    return text[:-length] + said
        return text

    def touches(self, text: str) -> bool:
        """Return whether there may be anything to mask: cheaper over a whole page than line by line."""
        return any(hint in text for hint in _HINTS) or any(form in text for form, _ in self._forms)

    def outside_links(self, text: str) -> str:
        """Return `text` masked but for the store's signed links, which carry what signs them by their nature."""
        if "X-Amz-Signature=" not in text:
            return self(text)
        kept = list(_SIGNED_LINK.finditer(text))
        pieces, at = [], 0
        for link in kept:
            pieces += [self(text[at : link.start()]), link.group()]
            at = link.end()
        return "".join([*pieces, self(text[at:])])


def _deep(value: object, masked: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        return masked(value)
    if isinstance(value, Mapping):
        return {masked(name) if isinstance(name, str) else name: _deep(one, masked) for name, one in value.items()}
    return [_deep(one, masked) for one in value] if isinstance(value, list | tuple) else value


def _forms(value: str) -> Iterator[str]:
    data = value.encode("utf-8", "surrogatepass")
    plain = [value, json.dumps(value)[1:-1], json.dumps(value, ensure_ascii=False)[1:-1], repr(value)[1:-1]]
    plain += [html.escape(value, quote=False), html.escape(value), value.replace('"', '\\"'), value.strip()]
    quoted = [quote(data, safe=""), quote(data), quote_plus(data)]
    plain += [*quoted, *(re.sub("%..", lambda hexed: hexed.group().lower(), form) for form in quoted)]
    yield from (form for form in plain if len(form) >= SHORTEST)
    encoded = [data.hex(), data.hex().upper(), *_base64(data)]
    yield from (form for form in encoded if len(form) >= _SHORTEST_FORM)
    lines = [line.strip() for line in value.splitlines()]
    if len(lines) > 1:
        yield from (line for line in lines if len(line) >= _SHORTEST_LINE and not line.startswith("-----"))


def _base64(data: bytes) -> Iterator[str]:
    """Yield the letters that `data` alone decides, for each way in which it may lie in something longer."""
    for before in range(3):
        whole = base64.b64encode(bytes(before) + data).decode()
        own = whole[-(-before * 8 // 6) : (before + len(data)) * 8 // 6]
        yield from (own, own.translate(str.maketrans("+/", "-_")))
