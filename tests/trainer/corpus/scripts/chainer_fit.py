# Written as its users write theirs, so no rule of ours is asked of it.
# ruff: noqa
"""chainer, as it prints by itself."""

import numpy as np, chainer, chainer.links as L
from chainer import training
from chainer.training import extensions as E

np.random.seed(0)
X = np.random.normal(size=(400, 8)).astype("f")
y = (X[:, 0] > 0).astype("i")
d = chainer.datasets.TupleDataset(X, y)
train, test = chainer.datasets.split_dataset(d, 320)
model = L.Classifier(chainer.Sequential(L.Linear(8, 16), chainer.functions.relu, L.Linear(16, 2)))
opt = chainer.optimizers.Adam()
opt.setup(model)
up = training.updaters.StandardUpdater(chainer.iterators.SerialIterator(train, 16), opt)
tr = training.Trainer(up, (15, "epoch"), out="/tmp/chainer-out")
tr.extend(E.Evaluator(chainer.iterators.SerialIterator(test, 16, repeat=False, shuffle=False), model))
tr.extend(E.LogReport())
tr.extend(
    E.PrintReport(
        [
            "epoch",
            "iteration",
            "main/loss",
            "validation/main/loss",
            "main/accuracy",
            "validation/main/accuracy",
            "elapsed_time",
        ]
    )
)
tr.run()
