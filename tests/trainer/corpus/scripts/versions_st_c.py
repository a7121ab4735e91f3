# Written as its users write theirs, so no rule of ours is asked of it.
# ruff: noqa
# sentence-transformers 4.1: cross encoder trainer with two evaluators, no bars
from st_common import *
from datasets import Dataset as HD
from transformers import BertForSequenceClassification as B
from sentence_transformers.cross_encoder import *
from sentence_transformers.cross_encoder.losses import BinaryCrossEntropyLoss
from sentence_transformers.cross_encoder.evaluation import *
from sentence_transformers.evaluation import SequentialEvaluator


def pairs(n, s):
    r = random.Random(s)
    o = []
    for _ in range(n):
        a, b = r.randrange(3), r.randrange(3)
        o.append((topic(r, a), topic(r, b), int(a == b)))
    return o


m = CrossEncoder(base(cls=B, num_labels=1), num_labels=1, device="cpu", max_length=32)
dv = pairs(120, 2)
r = random.Random(4)
rr = []
for _ in range(30):
    y = r.randrange(3)
    rr.append(
        {
            "query": topic(r, y),
            "positive": [topic(r, y) for _ in range(2)],
            "negative": [topic(r, (y + 1 + r.randrange(2)) % 3) for _ in range(8)],
        }
    )
ev = SequentialEvaluator(
    [
        CrossEncoderClassificationEvaluator([p[:2] for p in dv], [p[2] for p in dv], name="qqp-dev"),
        CrossEncoderRerankingEvaluator(rr, name="rerank-dev", show_progress_bar=False),
    ]
)
a = CrossEncoderTrainingArguments(
    "out",
    eval_strategy="steps",
    eval_steps=40,
    logging_steps=10,
    num_train_epochs=4,
    per_device_train_batch_size=16,
    learning_rate=2e-3,
    save_strategy="no",
    report_to="none",
    use_cpu=True,
    disable_tqdm=True,
)
ds = lambda n, s: HD.from_list([dict(zip(("s1", "s2", "label"), t)) for t in pairs(n, s)])
t = CrossEncoderTrainer(
    model=m, args=a, train_dataset=ds(640, 1), eval_dataset=ds(80, 5), loss=BinaryCrossEntropyLoss(m), evaluator=ev
)
t.train()
