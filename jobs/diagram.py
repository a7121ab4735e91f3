"""The life cycle as a page: `python -m jobs.diagram > docs/states.md` writes it anew from the tables."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from jobs.lifecycle import ATTEMPT_TRANSITIONS, JOB_TRANSITIONS, TERMINAL, AttemptState, JobState

_PAGE = """\
# States

Generated from `jobs/lifecycle.py` by `python -m jobs.diagram > docs/states.md`. What has no arrow here raises
`IllegalEvent` and changes nothing.

## A job: what a person asked for

A job that has ended has no machine (it was confirmed gone, or never stood) and no open hold.

{job}

## An attempt: one machine of it

`gone` was positively confirmed by the provider; `never` means that no machine came of the intent.

{attempt}
"""


def page() -> str:
    """Return `docs/states.md`."""
    job = [(state, event, after) for (state, event), after in JOB_TRANSITIONS.items()]
    attempt = [(state, event, after) for (state, event), after in ATTEMPT_TRANSITIONS.items()]
    return _PAGE.format(
        job=_diagram(job, JobState.REQUESTED, sorted(TERMINAL)),
        attempt=_diagram(attempt, AttemptState.INTENT, [AttemptState.GONE, AttemptState.NEVER]),
    )


def _diagram(arrows: Sequence[tuple[str, str, str]], first: str, last: Sequence[str]) -> str:
    lines = [f"    {state} --> {after}: {event}" for state, event, after in arrows]
    ends = [f"    {state} --> [*]" for state in last]
    return "\n".join(["```mermaid", "stateDiagram-v2", f"    [*] --> {first}", *lines, *ends, "```"])


if __name__ == "__main__":
    sys.stdout.write(page())
