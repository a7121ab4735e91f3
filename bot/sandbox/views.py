"""Modals: the triggers that open them and each person's stack of them; guarded by the feed's lock."""

from __future__ import annotations

from dataclasses import dataclass

from bot.sandbox.clock import Clock
from bot.sandbox.feed import Feed
from bot.sandbox.ids import Ids
from bot.sandbox.limits import check_view, view_too_large
from bot.sandbox.posting import with_block_ids
from bot.sandbox.records import Change, Json, SlackError

TRIGGER_S = 3.0
STACK = 3


@dataclass(frozen=True, kw_only=True)
class _Trigger:
    user: str
    issued: float  # monotonic seconds
    used: bool = False


class Triggers:
    """Permissions to open one modal, for three seconds and once."""

    def __init__(self, *, clock: Clock, ids: Ids) -> None:
        self._clock = clock
        self._ids = ids
        self._issued: dict[str, _Trigger] = {}

    def issue(self, user: str) -> str:
        """A trigger_id for what this person just did."""
        trigger_id = f"{self._ids.number(13)}.{self._ids.number(12)}.{self._ids.secret(32)}"
        self._issued[trigger_id] = _Trigger(user=user, issued=self._clock.monotonic())
        return trigger_id

    def redeem(self, trigger_id: str) -> str:
        """The person whose trigger it was; Slack's error when it is unknown, late or used."""
        trigger = self._issued.get(trigger_id)
        if trigger is None:
            raise SlackError("invalid_trigger_id")
        if trigger.used:
            raise SlackError("trigger_exchanged")
        if self._clock.monotonic() - trigger.issued > TRIGGER_S:
            raise SlackError("expired_trigger_id")
        self._issued[trigger_id] = _Trigger(user=trigger.user, issued=trigger.issued, used=True)
        return trigger.user


class Views:
    """Each person's stack of open modals, at most three deep."""

    def __init__(self, *, feed: Feed, ids: Ids, identity: Json) -> None:
        self._feed = feed
        self._ids = ids
        self._identity = identity  # team_id, app_id, bot_id: on every view
        self._stacks: dict[str, list[Json]] = {}

    def check(self, view: object) -> Json:
        """The view itself when Slack would take it, its error otherwise."""
        lines = check_view(view)
        if lines or not isinstance(view, dict):
            raise SlackError(
                "invalid_arguments", errors=lines, response_metadata={"messages": [f"[ERROR] {x}" for x in lines]}
            )
        if view_too_large(view):
            raise SlackError("view_too_large")
        return view

    def open(self, user: str, view: object) -> Json:
        """A new stack with this modal in it; what stood open before is gone."""
        self._stacks[user] = [self._build(view, previous=None)]
        return self._told(user, self._stacks[user][-1])

    def push(self, user: str, view: object) -> Json:
        """One more modal on top of this person's stack."""
        stack = self._stacks.get(user, [])
        if not stack:
            raise SlackError("not_found")
        if len(stack) >= STACK:
            raise SlackError("push_limit_reached")
        stack.append(self._build(view, previous=stack[-1]))
        return self._told(user, stack[-1])

    def update(
        self, view: object, *, view_id: str | None = None, external_id: str | None = None, hash: str | None = None
    ) -> Json:
        """Replace an open modal; `hash_conflict` when the caller saw an older one."""
        user, old = self._find(view_id=view_id, external_id=external_id)
        if hash is not None and hash != old["hash"]:
            raise SlackError("hash_conflict")
        stack = self._stacks[user]
        position = next(index for index, one in enumerate(stack) if one["id"] == old["id"])
        new = self._build(view, previous=None, replacing=old)
        stack[position] = new | {
            "id": old["id"],
            "root_view_id": old["root_view_id"],
            "previous_view_id": old["previous_view_id"],
        }
        return self._told(user, stack[position])

    def get(self, user: str, view_id: str) -> Json:
        """This person's open modal of that id; `not_found` otherwise."""
        found = next((view for view in self._stacks.get(user, []) if view["id"] == view_id), None)
        if found is None:
            raise SlackError("not_found")
        return found

    def stack(self, user: str) -> list[Json]:
        """This person's open modals, the top one last."""
        return list(self._stacks.get(user, []))

    def close(self, user: str, view_id: str) -> None:
        """Take one modal away, and what lies above it."""
        stack = self._stacks.get(user, [])
        position = next((index for index, view in enumerate(stack) if view["id"] == view_id), len(stack))
        del stack[position:]
        self._feed.publish(Change(seq=0, kind="views", user=user))

    def clear(self, user: str) -> None:
        """Take all of this person's modals away."""
        self._stacks[user] = []
        self._feed.publish(Change(seq=0, kind="views", user=user))

    def _told(self, user: str, view: Json) -> Json:
        self._feed.publish(Change(seq=0, kind="views", user=user))
        return view

    def _find(self, *, view_id: str | None, external_id: str | None) -> tuple[str, Json]:
        if not view_id and not external_id:
            raise SlackError(
                "invalid_arguments",
                response_metadata={"messages": ["[ERROR] missing required field: view_id or external_id"]},
            )
        for user, stack in self._stacks.items():
            for view in stack:
                if view["id"] == view_id or (external_id and view["external_id"] == external_id):
                    return user, view
        raise SlackError("not_found")

    def _build(self, given: object, *, previous: Json | None, replacing: Json | None = None) -> Json:
        view = self.check(given)
        external = str(view.get("external_id") or "")
        for stack in self._stacks.values():
            if external and any(one["external_id"] == external and one is not replacing for one in stack):
                raise SlackError("duplicate_external_id")
        view_id = self._ids.new("V")
        return {
            **self._identity,
            "id": view_id,
            "type": "modal",
            "title": view["title"],
            "submit": view.get("submit"),
            "close": view.get("close"),
            "blocks": with_block_ids(view["blocks"], self._ids),
            "private_metadata": view.get("private_metadata") or "",
            "callback_id": view.get("callback_id") or "",
            "external_id": external,
            "clear_on_close": bool(view.get("clear_on_close", False)),
            "notify_on_close": bool(view.get("notify_on_close", False)),
            "state": {"values": {}},
            "hash": f"{self._ids.number(10)}.{self._ids.secret(8)}",
            "root_view_id": previous["root_view_id"] if previous else view_id,
            "previous_view_id": previous["id"] if previous else None,
        }
