# Written as its users write theirs, so no rule of ours is asked of it.
# ruff: noqa
"""scikit-learn's t-SNE, as it prints by itself."""

import numpy as np
from sklearn.manifold import TSNE

X = np.random.RandomState(0).normal(size=(200, 10))
TSNE(verbose=2, max_iter=600, perplexity=15, random_state=0).fit_transform(X)
