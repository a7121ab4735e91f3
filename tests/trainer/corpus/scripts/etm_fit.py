# Written as its users write theirs, so no rule of ours is asked of it.
# ruff: noqa
"""etm, as it prints by itself."""

import numpy as np
from embedded_topic_model.models.etm import ETM

rng = np.random.default_rng(0)
toks, cnts = [], []
for k in range(120):
    u, c = np.unique(rng.integers((k % 4) * 10, (k % 4) * 10 + 12, 25) % 40, return_counts=True)
    toks.append(u)
    cnts.append(c)
o = lambda a: np.array(a, dtype=object)
ETM(
    [f"word{i}" for i in range(40)],
    num_topics=4,
    epochs=15,
    batch_size=32,
    rho_size=16,
    emb_size=16,
    t_hidden_size=16,
    train_embeddings=True,
    debug_mode=True,
).fit({"tokens": o(toks), "counts": o(cnts)})
