"""A plot in words, for those who do not see it."""

from __future__ import annotations

from bot.catalogue import Catalogue, later
from bot.markup import number
from bot.plots import Curve, Plot

ALT = 2000  # characters of alt text that Slack takes

_FALLS = later(
    "{name} falls from {first} at step {first_step} to {last} at step {last_step}; lowest {low} at step {low_step}."
)
_GOES = later(
    "{name} goes from {first} at step {first_step} to {last} at step {last_step}; lowest {low} at step {low_step}."
)

_IS = later("{name} is {last} at step {last_step}.")


def describe(say: Catalogue, plot: Plot) -> str:
    """Return what the plot shows: each curve's course, how far it has come, what is marked."""
    parts = [say.plain("Line chart of the loss of {title}.", title=plot.title)]
    parts += [_course(say, curve) for curve in plot.series]
    if plot.total is not None:
        reached = plot.series[0].steps[-1]
        parts.append(say.plain("{step} of {total} steps are done.", step=f"{reached:,}", total=f"{plot.total:,}"))
    for mark in plot.marks:
        if mark.kind == "odd":
            parts.append(say.plain("The value at step {step} is {odd}.", step=f"{mark.step:,.0f}", odd=mark.label))
        elif mark.kind == "deadline":
            parts.append(say.plain("At this pace the deadline comes at step {step}.", step=f"{mark.step:,.0f}"))
    return " ".join(parts)[:ALT]


def _course(say: Catalogue, curve: Curve) -> str:
    points = [(x, y) for x, y in zip(curve.steps, curve.values, strict=True) if y is not None]
    (first_step, first), (last_step, last) = points[0], points[-1]
    low_step, low = min(points, key=lambda point: point[1])
    course = _IS if len(points) == 1 else _FALLS if last < first else _GOES
    return say.plain(
        course,
        name=curve.name,
        first=number(first),
        first_step=f"{first_step:,}",
        last=number(last),
        last_step=f"{last_step:,}",
        low=number(low),
        low_step=f"{low_step:,}",
    )
