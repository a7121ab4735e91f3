"""The oracle's books: a team's months and their alerts, its jobs, and how much was looked at."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from sqlite3 import Connection

from jobs.policy import Person
from tests.simulation.reckoning import Ask, Terms

ALERTS = (50, 80, 100)  # percent of a month at which its team is told


class Violation(AssertionError):
    """A promise was broken; the message says which, where and by how much."""


@dataclass(kw_only=True)
class Book:
    """A team's month."""

    team: str
    month: str
    cap: int
    granted: int = 0
    held: int = 0
    spent: int = 0
    alerted: int = 0  # the last of `ALERTS` that it reached

    def reached(self) -> int:
        """Return the highest of `ALERTS` that it has reached, zero for none."""
        total, used = self.cap + self.granted, self.held + self.spent
        return max((percent for percent in ALERTS if total > 0 and 100 * used >= percent * total), default=0)


class Alerts:
    """What people should be told of their months, and what they were told."""

    def __init__(self, db: Connection, *, all_told: bool = False) -> None:
        """Begin with no alert, or with those that the rows have."""
        self._db = db
        self._note = 0
        self._told: list[str] = []
        self._read()
        if not all_told and self._told:
            raise Violation(f"people were told of {self._told} before anything was held")
        self._expected = dict.fromkeys(self._told)

    def expect(self, book: Book) -> None:
        """Expect that people are told of what a month has newly reached."""
        reached = book.reached()
        if reached > book.alerted:
            book.alerted = reached
            self._expected[f"{book.team}:{book.month}:alert:{reached}:{book.cap}"] = None

    def judge(self) -> int:
        """Hold what people were told against that, in its order; return how many alerts there were."""
        self._read()
        if self._told != list(self._expected):
            raise Violation(f"people were told of {self._told[-3:]}, expected was {list(self._expected)[-3:]}")
        return len(self._told)

    def _read(self) -> None:
        rows = self._db.execute(
            "SELECT id, key FROM note WHERE id > ? AND kind = 'alert' ORDER BY id", (self._note,)
        ).fetchall()
        self._told += [key for _, key in rows]
        self._note = rows[-1][0] if rows else self._note


@dataclass(kw_only=True)
class Case:
    """What the oracle knows of one job."""

    ask: Ask
    team: str
    person: str = ""
    asks_lead: str = ""  # why a lead has to agree, where it is no matter of the cloud
    agreed_by: int = 0  # leads whose yes stands
    terms: list[Terms] = field(default_factory=list)  # those that what was held so far agrees with
    minutes: float = 0.0  # allowed by now: asked for, shortened, extended
    extending: float = 0.0  # minutes that are being added in this step
    extender: Person | None = None  # who adds them
    period: int | None = None
    first: int | None = None
    held: int = 0
    granted: int = 0
    charged: int | None = None
    released: int = 0
    late: int = 0
    deadline: datetime | None = None  # the one that was agreed with people
    agreed: dict[float, None] = field(default_factory=dict)  # every number of minutes that was ever allowed
    keys: list[str] = field(default_factory=list)
    closing: dict[str, int] = field(default_factory=dict)

    def allows(self, minutes: float) -> None:
        """Let the job have so many minutes from now on."""
        self.minutes = minutes
        self.agreed[minutes] = None


@dataclass(frozen=True, kw_only=True)
class Written:
    """One entry of the ledger, without what a database numbers by itself."""

    job: str
    team: str
    month: str
    kind: str
    micros: int
    seen: datetime | None = field(default=None, compare=False)  # in the step in which it was written


@dataclass(kw_only=True)
class Tally:
    """How much was looked at and found."""

    steps: int = 0
    entries: int = 0
    closed: int = 0
    machines: int = 0
    overdue: int = 0
    crossed: int = 0  # jobs whose month had ended when they were settled
    alerts: int = 0
    forgotten: int = 0  # entries that a database which fell back did not get back
    forgotten_age: float = 0.0  # seconds that the oldest of them had stood
    lags: list[float] = field(default_factory=list)
    ends: Counter[str] = field(default_factory=Counter)  # machines, by who ended them
