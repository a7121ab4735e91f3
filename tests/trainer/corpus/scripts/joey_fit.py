# Written as its users write theirs, so no rule of ours is asked of it.
# ruff: noqa
"""Joey NMT: from its command line, on made-up sentences."""

import random
from pathlib import Path

random.seed(0)
words = [f"w{n}" for n in range(12)]
for part, count in (("train", 80), ("dev", 10), ("test", 10)):
    rows = [[random.choice(words) for _ in range(5)] for _ in range(count)]
    Path(f"{part}.a").write_text("".join(" ".join(row) + "\n" for row in rows))
    Path(f"{part}.b").write_text("".join(" ".join(reversed(row)) + "\n" for row in rows))
Path("vocab").write_text("<unk>\n<pad>\n<s>\n</s>\n" + "".join(w + "\n" for w in words))
side = "{lang: %s, max_length: 10, lowercase: False, level: word, voc_limit: 100, voc_min_freq: 1, voc_file: vocab}"
Path("c.yaml").write_text(f"""
name: reverse
joeynmt_version: "2.3.0"
model_dir: out
use_cuda: False
random_seed: 0
data: {{train: train, dev: dev, test: test, dataset_type: plain, src: {side % "a"}, trg: {side % "b"}}}
testing: {{beam_size: 1, batch_size: 10, batch_type: sentence, eval_metrics: [bleu]}}
training: {{optimizer: adam, learning_rate: 0.005, batch_size: 10, batch_type: sentence, epochs: 5, validation_freq: 8, logging_freq: 2, overwrite: True, shuffle: True, normalization: tokens, loss: crossentropy, scheduling: exponential, decrease_factor: 0.95, early_stopping_metric: ppl, print_valid_sents: [0]}}
model:
  initializer: xavier_uniform
  embed_initializer: normal
  tied_embeddings: False
  encoder: {{type: transformer, num_layers: 1, num_heads: 2, embeddings: {{embedding_dim: 16}}, hidden_size: 16, ff_size: 32, dropout: 0.1}}
  decoder: {{type: transformer, num_layers: 1, num_heads: 2, embeddings: {{embedding_dim: 16}}, hidden_size: 16, ff_size: 32, dropout: 0.1}}
""")
import sys

sys.argv = ["joeynmt", "train", "c.yaml"]
import runpy

runpy.run_module("joeynmt", run_name="__main__")
