# Written as its users write theirs, so no rule of ours is asked of it.
# ruff: noqa
"""CEBRA with its bar."""

import numpy as np
from cebra import CEBRA

CEBRA(
    model_architecture="offset1-model",
    batch_size=32,
    max_iterations=40,
    output_dimension=3,
    num_hidden_units=8,
    verbose=True,
    device="cpu",
).fit(np.random.default_rng(0).normal(size=(200, 5)))
