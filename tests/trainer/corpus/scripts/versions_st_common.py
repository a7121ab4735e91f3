# Written as its users write theirs, so no rule of ours is asked of it.
# ruff: noqa
from tf_common import *
import logging

logging.basicConfig(format="%(asctime)s - %(message)s", datefmt="%Y-%m-%d %H:%M:%S", level=logging.INFO)
for n in ("datasets", "httpx", "urllib3", "codecarbon"):
    logging.getLogger(n).setLevel(logging.ERROR)


def words(x):
    return " ".join(W[i] for i in x)


def topic(r, y, n=8):
    return words(7 + (31 * (y if r.random() < 0.6 else r.randrange(3))) % 93 + r.randrange(12) for _ in range(n))


def base(d="tiny-bert", cls=BertModel, **k):
    set_seed(0)
    cls(BertConfig(**{**bert, "max_position_embeddings": 64}, **k)).save_pretrained(d)
    t = tok()
    t.model_max_length = 32
    t.save_pretrained(d)
    return d


def st():
    from sentence_transformers import SentenceTransformer, models

    w = models.Transformer(base(), max_seq_length=32)
    return SentenceTransformer(modules=[w, models.Pooling(w.get_word_embedding_dimension())], device="cpu")


def sim(n, s):
    r = random.Random(s)
    o = []
    for _ in range(n):
        a, b = r.randrange(3), r.randrange(3)
        o.append((topic(r, a), topic(r, b), float(a == b) * 0.8 + 0.1 * r.random()))
    return o


def trip(n, s):
    r = random.Random(s)
    o = []
    for _ in range(n):
        a = r.randrange(3)
        b = (a + 1 + r.randrange(2)) % 3
        o.append((topic(r, a), topic(r, a), topic(r, b)))
    return o
