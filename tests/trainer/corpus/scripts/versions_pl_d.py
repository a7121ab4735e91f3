# Written as its users write theirs, so no rule of ours is asked of it.
# ruff: noqa
# lightning 2.1: Rich bar
from pl_common import *
import lightning as L
from lightning.pytorch.callbacks import RichProgressBar, RichModelSummary, EarlyStopping


class Net(L.LightningModule):
    def __init__(s):
        super().__init__()
        s.net = nn.Sequential(nn.Linear(20, 64), nn.ReLU(), nn.Linear(64, 4))

    def training_step(s, b, i):
        x, y = b
        o = s.net(x)
        l = F.cross_entropy(o, y)
        s.log_dict({"loss": l, "acc": (o.argmax(1) == y).float().mean()}, prog_bar=True, on_step=True, on_epoch=True)
        time.sleep(0.01)
        return l

    def validation_step(s, b, i):
        x, y = b
        o = s.net(x)
        s.log_dict({"val_loss": F.cross_entropy(o, y), "val_acc": (o.argmax(1) == y).float().mean()}, prog_bar=True)

    def test_step(s, b, i):
        x, y = b
        o = s.net(x)
        s.log_dict({"test_loss": F.cross_entropy(o, y), "test_acc": (o.argmax(1) == y).float().mean()})

    def on_validation_epoch_end(s):
        if not s.trainer.sanity_checking:
            s.print(
                f"epoch {s.current_epoch} step {s.global_step}: val_loss={s.trainer.callback_metrics['val_loss']:.4f}"
            )

    def configure_optimizers(s):
        return torch.optim.Adam(s.parameters(), lr=2e-3)


L.seed_everything(1)
m = Net()
t = L.Trainer(
    max_epochs=8,
    accelerator="cpu",
    callbacks=[
        RichProgressBar(leave=True),
        RichModelSummary(max_depth=2),
        EarlyStopping("val_loss", patience=3, verbose=True),
    ],
    logger=False,
)
t.fit(m, DataLoader(blobs(480, 1), 32, shuffle=True), DataLoader(blobs(128, 2), 32))
t.validate(m, DataLoader(blobs(128, 2), 32))
t.test(m, DataLoader(blobs(128, 3), 32))
