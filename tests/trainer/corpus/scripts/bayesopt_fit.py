# Written as its users write theirs, so no rule of ours is asked of it.
# ruff: noqa
"""bayesopt, as it prints by itself."""

from bayes_opt import BayesianOptimization
from sklearn.datasets import make_classification
from sklearn.model_selection import cross_val_score
from sklearn.svm import SVC

X, y = make_classification(200, 10, random_state=0)


def f(logC, logGamma):
    return cross_val_score(
        SVC(C=10**logC, gamma=10**logGamma), X, y, cv=3, scoring="neg_log_loss" if False else "accuracy"
    ).mean()


BayesianOptimization(f, {"logC": (-3, 3), "logGamma": (-4, 1)}, random_state=1, verbose=2).maximize(
    init_points=5, n_iter=15
)
