# Written as its users write theirs, so no rule of ours is asked of it.
# ruff: noqa
"""cellpose, as it prints by itself."""

import numpy as np
from cellpose import io, models, train

io.logger_setup()
rng = np.random.default_rng(0)


def make():
    im, m = rng.random((96, 96)).astype("float32") * 0.1, np.zeros((96, 96), "uint16")
    for k in range(1, 8):
        y, x = rng.integers(10, 86, 2)
        yy, xx = np.ogrid[:96, :96]
        d = (yy - y) ** 2 + (xx - x) ** 2 < 64
        im[d] += 0.8
        m[d & (m == 0)] = k
    return im, m


tr = [make() for _ in range(4)]
te = [make() for _ in range(2)]
model = models.CellposeModel(gpu=False, pretrained_model=None, nchan=2)
train.train_seg(
    model.net,
    train_data=[a for a, _ in tr],
    train_labels=[b for _, b in tr],
    test_data=[a for a, _ in te],
    test_labels=[b for _, b in te],
    channels=[0, 0],
    n_epochs=61,
    batch_size=2,
    min_train_masks=1,
    nimg_per_epoch=2,
    nimg_test_per_epoch=1,
    bsize=64,
    save_path=".",
    model_name="tiny",
)
