# Written as its users write theirs, so no rule of ours is asked of it.
# ruff: noqa
# 5.0: image classification, bars, eval_on_start, logging_first_step, tensorboard
from tf_common import *

set_seed(6)


def ds(n, s):
    g = torch.Generator().manual_seed(s)
    o = []
    for _ in range(n):
        y = int(torch.randint(0, 4, (1,), generator=g))
        im = torch.randn(3, 16, 16, generator=g)
        im[y % 3, : 8 if y < 2 else 16] += 0.25 * (y + 1)
        o.append(dict(pixel_values=im, labels=y))
    return D(o)


cfg = ViTConfig(
    image_size=16,
    patch_size=4,
    hidden_size=32,
    num_hidden_layers=2,
    num_attention_heads=2,
    intermediate_size=64,
    num_labels=4,
)
a = TrainingArguments(
    "out",
    eval_strategy="steps",
    eval_steps=40,
    eval_on_start=True,
    logging_steps=10,
    logging_first_step=True,
    num_train_epochs=4,
    per_device_train_batch_size=16,
    learning_rate=1e-3,
    save_strategy="no",
    report_to="none",
    use_cpu=True,
    remove_unused_columns=False,
)
t = Trainer(ViTForImageClassification(cfg), a, train_dataset=ds(640, 1), eval_dataset=ds(160, 2), compute_metrics=cm)
r = t.train()
t.log_metrics("train", r.metrics)
t.log_metrics("eval", t.evaluate())
