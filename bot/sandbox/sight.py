"""What a person, the demo or a test can see of a workspace, as Slack's JSON; and waiting until it is there."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from bot.sandbox.records import Channel, Json, PersonError, SlackError, User
from bot.sandbox.state import State

T = TypeVar("T")


class Sight:
    """Reads the workspace without rate limits or tokens; nothing here reaches the app."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._lock = state.feed.lock

    def messages(self, channel: str) -> list[Json]:
        """What stands in the channel itself, oldest first, metadata included."""
        with self._lock:
            return [
                self._state.message(m, metadata=True) for m in self._state.workspace.history(self._channel(channel).id)
            ]

    def thread(self, channel: str, ts: str) -> list[Json]:
        """A thread, its parent first (where it still stands)."""
        with self._lock:
            place = self._channel(channel)
            parent = self._state.workspace.find(place.id, ts)
            replies = self._state.workspace.replies(place.id, ts)
            return [self._state.message(m, metadata=True) for m in (parent, *replies) if m is not None]

    def message(self, channel: str, ts: str) -> Json:
        """One message that everybody sees; PersonError when there is none."""
        with self._lock:
            try:
                found = self._state.workspace.message(self._channel(channel).id, ts)
            except SlackError:
                raise PersonError(f"there is no message {ts} in {channel}") from None
            return self._state.message(found, metadata=True)

    def ephemerals(self, user: str, channel: str | None = None) -> list[Json]:
        """What only this person sees, oldest first, each with its channel."""
        with self._lock:
            where = None if channel is None else self._place(user, channel).id
            return [
                self._state.message(m) | {"channel": m.channel}
                for m in self._state.workspace.ephemerals(self.user_id(user))
                if where in (None, m.channel)
            ]

    def dms(self, user: str) -> list[Json]:
        """The talk between this person and the bot, threads included, oldest first."""
        with self._lock:
            workspace = self._state.workspace
            place = workspace.direct(workspace.bot_user, self.user_id(user))
            return [self._state.message(m, metadata=True) for m in workspace.everything(place.id)]

    def views(self, user: str) -> list[Json]:
        """This person's open modals, the top one last."""
        with self._lock:
            return self._state.views.stack(self.user_id(user))

    def files(self) -> list[Json]:
        """Every complete file, oldest first."""
        with self._lock:
            return [self._state.file(one) for one in self._state.files.all()]

    def file_bytes(self, file_id: str) -> bytes:
        """The content of a complete file."""
        with self._lock:
            return self._state.files.get(file_id).content or b""

    def wait_for(self, predicate: Callable[[], T], timeout: float = 10.0) -> T:
        """The predicate's first true value, looked at after each change; TimeoutError after `timeout` seconds."""
        return self._state.feed.wait_for(predicate, timeout)

    def user_id(self, name: str) -> str:
        """The id of a handle (or of an id)."""
        return self._user(name).id

    def channel_id(self, name: str) -> str:
        """The id of a "#channel" (or of an id)."""
        return self._channel(name).id

    def _user(self, name: str) -> User:
        try:
            return self._state.workspace.user(name)
        except SlackError:
            there = ", ".join(user.name for user in self._state.workspace.users.values())
            raise PersonError(f"nobody here is called {name!r}; there are {there}") from None

    def _channel(self, name: str) -> Channel:
        try:
            return self._state.workspace.channel(name)
        except SlackError:
            there = ", ".join(f"#{c.name}" for c in self._state.workspace.channels.values() if c.name)
            raise PersonError(f"there is no channel {name!r}; there are {there}") from None

    def _place(self, user: str, name: str) -> Channel:
        """A channel this person is in; "@handle" is their direct message with that user."""
        person = self._user(user)
        place = (
            self._state.workspace.direct(person.id, self._user(name).id)
            if name.startswith("@")
            else self._channel(name)
        )
        if person.id not in place.members:
            raise PersonError(f"{person.name} is not in {name}: only members write and press there")
        return place
