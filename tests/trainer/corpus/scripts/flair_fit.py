# Written as its users write theirs, so no rule of ours is asked of it.
# ruff: noqa
"""flair's ModelTrainer, a text classifier on made-up words."""

from flair.data import Corpus, Sentence
from flair.datasets import FlairDatapointDataset
from flair.embeddings import DocumentPoolEmbeddings, OneHotEmbeddings
from flair.models import TextClassifier
from flair.trainers import ModelTrainer


def sentences(many):
    out = []
    for n in range(many):
        one = Sentence("good fine nice" if n % 2 else "bad poor sad")
        one.add_label("mood", "POS" if n % 2 else "NEG")
        out.append(one)
    return FlairDatapointDataset(out)


corpus = Corpus(train=sentences(80), dev=sentences(20), test=sentences(20))
labels = corpus.make_label_dictionary("mood")
words = OneHotEmbeddings.from_corpus(corpus, min_freq=1, embedding_length=8)
model = TextClassifier(DocumentPoolEmbeddings([words]), label_dictionary=labels, label_type="mood")
ModelTrainer(model, corpus).train("out", learning_rate=0.1, mini_batch_size=4, max_epochs=3)
