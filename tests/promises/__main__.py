"""`make promises`: the figures behind the two promises, tried on this machine.

make promises                        everything, as often as the goals name it
make promises ARGS='--small'         everything, as often as the checks try it
make promises ARGS='--only crashes'  those whose name contains a word
make promises ARGS='--seed 7 --json promises.json'
make promises ARGS='--only crashes --seconds 3600'  as much as an hour allows
"""

from __future__ import annotations

import argparse
import importlib
import sys
import time
from pathlib import Path

from rich.console import Console

from tests.promises.figure import Promise, Scale, show

# Each module below tests/promises has `measure(scale) -> Sequence[Promise]`.
PARTS = tuple(
    sorted(
        path.stem for path in Path(__file__).parent.glob("*.py") if path.stem not in ("__init__", "__main__", "figure")
    )
)


def main() -> int:
    """Try what was asked for, print it, and fail where a promise was broken."""
    parser = argparse.ArgumentParser(prog="make promises", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--only", default="", help=f"a word out of: {', '.join(PARTS)}")
    parser.add_argument("--small", action="store_true", help="as often as the checks do")
    parser.add_argument("--seed", type=int, default=1, help="what every random choice is drawn from")
    parser.add_argument(
        "--seconds", type=float, default=0.0, help="end simulation and crashes then, each, whatever was reached"
    )
    parser.add_argument("--json", type=Path, help="write the figures to this file, too")
    asked = parser.parse_args()
    scale = Scale(full=not asked.small, seed=asked.seed, seconds=asked.seconds)
    found: list[Promise] = []
    for part in [part for part in PARTS if asked.only in part]:
        begun = time.perf_counter()
        found.extend(importlib.import_module(f"tests.promises.{part}").measure(scale))
        Console(stderr=True).print(f"{part}: {time.perf_counter() - begun:.0f} s")
    show(found, asked.json)
    return 0 if found and all(promise.held for promise in found) else 1


if __name__ == "__main__":
    sys.exit(main())
