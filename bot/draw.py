"""Draws plots, each a line of JSON on standard input, and answers `png LENGTH` and a PNG, or `error LENGTH` and words.

    python -m bot.draw < plot.json | tail -n +2 > plot.png   # the plot in one line

It is a process of its own because matplotlib costs the bot 60 MB that it needs for a second at a time, and ends when
nobody has asked for a plot for a while. What to draw is `bot.plots.Plot`; here it is only drawn: light ground, thin
grid, colours that colour-blind readers can tell apart (Okabe and Ito), letters large enough for a phone.
"""

from __future__ import annotations

import io
import json
import math
import select
import sys
from typing import Any

import matplotlib as mpl

mpl.use("Agg")

from matplotlib.axes import Axes  # the backend is chosen before anything draws
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullFormatter, ScalarFormatter

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7")
INK, FAINT, GRID, GROUND = "#1F2933", "#7B8794", "#E4E7EB", "#FDFDFC"
INCHES, DPI = (8.0, 4.5), 160
EARLY = 4.0  # while more than so many times the steps are to come, the axis ends where the curve does
LOG_FROM = 30.0  # a curve whose values span more than this factor is drawn on a logarithmic axis

STYLE: dict[Any, Any] = {  # matplotlib types its keys as hundreds of literals
    "font.family": "DejaVu Sans",
    "font.size": 13,
    "axes.edgecolor": GRID,
    "axes.labelcolor": FAINT,
    "axes.linewidth": 1.0,
    "xtick.color": FAINT,
    "ytick.color": FAINT,
    "xtick.major.size": 0,
    "xtick.major.pad": 8,  # clear of the triangles that mark checkpoints
    "ytick.major.size": 0,
    "ytick.minor.size": 0,
    "lines.solid_capstyle": "round",
    "lines.solid_joinstyle": "round",
}


