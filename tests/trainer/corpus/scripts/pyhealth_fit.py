# after the README's five stages: a model, its Trainer and monitor, on made-up visits
import random

import numpy as np
import torch
from pyhealth.datasets import SampleEHRDataset, get_dataloader, split_by_patient
from pyhealth.models import RNN
from pyhealth.trainer import Trainer

random.seed(0)
np.random.seed(0)
torch.manual_seed(0)

codes = [f"d{i}" for i in range(30)]
samples = []
for p in range(150):
    c = [random.choice(codes) for _ in range(6)]
    samples.append(
        {"patient_id": f"p{p}", "visit_id": f"v{p}", "conditions": c, "label": int(sum(int(x[1:]) for x in c) > 87)}
    )
ds = SampleEHRDataset(samples=samples, dataset_name="toy")
tr, va, te = split_by_patient(ds, [0.6, 0.2, 0.2])
tr, va, te = (
    get_dataloader(tr, batch_size=8, shuffle=True),
    get_dataloader(va, batch_size=8, shuffle=False),
    get_dataloader(te, batch_size=8, shuffle=False),
)
model = RNN(dataset=ds, feature_keys=["conditions"], label_key="label", mode="binary", embedding_dim=16, hidden_dim=16)
trainer = Trainer(model=model, metrics=["pr_auc", "roc_auc"], device="cpu")
trainer.train(train_dataloader=tr, val_dataloader=va, epochs=4, monitor="roc_auc")
