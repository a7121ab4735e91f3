# Written as its users write theirs, so no rule of ours is asked of it.
# ruff: noqa
# 4.52: regression, two evaluation sets, early stopping, logging by epoch, no bars
from tf_common import *

set_seed(5)


def ds(n, s):
    d = cls(n, s)
    for r in d.r:
        r["labels"] = float(r["labels"]) / 2
    return d


def m(p):
    y = p.predictions[:, 0]
    return {
        "mse": float(((y - p.label_ids) ** 2).mean()),
        "mae": float(abs(y - p.label_ids).mean()),
        "pearson": float(np.corrcoef(y, p.label_ids)[0, 1]),
    }


a = TrainingArguments(
    "out",
    eval_strategy="epoch",
    save_strategy="epoch",
    logging_strategy="epoch",
    num_train_epochs=20,
    per_device_train_batch_size=16,
    learning_rate=1e-3,
    load_best_model_at_end=True,
    metric_for_best_model="eval_indomain_mse",
    greater_is_better=False,
    disable_tqdm=True,
    report_to="none",
    use_cpu=True,
    log_level="info",
)
t = Trainer(
    DistilBertForSequenceClassification(
        DistilBertConfig(
            vocab_size=100, dim=32, n_layers=2, n_heads=2, hidden_dim=64, max_position_embeddings=32, num_labels=1
        )
    ),
    a,
    train_dataset=ds(320, 1),
    eval_dataset={"indomain": ds(96, 2), "shifted": ds(64, 9)},
    compute_metrics=m,
    callbacks=[EarlyStoppingCallback(3)],
)
t.train()
print(t.evaluate(ds(96, 3), metric_key_prefix="test"))
