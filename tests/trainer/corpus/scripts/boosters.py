# Written as its users write theirs, so no rule of ours is asked of it.
# ruff: noqa
"""What the gradient boosters print each round."""

import sys

import numpy as np

rng = np.random.default_rng(0)
x = rng.normal(size=(400, 6))
y = (x.sum(1) + rng.normal(size=400) > 0).astype(int)
if sys.argv[1] == "xgboost":
    import xgboost as xgb

    train, val = xgb.DMatrix(x[:300], y[:300]), xgb.DMatrix(x[300:], y[300:])
    xgb.train(
        {"objective": "binary:logistic", "eval_metric": ["logloss", "auc"], "nthread": 1},
        train,
        20,
        evals=[(train, "train"), (val, "val")],
        verbose_eval=1,
    )
elif sys.argv[1] == "lightgbm":
    import lightgbm as lgb

    train = lgb.Dataset(x[:300], y[:300])
    val = lgb.Dataset(x[300:], y[300:], reference=train)
    lgb.train(
        {"objective": "binary", "metric": ["binary_logloss", "auc"], "num_threads": 1},
        train,
        20,
        valid_sets=[train, val],
        valid_names=["train", "val"],
        callbacks=[lgb.log_evaluation(1)],
    )
else:
    from catboost import CatBoostClassifier

    CatBoostClassifier(iterations=20, thread_count=1, verbose=1, allow_writing_files=False).fit(
        x[:300], y[:300], eval_set=(x[300:], y[300:])
    )
