# Written as its users write theirs, so no rule of ours is asked of it.
# ruff: noqa
"""histgb, as it prints by itself."""

from sklearn.datasets import make_classification
from sklearn.ensemble import HistGradientBoostingClassifier

X, y = make_classification(1000, 10, random_state=0)
HistGradientBoostingClassifier(max_iter=25, verbose=2, early_stopping=True, random_state=0).fit(X, y)
