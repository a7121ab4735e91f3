# Written as its users write theirs, so no rule of ours is asked of it.
# ruff: noqa
import random

import fasttext

random.seed(1)
with open("train.txt", "w") as out:
    for _ in range(4000):
        word = random.choice(["cat", "dog"])
        out.write(
            f"__label__{word} the {word} sat on a mat with "
            + " ".join(random.choice("abcdef") for _ in range(20))
            + "\n"
        )
fasttext.train_supervised("train.txt", epoch=30, thread=1, verbose=2)
