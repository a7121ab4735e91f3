# Written as its users write theirs, so no rule of ours is asked of it.
# ruff: noqa
"""transformers.Trainer on a tiny random GPT-2, with evaluations."""

import sys

import torch
from transformers import GPT2Config, GPT2LMHeadModel, Trainer, TrainingArguments

torch.manual_seed(0)
rows = [{"input_ids": (ids := torch.randint(0, 64, (16,))), "labels": ids} for _ in range(96)]
model = GPT2LMHeadModel(GPT2Config(vocab_size=64, n_positions=16, n_embd=32, n_layer=2, n_head=2))
arguments = TrainingArguments(
    output_dir=sys.argv[1] if len(sys.argv) > 1 else "out",
    num_train_epochs=4,
    per_device_train_batch_size=8,
    learning_rate=1e-3,
    logging_steps=2,
    eval_strategy="epoch",
    save_strategy="epoch",
    save_total_limit=2,
    report_to="none",
    use_cpu=True,
)
Trainer(model=model, args=arguments, train_dataset=rows, eval_dataset=rows[:24]).train()
