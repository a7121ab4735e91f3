"""The app as its manifest declares it: commands, scopes, events. What is not declared is refused, as in Slack."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import cast

from bot.sandbox.records import Json

_ALL_SCOPES = frozenset(
    {
        "app_mentions:read",
        "channels:history",
        "channels:join",
        "channels:read",
        "chat:write",
        "commands",
        "files:read",
        "files:write",
        "groups:history",
        "groups:read",
        "im:history",
        "im:read",
        "im:write",
        "reactions:write",
        "team:read",
        "usergroups:read",
        "users:read",
        "users:read.email",
    }
)
_ALL_EVENTS = frozenset({"app_mention", "message.channels", "message.groups", "message.im"})


@dataclass(frozen=True, kw_only=True)
class Command:
    """A registered slash command and what the composer offers while it is typed."""

    command: str  # with its slash: "/train"
    description: str = ""
    usage_hint: str = ""
    should_escape: bool = False  # True: @name and #channel arrive as <@U…> and <#C…|…>
    completions: tuple[str, ...] = ()


SEED_COMMANDS = (
    Command(
        command="/train",
        description="Rent a GPU and run a commit on it",
        usage_hint="owner/repo@ref gpu=a100 hours=4",
        completions=("help", "gpus", "estimate", "list", "status", "stop", "extend", "logs", "checkpoints", "rerun"),
    ),
    Command(command="/budget", description="What is left this month", usage_hint="[cap 300 | freeze | help]"),
)


@dataclass(frozen=True, kw_only=True)
class AppConfig:
    """The installed app."""

    name: str = "Hourglass"
    commands: tuple[Command, ...] = SEED_COMMANDS
    scopes: frozenset[str] = _ALL_SCOPES
    events: frozenset[str] = _ALL_EVENTS
    interactivity: bool = True

    @classmethod
    def from_manifest(
        cls, manifest: Mapping[str, object], completions: Mapping[str, Sequence[str]] | None = None
    ) -> AppConfig:
        """The app that this Slack manifest declares; `completions` maps a command to what the composer offers."""
        # A manifest is parsed YAML or JSON: its shape is Slack's and what is missing means "not declared".
        tree = cast(Json, dict(manifest))
        features, settings = tree.get("features", {}), tree.get("settings", {})
        offered = completions or {}
        return cls(
            name=str(tree.get("display_information", {}).get("name", "App")),
            commands=tuple(
                Command(
                    command=str(one["command"]),
                    description=str(one.get("description", "")),
                    usage_hint=str(one.get("usage_hint", "")),
                    should_escape=bool(one.get("should_escape", False)),
                    completions=tuple(offered.get(str(one["command"]), ())),
                )
                for one in features.get("slash_commands", [])
            ),
            scopes=frozenset(tree.get("oauth_config", {}).get("scopes", {}).get("bot", [])),
            events=frozenset(settings.get("event_subscriptions", {}).get("bot_events", [])),
            interactivity=bool(settings.get("interactivity", {}).get("is_enabled", False)),
        )

    def command(self, name: str) -> Command | None:
        """The registered command of that name, slash included."""
        return next((one for one in self.commands if one.command == name), None)
