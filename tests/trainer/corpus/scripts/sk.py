# Written as its users write theirs, so no rule of ours is asked of it.
# ruff: noqa
"""scikit-learn's own words while it trains."""

import sys

import numpy as np
from sklearn.ensemble import GradientBoostingClassifier
from sklearn.linear_model import SGDClassifier
from sklearn.neural_network import MLPClassifier

rng = np.random.default_rng(0)
x = rng.normal(size=(300, 6))
y = (x.sum(1) > 0).astype(int)
kind = {
    "mlp": MLPClassifier((8,), max_iter=15, verbose=True, random_state=0),
    "boosting": GradientBoostingClassifier(n_estimators=20, verbose=2, random_state=0),
    "sgd": SGDClassifier(max_iter=8, verbose=1, random_state=0, tol=None),
}[sys.argv[1]]
kind.fit(x, y)
