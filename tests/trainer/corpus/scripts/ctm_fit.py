# Written as its users write theirs, so no rule of ours is asked of it.
# ruff: noqa
"""ctm, as it prints by itself."""

import numpy as np, random
from contextualized_topic_models.models.ctm import CombinedTM
from contextualized_topic_models.datasets.dataset import CTMDataset
import scipy.sparse as sp

rng = np.random.default_rng(0)
n, v, c = 120, 50, 16
bow = sp.csr_matrix(rng.poisson(0.5, (n, v)).astype("float32"))
d = CTMDataset(
    X_contextual=rng.normal(size=(n, c)).astype("float32"), X_bow=bow, idx2token={i: f"w{i}" for i in range(v)}
)
m = CombinedTM(
    bow_size=v,
    contextual_size=c,
    n_components=4,
    num_epochs=20,
    batch_size=32,
    num_data_loader_workers=0,
    hidden_sizes=(16,),
)
m.fit(d)
