"""`make bench-agent`: the figures of what runs beside a training.

make bench-agent                          every figure
make bench-agent ARGS='--only detectors'  those whose name contains a word
make bench-agent ARGS='--json agent.json'
"""

from __future__ import annotations

import argparse
from pathlib import Path

from tests.bench import detectors
from tests.bench.figures import Figure, show

MEASURES = {
    "detectors": detectors.figures,
}


def main() -> None:
    """Measure what was asked for and print it."""
    parser = argparse.ArgumentParser(prog="make bench-agent", description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="", help=f"a word out of: {', '.join(MEASURES)}")
    parser.add_argument("--json", type=Path, help="write the figures to this file, too")
    arguments = parser.parse_args()
    found: list[Figure] = []
    for name, measure in MEASURES.items():
        if arguments.only in name:
            found.extend(measure())
    show(found, arguments.json)


if __name__ == "__main__":
    main()
