"""Let the trained model write: `python sample.py --prompt "def "`."""

import argparse

import torch

from checkpoint import load_newest
from train import GPT, OUT


@torch.no_grad()
def write(model, chars, prompt, length, temperature):
    """Return `prompt` continued by `length` characters."""
    ids = torch.tensor([[chars.index(char) for char in prompt if char in chars] or [0]])
    for _ in range(length):
        logits = model(ids[:, -model.context :])[:, -1] / temperature
        ids = torch.cat([ids, torch.multinomial(logits.softmax(-1), 1)], dim=1)
    return "".join(chars[i] for i in ids[0].tolist())


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--prompt", default="def ")
    parser.add_argument("--length", type=int, default=400)
    parser.add_argument("--temperature", type=float, default=0.8)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    torch.manual_seed(args.seed)
    found = load_newest(OUT)
    if not found:
        raise SystemExit(f"{OUT}/ holds no checkpoint yet: python train.py writes one")
    state = found[1]
    model = GPT(**state["shape"]).eval()
    model.load_state_dict(state["model"])
    print(write(model, state["chars"], args.prompt, args.length, args.temperature))


if __name__ == "__main__":
    main()
