# Written as its users write theirs, so no rule of ours is asked of it.
# ruff: noqa
# trl 0.24 ORPO, bars, INFO
from trl_common import *

transformers.utils.logging.set_verbosity_info()
from trl import ORPOTrainer, ORPOConfig

a = ORPOConfig(
    "out",
    beta=0.1,
    max_length=32,
    max_prompt_length=16,
    eval_strategy="epoch",
    logging_steps=5,
    num_train_epochs=3,
    per_device_train_batch_size=8,
    learning_rate=1e-3,
    save_strategy="no",
    report_to="none",
    use_cpu=True,
)
t = ORPOTrainer(model=lmodel(), args=a, train_dataset=prefs(160, 1), eval_dataset=prefs(32, 2), processing_class=tok())
t.train()
