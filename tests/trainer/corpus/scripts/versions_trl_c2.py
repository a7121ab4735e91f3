# Written as its users write theirs, so no rule of ours is asked of it.
# ruff: noqa
# trl 0.17 reward model, bars, evaluation by steps
from trl_common import *
from trl import RewardTrainer, RewardConfig
from transformers import GPT2ForSequenceClassification

set_seed(0)
m = GPT2ForSequenceClassification(GPT2Config(**{**gpt, "n_positions": 64}, pad_token_id=0, num_labels=1))
a = RewardConfig(
    "out",
    max_length=32,
    eval_strategy="steps",
    eval_steps=15,
    logging_steps=5,
    num_train_epochs=3,
    per_device_train_batch_size=8,
    learning_rate=2e-3,
    save_strategy="no",
    report_to="none",
    use_cpu=True,
    center_rewards_coefficient=0.01,
)
t = RewardTrainer(model=m, args=a, train_dataset=prefs(160, 1), eval_dataset=prefs(40, 2), processing_class=tok())
t.train()
