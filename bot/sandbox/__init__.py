"""A small, strict, local Slack workspace: it stands in for Slack in the demo and judges the bot in the tests.

A bot built with slack_bolt and slack_sdk talks to it as it talks to Slack: Web API, Socket Mode or signed
HTTP, with Slack's limits, error codes and time-outs. It knows nothing of the bot behind it.
"""

from __future__ import annotations

from bot.sandbox.clock import Clock, ManualClock, SystemClock
from bot.sandbox.config import AppConfig, Command
from bot.sandbox.deliver import Delivery
from bot.sandbox.ids import Ids
from bot.sandbox.outcome import Outcome
from bot.sandbox.people import People
from bot.sandbox.records import PersonError, SandboxError, SlackError
from bot.sandbox.seed import Person, Room, Seed
from bot.sandbox.server import Sandbox

__all__ = [
    "AppConfig",
    "Clock",
    "Command",
    "Delivery",
    "Ids",
    "ManualClock",
    "Outcome",
    "People",
    "Person",
    "PersonError",
    "Room",
    "Sandbox",
    "SandboxError",
    "Seed",
    "SlackError",
    "SystemClock",
]
