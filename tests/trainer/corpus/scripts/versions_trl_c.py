# Written as its users write theirs, so no rule of ours is asked of it.
# ruff: noqa
# trl 0.17 GRPO: two reward functions, no bars, logging each step
from trl_common import *
from trl import GRPOTrainer, GRPOConfig


def even_reward(completions, **k):
    return [sum(int(w[1:]) % 2 == 0 for w in c.split() if w[1:].isdigit()) / 8 for c in completions]


def length_penalty(completions, **k):
    return [-abs(len(c.split()) - 8) / 8 for c in completions]


a = GRPOConfig(
    "out",
    num_generations=4,
    max_prompt_length=16,
    max_completion_length=8,
    logging_steps=1,
    max_steps=40,
    per_device_train_batch_size=8,
    learning_rate=2e-3,
    save_strategy="no",
    report_to="none",
    use_cpu=True,
    disable_tqdm=True,
    beta=0.04,
    eval_strategy="steps",
    eval_steps=20,
    per_device_eval_batch_size=8,
)
d = lambda n, s: HD.from_list([{"prompt": words(x[:6])} for x in chain(n, seed=s)])
t = GRPOTrainer(
    model=lmodel_dir() if 0 else lmodel(),
    reward_funcs=[even_reward, length_penalty],
    args=a,
    train_dataset=d(200, 1),
    eval_dataset=d(16, 2),
    processing_class=tok(),
)
t.train()
