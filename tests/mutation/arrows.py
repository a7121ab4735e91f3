"""The life cycle's tables, mutated: each arrow left out, and each led to every other state.

What must notice is the second writing of the tables in tests/money/test_lifecycle.py.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from typing import TypeVar

import pytest

from jobs import lifecycle
from jobs.lifecycle import ATTEMPT_TRANSITIONS, JOB_TRANSITIONS, AttemptEventName, AttemptState, JobEventName, JobState

S = TypeVar("S", bound=StrEnum)
E = TypeVar("E", bound=StrEnum)


def tried() -> dict[str, str]:
    """Return what became of each mutant of both tables."""
    from tests.money import test_lifecycle as tests

    found = _table(JOB_TRANSITIONS, JobState, JobEventName, tests.test_a_job_follows_its_arrow_or_raises)
    return found | _table(
        ATTEMPT_TRANSITIONS, AttemptState, AttemptEventName, tests.test_an_attempt_follows_its_arrow_or_raises
    )


def _table(
    table: dict[tuple[S, E], S], states: type[S], events: type[E], test: Callable[[S, E], None]
) -> dict[str, str]:
    found: dict[str, str] = {}
    for state in states:
        for event in events:
            drawn = table.get((state, event))
            for instead in [None, *states]:
                if instead is drawn:
                    continue
                name = f"{state.value} + {event.value} -> {instead.value if instead else 'nothing'}"
                if instead is None:
                    del table[state, event]
                else:
                    table[state, event] = instead
                found[name] = _noticed(test, state, event)
                if drawn is None:
                    del table[state, event]
                else:
                    table[state, event] = drawn
    assert lifecycle.JOB_TRANSITIONS is JOB_TRANSITIONS
    return found


def _noticed(test: Callable[[S, E], None], state: S, event: E) -> str:
    try:
        test(state, event)
    except (AssertionError, pytest.fail.Exception):
        return "killed"
    except Exception as error:  # noqa: BLE001  an arrow that leads nowhere was noticed as well
        return "killed" if isinstance(error, lifecycle.IllegalEvent) else f"broke with {type(error).__name__}"
    return "survived"
