# Written as its users write theirs, so no rule of ours is asked of it.
# ruff: noqa
"""transformers.Trainer behind HfArgumentParser, put together as the library's own examples are."""

import os
import time
from dataclasses import dataclass, field

import torch
from transformers import GPT2Config, GPT2LMHeadModel, HfArgumentParser, Trainer, TrainingArguments, set_seed


@dataclass
class DataArguments:
    rows: int = field(default=96, metadata={"help": "How many rows of chance to train on."})
    pause: float = field(default=0.01, metadata={"help": "Seconds that reading a row takes."})


class Rows(torch.utils.data.Dataset):
    def __init__(self, arguments):
        self.arguments = arguments
        self.ids = torch.randint(0, 64, (arguments.rows, 16))

    def __len__(self):
        return self.arguments.rows

    def __getitem__(self, index):
        time.sleep(self.arguments.pause)
        return {"input_ids": self.ids[index], "labels": self.ids[index]}


def main():
    parser = HfArgumentParser((DataArguments, TrainingArguments))
    data_args, training_args = parser.parse_args_into_dataclasses()
    set_seed(training_args.seed)
    model = GPT2LMHeadModel(GPT2Config(vocab_size=64, n_positions=16, n_embd=32, n_layer=2, n_head=2))
    trainer = Trainer(model=model, args=training_args, train_dataset=Rows(data_args))
    checkpoint = None
    if training_args.resume_from_checkpoint is not None:
        checkpoint = training_args.resume_from_checkpoint
    trainer.train(resume_from_checkpoint=checkpoint)
    trainer.save_model()


if __name__ == "__main__":
    main()
