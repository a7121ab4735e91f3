# Written as its users write theirs, so no rule of ours is asked of it.
# ruff: noqa
"""simpletransformers, as it prints by itself."""

import os, random, pandas as pd, torch
from transformers import BertConfig, BertForSequenceClassification, BertTokenizer

random.seed(0)
torch.manual_seed(0)
os.makedirs("bert", exist_ok=True)
W = [f"w{i}" for i in range(40)]
open("bert/vocab.txt", "w").write("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *W]))
BertTokenizer("bert/vocab.txt").save_pretrained("bert")
BertForSequenceClassification(
    BertConfig(vocab_size=45, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16)
).save_pretrained("bert")
from simpletransformers.classification import ClassificationModel


def df(n):
    return pd.DataFrame(
        [[" ".join(random.choices(W[20 * (k % 2) : 20 * (k % 2) + 22], k=8)), k % 2] for k in range(n)],
        columns=["text", "labels"],
    )


m = ClassificationModel(
    "bert",
    "bert",
    use_cuda=False,
    args={
        "num_train_epochs": 4,
        "train_batch_size": 16,
        "overwrite_output_dir": True,
        "learning_rate": 1e-2,
        "use_multiprocessing": False,
        "use_multiprocessing_for_evaluation": False,
        "evaluate_during_training": True,
        "evaluate_during_training_verbose": True,
        "process_count": 1,
        "dataloader_num_workers": 0,
    },
)
m.train_model(df(160), eval_df=df(40))
