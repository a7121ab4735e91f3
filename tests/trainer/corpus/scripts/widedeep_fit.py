# Written as its users write theirs, so no rule of ours is asked of it.
# ruff: noqa
import numpy as np
from pytorch_widedeep import Trainer
from pytorch_widedeep.metrics import Accuracy
from pytorch_widedeep.models import TabMlp, WideDeep

rng = np.random.default_rng(1)
x = rng.random((200, 4)).astype("float32")
y = (x[:, 0] > 0.5).astype(int)
net = TabMlp(
    column_idx={f"c{i}": i for i in range(4)}, continuous_cols=[f"c{i}" for i in range(4)], mlp_hidden_dims=[8]
)
Trainer(WideDeep(deeptabular=net), objective="binary", metrics=[Accuracy]).fit(
    X_tab=x, target=y, n_epochs=4, batch_size=32, val_split=0.2
)
