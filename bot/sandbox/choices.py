"""What people have chosen and typed in messages and modals before they submit; guarded by the feed's lock."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bot.sandbox import acting
from bot.sandbox.acting import Choice, Picked
from bot.sandbox.records import Json, PersonError
from bot.sandbox.workspace import Workspace


class Choices:
    """Keyed by person and by the message's ts or the view's id."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._picked: dict[tuple[str, str], Picked] = {}

    def act(self, user: str, where: str, block: Json, element: Json, choice: Choice | None) -> Json:
        """Press (no choice) or choose; returns the entry for a block_actions payload."""
        part = None if choice is None else acting.chosen(element, choice)
        if part is None and element["type"] != "button":
            raise PersonError(f"{element['action_id']!r} is a {element['type']}: choose one of its options")
        if part is not None and element["type"] != "overflow":
            self._picked.setdefault((user, where), {})[_name(block, element)] = part
        return acting.action(block, element, part, self._workspace.next_ts())

    def values(self, user: str, where: str, blocks: Sequence[Json]) -> Json:
        """state.values as this person sees the blocks."""
        return acting.values(blocks, self._picked.get((user, where), {}))

    def fill_in(self, user: str, where: str, blocks: Sequence[Json], given: Mapping[str, Choice]) -> None:
        """Give values by action_id or block_id; PersonError for an unknown name or a required one left empty."""
        left = dict(given)
        picked = self._picked.setdefault((user, where), {})
        for block, element in acting.elements(blocks):
            name = _name(block, element)
            for key in (name[1], name[0]):
                if key in left:
                    picked[name] = acting.chosen(element, left.pop(key))
            missing = acting.empty(picked.get(name) or acting.initial(element))
            if block["type"] == "input" and missing and not block.get("optional"):
                raise PersonError(f"{block['label']['text']!r} is required: give a value for {name[1]!r}")
        if left:
            raise PersonError(f"this modal has no input {sorted(left)[0]!r}")


def _name(block: Json, element: Json) -> tuple[str, str]:
    return str(block["block_id"]), str(element["action_id"])
