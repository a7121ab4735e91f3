"""The Slack app as a manifest: what is registered, what may be asked, what is delivered."""

from __future__ import annotations

import json
from typing import Any

import yaml

# What each is for stands beside it: a workspace's owner reads this before he installs.
SCOPES = {
    "app_mentions:read": "verbs in a job's thread",
    "channels:history": "finding a message again whose answer was lost",
    "channels:read": "whether the bot is in a channel",
    "chat:write": "the card and its thread",
    "commands": "/train and /budget",
    "files:write": "plots",
    "groups:history": "the same in private channels",
    "groups:read": "the same in private channels",
    "im:history": "the same in direct messages to leads",
    "im:write": "asking leads directly",
    "usergroups:read": "who leads, by a user group",
    "users:read": "who is a guest",
}
COMMANDS = (
    ("/train", "Rent a GPU and run a commit on it", "owner/repo@ref gpu=a100 hours=4 | help | gpus | list | stop JOB"),
    ("/budget", "What the team may still rent this month", "[cap 300 | auto-approve 20 | leads @name | freeze]"),
)
COMPLETIONS = {
    "/train": (
        "help", "gpus", "estimate", "list", "list all", "status", "stop", "extend", "logs", "progress", "checkpoints",
        "rerun", "gpu=a100", "gpu=h100", "gpu=l4", "hours=4", "hours=2m", "spot=auto", "max_cost=12", "notify=@",
    ),
    "/budget": ("cap 300", "auto-approve 20", "longest 24h", "share 50", "leads @", "freeze", "unfreeze"),
}  # fmt: skip


def manifest(*, name: str = "Hourglass", request_url: str | None = None) -> dict[str, Any]:
    """Return the manifest as Slack reads it: Socket Mode, or signed HTTP to `request_url` (…/slack/events)."""
    where = {"url": request_url} if request_url else {}
    interactivity = {"request_url": request_url} if request_url else {}
    events = {"request_url": request_url} if request_url else {}
    return {
        "display_information": {
            "name": name,
            "description": "Rent GPUs by the hour; no machine outlives its deadline.",
            "background_color": "#1f2933",
        },
        "features": {
            "bot_user": {"display_name": "hourglass", "always_online": True},
            "slash_commands": [
                {"command": command, "description": what, "usage_hint": hint, "should_escape": False, **where}
                for command, what, hint in COMMANDS
            ],
        },
        "oauth_config": {"scopes": {"bot": sorted(SCOPES)}},
        "settings": {
            "event_subscriptions": {**events, "bot_events": ["app_mention"]},
            "interactivity": {"is_enabled": True, **interactivity},
            "org_deploy_enabled": False,
            "socket_mode_enabled": request_url is None,
            "token_rotation_enabled": False,
        },
    }


def as_yaml(found: dict[str, Any]) -> str:
    """Return the manifest to paste into Slack's page."""
    text: str = yaml.safe_dump(found, sort_keys=False, allow_unicode=True)
    return text


def as_json(found: dict[str, Any]) -> str:
    """Return the manifest for Slack's API."""
    return json.dumps(found, indent=2, ensure_ascii=False)
