import numpy as np
import pandas as pd
from autogluon.tabular import TabularPredictor

g = np.random.default_rng(0)


def d(n):
    x = g.normal(size=(n, 6))
    df = pd.DataFrame(x, columns=list("abcdef"))
    df["class"] = np.where(x[:, 0] + x[:, 1] * x[:, 2] + g.normal(size=n) * 0.5 > 0, "yes", "no")
    return df


if __name__ == "__main__":
    predictor = TabularPredictor(label="class", path="./ag").fit(
        d(600),
        hyperparameters={
            "GBM": [{}, {"extra_trees": True, "ag_args": {"name_suffix": "XT"}}],
            "NN_TORCH": {"num_epochs": 10},
            "RF": {},
            "XT": {},
            "LR": {},
        },
        num_cpus=1,
    )
