# Written as its users write theirs, so no rule of ours is asked of it.
# ruff: noqa
"""lifelines: Cox's model, and one of a distribution."""

from lifelines import CoxPHFitter
from lifelines.datasets import load_rossi

CoxPHFitter().fit(load_rossi(), "week", "arrest", show_progress=True)
