"""Which points of a curve are kept, and which curve is the loss.

Pure. Points are thinned by a rule that needs no memory beside the points themselves: a curve from step a to step
b is cut into strides of a power of two, as few as still give at most `POINTS_LIMIT` strides, and the first point of
each stride stays. Whoever replays the same steps keeps the same points.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from jobs.series import is_evaluation

SERIES_LIMIT = 64  # different curves a job; more is a mistake in a script
POINTS_LIMIT = 2_000  # kept a curve and attempt; a screen shows no more
ENOUGH_POINTS = 5  # of a loss, for a first plot


def loss_series(names: Iterable[str]) -> str | None:
    """Return which curve is *the* loss: `loss`, `train_loss`, then any with loss in its name, training first."""
    known = sorted(names)
    for wanted in ("loss", "train_loss", "train/loss", "training_loss"):
        if wanted in known:
            return wanted
    losses = [name for name in known if "loss" in name.lower()]
    return min(losses, key=_rank, default=None)


def _rank(name: str) -> tuple[bool, bool, str]:
    """Put the training's before an evaluation's, and a step's before an epoch's."""
    return is_evaluation(name), name.startswith("epoch_"), name


def stride(first: int, step: int) -> int:
    """Return how far apart kept points are once a curve reaches from `first` to `step`: a power of two."""
    width = 1
    while (step - first) // width >= POINTS_LIMIT:
        width *= 2
    return width


def keeps(first: int, last: int, step: int) -> bool:
    """Return whether a point at `step` is kept after one at `last`: the first of each stride is."""
    width = stride(first, step)
    return step > last and (step - first) // width > (last - first) // width


def thinned(steps: Sequence[int], width: int) -> set[int]:
    """Return which of the ascending `steps` stay when only the first of each `width` does."""
    first = steps[0]
    kept: dict[int, int] = {}
    for step in steps:
        kept.setdefault((step - first) // width, step)
    return set(kept.values())
