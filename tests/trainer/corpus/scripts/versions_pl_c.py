# Written as its users write theirs, so no rule of ours is asked of it.
# ruff: noqa
# pl 2.0: enable_progress_bar False, own print in on_train_epoch_end / on_validation_epoch_end, f1/auroc of torchmetrics
from pl_common import *
import pytorch_lightning as pl, torchmetrics as tm


class Net(pl.LightningModule):
    def __init__(s):
        super().__init__()
        s.net = nn.Sequential(nn.Linear(20, 64), nn.ReLU(), nn.Linear(64, 4))
        s.f1 = tm.F1Score(task="multiclass", num_classes=4, average="macro")
        s.auc = tm.AUROC(task="multiclass", num_classes=4)
        s.outs = []

    def training_step(s, b, i):
        x, y = b
        loss = F.cross_entropy(s.net(x), y)
        s.outs.append(loss.item())
        s.log("loss", loss)
        if s.global_step % 10 == 0:
            print(f"[step {s.global_step}] loss = {loss.item():.5f} lr = {s.optimizers().param_groups[0]['lr']:.2e}")
        return loss

    def on_train_epoch_end(s):
        print(f"Epoch {s.current_epoch}/{s.trainer.max_epochs} | train loss {sum(s.outs) / len(s.outs):.4f}")
        s.outs.clear()

    def validation_step(s, b, i):
        x, y = b
        o = s.net(x)
        s.f1(o, y)
        s.auc(o, y)
        s.log("val_loss", F.cross_entropy(o, y))

    def on_validation_epoch_end(s):
        if s.trainer.sanity_checking:
            s.f1.reset()
            s.auc.reset()
            return
        m = s.trainer.callback_metrics
        print(
            f"Epoch {s.current_epoch} validation | loss {m['val_loss']:.4f} | macro-F1 {s.f1.compute():.3f} | AUROC {s.auc.compute():.3f}"
        )
        s.f1.reset()
        s.auc.reset()

    def configure_optimizers(s):
        return torch.optim.AdamW(s.parameters(), lr=1e-3)


pl.seed_everything(0)
m = Net()
t = pl.Trainer(
    max_epochs=10, accelerator="cpu", enable_progress_bar=False, enable_model_summary=True, log_every_n_steps=1
)
t.fit(m, DataLoader(blobs(640, 1), 32, shuffle=True), DataLoader(blobs(160, 2), 32))
print(t.validate(m, DataLoader(blobs(160, 2), 32), verbose=True))
