"""A measured figure, its goal, and the table in which they are printed."""

from __future__ import annotations

import json
import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil
from rich.console import Console
from rich.table import Table


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One row: what was measured, in what unit, against which goal; `value` None says why it was not."""

    name: str
    value: float | None
    unit: str
    goal: float | None
    note: str = ""
    at_least: bool = False  # the goal is the least, not the most

    @property
    def met(self) -> bool | None:
        """Whether the goal was met; None without a goal or a value."""
        if self.value is None or self.goal is None:
            return None
        return self.value >= self.goal if self.at_least else self.value <= self.goal


def percentile(values: Sequence[float], percent: float) -> float:
    """Return the value below which `percent` of `values` lie, by the nearest rank."""
    ranked = sorted(values)
    rank = max(1, -(-len(ranked) * percent // 100))
    return ranked[int(rank) - 1]


def machine() -> str:
    """Return what this was measured on."""
    memory = psutil.virtual_memory().total / 2**30
    return f"{platform.system()} {platform.machine()}, {psutil.cpu_count()} cores, {memory:.0f} GiB"


def _said(value: float) -> str:
    if value == 0 or abs(value) >= 10:
        return f"{value:,.1f}"
    return f"{value:.2f}" if abs(value) >= 0.1 else f"{value:.1e}"


def show(figures: Sequence[Figure], out: Path | None) -> None:
    """Print the table, and write it as JSON where `out` names a file."""
    table = Table(title=f"Hourglass on {machine()}", box=None, title_justify="left")
    for column in ("figure", "measured", "goal", "", "note"):
        table.add_column(column, justify="right" if column in ("measured", "goal") else "left")
    for figure in figures:
        value = "not measured" if figure.value is None else f"{_said(figure.value)} {figure.unit}"
        goal = "" if figure.goal is None else f"{'≥' if figure.at_least else '≤'} {figure.goal:,g} {figure.unit}"
        mark = {True: "ok", False: "MISSED", None: ""}[figure.met]
        table.add_row(figure.name, value, goal, mark, figure.note)
    Console().print(table)
    if out:
        rows = {"machine": machine(), "figures": [asdict(figure) for figure in figures]}
        out.write_text(json.dumps(rows, indent=2) + "\n")
