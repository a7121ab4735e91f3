# the README's first example (LightGCN, pure data) on made-up ratings
import numpy as np
import pandas as pd
from libreco.algorithms import LightGCN
from libreco.data import DatasetPure, random_split

g = np.random.default_rng(0)
data = pd.DataFrame(
    {"user": g.integers(0, 120, 3000), "item": g.integers(0, 80, 3000), "label": g.integers(1, 6, 3000)}
).drop_duplicates(["user", "item"])
train_data, eval_data, test_data = random_split(data, multi_ratios=[0.8, 0.1, 0.1])
train_data, data_info = DatasetPure.build_trainset(train_data)
eval_data = DatasetPure.build_evalset(eval_data)
test_data = DatasetPure.build_testset(test_data)
lightgcn = LightGCN(
    task="ranking",
    data_info=data_info,
    loss_type="bpr",
    embed_size=16,
    n_epochs=3,
    lr=1e-3,
    batch_size=256,
    num_neg=1,
    device="cpu",
)
lightgcn.fit(
    train_data,
    neg_sampling=True,
    verbose=2,
    eval_data=eval_data,
    metrics=["loss", "roc_auc", "precision", "recall", "ndcg"],
)
