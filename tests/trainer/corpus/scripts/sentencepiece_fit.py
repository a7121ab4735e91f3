# Written as its users write theirs, so no rule of ours is asked of it.
# ruff: noqa
"""sentencepiece, as it prints by itself."""

import random
import sentencepiece as spm

random.seed(0)
syl = [a + b for a in "bcdfghklmnprst" for b in "aeiou"]
words = ["".join(random.choices(syl, k=random.randint(1, 4))) for _ in range(1500)]
with open("/tmp/corpus.txt", "w") as f:
    for _ in range(3000):
        f.write(" ".join(random.choices(words, k=9)) + "\n")
spm.SentencePieceTrainer.train(
    input="/tmp/corpus.txt", model_prefix="/tmp/spm", vocab_size=300, model_type="unigram", num_threads=1
)
