# Written as its users write theirs, so no rule of ours is asked of it.
# ruff: noqa
import os

os.environ["KERAS_BACKEND"] = "torch"
import numpy as np, keras, time
from keras import layers

keras.utils.set_random_seed(7)


class Windows(keras.utils.PyDataset):
    def __init__(s, n, **k):
        super().__init__(**k)
        s.n = n

    def __len__(s):
        return s.n

    def __getitem__(s, i):
        r = np.random.RandomState(i)
        t = r.rand(32, 1) * 6 + np.arange(24)[None] * 0.2
        w = np.sin(t) + 0.1 * r.randn(32, 24)
        time.sleep(0.01)
        return w[:, :23, None].astype("float32"), w[:, 23:].astype("float32")


class Say(keras.callbacks.Callback):
    def on_epoch_end(self, epoch, logs=None):
        print(f"\n>> epoch {epoch}: mae={logs['mae']:.4f} val_mae={logs['val_mae']:.4f}")


m = keras.Sequential(
    [keras.Input((23, 1)), layers.Conv1D(16, 5, activation="relu"), layers.GlobalAveragePooling1D(), layers.Dense(1)]
)
m.compile("rmsprop", loss="huber", metrics=["mae", "mse"])
m.fit(
    Windows(25),
    validation_data=Windows(6),
    epochs=6,
    callbacks=[Say(), keras.callbacks.TensorBoard("tb")] if False else [Say()],
)
m.save("m.keras")
res = m.evaluate(Windows(8))
print(dict(zip(m.metrics_names, res)))
print("resuming from epoch 6")
m = keras.models.load_model("m.keras")
m.fit(Windows(25), validation_data=Windows(6), epochs=9, initial_epoch=6, verbose="auto")
