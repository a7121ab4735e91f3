# Written as its users write theirs, so no rule of ours is asked of it.
# ruff: noqa
# 4.38: causal LM as in run_clm, no bars, evaluation by steps, gradient accumulation, perplexity
from tf_common import *
import math

set_seed(2)
a = TrainingArguments(
    "out",
    evaluation_strategy="steps",
    eval_steps=25,
    logging_steps=5,
    gradient_accumulation_steps=4,
    num_train_epochs=6,
    per_device_train_batch_size=4,
    learning_rate=5e-3,
    warmup_steps=20,
    lr_scheduler_type="cosine",
    disable_tqdm=True,
    save_strategy="no",
    report_to=[],
    use_cpu=True,
)
t = Trainer(GPT2LMHeadModel(GPT2Config(**gpt)), a, train_dataset=lm(500, 1), eval_dataset=lm(80, 2))
r = t.train()
t.log_metrics("train", r.metrics)
m = t.evaluate()
m["perplexity"] = math.exp(m["eval_loss"])
t.log_metrics("eval", m)
print(f"Perplexity: {m['perplexity']:.2f}")
