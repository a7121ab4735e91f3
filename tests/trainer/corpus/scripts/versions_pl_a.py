# Written as its users write theirs, so no rule of ours is asked of it.
# ruff: noqa
# pl 1.7: default TQDM bar, on_step and on_epoch, validation, test at the end
from pl_common import *
import pytorch_lightning as pl
from torchmetrics import Accuracy


class Net(pl.LightningModule):
    def __init__(s):
        super().__init__()
        s.save_hyperparameters()
        s.net = nn.Sequential(nn.Linear(20, 64), nn.ReLU(), nn.Linear(64, 4))
        s.acc = Accuracy(task="multiclass", num_classes=4)

    def training_step(s, b, i):
        x, y = b
        o = s.net(x)
        loss = F.cross_entropy(o, y)
        time.sleep(0.01)
        s.log("train_loss", loss, on_step=True, on_epoch=True, prog_bar=True)
        s.log("train_acc", (o.argmax(1) == y).float().mean(), on_epoch=True, on_step=False, prog_bar=True)
        return loss

    def validation_step(s, b, i):
        x, y = b
        o = s.net(x)
        s.acc(o, y)
        s.log("val_loss", F.cross_entropy(o, y), prog_bar=True)
        s.log("val_acc", s.acc, prog_bar=True)

    def test_step(s, b, i):
        x, y = b
        o = s.net(x)
        s.acc(o, y)
        s.log("test_loss", F.cross_entropy(o, y))
        s.log("test_acc", s.acc)

    def configure_optimizers(s):
        return torch.optim.Adam(s.parameters(), lr=2e-3)


pl.seed_everything(42)
m = Net()
t = pl.Trainer(max_epochs=4, accelerator="cpu", devices=1, log_every_n_steps=5, enable_checkpointing=False)
t.fit(m, DataLoader(blobs(480, 1), 32, shuffle=True), DataLoader(blobs(128, 2), 32))
t.test(m, DataLoader(blobs(128, 3), 32))
