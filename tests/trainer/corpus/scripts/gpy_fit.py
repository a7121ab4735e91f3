# Written as its users write theirs, so no rule of ours is asked of it.
# ruff: noqa
"""gpy, as it prints by itself."""

import numpy as np, GPy

np.random.seed(0)
X = np.random.uniform(-3, 3, (60, 1))
Y = np.sin(X) + np.random.randn(60, 1) * 0.1
m = GPy.models.GPRegression(X, Y, GPy.kern.RBF(1))
m.optimize(messages=True)
