# Written as its users write theirs, so no rule of ours is asked of it.
# ruff: noqa
"""river, one sample after another."""

from river import datasets, evaluate, linear_model, metrics, preprocessing

evaluate.progressive_val_score(
    datasets.Phishing(),
    preprocessing.StandardScaler() | linear_model.LogisticRegression(),
    metrics.ROCAUC(),
    print_every=100,
)
evaluate.progressive_val_score(
    datasets.Phishing(),
    preprocessing.StandardScaler() | linear_model.LogisticRegression(),
    metrics.Accuracy() + metrics.F1(),
    print_every=200,
    show_time=True,
    show_memory=True,
)
