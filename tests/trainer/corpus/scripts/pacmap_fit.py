# Written as its users write theirs, so no rule of ours is asked of it.
# ruff: noqa
"""pacmap, as it prints by itself."""

import numpy as np, pacmap

pacmap.PaCMAP(n_neighbors=10, verbose=True, random_state=1).fit_transform(
    np.random.default_rng(0).normal(size=(300, 10)).astype("float32")
)
