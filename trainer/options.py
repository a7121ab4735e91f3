"""The long options that a script declares with `add_argument` or click's `option`, as its source says it.

The source is parsed, never run. What cannot be told from it counts as taking no value: a word that the script's parser
does not take ends it before its first step.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

_PATH = re.compile(r"(?:none_or_)?str(?:_or_none)?|string|\w*path|expanduser|realpath", re.IGNORECASE)
_NUMBER = frozenset({"str", "int", "float"})
_UNKNOWN = "?"


@dataclass(frozen=True, kw_only=True)
class Option:
    """One option, under one of its names."""

    name: str  # with its dashes
    help: str
    switch: bool  # it turns something on, and takes no value
    kind: str  # what makes its value out of one word, "str" where nothing does; "" where it takes none, or two

    @property
    def takes_path(self) -> bool:
        """Whether any path may be its value."""
        return _PATH.fullmatch(self.kind) is not None

    @property
    def takes_number(self) -> bool:
        """Whether a whole number may be its value."""
        return self.kind in _NUMBER


def options(source: str) -> Iterator[Option]:
    """Yield the long options that `source` declares; none where it is no Python that can be parsed here."""
    if "add_argument" not in source and "option(" not in source:
        return
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):  # another Python's, or none at all
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            if node.func.attr not in ("add_argument", "option"):
                continue
            names = [one.value for one in node.args if isinstance(one, ast.Constant) and isinstance(one.value, str)]
            said = {word.arg or "**": word.value for word in node.keywords}
            yield from (_option(name, said, node.func.attr == "option") for name in names if name.startswith("--"))


def _option(name: str, said: Mapping[str, ast.expr], of_click: bool) -> Option:
    action, flag = _word(said.get("action")), _literal(said.get("is_flag"))
    switch = action in ("store_true", "BooleanOptionalAction") or flag is True
    one = "nargs" not in said or _literal(said["nargs"]) in (1, "?", "*", "+")
    plain = one and action in ("", "store") and flag in (None, False) and not said.keys() & {"choices", "count", "**"}
    kind = _word(said.get("type")) or "str"
    if of_click and "type" not in said and _literal(said.get("default")) not in (None, _UNKNOWN):
        kind = type(_literal(said["default"])).__name__  # as click has it
    text = _literal(said.get("help"))
    return Option(
        name=name,
        help=text if isinstance(text, str) else "",
        switch=switch and "**" not in said,
        kind=kind if plain and not switch else "",
    )


def _word(node: ast.expr | None) -> str:
    """Return the string that stands there or the last name of what does: "Path" for `click.Path(exists=True)`."""
    if isinstance(node, ast.Call):
        return _word(node.func)
    if isinstance(node, ast.Name | ast.Attribute):
        return node.id if isinstance(node, ast.Name) else node.attr
    said = _literal(node)
    return "" if said is None else str(said)


def _literal(node: ast.expr | None) -> Any:
    """Return the value that stands there, None for none, and `_UNKNOWN` for what only running it would tell."""
    try:
        return None if node is None else ast.literal_eval(node)
    except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
        return _UNKNOWN
