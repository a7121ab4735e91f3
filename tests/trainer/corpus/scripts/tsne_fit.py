# Written as its users write theirs, so no rule of ours is asked of it.
# ruff: noqa
"""openTSNE."""

import numpy as np
from openTSNE import TSNE

TSNE(perplexity=10, verbose=True, random_state=0, n_iter=300, early_exaggeration_iter=150).fit(
    np.random.default_rng(0).normal(size=(150, 6))
)
