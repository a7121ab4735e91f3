# Written as its users write theirs, so no rule of ours is asked of it.
# ruff: noqa
# sentence-transformers 5.1: two datasets and losses (multi-task), information retrieval evaluator, bars, Matryoshka
from st_common import *
from datasets import Dataset as HD
from sentence_transformers import SentenceTransformerTrainer, SentenceTransformerTrainingArguments, losses
from sentence_transformers.evaluation import InformationRetrievalEvaluator
from sentence_transformers.training_args import BatchSamplers, MultiDatasetBatchSamplers

m = st()
r = random.Random(9)
q = {}
c = {}
rel = {}
for i in range(40):
    y = r.randrange(3)
    c[f"d{i}"] = topic(r, y)
docs = {k: v for k, v in c.items()}
ys = [r.randrange(3) for _ in range(40)]
c = {f"d{i}": topic(r, y) for i, y in enumerate(ys)}
for i in range(15):
    y = r.randrange(3)
    q[f"q{i}"] = topic(r, y)
    rel[f"q{i}"] = {f"d{j}" for j, z in enumerate(ys) if z == y}
ev = InformationRetrievalEvaluator(
    q,
    c,
    rel,
    name="nano",
    accuracy_at_k=[1, 3],
    precision_recall_at_k=[5],
    mrr_at_k=[10],
    ndcg_at_k=[10],
    map_at_k=[20],
)
tr = {
    "pairs": HD.from_list([dict(zip(("anchor", "positive", "negative"), t)) for t in trip(320, 1)]),
    "sts": HD.from_list([dict(zip(("sentence1", "sentence2", "score"), t)) for t in sim(320, 1)]),
}
va = {
    "pairs": HD.from_list([dict(zip(("anchor", "positive", "negative"), t)) for t in trip(48, 2)]),
    "sts": HD.from_list([dict(zip(("sentence1", "sentence2", "score"), t)) for t in sim(48, 2)]),
}
ls = {"pairs": losses.MatryoshkaLoss(m, losses.MultipleNegativesRankingLoss(m), [32, 16]), "sts": losses.CoSENTLoss(m)}
a = SentenceTransformerTrainingArguments(
    "out",
    eval_strategy="epoch",
    logging_steps=10,
    num_train_epochs=3,
    per_device_train_batch_size=16,
    learning_rate=1e-3,
    save_strategy="no",
    report_to="none",
    use_cpu=True,
    multi_dataset_batch_sampler=MultiDatasetBatchSamplers.PROPORTIONAL,
)
t = SentenceTransformerTrainer(model=m, args=a, train_dataset=tr, eval_dataset=va, loss=ls, evaluator=ev)
t.train()
