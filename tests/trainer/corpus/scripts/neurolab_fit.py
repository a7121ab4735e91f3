# Written as its users write theirs, so no rule of ours is asked of it.
# ruff: noqa
"""neurolab, as it prints by itself."""

import numpy as np, neurolab as nl

np.random.seed(0)
x = np.linspace(-7, 7, 40)
y = np.sin(x) * 0.5
net = nl.net.newff([[-7, 7]], [5, 1])
net.trainf = nl.train.train_gdx
net.train(x.reshape(-1, 1), y.reshape(-1, 1), epochs=400, show=20, goal=0.001)
