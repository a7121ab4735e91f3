# Written as its users write theirs, so no rule of ours is asked of it.
# ruff: noqa
"""tensorly, as it prints by itself."""

import numpy as np, tensorly as tl
from tensorly.decomposition import parafac

rng = np.random.RandomState(0)
T = tl.tensor(rng.normal(size=(8, 9, 10)))
parafac(T, rank=5, n_iter_max=40, verbose=True, tol=1e-7, init="random", random_state=0)
