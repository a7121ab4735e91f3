"""One share of the crash histories, in a process without threads: `python -m tests.crashes.worker GOAL`.

GOAL is a `Goal` as JSON; the tally is written to standard output as JSON.
"""

from __future__ import annotations

import json
import sys

from tests.crashes.campaign import Campaign, Goal
from tests.crashes.ground import ground


def main() -> None:
    """Tell the histories."""
    goal = Goal(**json.loads(sys.argv[1]))
    with ground() as house:
        tally = Campaign(house, goal).run()
    sys.stdout.write(tally.dumped())


if __name__ == "__main__":
    main()
