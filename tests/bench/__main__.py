"""`make bench`: how quick and how large the bot is, measured on the real processes of this machine.

make bench                      every figure
make bench ARGS='--only start'  those whose name contains a word
make bench ARGS='--json bench.json'
"""

from __future__ import annotations

import argparse
from pathlib import Path

from tests.bench import docker_start, latency, process, scale
from tests.bench.figures import show

MEASURES = {
    "row": latency.durable_row,
    "acknowledgement": latency.acknowledgement,
    "start": process.start,
    "memory": process.memory,
    "hold": scale.hold,
    "rounds": scale.rounds,
    "docker": docker_start.approval_to_first_line,
}


def main() -> None:
    """Measure what was asked for and print it."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="", help=f"a word out of: {', '.join(MEASURES)}")
    parser.add_argument("--json", type=Path, help="write the figures to this file, too")
    arguments = parser.parse_args()
    wanted = [measure for name, measure in MEASURES.items() if arguments.only in name]
    if not wanted:
        parser.error(f"--only {arguments.only}: there is no such figure; there are {', '.join(MEASURES)}")
    figures = [figure for measure in wanted for figure in measure()]
    show(figures, arguments.json)


if __name__ == "__main__":
    main()
