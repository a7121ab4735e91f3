# Written as its users write theirs, so no rule of ours is asked of it.
# ruff: noqa
"""numpyro: stochastic variational inference with its bar."""

import jax.numpy as jnp
import numpyro
import numpyro.distributions as dist
from jax import random
from numpyro.infer import SVI, Trace_ELBO
from numpyro.infer.autoguide import AutoNormal


def model(x, y=None):
    w = numpyro.sample("w", dist.Normal(0, 1))
    numpyro.sample("y", dist.Normal(w * x, 1.0), obs=y)


x = jnp.linspace(-1, 1, 50)
svi = SVI(model, AutoNormal(model), numpyro.optim.Adam(0.01), Trace_ELBO())
svi.run(random.PRNGKey(0), 400, x, 2 * x)
