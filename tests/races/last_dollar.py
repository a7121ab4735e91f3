"""The race for the last dollar: what was held, read back from the file without the ledger's help."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from jobs.db import Database
from jobs.model import Team
from jobs.values import DOLLAR
from tests.races.heats import LEVEL, MIXED, PAIRED, TEAMS, Told, race, reserve
from tests.support.clock import START


@dataclass(frozen=True, kw_only=True)
class Heat:
    """What one race came to."""

    asked: int  # reservations that were tried
    held: int  # distinct ones that stand
    granted: int  # of those, the ones of a dollar each
    dollars: int  # of their cap: exactly as many can be granted
    fitting: int  # mixed sums that were refused and would have fitted
    over: int  # micro-dollars held beyond the caps
    astray: int  # micro-dollars by which the months differ from the sum of their entries
    doubled: int  # keys that were written twice
    looks: int  # of racers at the rows in the middle of the race
    torn: int  # looks that saw a month which was not the sum of its entries
    not_written: int  # times a caller was told that nothing was written, and asked again
    broke: tuple[str, ...]  # errors that reached a caller as anything else


def run(folder: Path, *, racers: int, reservations: int, seed: int, racer: Callable[..., None] = reserve) -> Heat:
    """Let `racers` processes reserve on one new file, for half of what they want in all."""
    path = folder / "hourglass.db"
    caps = _prepare(path, racers, reservations)
    each = [(f"sqlite:///{path}", number, reservations, seed) for number in range(racers)]
    told: list[Told] = race(racer, each)
    counts = sum((one.counts for one in told), Counter[str]())
    with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as file:
        held = dict(file.execute("SELECT team_id, held FROM period").fetchall())
        entries = file.execute(
            "SELECT team_id, COUNT(*), SUM(micros), COUNT(DISTINCT key) FROM entry"
            " JOIN period ON period.id = entry.period_id GROUP BY team_id"
        ).fetchall()
    file.close()
    written = {team: (count, micros, keys) for team, count, micros, keys in entries}
    free = {team: caps[team] - held[team] for team in TEAMS}
    return Heat(
        asked=counts["held"] + counts["refused"],
        held=sum(count for count, _, _ in written.values()),
        granted=written[LEVEL][0],
        dollars=caps[LEVEL] // DOLLAR,
        # Nothing is given back in this race, so what was refused at any time must not fit at its end.
        fitting=sum(one.refused.get(MIXED, free[MIXED] + 1) <= free[MIXED] for one in told),
        over=sum(max(0, -free[team]) for team in TEAMS),
        astray=sum(abs(held[team] - written[team][1]) for team in TEAMS),
        doubled=sum(count - keys for count, _, keys in written.values()),
        looks=counts["looks"],
        torn=counts["torn"],
        not_written=counts["not written"],
        broke=tuple(text for one in told for text in one.broke),
    )


def _prepare(path: Path, racers: int, reservations: int) -> dict[str, int]:
    """Write both teams with a cap of about half of what will be asked for, and return the caps."""
    paired = sum(turn % PAIRED < len(TEAMS) for turn in range(0, reservations, len(TEAMS)))
    distinct = racers * (reservations // len(TEAMS)) - racers // 2 * paired
    caps = {LEVEL: distinct // 2 * DOLLAR, MIXED: distinct * 3 // 4 * DOLLAR}
    database = Database.open(f"sqlite:///{path}")
    with database.write() as tx:
        tx.add_all(Team(id=team, name=team, cap=cap, created_at=START) for team, cap in caps.items())
    database.close()
    return caps
