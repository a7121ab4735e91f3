# Written as its users write theirs, so no rule of ours is asked of it.
# ruff: noqa
"""mittens, as it prints by itself."""

import numpy as np
from mittens import GloVe

rng = np.random.default_rng(0)
c = rng.poisson(2.0, (60, 60)).astype(float)
c = c + c.T
GloVe(n=8, max_iter=250).fit(c)
