# Written as its users write theirs, so no rule of ours is asked of it.
# ruff: noqa
"""ydf, as it prints by itself."""

import numpy as np, ydf

rng = np.random.default_rng(0)
x = rng.normal(size=(60000, 4))
y = (x.sum(1) + rng.normal(size=60000) > 0).astype(int)
ydf.verbose(2)
ydf.GradientBoostedTreesLearner(label="y", num_trees=200, early_stopping="NONE").train(
    {**{f"f{i}": x[:, i] for i in range(4)}, "y": y}
)
