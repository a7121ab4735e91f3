# Written as its users write theirs, so no rule of ours is asked of it.
# ruff: noqa
"""PyKEEN's pipeline on random triples."""

import numpy as np
from pykeen.pipeline import pipeline
from pykeen.triples import TriplesFactory

rng = np.random.default_rng(0)
rows = np.array(
    [
        [f"e{a}", f"r{b}", f"e{c}"]
        for a, b, c in zip(rng.integers(0, 20, 300), rng.integers(0, 3, 300), rng.integers(0, 20, 300))
    ]
)
train, test = TriplesFactory.from_labeled_triples(rows).split([0.8, 0.2], random_state=0)
pipeline(
    training=train,
    testing=test,
    model="TransE",
    model_kwargs={"embedding_dim": 8},
    training_kwargs={"num_epochs": 12, "batch_size": 64},
    random_seed=0,
    device="cpu",
)
