# Written as its users write theirs, so no rule of ours is asked of it.
# ruff: noqa
# 5.12: multi-task head with its own compute_loss that logs its parts, no bars, gradient accumulation
from tf_common import *

set_seed(7)
import torch.nn as nn


class MT(nn.Module):
    def __init__(s):
        super().__init__()
        s.b = BertModel(BertConfig(**bert))
        s.a = nn.Linear(32, 3)
        s.r = nn.Linear(32, 1)

    def forward(s, input_ids, attention_mask=None, labels=None, score=None):
        h = s.b(input_ids, attention_mask=attention_mask).pooler_output
        return s.a(h), s.r(h)[:, 0]


class T(Trainer):
    def compute_loss(self, model, inputs, return_outputs=False, **k):
        y = inputs["labels"]
        s = inputs["score"]
        a, r = model(inputs["input_ids"], inputs["attention_mask"])
        lc = nn.functional.cross_entropy(a, y)
        lr = nn.functional.mse_loss(r, s)
        loss = lc + 0.5 * lr
        if model.training and self.state.global_step % 10 == 0 and self.accelerator.sync_gradients:
            self.log({"cls_loss": lc.item(), "reg_loss": lr.item()})
        return (loss, (loss, a)) if return_outputs else loss


def ds(n, s):
    d = cls(n, s)
    for r in d.r:
        r["score"] = float(r["labels"]) - 1
    return d


a = TrainingArguments(
    "out",
    eval_strategy="steps",
    eval_steps=20,
    logging_steps=5,
    num_train_epochs=8,
    gradient_accumulation_steps=2,
    per_device_train_batch_size=8,
    learning_rate=2e-3,
    save_strategy="no",
    report_to="none",
    use_cpu=True,
    disable_tqdm=True,
    label_names=["labels"],
    remove_unused_columns=False,
)
t = T(MT(), a, train_dataset=ds(320, 1), eval_dataset=ds(96, 2), compute_metrics=cm)
t.train()
