# Written as its users write theirs, so no rule of ours is asked of it.
# ruff: noqa
# trl 0.24 KTO, no bars, logging by steps
from trl_common import *
from trl import KTOTrainer, KTOConfig


def un(d):
    return HD.from_list(
        [
            {"prompt": r["prompt"], "completion": r["chosen" if k else "rejected"], "label": bool(k)}
            for i, r in enumerate(d)
            for k in ((1, 0) if i % 2 else (0, 1))
        ]
    )


a = KTOConfig(
    "out",
    beta=0.1,
    max_length=32,
    max_prompt_length=16,
    eval_strategy="steps",
    eval_steps=20,
    logging_steps=4,
    num_train_epochs=2,
    per_device_train_batch_size=8,
    learning_rate=1e-3,
    save_strategy="no",
    report_to="none",
    use_cpu=True,
    disable_tqdm=True,
)
t = KTOTrainer(
    model=lmodel(),
    ref_model=lmodel(),
    args=a,
    train_dataset=un(prefs(160, 1)),
    eval_dataset=un(prefs(32, 2)),
    processing_class=tok(),
)
t.train()
