# Written as its users write theirs, so no rule of ours is asked of it.
# ruff: noqa
"""Keras on PyTorch with its own callback that keeps the model, and an option to go on from it."""

import argparse
import os
import re
import time

import keras
import numpy as np

parser = argparse.ArgumentParser()
parser.add_argument("--resume", default=None, help="path to a saved model to go on from")
args = parser.parse_args()

keras.utils.set_random_seed(0)
initial_epoch = 0
if args.resume:
    initial_epoch = int(re.search(r"(\d+)\.keras$", args.resume)[1])
    model = keras.models.load_model(args.resume)
    print("loaded", args.resume)
else:
    model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(1)])
    model.compile("adam", "mse")
x = np.random.rand(160, 8)
os.makedirs("out", exist_ok=True)


class Slow(keras.callbacks.Callback):
    def on_train_batch_end(self, batch, logs=None):
        time.sleep(0.05)


model.fit(
    x,
    x.sum(1),
    epochs=8,
    initial_epoch=initial_epoch,
    batch_size=8,
    verbose=2,
    callbacks=[Slow(), keras.callbacks.ModelCheckpoint("out/ep{epoch:02d}.keras")],
)