def smooth(values: list[float]) -> list[float]:
    """Return the centred mean over a twentieth of the curve, narrower towards both ends: it trails no turn."""
    sums = [0.0]
    for value in values:
        sums.append(sums[-1] + value)
    followed = []
    for index in range(len(values)):
        half = min(len(values) // 40, index, len(values) - 1 - index)
        followed.append((sums[index + half + 1] - sums[index - half]) / (2 * half + 1))
    return followed


def draw(plot: dict[str, Any]) -> bytes:
    """Return the plot as PNG, 1280 × 720."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=INCHES, dpi=DPI, facecolor=GROUND)
        longest = max((len(series["name"]) for series in plot["series"]), default=0)
        # The last values stand at the right: the longer their names, the more room they get.
        axes = figure.add_axes((0.085, 0.145, 0.805 - 0.0135 * max(5, longest) + 0.055, 0.68), facecolor=GROUND)
        _frame(axes, plot)
        ends = [_curve(axes, series, COLOURS[index % 4]) for index, series in enumerate(plot["series"])]
        _scale(axes, plot)
        _marks(axes, plot)
        _labels(axes, [end for end in ends if end is not None])
        figure.text(0.03, 0.93, plot["title"], fontsize=17, fontweight="bold", color=INK, va="center")
        figure.text(0.03, 0.868, plot["subtitle"], fontsize=13, color=FAINT, va="center")
        out = io.BytesIO()
        figure.savefig(out, format="png", facecolor=GROUND)
        return out.getvalue()


def _frame(axes: Axes, plot: dict[str, Any]) -> None:
    axes.grid(visible=True, axis="y", color=GRID, linewidth=1.0)
    axes.set_axisbelow(True)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: _steps(value)))
    axes.set_xlabel(plot["axis"], labelpad=4)


def _curve(axes: Axes, series: dict[str, Any], colour: str) -> tuple[float, float, str, str] | None:
    points = [(x, y) for x, y in zip(series["steps"], series["values"], strict=True) if y is not None]
    if not points:
        return None
    xs, ys = [x for x, _ in points], [y for _, y in points]
    many = len(ys) >= 20
    if many:
        axes.plot(xs, ys, color=colour, linewidth=1.0, alpha=0.28, zorder=2)
    shown = smooth(ys) if many else ys
    axes.plot(xs, shown, color=colour, linewidth=2.6, zorder=3, marker=None if many else "o", markersize=5)
    axes.plot(xs[-1:], shown[-1:], "o", color=colour, markersize=9, mec=GROUND, mew=2, zorder=4, clip_on=False)
    return xs[-1], shown[-1], f"{series['name']}\n{ys[-1]:.4g}", colour


def _scale(axes: Axes, plot: dict[str, Any]) -> None:
    values = [y for series in plot["series"] for y in series["values"] if y is not None]
    steps = [x for series in plot["series"] for x in series["steps"]]
    last, first = max(steps, default=1), min(steps, default=0)
    total = plot.get("total") or 0
    if total <= last * EARLY:
        last = max(last, total)
    axes.set_xlim(min(first, 0) if first < last * 0.2 else first, max(last, first + 1))
    if values and min(values) > 0 and max(values) / min(values) > LOG_FROM:
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter(ScalarFormatter())
        axes.yaxis.set_minor_formatter(NullFormatter())
    elif values:
        low, high = min(values), max(values)
        room = (high - low) * 0.08 or abs(high) * 0.05 or 0.5
        marked = any(mark["kind"] == "checkpoint" for mark in plot["marks"])
        axes.set_ylim(low - room * (2 if marked else 1), high + room)  # the newest one's name stands under the curves
        axes.yaxis.set_major_locator(MaxNLocator(5))


def _marks(axes: Axes, plot: dict[str, Any]) -> None:
    low, high = axes.get_ylim()
    left, right = axes.get_xlim()
    for mark in plot["marks"]:
        if mark["step"] > right:
            continue
        if mark["kind"] == "checkpoint":
            axes.plot([mark["step"]], [low], marker="^", color="#009E73", markersize=10, clip_on=False, zorder=5)
        elif mark["kind"] == "odd":
            axes.plot(
                [mark["step"]], [high], marker="x", color="#D55E00", markersize=10, mew=2.5, clip_on=False, zorder=5
            )
        else:
            axes.axvline(mark["step"], color=FAINT, linewidth=1.4, linestyle=(0, (4, 3)), zorder=1)
        if mark["label"]:
            late = mark["step"] > left + 0.75 * (right - left)  # its label would run out of the picture
            axes.annotate(
                mark["label"],
                (mark["step"], low if mark["kind"] == "checkpoint" else high),
                xytext=(-10 if late else 7, 6 if mark["kind"] == "checkpoint" else -12),
                ha="right" if late else "left",
                textcoords="offset points",
                fontsize=12,
                color=FAINT,
            )


def _labels(axes: Axes, ends: list[tuple[float, float, str, str]]) -> None:
    """Write each curve's last value beside the plot, apart from each other where the curves end close together."""
    placed: list[float] = []
    for _x, y, label, colour in sorted(ends, key=lambda end: end[1]):
        at = axes.transAxes.inverted().transform(axes.transData.transform((0, y)))[1]
        at = max(at, placed[-1] + 0.17) if placed else max(0.05, at)
        placed.append(at)
        axes.annotate(
            label,
            (1.015, at),
            xycoords="axes fraction",
            color=colour,
            fontsize=14,
            fontweight="bold",
            va="center",
            annotation_clip=False,
        )


def _steps(value: float) -> str:
    if abs(value) >= 10_000:
        scaled, unit = (value / 1e6, "M") if abs(value) >= 1e6 else (value / 1e3, "k")
        return f"{scaled:g}{unit}"
    return f"{value:,.0f}"


def main() -> None:
    """Answer line by line, until nobody asks for so many seconds (the first argument; for ever without one)."""
    rest = float(sys.argv[1]) if len(sys.argv) > 1 else None
    answers, sys.stdout = sys.stdout.buffer, sys.stderr  # what a library prints is no answer
    while select.select([sys.stdin], [], [], rest)[0] and (line := sys.stdin.buffer.readline()):
        try:
            kind, answer = b"png", draw(json.loads(line, parse_constant=lambda _: math.nan))
        except Exception as error:  # noqa: BLE001  one plot's trouble, told to whoever asked for it
            kind, answer = b"error", f"{type(error).__name__}: {error}".encode()
        answers.write(b"%s %d\n%s" % (kind, len(answer), answer))
        answers.flush()


if __name__ == "__main__":
    main()
