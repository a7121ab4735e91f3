# Written as its users write theirs, so no rule of ours is asked of it.
# ruff: noqa
"""CTGAN on a made-up table."""

import numpy as np
import pandas as pd
from ctgan import CTGAN

rng = np.random.default_rng(0)
table = pd.DataFrame({"a": rng.normal(size=150), "b": rng.choice(["x", "y"], 150), "c": rng.normal(size=150)})
CTGAN(epochs=8, batch_size=50, enable_gpu=False, verbose=True, pac=5).fit(table, ["b"])
