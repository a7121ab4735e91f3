# after coqui-ai-Trainer's examples/train_mnist.py, on random pictures
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

from trainer import Trainer, TrainerArgs, TrainerConfig, TrainerModel

torch.manual_seed(0)


@dataclass
class MnistModelConfig(TrainerConfig):
    optimizer: str = "Adam"
    lr: float = 0.001
    epochs: int = 3
    print_step: int = 4
    plot_step: int = 1000
    save_step: int = 10000
    dashboard_logger: str = "tensorboard"
    output_path: str = "./out"


class MnistModel(TrainerModel):
    def __init__(self):
        super().__init__()
        self.layer_1 = nn.Linear(784, 64)
        self.layer_3 = nn.Linear(64, 10)

    def format_batch(self, batch):
        return {"x": batch[0], "y": batch[1]}

    def forward(self, x):
        return F.log_softmax(self.layer_3(F.relu(self.layer_1(x.view(x.shape[0], -1)))), dim=1)

    def train_step(self, batch, criterion):
        x, y = batch["x"], batch["y"]
        logits = self(x)
        loss = criterion(logits, y)
        return {"model_outputs": logits}, {"loss": loss}

    def eval_step(self, batch, criterion):
        x, y = batch["x"], batch["y"]
        logits = self(x)
        loss = criterion(logits, y)
        return {"model_outputs": logits}, {"loss": loss}

    @staticmethod
    def get_criterion():
        return torch.nn.NLLLoss()

    def get_data_loader(self, config, *, is_eval=False, samples=None, verbose=True):
        n = 64 if is_eval else 160
        y = torch.randint(0, 10, (n,))
        x = torch.randn(n, 1, 28, 28) + y[:, None, None, None] * 0.1
        return DataLoader(TensorDataset(x, y), batch_size=16)


config = MnistModelConfig()
model = MnistModel()
trainer = Trainer(TrainerArgs(), config, model=model, output_path=config.output_path)
trainer.fit()
