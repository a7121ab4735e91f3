# Written as its users write theirs, so no rule of ours is asked of it.
# ruff: noqa
# trl 0.9 SFT: packing, bars, evaluation by steps
from trl_common import *
from trl import SFTTrainer, SFTConfig

a = SFTConfig(
    "out",
    dataset_text_field="text",
    packing=True,
    max_seq_length=32,
    eval_strategy="steps",
    eval_steps=20,
    logging_steps=5,
    num_train_epochs=4,
    per_device_train_batch_size=8,
    learning_rate=5e-3,
    save_strategy="no",
    report_to="none",
    use_cpu=True,
    logging_first_step=True,
)
t = SFTTrainer(model=lmodel(), args=a, train_dataset=texts(500, 1), eval_dataset=texts(80, 2), tokenizer=tok())
t.train()
