# Written as its users write theirs, so no rule of ours is asked of it.
# ruff: noqa
# 5.24: causal LM by max_steps, bars, INFO, resumed from a checkpoint, tokens counted
from tf_common import *

transformers.utils.logging.set_verbosity_info()
set_seed(8)


def run(ms, **k):
    a = TrainingArguments(
        "out",
        eval_strategy="steps",
        eval_steps=20,
        logging_steps=5,
        max_steps=ms,
        per_device_train_batch_size=8,
        save_steps=20,
        learning_rate=3e-3,
        report_to="none",
        use_cpu=True,
        include_num_input_tokens_seen="all",
        lr_scheduler_type="constant_with_warmup",
        warmup_steps=20,
    )
    t = Trainer(
        LlamaForCausalLM(
            LlamaConfig(
                vocab_size=100,
                hidden_size=32,
                intermediate_size=64,
                num_hidden_layers=2,
                num_attention_heads=2,
                max_position_embeddings=32,
            )
        ),
        a,
        train_dataset=lm(800, 1),
        eval_dataset=lm(80, 2),
    )
    return t.train(**k), t


run(60)
r, t = run(140, resume_from_checkpoint="out/checkpoint-60")
t.log_metrics("train", r.metrics)
