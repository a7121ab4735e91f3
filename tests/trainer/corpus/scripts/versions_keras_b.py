# Written as its users write theirs, so no rule of ours is asked of it.
# ruff: noqa
import os

os.environ["KERAS_BACKEND"] = "torch"
import numpy as np, keras
from keras import layers

keras.utils.set_random_seed(5)
x = np.random.randn(512, 16).astype("float32")
yp = (x[:, 0] > 0).astype("int32") + (x[:, 1] > 0).astype("int32")
yt = (x[:, 2:3] * 0.5 + 0.1).astype("float32")
i = keras.Input((16,), name="feats")
h = layers.Dense(32, activation="relu")(i)
a = layers.Dense(3, name="priority", activation="softmax")(h)
b = layers.Dense(1, name="temperature")(h)
m = keras.Model(i, {"priority": a, "temperature": b})
m.compile(
    keras.optimizers.Adam(3e-3),
    loss={"priority": "sparse_categorical_crossentropy", "temperature": "mse"},
    loss_weights={"priority": 1.0, "temperature": 0.2},
    metrics={"priority": ["accuracy"], "temperature": ["mae", keras.metrics.RootMeanSquaredError(name="rmse")]},
)
h = m.fit(
    x[:384],
    {"priority": yp[:384], "temperature": yt[:384]},
    validation_data=(x[384:], {"priority": yp[384:], "temperature": yt[384:]}),
    epochs=40,
    batch_size=32,
    verbose=2,
    callbacks=[
        keras.callbacks.LearningRateScheduler(lambda e, lr: lr * 0.97, verbose=1),
        keras.callbacks.EarlyStopping(patience=6, monitor="val_loss", verbose=1),
    ],
)
print("Evaluate on test set")
print(m.evaluate(x[384:], {"priority": yp[384:], "temperature": yt[384:]}, verbose=2, return_dict=True))
print("best val_loss", min(h.history["val_loss"]))
