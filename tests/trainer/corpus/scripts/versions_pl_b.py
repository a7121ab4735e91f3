# Written as its users write theirs, so no rule of ours is asked of it.
# ruff: noqa
# pl 1.8: early stopping verbose, checkpoint verbose, val_check_interval, accumulate, refresh 5, CSV logger
from pl_common import *
import pytorch_lightning as pl, sys
from pytorch_lightning.callbacks import *


class Reg(pl.LightningModule):
    def __init__(s, lr=1e-2):
        super().__init__()
        s.save_hyperparameters()
        s.net = nn.Sequential(nn.Linear(20, 32), nn.GELU(), nn.Linear(32, 1))

    def step(s, b, n):
        x, y = b
        p = s.net(x)[:, 0]
        l = F.mse_loss(p, y.float())
        s.log(n + "/mse", l, prog_bar=True)
        s.log(n + "/mae", (p - y).abs().mean(), prog_bar=n == "val")
        return l

    def training_step(s, b, i):
        time.sleep(0.005)
        return s.step(b, "train")

    def validation_step(s, b, i):
        s.step(b, "val")

    def configure_optimizers(s):
        o = torch.optim.SGD(s.parameters(), lr=s.hparams.lr)
        return {"optimizer": o, "lr_scheduler": torch.optim.lr_scheduler.StepLR(o, 3)}


pl.seed_everything(7, workers=True)
cb = [
    EarlyStopping("val/mse", patience=3, verbose=True, min_delta=0.01),
    ModelCheckpoint("ckpts", monitor="val/mse", save_top_k=2, verbose=True),
    LearningRateMonitor(),
    TQDMProgressBar(refresh_rate=5),
]
t = pl.Trainer(
    max_epochs=12,
    accelerator="cpu",
    accumulate_grad_batches=2,
    val_check_interval=0.5,
    callbacks=cb,
    logger=pl.loggers.CSVLogger("logs"),
    num_sanity_val_steps=0,
)
t.fit(Reg(), DataLoader(blobs(640, 1), 32, shuffle=True), DataLoader(blobs(160, 2), 32))
print("Best:", cb[1].best_model_path, float(cb[1].best_model_score))
