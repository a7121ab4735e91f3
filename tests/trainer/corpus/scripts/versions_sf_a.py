# Written as its users write theirs, so no rule of ours is asked of it.
# ruff: noqa
# setfit 1.0 / 1.1: few-shot classification, evaluation of the embedding by steps, then of the head
from st_common import *
import sys
from datasets import Dataset as HD
from setfit import SetFitModel, Trainer, TrainingArguments
from sklearn.linear_model import LogisticRegression


def ds(n, s):
    r = random.Random(s)
    return HD.from_list([{"text": topic(r, i % 3), "label": i % 3} for i in range(n)])


m = SetFitModel(model_body=st(), model_head=LogisticRegression(), labels=["neg", "neu", "pos"])
old = sys.argv[1] == "old"
k = dict(evaluation_strategy="steps") if old else dict(eval_strategy="epoch", logging_first_step=True)
a = TrainingArguments(
    "out",
    batch_size=16,
    num_epochs=1 if old else 2,
    num_iterations=10 if old else -1 if 0 else 8,
    eval_steps=20,
    logging_steps=10,
    save_strategy="no",
    body_learning_rate=(1e-3, 1e-3),
    report_to="none",
    show_progress_bar=True,
    **k,
)
metric = (
    "accuracy"
    if 0
    else (
        lambda p, y: {
            "accuracy": float(np.mean(np.asarray(p) == np.asarray(y))),
            "macro_f1": float(
                __import__("sklearn.metrics", fromlist=["x"]).f1_score(np.asarray(y), np.asarray(p), average="macro")
            ),
        }
    )
)
t = Trainer(m, a, train_dataset=ds(48, 1), eval_dataset=ds(60, 2), metric=metric)
t.train()
print(t.evaluate())
