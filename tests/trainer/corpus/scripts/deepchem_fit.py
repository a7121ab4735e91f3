# Written as its users write theirs, so no rule of ours is asked of it.
# ruff: noqa
"""deepchem, as it prints by itself."""

import logging

logging.basicConfig(level=logging.INFO)
import numpy as np, torch, deepchem as dc

np.random.seed(0)
torch.manual_seed(0)


def ds(n):
    X = np.random.normal(size=(n, 6))
    return dc.data.NumpyDataset(X, (X[:, :1] + 0.3 * np.random.normal(size=(n, 1)) > 0).astype(float))


m = dc.models.MultitaskClassifier(1, 6, layer_sizes=[16], batch_size=20, log_frequency=10)
cb = dc.models.ValidationCallback(
    ds(50), 25, [dc.metrics.Metric(dc.metrics.roc_auc_score), dc.metrics.Metric(dc.metrics.accuracy_score)]
)
m.fit(ds(200), nb_epoch=20, callbacks=[cb])
