# Written as its users write theirs, so no rule of ours is asked of it.
# ruff: noqa
# trl 0.12 DPO: INFO, bars, evaluation each epoch, gradient accumulation
from trl_common import *
from trl import DPOTrainer, DPOConfig

a = DPOConfig(
    "out",
    beta=0.1,
    max_length=32,
    max_prompt_length=16,
    eval_strategy="epoch",
    logging_steps=5,
    num_train_epochs=3,
    per_device_train_batch_size=4,
    gradient_accumulation_steps=2,
    learning_rate=1e-3,
    save_strategy="no",
    report_to="none",
    use_cpu=True,
)
t = DPOTrainer(
    model=lmodel(),
    ref_model=lmodel(),
    args=a,
    train_dataset=prefs(160, 1),
    eval_dataset=prefs(40, 2),
    processing_class=tok(),
)
t.train()
m = t.evaluate()
t.log_metrics("eval", m)
