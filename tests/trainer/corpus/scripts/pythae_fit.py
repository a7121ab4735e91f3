# Written as its users write theirs, so no rule of ours is asked of it.
# ruff: noqa
"""pythae: a variational autoencoder on random pictures."""

import numpy as np
from pythae.models import VAE, VAEConfig
from pythae.pipelines import TrainingPipeline
from pythae.trainers import BaseTrainerConfig

rng = np.random.default_rng(0)
config = BaseTrainerConfig(
    output_dir="out", num_epochs=5, learning_rate=1e-3, per_device_train_batch_size=20, per_device_eval_batch_size=20
)
model = VAE(VAEConfig(input_dim=(1, 8, 8), latent_dim=4))
TrainingPipeline(training_config=config, model=model)(
    train_data=rng.random((120, 1, 8, 8)), eval_data=rng.random((40, 1, 8, 8))
)
