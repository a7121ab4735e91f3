# Written as its users write theirs, so no rule of ours is asked of it.
# ruff: noqa
"""evotorch, as it prints by itself."""

import torch
from evotorch import Problem
from evotorch.algorithms import SNES
from evotorch.logging import StdOutLogger

torch.manual_seed(0)


def sphere(x):
    return torch.sum(x**2, dim=-1)


p = Problem("min", sphere, solution_length=8, initial_bounds=(-1, 1), vectorized=True, seed=0)
s = SNES(p, stdev_init=1.0, popsize=20)
StdOutLogger(s)
s.run(12)
