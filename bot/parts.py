"""What the listeners work with, handed in once by the composition root."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from bot.catalogue import Catalogue
from bot.commits import Commits
from bot.links import Links
from bot.people import People
from jobs.clock import Clock
from jobs.db import Database
from jobs.offers import Desk
from jobs.providers import Traits
from jobs.service import Service
from jobs.settings import Settings
from trainer.masking import Mask
from trainer.storage import Store


@dataclass(frozen=True, kw_only=True)
class Parts:
    """The ports of the Slack face."""

    service: Service
    db: Database
    clock: Clock
    settings: Settings
    people: People
    links: Links
    say: Catalogue
    traits: Mapping[str, Traits]  # of the configured providers, by name
    desk: Desk
    commits: Commits
    store: Store
    wake: Callable[[], None]  # the notifier's: something is owed
    mask: Mask = field(default_factory=lambda: Mask({}))  # over every answer


@dataclass(frozen=True, kw_only=True)
class Caller:
    """Who asked for something, and from where."""

    person: str
    channel: str
    delivery: str  # the delivery's own key: what it asks for is done once
    in_group_message: bool = False  # a direct message among several people

    @property
    def in_direct_message(self) -> bool:
        """Return whether it was asked for where no team is: Slack's ids of direct messages begin with a D."""
        return self.in_group_message or self.channel.startswith("D")


def is_group_message(channel_name: str | None) -> bool:
    """Return whether a conversation is a direct message among several people, whose id looks like any channel's."""
    return (channel_name or "").startswith("mpdm-")
