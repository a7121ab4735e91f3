# the quickstart: SCVI on made-up counts, default progress
import anndata
import numpy as np
import scvi

scvi.settings.seed = 0
g = np.random.default_rng(0)
ad = anndata.AnnData(g.poisson(1.0, (400, 50)).astype("float32"))
scvi.model.SCVI.setup_anndata(ad)
model = scvi.model.SCVI(ad, n_hidden=32, n_latent=5)
model.train(max_epochs=15, accelerator="cpu", check_val_every_n_epoch=None)
