# the package's Trainer on made-up mel spectrograms, with a small DiT
import random

import torch
from f5_tts.model import CFM, DiT, Trainer

torch.manual_seed(0)
random.seed(0)


class D(torch.utils.data.Dataset):
    def __len__(self):
        return 48

    def get_frame_len(self, i):
        return 40 + i % 20

    def __getitem__(self, i):
        return {"mel_spec": torch.randn(100, 40 + i % 20), "text": f"hello number {i}"}


if __name__ == "__main__":
    model = CFM(
        transformer=DiT(
            dim=64,
            depth=2,
            heads=2,
            dim_head=32,
            ff_mult=2,
            mel_dim=100,
            text_num_embeds=256,
            text_dim=32,
            conv_layers=1,
        ),
        mel_spec_kwargs={"n_mel_channels": 100, "mel_spec_type": "vocos"},
    )
    trainer = Trainer(
        model,
        epochs=3,
        learning_rate=1e-4,
        num_warmup_updates=10,
        save_per_updates=1000,
        checkpoint_path="ckpts",
        batch_size_per_gpu=4,
        batch_size_type="sample",
        logger=None,
        last_per_updates=1000,
    )
    trainer.train(D(), num_workers=1, resumable_with_seed=666)
