"""How long Slack waits: the time from a delivery's arrival to its acknowledgement, told to whoever measures."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from slack_bolt import App
from slack_bolt.request import BoltRequest
from slack_bolt.response import BoltResponse

from jobs.clock import Clock

Tell = Callable[[str, float], None]  # (kind of delivery, seconds)


def nobody(kind: str, seconds: float) -> None:
    """Tell nobody."""


class TimedApp(App):
    """Bolt's app, which dispatches a delivery until it is acknowledged; `tell` hears how long that took."""

    def __init__(self, *, clock: Clock, tell: Tell, **options: Any) -> None:
        super().__init__(**options)
        self._clock = clock
        self._tell = tell

    def dispatch(self, req: BoltRequest) -> BoltResponse:
        """Dispatch, whichever way the delivery came."""
        begun = self._clock.monotonic()
        try:
            return super().dispatch(req)
        finally:
            self._tell(kind_of(req.body), self._clock.monotonic() - begun)


def kind_of(body: dict[str, Any]) -> str:
    """Return what was delivered: command, action, view, event or other."""
    if "command" in body:
        return "command"
    kinds = {"block_actions": "action", "view_submission": "view", "view_closed": "view", "event_callback": "event"}
    return kinds.get(str(body.get("type")), "other")
