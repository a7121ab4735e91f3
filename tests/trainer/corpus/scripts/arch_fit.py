# Written as its users write theirs, so no rule of ours is asked of it.
# ruff: noqa
"""arch, as it prints by itself."""

import numpy as np
from arch import arch_model

r = np.random.default_rng(0).standard_t(5, 800)
arch_model(r, p=1, o=1, q=1, dist="t").fit(update_freq=1)
