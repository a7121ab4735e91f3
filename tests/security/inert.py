"""What Slack would make of a message: whom it would call, where its links lead, what it would hide."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Iterator, Mapping, Sequence

from bot.sandbox.limits import check_message_blocks, check_view
from bot.views.blocks import Block, Message

# The card links to the commit, at the address that the operator allows.
_COMMIT = "https://git.example/acme/vit/commit/"
_TAG = re.compile(r"<([^<>]*)>")
_OURS = re.compile(r"!date\^\d+\^(?:\{date_short_pretty\} at )?\{time\}\|[^|<>^]*")


def faults(message: Message | Block, *, people: Collection[str] = (), links: Sequence[str] = ()) -> list[str]:
    """Return what is wrong with a message: a call, a foreign link, a hidden letter, a block that Slack refuses."""
    found = []
    if isinstance(message, Message):
        found += [f"blocks: {problem}" for problem in check_message_blocks(list(message.blocks))]
        texts = [("mrkdwn", message.text), *_texts(list(message.blocks))]
    else:
        found += [f"view: {problem}" for problem in check_view(message)]
        texts = list(_texts(message))
    for kind, text in texts:
        found += _hidden(text)
        if kind == "mrkdwn":
            found += _tags(text, people, links)
    return found


def _texts(value: object) -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping):
        if value.get("type") in ("mrkdwn", "plain_text") and isinstance(value.get("text"), str):
            yield str(value["type"]), str(value["text"])
        for inner in value.values():
            yield from _texts(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _texts(inner)


def _hidden(text: str) -> list[str]:
    odd = {c for c in text if unicodedata.category(c) in ("Cc", "Cf", "Cs", "Co", "Cn") and c not in "\n\t\u200d"}
    return [f"hidden U+{ord(c):04X}" for c in sorted(odd)]


def _tags(text: str, people: Collection[str], links: Sequence[str]) -> list[str]:
    found = []
    for inner in _TAG.findall(text):
        allowed = (
            inner in {f"@{person}" for person in people}
            or _OURS.fullmatch(inner)
            or (inner.partition("|")[0].startswith(tuple(links)) and links)
            or inner == "#C1TRAIN"
            or inner.startswith(_COMMIT)
        )
        if not allowed:
            found.append(f"tag <{inner[:60]}>")
    if "<" in _TAG.sub("", text):
        found.append("an open <")
    return found
