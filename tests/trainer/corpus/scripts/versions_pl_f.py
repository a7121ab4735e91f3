# Written as its users write theirs, so no rule of ours is asked of it.
# ruff: noqa
# lightning 2.6: two runs, the second resumed from a checkpoint; steps in the bar; two validation loaders
from pl_common import *
import lightning.pytorch as pl
from lightning.pytorch.callbacks import ModelCheckpoint, TQDMProgressBar


class Net(pl.LightningModule):
    def __init__(s):
        super().__init__()
        s.net = nn.Sequential(nn.Linear(20, 64), nn.ReLU(), nn.Linear(64, 4))

    def training_step(s, b, i):
        x, y = b
        o = s.net(x)
        l = F.cross_entropy(o, y)
        s.log("loss", l, prog_bar=True)
        s.log("acc", (o.argmax(1) == y).float().mean(), prog_bar=True, on_step=False, on_epoch=True)
        time.sleep(0.01)
        return l

    def validation_step(s, b, i, dataloader_idx=0):
        x, y = b
        o = s.net(x)
        s.log("val_loss", F.cross_entropy(o, y), prog_bar=True)
        s.log("val_acc", (o.argmax(1) == y).float().mean())

    def configure_optimizers(s):
        return torch.optim.Adam(s.parameters(), lr=2e-3)


pl.seed_everything(1)
dl = lambda n, k: DataLoader(blobs(n, k), 32, shuffle=k == 1)
vs = [dl(96, 2), dl(96, 3)]
kw = dict(accelerator="cpu", logger=pl.loggers.TensorBoardLogger("tb"), log_every_n_steps=10)
t = pl.Trainer(max_epochs=2, callbacks=[ModelCheckpoint("ck", save_last=True), TQDMProgressBar(refresh_rate=4)], **kw)
t.fit(Net(), dl(800, 1), vs)
n = Net()
t = pl.Trainer(max_epochs=5, callbacks=[ModelCheckpoint("ck", save_last=True), TQDMProgressBar(refresh_rate=4)], **kw)
t.fit(n, dl(800, 1), vs, ckpt_path="ck/last.ckpt", weights_only=False)
t.validate(n, vs)
