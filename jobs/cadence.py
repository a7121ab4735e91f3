"""How regularly a run tells of a step, and from when on it is quiet: its pace and its end are then no news any more.

A run is measured by itself: one tells of a step each second, another each quarter of an hour. All is counted on the
machine's clock, which may be wrong but goes as ours does.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from jobs.model import Job

# An agent measures the pace over so much; until then it tells what was.
_LEAST = timedelta(minutes=2)
_TIMES = 3  # as long as it usually is between two steps that are told of
_WEIGHT = 1 / 8  # of the newest gap: a long evaluation is forgotten after some twenty


def after(job: Job, steps: Sequence[tuple[datetime, int]], *, anew: bool) -> dict[str, Any]:
    """Return the job's columns after these steps were told of, oldest first; `anew`: by a command that just began."""
    told_at, last, gap = (None, None, None) if anew else (job.stepped_at, job.step, job.step_gap)
    for at, step in steps:
        if step == last:  # said again
            continue
        if told_at is not None and at > told_at:
            new = (at - told_at).total_seconds()
            gap = new if gap is None else gap + _WEIGHT * (new - gap)
        told_at, last = at, step
    return {"stepped_at": told_at, "step_gap": gap}


def quiet(job: Job, now: datetime) -> timedelta | None:
    """Return for how long there was no step, once that is longer than is usual for this run; else None."""
    if job.stepped_at is None or job.said_at is None or job.heard_at is None:
        return None
    since = max(timedelta(0), job.said_at - job.stepped_at) + max(timedelta(0), now - job.heard_at)
    usual = job.step_gap or (1 / job.pace if job.pace else 0.0)
    return since if since > max(_LEAST, _TIMES * timedelta(seconds=usual)) else None
