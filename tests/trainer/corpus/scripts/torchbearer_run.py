# Written as its users write theirs, so no rule of ours is asked of it.
# ruff: noqa
import torch
from torchbearer import Trial

torch.manual_seed(1)
x, y = torch.rand(96, 8), torch.randint(0, 3, (96,))
model = torch.nn.Linear(8, 3)
trial = Trial(model, torch.optim.SGD(model.parameters(), 0.1), torch.nn.CrossEntropyLoss(), metrics=["acc", "loss"])
trial.with_train_data(x, y, batch_size=16).with_val_data(x, y, batch_size=16).run(epochs=4)
