# Written as its users write theirs, so no rule of ours is asked of it.
# ruff: noqa
"""keras.Model.fit over torch: the bar, and one line an epoch."""

import os
import sys

os.environ["KERAS_BACKEND"] = "torch"
import keras
import numpy as np

keras.utils.set_random_seed(0)
x = np.random.rand(256, 8).astype("float32")
y = (x.sum(1) > 4).astype("float32")
for verbose in (int(sys.argv[1]),):
    model = keras.Sequential([keras.layers.Dense(16, activation="relu"), keras.layers.Dense(1, activation="sigmoid")])
    model.compile("adam", "binary_crossentropy", metrics=["accuracy"])
    model.fit(x, y, batch_size=32, epochs=3, validation_split=0.25, verbose=verbose)
