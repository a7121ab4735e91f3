# Written as its users write theirs, so no rule of ours is asked of it.
# ruff: noqa
"""denoising-diffusion-pytorch on random pictures."""

import torch
from denoising_diffusion_pytorch import GaussianDiffusion1D, Trainer1D, Unet1D, Dataset1D

torch.manual_seed(0)
data = Dataset1D(torch.rand(64, 4, 32))
model = Unet1D(dim=8, dim_mults=(1, 2), channels=4)
diffusion = GaussianDiffusion1D(model, seq_length=32, timesteps=10, objective="pred_v")
Trainer1D(
    diffusion,
    dataset=data,
    train_batch_size=8,
    train_lr=8e-5,
    train_num_steps=40,
    gradient_accumulate_every=1,
    ema_decay=0.995,
    amp=False,
    save_and_sample_every=20,
    num_samples=4,
).train()
