"""The workspace a sandbox starts with: a small research team, its channels and the lead's user group."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Person:
    """Somebody to seed the workspace with."""

    name: str
    real_name: str
    title: str
    guest: bool = False


@dataclass(frozen=True, kw_only=True)
class Room:
    """A channel to seed the workspace with; members by handle."""

    name: str
    members: tuple[str, ...]
    bot: bool = True
    private: bool = False
    topic: str = ""


@dataclass(frozen=True, kw_only=True)
class Seed:
    """Everything a workspace starts with."""

    team: str = "acme"
    bot: str = "hourglass"
    people: tuple[Person, ...] = (
        Person(name="ada", real_name="Ada Reyes", title="researcher"),
        Person(name="tam", real_name="Tam Okafor", title="teammate"),
        Person(name="lea", real_name="Lea Brandt", title="lead"),
        Person(name="gus", real_name="Gus Guest", title="guest", guest=True),
    )
    rooms: tuple[Room, ...] = (
        Room(name="vision", members=("ada", "tam", "lea", "gus"), topic="Image models and their training runs"),
        Room(name="nlp", members=("ada", "tam", "lea"), topic="Language models"),
        Room(name="random", members=("ada", "tam", "lea"), bot=False, topic="The bot is not in this channel"),
    )
    groups: tuple[tuple[str, tuple[str, ...]], ...] = (("gpu-leads", ("lea",)),)
