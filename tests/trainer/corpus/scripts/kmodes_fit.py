# Written as its users write theirs, so no rule of ours is asked of it.
# ruff: noqa
"""kmodes, as it prints by itself."""

import numpy as np
from kmodes.kprototypes import KPrototypes

rng = np.random.RandomState(0)
X = np.empty((200, 5), object)
X[:, :3] = rng.normal(size=(200, 3))
X[:, 3:] = rng.choice(list("abcdef"), (200, 2))
KPrototypes(n_clusters=5, init="Cao", n_init=3, verbose=1, random_state=0).fit(X, categorical=[3, 4])
