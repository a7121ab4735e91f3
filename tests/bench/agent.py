"""`make bench-agent`: the figures of what runs beside a training.

make bench-agent                                       every figure; an hour and more
make bench-agent ARGS='--only detectors'               those whose name contains a word
make bench-agent ARGS='--small'                        a few cases each
make bench-agent ARGS='--python PATH --nanogpt PATH'   with trainers of an interpreter that has them, and a checkout
make bench-agent ARGS='--site PATH'                    with trainers for containers, as pip install --target makes it
make bench-agent ARGS='--aws PATH --endpoint URL'      uploads beside `aws s3 cp`, to an S3 of yours
make bench-agent ARGS='--json agent.json'

What a machine lacks is not measured, and the row says what it is.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

from tests.bench import agent_api, agent_containers, agent_ends, agent_load, agent_resume, agent_upload, detectors
from tests.bench.figures import Figure, show


def main() -> None:
    """Measure what was asked for and print it."""
    parser = argparse.ArgumentParser(prog="make bench-agent", description=__doc__.splitlines()[0])
    parser.add_argument(
        "--only",
        default="",
        help="a word out of: detectors, api, sigterm, killed, lines, memory, upload, resume, containers",
    )
    parser.add_argument("--small", action="store_true", help="a few cases each, and small files")
    parser.add_argument("--python", type=Path, default=Path(sys.executable), help="has transformers and lightning")
    parser.add_argument("--site", type=Path, help="a folder of trainers' packages for the test image's Python 3.11")
    parser.add_argument("--nanogpt", type=Path, help="a checkout of nanoGPT, to be run as it is")
    parser.add_argument("--aws", type=Path, help="the AWS command line; default: the one on the PATH")
    parser.add_argument("--endpoint", help="an S3 that the environment has credentials for; default: moto's server")
    parser.add_argument("--json", type=Path, help="write the figures to this file, too")
    arguments = parser.parse_args()
    small = arguments.small
    measures: dict[str, Callable[[], list[Figure]]] = {
        "detectors": detectors.figures,
        "api": agent_api.figures,
        "sigterm": partial(agent_ends.asked, count=3 if small else 100),
        "killed": partial(agent_ends.killed, count=5 if small else 1000),
        "lines": partial(agent_load.lines, seconds=10 if small else 60),
        "memory": partial(
            agent_load.memory, checkpoint=(200 << 20) if small else 5 * 2**30, log=(20 << 20) if small else (500 << 20)
        ),
        "upload": partial(
            agent_upload.figures,
            aws=arguments.aws,
            endpoint=arguments.endpoint,
            size=(64 if small else 512) << 20,
        ),
        "resume": partial(agent_resume.figures, python=arguments.python, nanogpt=arguments.nanogpt),
        "containers": partial(agent_containers.figures, site=arguments.site, nanogpt=arguments.nanogpt),
    }
    wanted = [measure for name, measure in measures.items() if arguments.only in name]
    if not wanted:
        parser.error(f"--only {arguments.only}: there is no such figure; there are {', '.join(measures)}")
    found = [figure for measure in wanted for figure in measure()]
    show(found, arguments.json)


if __name__ == "__main__":
    main()
