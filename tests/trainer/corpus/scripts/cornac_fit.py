# Written as its users write theirs, so no rule of ours is asked of it.
# ruff: noqa
"""cornac: matrix factorisation, BPR and a variational autoencoder."""

import numpy as np
import cornac

rng = np.random.default_rng(0)
rows = [(f"u{rng.integers(40)}", f"i{rng.integers(30)}", float(rng.integers(1, 6))) for _ in range(600)]
rows = list({(u, i): (u, i, r) for u, i, r in rows}.values())
split = cornac.eval_methods.RatioSplit(data=rows, test_size=0.2, seed=1, verbose=True)
models = [
    cornac.models.MF(k=5, max_iter=10, verbose=True, seed=1),
    cornac.models.BPR(k=5, max_iter=10, verbose=True, seed=1),
    cornac.models.BiVAECF(k=4, n_epochs=10, verbose=True, seed=1),
]
cornac.Experiment(
    eval_method=split,
    models=models,
    metrics=[cornac.metrics.MAE(), cornac.metrics.Recall(k=5)],
    user_based=True,
    verbose=True,
).run()
