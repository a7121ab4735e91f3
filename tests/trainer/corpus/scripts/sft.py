# Written as its users write theirs, so no rule of ours is asked of it.
# ruff: noqa
"""trl's SFTTrainer on tokens that are given, with a peft adapter."""

import torch
from datasets import Dataset
from peft import LoraConfig
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast
from trl import SFTConfig, SFTTrainer

torch.manual_seed(0)
words = ["[PAD]", "[UNK]", "[EOS]", *(f"w{n}" for n in range(61))]
inner = Tokenizer(WordLevel({w: n for n, w in enumerate(words)}, unk_token="[UNK]"))
inner.pre_tokenizer = Whitespace()
tokenizer = PreTrainedTokenizerFast(tokenizer_object=inner, pad_token="[PAD]", unk_token="[UNK]", eos_token="[EOS]")
model = LlamaForCausalLM(
    LlamaConfig(vocab_size=64, hidden_size=32, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2)
)
data = Dataset.from_dict({"text": [" ".join(f"w{(n * k) % 61}" for k in range(12)) for n in range(96)]})
arguments = SFTConfig(
    output_dir="out-sft",
    num_train_epochs=3,
    per_device_train_batch_size=8,
    logging_steps=3,
    use_cpu=True,
    report_to="none",
    save_strategy="no",
    bf16=False,
)
try:
    trainer = SFTTrainer(
        model=model,
        args=arguments,
        train_dataset=data,
        processing_class=tokenizer,
        peft_config=LoraConfig(r=2, target_modules=["q_proj"], task_type="CAUSAL_LM"),
    )
except TypeError:
    trainer = SFTTrainer(
        model=model,
        args=arguments,
        train_dataset=data,
        tokenizer=tokenizer,
        peft_config=LoraConfig(r=2, target_modules=["q_proj"], task_type="CAUSAL_LM"),
    )
trainer.train()
