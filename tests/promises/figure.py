"""A promise that was put to the test, and the table in which the answers are printed."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypeVar

from rich.console import Console
from rich.table import Table

from tests.bench.figures import machine
from tests.simulation.books import Violation

Lived = TypeVar("Lived")

WIDE = 200  # characters of a line where no terminal says how many there are


@dataclass(frozen=True, kw_only=True)
class Promise:
    """One row. `counts` says how much was tried and found, by name; `seed` repeats the run."""

    name: str
    goal: str
    measured: str
    held: bool
    counts: Mapping[str, int | float]
    seed: int
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class Scale:
    """How much to try: `full` is what the goal names, else a run small enough for every check."""

    full: bool
    seed: int
    seconds: float = 0.0  # after which a long part stops, whatever was reached; 0 for never

    def of(self, full: int, small: int) -> int:
        """Return the count that fits."""
        return full if self.full else small

    @property
    def hands(self) -> int | None:
        """In how many processes at once: one for each processor (None), or in this one, as the checks do."""
        return None if self.full else 1


def judged(live: Callable[[str], Lived], seed: str) -> Lived | str:
    """Return what became of a seed, or the violation that it ended in."""
    try:
        return live(seed)
    except Violation as violation:
        return str(violation)


def show(promises: Sequence[Promise], out: Path | None) -> None:
    """Print the table, and write it as JSON where `out` names a file."""
    table = Table(title=f"Hourglass on {machine()}", box=None, title_justify="left")
    for column in ("promise", "goal", "measured", "", "counts", "seed", "note"):
        table.add_column(column, justify="left", overflow="fold")
    for promise in promises:
        counts = ", ".join(f"{value:,} {name}" for name, value in promise.counts.items())
        mark = "held" if promise.held else "BROKEN"
        table.add_row(promise.name, promise.goal, promise.measured, mark, counts, str(promise.seed), promise.note)
    console = Console()
    if not console.is_terminal:
        console = Console(width=WIDE)
    console.print(table)
    if out:
        rows = {"machine": machine(), "promises": [asdict(promise) for promise in promises]}
        out.write_text(json.dumps(rows, indent=2) + "\n")
