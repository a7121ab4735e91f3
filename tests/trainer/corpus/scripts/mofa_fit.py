# Written as its users write theirs, so no rule of ours is asked of it.
# ruff: noqa
"""mofa, as it prints by itself."""

import numpy as np
from mofapy2.run.entry_point import entry_point

rng = np.random.default_rng(0)
z = rng.normal(size=(60, 3))
e = entry_point()
e.set_data_options(scale_views=False)
e.set_data_matrix(
    [
        [z @ rng.normal(size=(3, 20)) + rng.normal(size=(60, 20))],
        [z @ rng.normal(size=(3, 15)) + rng.normal(size=(60, 15))],
    ]
)
e.set_model_options(factors=5)
e.set_train_options(iter=40, convergence_mode="medium", seed=1, verbose=False)
e.build()
e.run()
