# Written as its users write theirs, so no rule of ours is asked of it.
# ruff: noqa
"""lda: topics by Gibbs sampling."""

import logging
import numpy as np
import lda

lda.LDA(n_topics=4, n_iter=200, random_state=1, refresh=20).fit(np.random.default_rng(0).integers(0, 4, (30, 40)))
