# Written as its users write theirs, so no rule of ours is asked of it.
# ruff: noqa
import sys

import numpy as np
import torch
from poutyne import Model

torch.manual_seed(1)
x, y = np.random.rand(96, 8).astype("float32"), np.random.randint(0, 3, 96)
model = Model(torch.nn.Linear(8, 3), "sgd", "cross_entropy", batch_metrics=["accuracy"])
options = {"coloring": False, "progress_bar": False} if "plain" in sys.argv else {}
model.fit(x, y, validation_data=(x, y), epochs=4, batch_size=16, progress_options=options)
