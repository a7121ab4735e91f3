# Written as its users write theirs, so no rule of ours is asked of it.
# ruff: noqa
"""paddle's high-level Model.fit."""

import numpy as np
import paddle

paddle.seed(0)


class Data(paddle.io.Dataset):
    def __init__(self, n):
        self.x = np.random.default_rng(0).normal(size=(n, 8)).astype("float32")
        self.y = (self.x.sum(1) > 0).astype("int64")[:, None]

    def __len__(self):
        return len(self.x)

    def __getitem__(self, i):
        return self.x[i], self.y[i]


model = paddle.Model(paddle.nn.Linear(8, 2))
model.prepare(
    paddle.optimizer.SGD(0.1, parameters=model.parameters()), paddle.nn.CrossEntropyLoss(), paddle.metric.Accuracy()
)
model.fit(Data(128), Data(32), batch_size=16, epochs=3, log_freq=2, verbose=2)
