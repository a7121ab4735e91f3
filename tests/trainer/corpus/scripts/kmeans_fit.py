# Written as its users write theirs, so no rule of ours is asked of it.
# ruff: noqa
"""kmeans, as it prints by itself."""

import numpy as np
from sklearn.cluster import KMeans

X = np.random.RandomState(0).normal(size=(600, 5))
KMeans(6, n_init=3, verbose=1, random_state=0).fit(X)
