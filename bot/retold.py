"""Sentences that the rest of the house made, told in the reader's language.

Errors say in English what happened and what to do, where it happens; nothing there knows of languages. Their
sentences are read out of the code (`bot.po`), each with its facts as named gaps, and stand in the catalogue like
all others. Here a sentence that was made is recognised by the words around its gaps, and said anew. A fact that
is such a sentence itself, as a hint is, gets the same.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

ENDS = (".", "?", "!", ":")
PART = 4  # words that make a part of a sentence out of a string that is none
LEAST = 8  # letters of its own without which a sentence could be mistaken for any other
_ABOUT = re.compile(r"`[^`]+`: ")
_GAP = re.compile(r"\{(\w+)\}")


class Retold:
    """Recognises sentences by the entries of a catalogue, msgid -> msgstr."""

    def __init__(self, entries: Mapping[str, str]) -> None:
        patterns = [
            (msgid, msgstr) for msgid, msgstr in entries.items() if "\0" not in msgid and letters(msgid) >= LEAST
        ]
        # The one with the most words of its own is meant where two would fit.
        patterns.sort(key=lambda pair: -letters(pair[0]))
        self._patterns = [(_pattern(msgid), msgstr) for msgid, msgstr in patterns]

    def __call__(self, text: str) -> str:
        """Return the sentence in the other language; as it came where nobody translated it."""
        core = text.strip()
        for pattern, msgstr in self._patterns:
            if found := pattern.fullmatch(core):
                facts = {name: self(fact) for name, fact in found.groupdict().items()}
                return text.replace(core, msgstr.format_map(facts), 1)
        about = _ABOUT.match(text)  # "`hours=0`: …" has no words of its own
        return text if about is None else about.group() + self(text[about.end() :])


def letters(msgid: str) -> int:
    """Return how many letters a sentence has beside its gaps."""
    return sum(letter.isalpha() for letter in _GAP.sub("", msgid))


def made(paths: Iterable[Path]) -> Iterator[str]:
    """Yield the sentences that these files make and the parts of such: strings that look like it, docstrings apart."""
    for path in paths:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        inside = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values}
        for node in ast.walk(tree):
            if isinstance(node, ast.Expr) or id(node) in inside:
                inside |= {id(node.value)} if isinstance(node, ast.Expr) else set()
                continue
            msgid = _msgid(node)
            part = isinstance(node, ast.JoinedStr) and len(_GAP.sub("", msgid).split()) >= PART
            if " " in msgid and (part or msgid.rstrip().endswith(ENDS)) and letters(msgid) >= LEAST:
                yield msgid.strip()


def _msgid(node: ast.AST) -> str:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return _escaped(node.value)
    if not isinstance(node, ast.JoinedStr):
        return ""
    text, names = "", list[str]()
    for part in node.values:
        if isinstance(part, ast.Constant):
            text += _escaped(str(part.value))
        elif isinstance(part, ast.FormattedValue):
            name = _name(part.value)
            number = names.count(name)
            names.append(name)
            text += f"{{{name}{number + 1 if number else ''}}}"
    return text


def _name(expression: ast.expr) -> str:
    """Return what a translator would call the fact: `minutes` for `policy.duration(minutes)`, `id` for `job.id`."""
    match expression:
        case ast.Call(func=ast.Attribute(value=inner, attr="join" | "get" | "isoformat")):
            return _name(inner) if not isinstance(inner, ast.Constant) else "list"
        case ast.Call(args=[first, *_]):
            return _name(first)
        case ast.Call(func=inner) | ast.Subscript(value=inner) | ast.BinOp(left=inner) | ast.IfExp(body=inner):
            return _name(inner)
        case ast.Attribute(attr=name) | ast.Name(id=name):
            return name.strip("_").lower()
        case _:
            return "fact"


def _escaped(text: str) -> str:
    return text.replace("{", "{{").replace("}", "}}")


def _pattern(msgid: str) -> re.Pattern[str]:
    parts = re.split(r"(\{\w+\})", msgid)
    written = [
        f"(?P<{part[1:-1]}>.*?)" if _GAP.fullmatch(part) else re.escape(part.replace("{{", "{").replace("}}", "}"))
        for part in parts
    ]
    return re.compile("".join(written), re.DOTALL)
