# Written as its users write theirs, so no rule of ours is asked of it.
# ruff: noqa
import numpy as np
from ngboost import NGBRegressor

rng = np.random.default_rng(1)
x = rng.random((120, 4))
y = x.sum(1) + rng.normal(size=120)
NGBRegressor(n_estimators=60, verbose_eval=5).fit(x, y, X_val=x[:30], Y_val=y[:30])
