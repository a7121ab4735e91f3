# Written as its users write theirs, so no rule of ours is asked of it.
# ruff: noqa
from tf_common import *
from datasets import Dataset as HD


def words(x):
    return " ".join(W[i] for i in x)


def texts(n, s):
    return HD.from_list([{"text": words(x)} for x in chain(n, seed=s)])


def prefs(n, s):
    r = random.Random(s + 50)
    o = []
    for x in chain(n, seed=s):
        o.append(
            {
                "prompt": words(x[:6]) + " ",
                "chosen": words(x[6:]),
                "rejected": words(r.randrange(7, 100) for _ in range(10)),
            }
        )
    return HD.from_list(o)


def lmodel():
    set_seed(0)
    return GPT2LMHeadModel(GPT2Config(**{**gpt, "n_positions": 64}, pad_token_id=0))


class MiniTok:
    pass
