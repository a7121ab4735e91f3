# Written as its users write theirs, so no rule of ours is asked of it.
# ruff: noqa
"""mxnet, as it prints by itself."""

import logging

logging.basicConfig(level=logging.INFO)
import numpy as np

np.bool = bool
import mxnet as mx

mx.random.seed(0)
np.random.seed(0)
X = np.random.normal(size=(640, 8))
y = (X[:, 0] > 0).astype(float)
ti = mx.io.NDArrayIter(X[:512], y[:512], 16, shuffle=True)
vi = mx.io.NDArrayIter(X[512:], y[512:], 16)
n = mx.sym.FullyConnected(mx.sym.var("data"), num_hidden=16)
n = mx.sym.Activation(n, act_type="relu")
n = mx.sym.SoftmaxOutput(mx.sym.FullyConnected(n, num_hidden=2), name="softmax")
mx.mod.Module(n, context=mx.cpu()).fit(
    ti, eval_data=vi, optimizer="sgd", optimizer_params={"learning_rate": 0.1}, eval_metric=["acc", "ce"], num_epoch=8
)
