# Written as its users write theirs, so no rule of ours is asked of it.
# ruff: noqa
"""sentence-transformers, both of its ways to train."""

import torch
from sentence_transformers import InputExample, SentenceTransformer, SentenceTransformerTrainer, losses, models
from sentence_transformers.training_args import SentenceTransformerTrainingArguments
from datasets import Dataset
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

torch.manual_seed(0)
words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *(f"w{n}" for n in range(60))]
inner = Tokenizer(WordLevel({w: n for n, w in enumerate(words)}, unk_token="[UNK]"))
inner.pre_tokenizer = Whitespace()
tokenizer = PreTrainedTokenizerFast(
    tokenizer_object=inner, pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]"
)
tokenizer.save_pretrained("tiny")
BertModel(
    BertConfig(vocab_size=64, hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32)
).save_pretrained("tiny")
word = models.Transformer("tiny", max_seq_length=16)
model = SentenceTransformer(modules=[word, models.Pooling(32)], device="cpu")
data = Dataset.from_dict(
    {"anchor": [f"w{n % 60} w{n % 7}" for n in range(96)], "positive": [f"w{n % 60} w{n % 5}" for n in range(96)]}
)
arguments = SentenceTransformerTrainingArguments(
    output_dir="out-st",
    num_train_epochs=3,
    per_device_train_batch_size=8,
    logging_steps=3,
    use_cpu=True,
    report_to="none",
    save_strategy="no",
)
SentenceTransformerTrainer(
    model=model, args=arguments, train_dataset=data, loss=losses.MultipleNegativesRankingLoss(model)
).train()
