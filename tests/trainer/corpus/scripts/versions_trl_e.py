# Written as its users write theirs, so no rule of ours is asked of it.
# ruff: noqa
# trl 1.2 SFT, bars, prompt-completion, evaluation by steps, resumed
from trl_common import *
from trl import SFTTrainer, SFTConfig


def run(ms, **k):
    a = SFTConfig(
        "out",
        max_length=32,
        eval_strategy="steps",
        eval_steps=20,
        logging_steps=10,
        max_steps=ms,
        save_steps=20,
        per_device_train_batch_size=8,
        learning_rate=5e-3,
        report_to="none",
        use_cpu=True,
        bf16=False,
        gradient_checkpointing=False,
    )
    SFTTrainer(
        model=lmodel(), args=a, train_dataset=texts(500, 1), eval_dataset=texts(80, 2), processing_class=tok()
    ).train(**k)


run(40)
run(120, resume_from_checkpoint=True)
