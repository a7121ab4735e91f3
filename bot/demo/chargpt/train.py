"""Train a small GPT to write Python, character by character.

    python train.py                         200 steps, half a minute on two CPU cores; fewer where those are busy
    python train.py --steps 2000 --lr 1e-3
    torchrun --nproc-per-node 8 train.py    the same run on eight GPUs

The text is Python's own library, which every machine with Python has. Here are the model, the text and the numbers;
`loop.py` trains, `data.py` says in which order, `checkpoint.py` saves to out/, and `world.py` knows the GPUs.
"""

import argparse
import os
import sysconfig
import time
from itertools import islice
from pathlib import Path

# Threads that wait for each other sleep. Spinning is faster on an idle machine and three times slower on a busy one.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import torch
from torch import nn
from torch.nn import functional as F

from checkpoint import load_newest
from data import Batches
from loop import Loop, Settings
from world import World

CHARS = "\n" + "".join(map(chr, range(32, 127)))
OUT = Path("out")
STEPS, FEWEST, PATIENCE = 200, 40, 80.0  # the last in seconds


class Block(nn.Module):
    """Attention to what came before, then a thought about it."""

    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.proj = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

    def forward(self, x):  # x: (batch, time, width)
        batch, length, width = x.shape
        now, before = self.norm1(x).chunk(2, dim=2)
        # Half of what a character brings is its neighbour's: spelling is learnt long before attention is.
        mixed = torch.cat([now, F.pad(before, (0, 0, 1, -1))], dim=2)
        q, k, v = (
            part.view(batch, length, self.heads, width // self.heads).transpose(1, 2)
            for part in self.qkv(mixed).split(width, dim=2)
        )
        seen = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.proj(seen.transpose(1, 2).reshape(batch, length, width))
        return x + self.mlp(self.norm2(x))


class GPT(nn.Module):
    """Characters in, the logits of each next character out; with the targets, the sum of their cross-entropy."""

    def __init__(self, vocab, context, width, heads, layers):
        super().__init__()
        self.context = context
        self.token, self.place = nn.Embedding(vocab, width), nn.Embedding(context, width)
        self.blocks = nn.ModuleList(Block(width, heads) for _ in range(layers))
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, vocab, bias=False)
        self.apply(self.start)

    @staticmethod
    def start(module):
        if isinstance(module, (nn.Linear, nn.Embedding)):
            nn.init.normal_(module.weight, std=0.02)
        if isinstance(module, nn.Linear) and module.bias is not None:
            nn.init.zeros_(module.bias)

    def forward(self, ids, targets=None):  # both: (batch, time)
        x = self.token(ids) + self.place(torch.arange(ids.shape[1], device=ids.device))
        for block in self.blocks:
            x = block(x)
        logits = self.head(self.norm(x))
        if targets is None:
            return logits
        return F.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="sum")


class Windows:
    """Windows of the text, as inputs and as targets one character further; cut anew in each epoch."""

    def __init__(self, ids, length):
        self.ids, self.length = ids, length

    def __len__(self):
        return (len(self.ids) - 1) // self.length - 1  # one less, so that each can slide by up to its length

    def __getitem__(self, index):
        first = index * self.length + int(torch.randint(self.length, ()))
        window = self.ids[first : first + self.length + 1]
        return window[:-1], window[1:]


def load_text(most=4_000_000):
    """Return the library's sources as character ids; what is not ASCII is left out."""
    parts, size = [], 0
    for path in sorted(Path(sysconfig.get_paths()["stdlib"]).glob("*.py")):
        part = path.read_bytes()
        parts.append(part)
        size += len(part)
        if size > most:
            break
    table = torch.full((256,), -1)
    table[torch.tensor(list(CHARS.encode()))] = torch.arange(len(CHARS))
    ids = table[torch.frombuffer(bytearray(b"\n".join(parts)), dtype=torch.uint8).long()]
    return ids[ids >= 0]


def fitting(shape, batch):
    """Return how many steps to take: the whole run, or on a slow or busy CPU what fits into the patience.

    A run that goes on keeps the length that its rate was planned for.
    """
    brought = os.environ.get("HOURGLASS_RESUME")
    kept = load_newest(*([Path(brought)] if brought else []), OUT)
    if kept:
        return kept[1].get("steps", STEPS)
    trial, seconds = GPT(**shape), []
    for _ in range(4):
        began = time.perf_counter()
        trial(*batch).backward()
        seconds.append(time.perf_counter() - began)
    # The first call warms up; the optimizer and what is said and saved take a fifth of a step more.
    return min(STEPS, max(FEWEST, int(PATIENCE / (1.2 * sorted(seconds[1:])[1]))))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, help=f"left out: {STEPS}, or on a slow CPU what takes {PATIENCE:.0f} s")
    parser.add_argument("--batch-size", type=int, default=32, help="of a step, over all GPUs")
    parser.add_argument("--micro-batch", type=int, default=32, help="at once on one GPU; halved when memory runs out")
    parser.add_argument("--lr", type=float, default=3e-3)
    parser.add_argument("--context", type=int, default=64)
    parser.add_argument("--width", type=int, default=128)
    parser.add_argument("--heads", type=int, default=4)
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--seed", type=int, default=1337)
    parser.add_argument("--eval-every", type=int, default=40)
    parser.add_argument("--save-every", type=int, default=40)
    args = parser.parse_args()

    world = World.join()
    cuda = world.device.type == "cuda"
    shape = dict(vocab=len(CHARS), context=args.context, width=args.width, heads=args.heads, layers=args.layers)
    text = load_text()
    cut = len(text) * 9 // 10

    def batches(part):
        return Batches(
            dataset=Windows(part, args.context),
            seed=args.seed,
            global_batch=args.batch_size,
            rank=world.rank,
            world=world.size,
            workers=2 if cuda else 0,  # two cores are better spent on the training
        )

    steps = args.steps or (STEPS if cuda or world.size > 1 else fitting(shape, next(batches(text[:cut])(0))))
    settings = Settings(
        steps=steps,
        global_batch=args.batch_size,
        micro_batch=args.micro_batch,
        lr=args.lr,
        warmup=20,
        precision="bf16" if cuda else "fp32",
        seed=args.seed,
        log_every=5,
        eval_every=args.eval_every,
        save_every=args.save_every,
        out=OUT,
    )
    validation = list(islice(batches(text[cut:])(0), 4))
    extra = {"shape": shape, "chars": CHARS, "steps": steps}
    torch.manual_seed(args.seed)
    Loop(GPT(**shape), batches(text[:cut]), settings, world, validation=validation, extra=extra).run()


if __name__ == "__main__":
    main()
