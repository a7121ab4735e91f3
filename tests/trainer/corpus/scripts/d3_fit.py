# Written as its users write theirs, so no rule of ours is asked of it.
# ruff: noqa
import d3rlpy
import numpy as np

rng = np.random.default_rng(1)
ends = np.array([(i + 1) % 20 == 0 for i in range(400)], dtype=float)
data = d3rlpy.dataset.MDPDataset(
    observations=rng.random((400, 4)).astype("float32"),
    actions=rng.integers(0, 2, 400),
    rewards=rng.random(400),
    terminals=ends,
)
algo = d3rlpy.algos.DiscreteCQLConfig(batch_size=16).create(device="cpu:0")
algo.fit(data, n_steps=400, n_steps_per_epoch=100)
