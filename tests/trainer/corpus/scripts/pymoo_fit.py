# Written as its users write theirs, so no rule of ours is asked of it.
# ruff: noqa
"""pymoo, as it prints by itself."""

from pymoo.algorithms.soo.nonconvex.ga import GA
from pymoo.problems import get_problem
from pymoo.optimize import minimize

minimize(get_problem("g1"), GA(pop_size=60, eliminate_duplicates=True), ("n_gen", 30), seed=1, verbose=True)
