# Written as its users write theirs, so no rule of ours is asked of it.
# ruff: noqa
# pl 2.3: GAN with manual optimisation, max_steps, IterableDataset (no length), refresh_rate 4
from pl_common import *
import pytorch_lightning as pl
from pytorch_lightning.callbacks import TQDMProgressBar


class It(torch.utils.data.IterableDataset):
    def __iter__(s):
        for i in range(60):
            time.sleep(0.01)
            yield torch.randn(64, 2) @ torch.tensor([[1.0, 0.5], [0, 0.3]]) + 2


class GAN(pl.LightningModule):
    def __init__(s):
        super().__init__()
        s.automatic_optimization = False
        s.G = nn.Sequential(nn.Linear(8, 32), nn.ReLU(), nn.Linear(32, 2))
        s.D = nn.Sequential(nn.Linear(2, 32), nn.LeakyReLU(0.2), nn.Linear(32, 1))

    def training_step(s, x, i):
        og, od = s.optimizers()
        z = torch.randn(64, 8)
        bce = F.binary_cross_entropy_with_logits
        s.toggle_optimizer(og)
        g = bce(s.D(s.G(z)), torch.ones(64, 1))
        og.zero_grad()
        s.manual_backward(g)
        og.step()
        s.untoggle_optimizer(og)
        s.toggle_optimizer(od)
        d = (bce(s.D(x), torch.ones(64, 1)) + bce(s.D(s.G(z).detach()), torch.zeros(64, 1))) / 2
        od.zero_grad()
        s.manual_backward(d)
        od.step()
        s.untoggle_optimizer(od)
        s.log("g_loss", g, prog_bar=True)
        s.log("d_loss", d, prog_bar=True)

    def validation_step(s, x, i):
        s.log("val_fid_proxy", (s.G(torch.randn(64, 8)).mean(0) - x.mean(0)).norm(), prog_bar=True)

    def configure_optimizers(s):
        return torch.optim.Adam(s.G.parameters(), 2e-3, betas=(0.5, 0.99)), torch.optim.Adam(
            s.D.parameters(), 2e-3, betas=(0.5, 0.99)
        )


pl.seed_everything(3)
t = pl.Trainer(
    max_steps=400,
    accelerator="cpu",
    callbacks=[TQDMProgressBar(refresh_rate=4)],
    logger=False,
    enable_checkpointing=False,
)
t.fit(GAN(), DataLoader(It(), None), DataLoader(torch.randn(256, 2) + 2, 64))
