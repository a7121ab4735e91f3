# Written as its users write theirs, so no rule of ours is asked of it.
# ruff: noqa
# sentence-transformers 2.7: old fit, evaluator by steps and epochs
from st_common import *
from sentence_transformers import InputExample, losses, LoggingHandler
from sentence_transformers.evaluation import EmbeddingSimilarityEvaluator
from torch.utils.data import DataLoader

m = st()
ev = EmbeddingSimilarityEvaluator(*zip(*sim(120, 2)), name="sts-dev")
d = DataLoader([InputExample(texts=[a, b], label=c) for a, b, c in sim(640, 1)], shuffle=True, batch_size=16)
print("Before training:", ev(m))
m.fit(
    [(d, losses.CosineSimilarityLoss(m))],
    evaluator=ev,
    epochs=4,
    evaluation_steps=20,
    warmup_steps=16,
    output_path="out-st",
    optimizer_params={"lr": 1e-3},
)
t = EmbeddingSimilarityEvaluator(*zip(*sim(120, 3)), name="sts-test")
t(m, output_path="out-st")
