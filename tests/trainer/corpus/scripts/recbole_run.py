# Written as its users write theirs, so no rule of ours is asked of it.
# ruff: noqa
import numpy as np

for old, new in (("bool8", np.bool_), ("float_", np.float64), ("complex_", np.complex128), ("unicode_", np.str_)):
    setattr(np, old, new)

import pathlib
import random

from recbole.quick_start import run_recbole

random.seed(1)
folder = pathlib.Path("data/tiny")
folder.mkdir(parents=True, exist_ok=True)
rows = ["user_id:token\titem_id:token\trating:float\ttimestamp:float"]
rows += [f"u{u}\ti{random.randrange(30)}\t1\t{t}" for u in range(40) for t in range(12)]
(folder / "tiny.inter").write_text("\n".join(rows) + "\n")
run_recbole(
    model="BPR",
    dataset="tiny",
    config_dict={"data_path": "data", "epochs": 5, "use_gpu": False, "embedding_size": 8, "train_batch_size": 64},
)
