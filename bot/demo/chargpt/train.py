"""Train a small GPT to write Python, character by character.

    python train.py                         200 steps, about half a minute on two CPU cores
    python train.py --steps 2000 --lr 1e-3

The text is Python's own library, which every machine with Python has. The script knows nothing of where it runs: it
prints its loss, saves to out/ckpt.pt, stops cleanly when it is sent SIGTERM, and goes on from where it was.
"""

import argparse
import math
import os
import signal
import sysconfig
import time
from pathlib import Path

# Threads that wait for each other sleep. Spinning is faster on an idle machine and three times slower on a busy one.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import torch
from torch import nn
from torch.nn import functional as F

CHARS = "\n" + "".join(map(chr, range(32, 127)))
CKPT = Path("out/ckpt.pt")


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
    """Characters in, the logits of each next character out."""

    def __init__(self, vocab, context, width, heads, layers):
        super().__init__()
        self.context = context
        self.token, self.place = nn.Embedding(vocab, width), nn.Embedding(context, width)
        self.blocks = nn.Sequential(*(Block(width, heads) for _ in range(layers)))
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, vocab, bias=False)
        self.apply(self.start)

    @staticmethod
    def start(module):
        if isinstance(module, (nn.Linear, nn.Embedding)):
            nn.init.normal_(module.weight, std=0.02)
        if isinstance(module, nn.Linear) and module.bias is not None:
            nn.init.zeros_(module.bias)

    def forward(self, ids):  # ids: (batch, time)
        x = self.token(ids) + self.place(torch.arange(ids.shape[1], device=ids.device))
        return self.head(self.norm(self.blocks(x)))

    def loss(self, ids):
        """The mean cross-entropy of each character given those before it; ids: (batch, context + 1)."""
        logits = self(ids[:, :-1])
        return F.cross_entropy(logits.flatten(0, 1), ids[:, 1:].flatten())


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


def batch_of(text, size, context, seed):
    """Return `size` windows of the text; the same seed gives the same windows, so a resumed run sees what is next."""
    starts = torch.randint(len(text) - context - 1, (size, 1), generator=torch.Generator().manual_seed(seed))
    return text[starts + torch.arange(context + 1)]


def save(state, path=CKPT):
    """Write beside the old checkpoint, then take its place: whatever happens, one whole file is there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".tmp")
    with temporary.open("wb") as file:
        torch.save(state, file)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def find_checkpoint():
    """Return what to go on from: what the rental brought, else our own, else None."""
    places = [Path(os.environ[name]) / CKPT.name for name in ["HOURGLASS_RESUME"] if os.environ.get(name)]
    return next((path for path in [*places, CKPT] if path.is_file()), None)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--lr", type=float, default=3e-3)
    parser.add_argument("--context", type=int, default=64)
    parser.add_argument("--width", type=int, default=128)
    parser.add_argument("--heads", type=int, default=4)
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--seed", type=int, default=1337)
    parser.add_argument("--eval-every", type=int, default=40)
    parser.add_argument("--save-every", type=int, default=40)
    args = parser.parse_args()

    stop = []
    signal.signal(signal.SIGTERM, lambda *_: stop.append(True))  # looked at after each step

    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.manual_seed(args.seed)
    shape = dict(vocab=len(CHARS), context=args.context, width=args.width, heads=args.heads, layers=args.layers)
    first, checkpoint = 0, find_checkpoint()
    if checkpoint:
        state = torch.load(checkpoint, map_location=device, weights_only=True)
        first, shape = state["step"], state["shape"]
    model = GPT(**shape).to(device)
    optimizer = torch.optim.AdamW(model.parameters(), lr=args.lr, betas=(0.9, 0.95), weight_decay=0.1)
    if checkpoint:
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        print(f"resuming from {checkpoint} at step {first}", flush=True)

    text = load_text()
    cut = len(text) * 9 // 10
    training, validation = text[:cut], text[cut:]
    size = sum(parameter.numel() for parameter in model.parameters())
    print(f"{size / 1e6:.1f} M parameters, {len(text) / 1e6:.1f} M characters, on {device}", flush=True)

    def save_at(step):
        save(dict(step=step, shape=shape, chars=CHARS, model=model.state_dict(), optimizer=optimizer.state_dict()))

    began, timed = time.perf_counter(), first
    for step in range(first + 1, args.steps + 1):
        warm, through = min(1.0, step / 20), min(1.0, step / args.steps)
        for group in optimizer.param_groups:
            group["lr"] = args.lr * warm * (0.1 + 0.45 * (1 + math.cos(math.pi * through)))
        ids = batch_of(training, args.batch_size, shape["context"], args.seed + step).to(device)
        loss = model.loss(ids)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()

        ended = bool(stop) or step == args.steps
        if step % 5 == 0 or step == first + 1 or ended:
            took = (time.perf_counter() - began) / (step - timed)
            print(f"step {step}/{args.steps}: loss {loss.item():.4f}, {1000 * took:.1f} ms", flush=True)
            began, timed = time.perf_counter(), step
        if step % args.eval_every == 0 and not stop:
            with torch.no_grad():
                batches = (batch_of(validation, args.batch_size, shape["context"], n).to(device) for n in range(4))
                val_loss = sum(model.loss(ids).item() for ids in batches) / 4
            print(f"step {step}/{args.steps}: val loss {val_loss:.4f}", flush=True)
        if step % args.save_every == 0 or ended:
            save_at(step)
        if stop:
            print(f"asked to stop; saved {CKPT} at step {step}", flush=True)
            return


if __name__ == "__main__":
    main()
