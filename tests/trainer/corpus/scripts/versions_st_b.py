# Written as its users write theirs, so no rule of ours is asked of it.
# ruff: noqa
# sentence-transformers 3.0: trainer, MNRL, triplet evaluator, logging_first_step
from st_common import *
from datasets import Dataset as HD
from sentence_transformers import SentenceTransformerTrainer, SentenceTransformerTrainingArguments, losses
from sentence_transformers.evaluation import TripletEvaluator

m = st()
ds = lambda n, s: HD.from_list([dict(zip(("anchor", "positive", "negative"), t)) for t in trip(n, s)])
a = SentenceTransformerTrainingArguments(
    "out",
    eval_strategy="steps",
    eval_steps=20,
    logging_steps=10,
    logging_first_step=True,
    num_train_epochs=3,
    per_device_train_batch_size=16,
    learning_rate=1e-3,
    save_strategy="no",
    report_to="none",
    use_cpu=True,
    run_name="mnrl",
)
t = SentenceTransformerTrainer(
    model=m,
    args=a,
    train_dataset=ds(480, 1),
    eval_dataset=ds(80, 2),
    loss=losses.MultipleNegativesRankingLoss(m),
    evaluator=TripletEvaluator(*zip(*trip(100, 2)), name="all-nli-dev"),
)
t.train()
TripletEvaluator(*zip(*trip(100, 3)), name="all-nli-test")(m)
