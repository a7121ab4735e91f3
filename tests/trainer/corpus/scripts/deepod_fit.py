# Written as its users write theirs, so no rule of ours is asked of it.
# ruff: noqa
"""deepod, as it prints by itself."""

import numpy as np
from deepod.models.tabular import DeepSVDD

DeepSVDD(epochs=120, batch_size=32, device="cpu", epoch_steps=-1, rep_dim=8, hidden_dims="16").fit(
    np.random.default_rng(0).normal(size=(300, 6))
)
