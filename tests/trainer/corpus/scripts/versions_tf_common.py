# Written as its users write theirs, so no rule of ours is asked of it.
# ruff: noqa
import torch, numpy as np, random, os, sys, logging
import transformers
from transformers import (
    TrainingArguments,
    Trainer,
    Seq2SeqTrainingArguments,
    Seq2SeqTrainer,
    PreTrainedTokenizerFast,
    set_seed,
    DataCollatorForLanguageModeling,
    EarlyStoppingCallback,
    BertConfig,
    BertModel,
    BertForSequenceClassification,
    BertForMaskedLM,
    GPT2Config,
    GPT2LMHeadModel,
    BartConfig,
    BartForConditionalGeneration,
    DistilBertConfig,
    DistilBertForSequenceClassification,
    ViTConfig,
    ViTForImageClassification,
    LlamaConfig,
    LlamaForCausalLM,
)
from torch.utils.data import Dataset


class D(Dataset):
    def __init__(s, rows):
        s.r = rows

    def __len__(s):
        return len(s.r)

    def __getitem__(s, i):
        return dict(s.r[i])


W = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "<s>", "</s>"] + [f"w{i}" for i in range(93)]


def tok():
    from tokenizers import Tokenizer, models, pre_tokenizers

    t = Tokenizer(models.WordLevel({w: i for i, w in enumerate(W)}, unk_token="[UNK]"))
    t.pre_tokenizer = pre_tokenizers.Whitespace()
    return PreTrainedTokenizerFast(
        tokenizer_object=t,
        unk_token="[UNK]",
        pad_token="[PAD]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        mask_token="[MASK]",
        bos_token="<s>",
        eos_token="</s>",
    )


def chain(n, L=16, seed=0):
    r = random.Random(seed)
    out = []
    for _ in range(n):
        x = [r.randrange(7, 100)]
        while len(x) < L:
            x.append(7 + (x[-1] - 7 + r.choice([1, 1, 1, 2, 5])) % 93)
        out.append(x)
    return out


def cls(n, seed=0, c=3, L=12):
    r = random.Random(seed)
    o = []
    for _ in range(n):
        y = r.randrange(c)
        x = [2] + [7 + 31 * (y if r.random() < 0.45 else r.randrange(c)) % 93 + r.randrange(10) for _ in range(L - 1)]
        o.append(dict(input_ids=x, attention_mask=[1] * L, labels=y))
    return D(o)


def lm(n, seed=0):
    return D([dict(input_ids=x, attention_mask=[1] * len(x), labels=list(x)) for x in chain(n, seed=seed)])


bert = dict(
    vocab_size=100,
    hidden_size=32,
    num_hidden_layers=2,
    num_attention_heads=2,
    intermediate_size=64,
    max_position_embeddings=32,
)
gpt = dict(vocab_size=100, n_embd=32, n_layer=2, n_head=2, n_positions=32, bos_token_id=5, eos_token_id=6)


def cm(p):
    from sklearn.metrics import accuracy_score, precision_recall_fscore_support

    y = p.predictions[0] if isinstance(p.predictions, tuple) else p.predictions
    y = y.argmax(-1)
    pr, rc, f1, _ = precision_recall_fscore_support(p.label_ids, y, average="macro", zero_division=0)
    return {"accuracy": accuracy_score(p.label_ids, y), "f1": f1, "precision": pr, "recall": rc}
