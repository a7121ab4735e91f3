# after the docs' training example: a denoiser on random pictures
import deepinv as dinv
import torch

torch.manual_seed(0)


class D(torch.utils.data.Dataset):
    def __init__(self, n):
        self.x = torch.nn.functional.interpolate(torch.rand(n, 3, 4, 4), 32)

    def __len__(self):
        return len(self.x)

    def __getitem__(self, i):
        return self.x[i], self.x[i] + 0.1 * torch.randn_like(self.x[i])


physics = dinv.physics.Denoising(noise_model=dinv.physics.GaussianNoise(sigma=0.1))
model = dinv.models.ArtifactRemoval(dinv.models.UNet(3, 3, scales=2), mode="direct")
optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
trainer = dinv.Trainer(
    model=model,
    physics=physics,
    optimizer=optimizer,
    epochs=3,
    train_dataloader=torch.utils.data.DataLoader(D(48), batch_size=4),
    eval_dataloader=torch.utils.data.DataLoader(D(16), batch_size=4),
    losses=dinv.loss.SupLoss(metric=dinv.metric.MSE()),
    metrics=dinv.metric.PSNR(),
    device="cpu",
    save_path="./ckpts",
    verbose=True,
)
model = trainer.train()
trainer.test(torch.utils.data.DataLoader(D(16), batch_size=4))
