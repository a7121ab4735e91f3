# Written as its users write theirs, so no rule of ours is asked of it.
# ruff: noqa
"""gensim: topics with their perplexity, and word vectors with a callback that tells their loss."""

import logging
import random
import sys
from gensim.corpora import Dictionary
from gensim.models import LdaModel, Word2Vec
from gensim.models.callbacks import CallbackAny2Vec, PerplexityMetric

logging.basicConfig(format="%(asctime)s : %(levelname)s : %(message)s", level=logging.INFO, stream=sys.stdout)
random.seed(0)
texts = [[random.choice("abcdefghijkl") * 2 for _ in range(20)] for _ in range(60)]
words = Dictionary(texts)
bags = [words.doc2bow(text) for text in texts]
LdaModel(
    bags,
    id2word=words,
    num_topics=3,
    passes=4,
    eval_every=1,
    callbacks=[PerplexityMetric(corpus=bags, logger="shell")],
    random_state=0,
)
