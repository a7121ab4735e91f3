# Written as its users write theirs, so no rule of ours is asked of it.
# ruff: noqa
"""mealpy, as it prints by itself."""

import numpy as np
from mealpy import FloatVar, PSO

PSO.OriginalPSO(epoch=25, pop_size=20).solve(
    {"obj_func": lambda x: float(np.sum(x**2)), "bounds": FloatVar(lb=(-10.0,) * 8, ub=(10.0,) * 8), "minmax": "min"},
    seed=0,
)
