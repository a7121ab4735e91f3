# Written as its users write theirs, so no rule of ours is asked of it.
# ruff: noqa
import os

os.environ["KERAS_BACKEND"] = "torch"
import numpy as np, keras
from keras import layers

keras.utils.set_random_seed(3)
x = np.random.randn(600, 20).astype("float32")
y = (x[:, :3].sum(1) + 0.3 * np.random.randn(600) > 0).astype("float32")
m = keras.Sequential(
    [
        keras.Input((20,)),
        layers.Dense(32, activation="relu"),
        layers.Dropout(0.3),
        layers.Dense(1, activation="sigmoid"),
    ]
)
m.compile("adam", loss="binary_crossentropy", metrics=["accuracy", "mae", "mse"])
m.summary()
cb = [
    keras.callbacks.EarlyStopping(
        monitor="val_accuracy", mode="max", patience=2, verbose=1, restore_best_weights=True, min_delta=0.003
    ),
    keras.callbacks.ModelCheckpoint("best.keras", monitor="val_loss", save_best_only=True, verbose=1),
    keras.callbacks.ReduceLROnPlateau(monitor="val_loss", patience=1, verbose=1),
]
m.fit(x, y, batch_size=16, epochs=12, validation_split=0.2, callbacks=cb)
loss, acc, mae, mse = m.evaluate(x[:100], y[:100])
print(f"Test loss: {loss:.4f} - Test accuracy: {acc:.4f}")
