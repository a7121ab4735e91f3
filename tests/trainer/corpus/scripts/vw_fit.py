# Written as its users write theirs, so no rule of ours is asked of it.
# ruff: noqa
import random

from vowpalwabbit import Workspace

random.seed(1)
vw = Workspace("--passes 1", quiet=False)
for _ in range(600):
    a, b = random.random(), random.random()
    vw.learn(f"{a + b} | a:{a} b:{b}")
vw.finish()
