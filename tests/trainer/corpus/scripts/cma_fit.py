# Written as its users write theirs, so no rule of ours is asked of it.
# ruff: noqa
"""cma, as it prints by itself."""

import cma

es = cma.CMAEvolutionStrategy(6 * [0.5], 0.4, {"seed": 3, "verb_disp": 20, "verb_log": 0, "maxiter": 300})
es.optimize(cma.ff.rosen)
