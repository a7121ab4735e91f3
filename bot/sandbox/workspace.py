"""The workspace's state: people, channels, messages. It decides nothing about apps and talks to nobody.

Every method expects the feed's lock to be held by its caller and publishes each change that a person could see.
Timestamps are Slack's: seconds and microseconds as text, strictly increasing over the whole workspace.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

from bot.sandbox.clock import Clock
from bot.sandbox.feed import Feed
from bot.sandbox.ids import Ids
from bot.sandbox.records import Change, Channel, Message, SlackError, Team, User, UserGroup
from bot.sandbox.seed import Seed

# Slack's own voice has the same id in every workspace.
SLACKBOT = "USLACKBOT"


class Workspace:
    """One team: who is there, where they talk, and what was said."""

    def __init__(self, *, seed: Seed, clock: Clock, ids: Ids, feed: Feed) -> None:
        self.clock = clock
        self.ids = ids
        self.feed = feed
        self.team = Team(id=ids.new("T"), name=seed.team.capitalize(), domain=seed.team)
        self.app_id = ids.new("A")
        self.bot_id = ids.new("B")
        self.users: dict[str, User] = {}
        self.channels: dict[str, Channel] = {}
        self.groups: dict[str, UserGroup] = {}
        self._messages: dict[str, dict[str, Message]] = {}  # channel -> ts -> message, in order of ts
        self._threads: dict[tuple[str, str], dict[str, Message]] = {}  # channel and parent's ts -> its replies alike
        self._ephemerals: list[Message] = []
        self._last_us = 0
        self._settle_in(seed)

    def _settle_in(self, seed: Seed) -> None:
        for person in seed.people:
            self._add_user(
                User(
                    id=self.ids.new("U"),
                    name=person.name,
                    real_name=person.real_name,
                    title=person.title,
                    email=f"{person.name}@{seed.team}.example",
                    is_restricted=person.guest,
                )
            )
        self.bot_user = self._add_user(
            User(id=self.ids.new("U"), name=seed.bot, real_name=seed.bot.capitalize(), is_bot=True, title="app")
        ).id
        self._add_user(User(id=SLACKBOT, name="slackbot", real_name="Slackbot"))
        for room in seed.rooms:
            members = {self.user(name).id for name in room.members} | ({self.bot_user} if room.bot else set())
            self.add_channel(room.name, members, private=room.private, topic=room.topic)
        for handle, members_of in seed.groups:
            group = UserGroup(
                id=self.ids.new("S"), handle=handle, name=handle, users=tuple(self.user(n).id for n in members_of)
            )
            self.groups[group.id] = group

    def _add_user(self, user: User) -> User:
        self.users[user.id] = user
        return user

    # -- people and places -------------------------------------------------------------------------------

    def user(self, who: str) -> User:
        """The user of that id or handle; `user_not_found` otherwise."""
        found = self.users.get(who) or next((u for u in self.users.values() if u.name == who.lstrip("@")), None)
        if found is None:
            raise SlackError("user_not_found")
        return found

    def channel(self, where: str) -> Channel:
        """The channel of that id or name; `channel_not_found` otherwise."""
        found = self.channels.get(where) or next(
            (c for c in self.channels.values() if c.name and c.name == where.lstrip("#")), None
        )
        if found is None:
            raise SlackError("channel_not_found")
        return found

    def add_channel(self, name: str, members: Iterable[str], *, private: bool = False, topic: str = "") -> Channel:
        """A new channel with these members (ids)."""
        channel = Channel(
            id=self.ids.new("C"),
            name=name,
            kind="private" if private else "public",
            topic=topic,
            members=frozenset(members),
            created=int(self.clock.now().timestamp()),
        )
        return self._store_channel(channel)

    def direct(self, one: str, other: str) -> Channel:
        """The direct message between two users (ids), opened if it was not."""
        pair = frozenset({one, other})
        found = next((c for c in self.channels.values() if c.kind == "im" and c.members == pair), None)
        return found or self._store_channel(
            Channel(id=self.ids.new("D"), name="", kind="im", members=pair, created=int(self.clock.now().timestamp()))
        )

    def set_members(self, channel_id: str, members: frozenset[str]) -> Channel:
        """Replace a channel's members."""
        return self._store_channel(replace(self.channels[channel_id], members=members))

    def archive(self, channel_id: str) -> Channel:
        """Archive a channel: nothing can be posted there any more."""
        return self._store_channel(replace(self.channels[channel_id], archived=True))

    def _store_channel(self, channel: Channel) -> Channel:
        self.channels[channel.id] = channel
        self._messages.setdefault(channel.id, {})
        self.feed.publish(Change(seq=0, kind="channel", channel=channel.id))
        return channel

    # -- messages ----------------------------------------------------------------------------------------

    def next_ts(self) -> str:
        """The wall clock as Slack writes it, moved on by a microsecond where it would repeat."""
        self._last_us = max(int(self.clock.now().timestamp() * 1_000_000), self._last_us + 1)
        return f"{self._last_us // 1_000_000}.{self._last_us % 1_000_000:06d}"

    def post(self, channel_id: str, build: Callable[[str], Message]) -> Message:
        """Store what `build` makes of the next ts; an ephemeral message is kept for its reader alone."""
        message = build(self.next_ts())
        if message.only_for:
            self._ephemerals.append(message)
        else:
            self._keep(message)
        self._tell(message)
        return message

    def put(self, message: Message) -> Message:
        """Replace a stored message of the same channel and ts."""
        if message.only_for:
            self._ephemerals = [message if m.ts == message.ts else m for m in self._ephemerals]
        else:
            self._keep(message)
        self._tell(message)
        return message

    def _keep(self, message: Message) -> None:
        self._messages[message.channel][message.ts] = message
        if message.thread_ts is not None:
            self._threads.setdefault((message.channel, message.thread_ts), {})[message.ts] = message

    def delete(self, message: Message) -> None:
        """Remove a stored message; a thread whose parent goes keeps its replies."""
        if message.only_for:
            self._ephemerals = [m for m in self._ephemerals if m.ts != message.ts]
        else:
            del self._messages[message.channel][message.ts]
            self._threads.get((message.channel, message.thread_ts or ""), {}).pop(message.ts, None)
        self.feed.publish(Change(seq=0, kind="deleted", channel=message.channel, ts=message.ts, user=message.only_for))

    def _tell(self, message: Message) -> None:
        self.feed.publish(Change(seq=0, kind="message", channel=message.channel, ts=message.ts, user=message.only_for))

    def message(self, channel_id: str, ts: str) -> Message:
        """The message everybody sees under that ts; `message_not_found` otherwise."""
        found = self.find(channel_id, ts)
        if found is None:
            raise SlackError("message_not_found")
        return found

    def find(self, channel_id: str, ts: str) -> Message | None:
        """The message everybody sees under that ts, None where there is none."""
        return self._messages.get(channel_id, {}).get(ts)

    def visible(self, channel_id: str, ts: str, user_id: str) -> Message:
        """The message this person sees under that ts, their ephemeral ones included."""
        for message in self._ephemerals:
            if (message.channel, message.ts, message.only_for) == (channel_id, ts, user_id):
                return message
        return self.message(channel_id, ts)

    def history(self, channel_id: str) -> list[Message]:
        """What stands in the channel itself, oldest first: parents and broadcast replies, not other replies."""
        return [m for m in self._messages[channel_id].values() if m.thread_ts is None or m.broadcast]

    def replies(self, channel_id: str, parent_ts: str) -> list[Message]:
        """The replies of one thread, oldest first, without the parent."""
        return list(self._threads.get((channel_id, parent_ts), {}).values())

    def everything(self, channel_id: str) -> list[Message]:
        """All messages of a channel, replies among them, oldest first."""
        return list(self._messages[channel_id].values())

    def ephemerals(self, user_id: str) -> list[Message]:
        """What only this person sees, oldest first."""
        return [m for m in self._ephemerals if m.only_for == user_id]
