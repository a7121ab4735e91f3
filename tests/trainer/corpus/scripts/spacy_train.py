# Written as its users write theirs, so no rule of ours is asked of it.
# ruff: noqa
"""spaCy's own training loop, a text categoriser on made-up words."""

import random
import subprocess
import sys

import spacy
from spacy.tokens import DocBin

random.seed(0)
nlp = spacy.blank("en")
for part, many in (("train", 60), ("dev", 20)):
    docs = DocBin()
    for n in range(many):
        doc = nlp.make_doc(" ".join(random.choices(["good", "fine", "nice"] if n % 2 else ["bad", "poor", "sad"], k=6)))
        doc.cats = {"POS": float(n % 2), "NEG": float(1 - n % 2)}
        docs.add(doc)
    docs.to_disk(f"{part}.spacy")
subprocess.run(
    [sys.executable, "-m", "spacy", "init", "config", "config.cfg", "--pipeline", "textcat", "--force"], check=True
)
subprocess.run(
    [
        sys.executable,
        "-m",
        "spacy",
        "train",
        "config.cfg",
        "--output",
        "out",
        "--paths.train",
        "train.spacy",
        "--paths.dev",
        "dev.spacy",
        "--training.max_steps",
        "100",
        "--training.eval_frequency",
        "10",
    ],
    check=True,
)
