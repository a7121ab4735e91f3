# Written as its users write theirs, so no rule of ours is asked of it.
# ruff: noqa
import numpy as np
from gluonts.dataset.common import ListDataset
from gluonts.torch import SimpleFeedForwardEstimator

series = [{"start": "2026-01-01", "target": np.random.rand(100)} for _ in range(4)]
data = ListDataset(series, freq="D")
SimpleFeedForwardEstimator(
    prediction_length=5,
    context_length=10,
    batch_size=8,
    num_batches_per_epoch=10,
    trainer_kwargs={"max_epochs": 4, "accelerator": "cpu"},
).train(data)
