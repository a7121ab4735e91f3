"""What a series is of, by its name. Pure.

The agent has its own rule for the lines that it reads, `trainer.names`; tests/unit/test_series.py holds the two
together.
"""

from __future__ import annotations

import re
from functools import lru_cache

# A whole word of the name: "value_loss" is none, nor is "interval".
_EVALUATION = re.compile(r"(?:^|_)(?:val|valid|validation|eval|evaluation|test|dev|te|va)\d*(?:_|$)")


def spelt(series: str) -> str:
    """Return a series' name in lower case, its words joined by "_"."""
    return re.sub(r"[\s/.\-]+", "_", series.lower())


@lru_cache(maxsize=1024)
def is_evaluation(series: str) -> bool:
    """Return whether a series is of an evaluation."""
    return bool(_EVALUATION.search(spelt(series)))
