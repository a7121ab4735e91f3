# Written as its users write theirs, so no rule of ours is asked of it.
# ruff: noqa
"""NLTK's maximum entropy classifier."""

import random
from nltk.classify import MaxentClassifier

random.seed(0)
data = []
for _ in range(80):
    x = [random.random() < 0.5 for _ in range(4)]
    data.append(({f"f{i}": v for i, v in enumerate(x)}, sum(x) >= 2))
MaxentClassifier.train(data, algorithm="gis", max_iter=15)
MaxentClassifier.train(data, algorithm="iis", max_iter=8)
