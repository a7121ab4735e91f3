# Written as its users write theirs, so no rule of ours is asked of it.
# ruff: noqa
"""optuna, as it prints by itself."""

import optuna
from sklearn.datasets import make_classification
from sklearn.model_selection import cross_val_score
from sklearn.tree import DecisionTreeClassifier

X, y = make_classification(400, 12, random_state=0)


def objective(trial):
    d = trial.suggest_int("max_depth", 1, 12)
    m = trial.suggest_float("min_samples_leaf", 0.001, 0.3, log=True)
    return cross_val_score(DecisionTreeClassifier(max_depth=d, min_samples_leaf=m, random_state=0), X, y, cv=3).mean()


study = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=0))
study.optimize(objective, n_trials=25)
