"""A copy of the SQLite database that is whole at one moment, made while the bot goes on writing; and put back.

SQLite writes the copy itself (`VACUUM INTO`), from one consistent look that holds up no writer. It is checked before
it gets its name, so that a file of that name is always a copy that can be restored.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from sqlalchemy.engine import make_url

from jobs.errors import Misconfigured

_BESIDE = ("-wal", "-shm")  # what SQLite keeps beside its file, and would lay over another one of that name
_PATIENCE = 30.0  # seconds for a writer that checkpoints


@dataclass(frozen=True, kw_only=True)
class Copy:
    """A checked copy."""

    path: Path
    size: int  # bytes
    jobs: int


def file_of(url: str) -> Path:
    """Return the SQLite file that a database's URL names; raises `Misconfigured` for a database server's."""
    found = make_url(url)
    if found.get_backend_name() != "sqlite" or not found.database or found.database == ":memory:":
        raise Misconfigured(
            f"The database is no SQLite file but {found.get_backend_name()}: back it up with its own tools (`pg_dump`)."
        )
    return Path(found.database)


def backup(source: Path, target: Path) -> Copy:
    """Copy the database to a new file; raises `Misconfigured` where one is there, or where `source` is no database."""
    if target.exists():
        raise Misconfigured(f"{target} is there already. Name a file that is not.")
    if not target.parent.is_dir():
        raise Misconfigured(f"There is no folder {target.parent} to put {target.name} into. Make it first.")
    if not source.is_file():
        raise Misconfigured(f"There is no database at {source} yet, so there is nothing to back up.")
    part = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        _copy(source, part)
        jobs = check(part)
        os.link(part, target)  # not a rename: that would replace a file that came meanwhile
    except FileExistsError as error:
        raise Misconfigured(f"{target} is there already. Name a file that is not.") from error
    except OSError as error:
        raise Misconfigured(f"{target} cannot be written: {error.strerror}.") from error
    finally:
        part.unlink(missing_ok=True)
    return Copy(path=target, size=target.stat().st_size, jobs=jobs)


def check(path: Path) -> int:
    """Return how many jobs a copy holds; raises `Misconfigured` for what is no whole database of Hourglass."""
    if not path.is_file():
        raise Misconfigured(f"There is no file {path}. Name one that `hourglass backup` wrote.")
    with _opened(path) as copy:
        found = [str(row[0]) for row in copy.execute("PRAGMA integrity_check")]
        if found != ["ok"]:
            raise Misconfigured(f"{path} is damaged ({found[0]}). Use another copy.")
        if not copy.execute("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'job'").fetchone():
            raise Misconfigured(f"{path} is a SQLite database, but none of Hourglass: it has no table of jobs.")
        return int(copy.execute("SELECT count(*) FROM job").fetchone()[0])


def restore(copy: Path, target: Path, now: datetime) -> Path | None:
    """Put a copy in the database's place; return where the one that stood there went, None where none did.

    Nobody may have the database open. Raises `Misconfigured` for what cannot be restored, and nothing was changed then.
    """
    check(copy)
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        _copy(copy, part)
        aside = _put_aside(target, now)
        part.replace(target)
    except OSError as error:
        raise Misconfigured(f"{target} cannot be written: {error.strerror}.") from error
    finally:
        part.unlink(missing_ok=True)
    return aside


def _put_aside(target: Path, now: datetime) -> Path | None:
    aside = target.with_name(f"{target.name}.before-{now:%Y%m%dT%H%M%S}")
    # Its last transactions may be in the files beside it: they go along, under the name that belongs to it.
    for suffix in (*_BESIDE, ""):
        file = target.with_name(target.name + suffix)
        if file.exists():
            file.replace(aside.with_name(aside.name + suffix))
    return aside if aside.exists() else None


def _copy(source: Path, part: Path) -> None:
    """Let SQLite write what the source says at one moment, files beside it included; on disk when it returns."""
    os.close(os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))  # people's names are in it
    with _opened(source) as connection:
        connection.execute("VACUUM INTO ?", (str(part),))
    with part.open("rb") as file:
        os.fsync(file.fileno())


@contextmanager
def _opened(path: Path) -> Iterator[sqlite3.Connection]:
    """Open a database to read it; raises `Misconfigured` for what is none."""
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=_PATIENCE)) as connection:
            yield connection
    except sqlite3.DatabaseError as error:
        raise Misconfigured(f"{path} cannot be read as a SQLite database: {error}.") from error
