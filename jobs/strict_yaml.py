"""YAML without its surprises: plain tables, lists and words, each with the line that it stands on.

Anchors, tags, several documents and deep nesting are refused from the event stream, before anything is built, so
that a small file cannot become a large one. Words stay as they are written (`3e-4`, `yes` and `1:30` are not
guessed into numbers); whoever knows the key reads the word. Every refusal is a `BadSpec` that names the line.
"""

from __future__ import annotations

from typing import Final

import yaml

from jobs.errors import BadSpec

FILE_NAME: Final = ".hourglass.yml"
LARGEST: Final = 64 * 1024  # bytes
DEEPEST: Final = 8


def composed(text: str) -> yaml.Node | None:
    """Return the document's root, or None for an empty one."""
    if len(text.encode("utf-8", "surrogatepass")) > LARGEST:
        raise BadSpec(f"`{FILE_NAME}` is larger than {LARGEST // 1024} KB. It is for settings; data lies elsewhere.")
    try:
        _check_events(text)
        return yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f"line {mark.line + 1}, column {mark.column + 1}" if mark else "somewhere"
        quotes = " A value that holds braces wants quotes." if _has_braces(text, mark) else ""
        raise BadSpec(f"`{FILE_NAME}` cannot be read: {place}: {error.problem or error.context}.{quotes}") from error
    except yaml.YAMLError as error:  # a character that YAML does not allow; these carry no mark
        raise BadSpec(f"`{FILE_NAME}` cannot be read: {str(error).splitlines()[0]}.") from error


def _has_braces(text: str, mark: yaml.Mark | None) -> bool:
    lines = text.splitlines()
    return mark is not None and mark.line < len(lines) and "{" in lines[mark.line]


def _check_events(text: str) -> None:
    """Walk the file without building it, and refuse what could make it grow or nest without end."""
    depth = documents = 0
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        mark = event.start_mark
        place = f"`{FILE_NAME}` line {mark.line + 1 if mark else 1}"
        documents += isinstance(event, yaml.DocumentStartEvent)
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            raise BadSpec(f"{place}: anchors and aliases (`&`, `*`) are not read. Write it out.")
        if tag := getattr(event, "tag", None):
            raise BadSpec(f"{place}: tags (`{tag}`) are not read. Write the plain value.")
        if documents > 1:
            raise BadSpec(f"{place}: a second document begins. Keep one.")
        if depth > DEEPEST:
            raise BadSpec(f"{place}: nested more than {DEEPEST} deep. No key needs that.")


def at(node: yaml.Node) -> str:
    """Return where a node stands, for a message."""
    return f"`{FILE_NAME}` line {node.start_mark.line + 1}"


def is_null(node: yaml.Node) -> bool:
    """Say whether nothing was written there."""
    return isinstance(node, yaml.ScalarNode) and node.style is None and node.value in ("", "~", "null", "Null", "NULL")


def pairs(node: yaml.Node, what: str) -> list[tuple[yaml.ScalarNode, yaml.Node]]:
    """Return a table's keys and values in their order, each key once."""
    if not isinstance(node, yaml.MappingNode):
        raise BadSpec(f"{at(node)}: {what} must hold `key: value` lines.")
    names: set[str] = set()
    for key, _ in node.value:
        if not isinstance(key, yaml.ScalarNode):
            raise BadSpec(f"{at(key)}: a key must be one plain word.")
        if key.value in names:
            raise BadSpec(f"{at(key)}: `{key.value}` stands there twice. Keep one.")
        names.add(key.value)
    return list(node.value)


def word(node: yaml.Node) -> str:
    """Return a single value as it is written."""
    if not isinstance(node, yaml.ScalarNode):
        raise BadSpec(f"{at(node)}: one value is expected here, not a list or a table.")
    value: str = node.value
    if any(ord(letter) < 32 and letter not in "\n\t" for letter in value):
        raise BadSpec(f"{at(node)}: there is a control character in the value.")
    return value.strip()


def words(node: yaml.Node) -> tuple[str, ...]:
    """Return a list's values; a single value counts as a list of one."""
    nodes = node.value if isinstance(node, yaml.SequenceNode) else [node]
    return tuple(value for value in (word(each) for each in nodes) if value)
