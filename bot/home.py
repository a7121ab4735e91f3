"""This deployment's state folder: whose machines are ours, and who may write the database."""

from __future__ import annotations

import fcntl
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from jobs import engine
from jobs.db import Database
from jobs.errors import Misconfigured
from jobs.settings import Settings


def settled(settings: Settings) -> Settings:
    """Return the settings with `home` filled in: as configured, else the one kept in the state folder.

    Every machine carries it, so that a staging bot's reaper leaves production's machines alone. Raises
    `Misconfigured` when the configured one is not a uuid.
    """
    if settings.home:
        try:
            uuid.UUID(settings.home)
        except ValueError as error:
            raise Misconfigured(
                f"HOURGLASS_HOME is {settings.home!r}, which is no uuid; try {uuid.uuid4()}."
            ) from error
        return settings
    settings.state.mkdir(parents=True, exist_ok=True)
    path = settings.state / "home"
    if not path.exists():
        _first(path, str(uuid.uuid4()))
    return settings.model_copy(update={"home": path.read_text().strip()})


def _first(path: Path, text: str) -> None:
    """Write a whole file unless another process was first: the bot and the reaper are started together."""
    own = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    own.write_text(text)
    try:
        with suppress(FileExistsError):
            path.hardlink_to(own)
    finally:
        own.unlink()


@contextmanager
def writing(settings: Settings) -> Iterator[None]:
    """Hold the right to write the SQLite database; raises `Misconfigured` while another process has it.

    Two bots on one SQLite file would each enforce, post and launch; the rows would stay right, the thread
    would be told twice. A database server has no such lock.
    """
    if not settings.database().startswith("sqlite"):
        yield
        return
    settings.state.mkdir(parents=True, exist_ok=True)
    path: Path = settings.state / "writer.lock"
    with path.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Misconfigured(
                f"Another Hourglass writes {settings.state} (its `serve` is running). Stop it first."
            ) from None
        yield


@contextmanager
def reading(settings: Settings) -> Iterator[Database]:
    """Open the database that `serve` made, beside it or not; raises `Misconfigured` where there is none."""
    database = Database.open(settings.database(), migrate=False)
    try:
        if engine.revision(database.engine) is None:
            raise Misconfigured("There is no database here yet: run this with the settings that `serve` has.")
        yield database
    finally:
        database.close()
