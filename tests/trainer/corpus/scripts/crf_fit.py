# Written as its users write theirs, so no rule of ours is asked of it.
# ruff: noqa
"""sklearn-crfsuite on made-up tags."""

import random
import sklearn_crfsuite

random.seed(0)
X = [[{"w": random.choice("abcdef")} for _ in range(6)] for _ in range(40)]
y = [["V" if t["w"] in "aef" and random.random() < 0.9 else "C" for t in s] for s in X]
sklearn_crfsuite.CRF(algorithm="lbfgs", max_iterations=12, verbose=True).fit(X, y)
sklearn_crfsuite.CRF(algorithm="ap", max_iterations=8, verbose=True).fit(X, y, X[:10], y[:10])
