# Written as its users write theirs, so no rule of ours is asked of it.
# ruff: noqa
import os

os.environ["KERAS_BACKEND"] = "torch"
import numpy as np, keras, torch
from keras import layers, ops

keras.utils.set_random_seed(9)


class VAE(keras.Model):
    def __init__(self, **k):
        super().__init__(**k)
        self.enc = keras.Sequential([layers.Dense(64, activation="relu"), layers.Dense(8)])
        self.dec = keras.Sequential([layers.Dense(64, activation="relu"), layers.Dense(100)])
        self.tl = keras.metrics.Mean(name="total_loss")
        self.rl = keras.metrics.Mean(name="reconstruction_loss")
        self.kl = keras.metrics.Mean(name="kl_loss")

    @property
    def metrics(self):
        return [self.tl, self.rl, self.kl]

    def call(self, x):
        h = self.enc(x)
        mu, lv = h[:, :4], h[:, 4:]
        return self.dec(mu + ops.exp(0.5 * lv) * keras.random.normal(ops.shape(mu))), mu, lv

    def losses_(self, x):
        r, mu, lv = self(x)
        rl = ops.mean(ops.sum((r - x) ** 2, 1))
        kl = ops.mean(ops.sum(-0.5 * (1 + lv - mu**2 - ops.exp(lv)), 1))
        return rl + kl, rl, kl

    def upd(self, t, r, k):
        self.tl.update_state(t.detach())
        self.rl.update_state(r.detach())
        self.kl.update_state(k.detach())
        return {m.name: m.result() for m in self.metrics}

    def train_step(self, d):
        if isinstance(d, tuple):
            d = d[0]
        self.zero_grad()
        t, r, k = self.losses_(d)
        t.backward()
        ws = self.trainable_weights
        g = [w.value.grad for w in ws]
        with torch.no_grad():
            self.optimizer.apply(g, ws)
        return self.upd(t, r, k)

    def test_step(self, d):
        if isinstance(d, tuple):
            d = d[0]
        return self.upd(*self.losses_(d))


x = (np.random.randn(640, 4) @ np.random.randn(4, 100) + 0.1 * np.random.randn(640, 100)).astype("float32")
v = VAE()
v(x[:2])
v.compile(optimizer=keras.optimizers.Adam(1e-3))
v.fit(
    x[:512],
    epochs=8,
    batch_size=16,
    validation_data=(x[512:],),
    callbacks=[
        keras.callbacks.TerminateOnNaN(),
        keras.callbacks.CSVLogger("log.csv"),
        keras.callbacks.ModelCheckpoint(
            "w.weights.h5", save_weights_only=True, save_best_only=True, monitor="val_total_loss", mode="min", verbose=1
        ),
    ],
)
