"""What would be lost with the database, kept in the store: each job's rows until it is settled, each team's limits.

A record is put before its machine is asked for and before a deadline moves at a provider, so that no machine stands
whose money, person and thread lie in the database alone. Everything else follows with the enforcing pass. A settled
job's rows move into its receipt.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import TypeAlias

import structlog
from sqlalchemy import select

from jobs import snapshots
from jobs.lifecycle import TERMINAL, JobState
from jobs.model import Attempt, Job
from jobs.ports import Ports
from jobs.prepared import Query, table_of
from jobs.settlements import Settlements
from trainer.storage import StoreFault

log = structlog.get_logger(__name__)

# After a start every open job is written once; a pass with a deadline to enforce does not wait for all of them.
A_ROUND = 200
TOGETHER = 20  # of them read at once; a launch that has its record to write waits for so many puts at most

Print: TypeAlias = tuple[object, ...]  # what of a job or a team is worth another put, when it changes

# Columns, not rows: thousands of jobs are looked at in each pass.
_JOB, _ATTEMPT = table_of(Job).c, table_of(Attempt).c
_IS_OPEN = _JOB.state.in_(set(JobState) - TERMINAL)  # named by what they are: those that are over are the most by far
_OPEN = Query(
    select(_JOB.id, _JOB.state, _JOB.attempt, _JOB.hold, _JOB.deadline, _JOB.stop_reason, _JOB.thread_ts)
    .where(_IS_OPEN)
    .order_by(_JOB.created_at, _JOB.id)
)
_STANDING = Query(
    select(_ATTEMPT.job_id, _ATTEMPT.state, _ATTEMPT.instance_id, _ATTEMPT.deadline, _ATTEMPT.billed)
    .join_from(table_of(Attempt), table_of(Job), _JOB.id == _ATTEMPT.job_id)
    .where(_IS_OPEN)
    .order_by(_ATTEMPT.id)
)


class Journal:
    """Writes records. Safe between threads; one process writes them, as it does the rows."""

    def __init__(self, ports: Ports, settlements: Settlements) -> None:
        self._ports = ports
        self._settlements = settlements
        self._turn = threading.Lock()  # an older look at a job must not be put over a newer one
        self._jobs: dict[str, Print] = {}
        self._teams: dict[str, Print] = {}

    def write(self, job_id: str) -> None:
        """Put a job's record as its rows are now; raises `StoreFault`."""
        self._write([job_id])
        self._jobs.setdefault(job_id, ())  # so that its end is seen, however soon it comes

    def round(self) -> None:
        """Write what changed since it was last written; what the store does not take is tried in the next round."""
        try:
            self._write_teams()
            found = self._prints()
            changed = [job_id for job_id, seen in found.items() if self._jobs.get(job_id) != seen]
            for begin in range(0, min(len(changed), A_ROUND), TOGETHER):
                some = changed[begin : min(begin + TOGETHER, A_ROUND)]
                self._write(some)
                self._jobs.update((job_id, found[job_id]) for job_id in some)
            for job_id in set(self._jobs) - set(found):
                self._settlements.receipt(job_id)
                del self._jobs[job_id]
        except StoreFault as fault:
            log.warning("journal.failed", error=str(fault))

    def _write(self, job_ids: Sequence[str]) -> None:
        with self._turn:
            with self._ports.db.read() as tx:
                found = snapshots.of_jobs(tx, job_ids)
            for job_id, rows in found.items():
                self._ports.store.put(snapshots.job_key(job_id), snapshots.to_json(self._ports.home, rows))

    def _write_teams(self) -> None:
        with self._ports.db.read() as tx:
            found = snapshots.team_prints(tx)
            changed = [team_id for team_id, seen in found.items() if self._teams.get(team_id) != seen]
            plain = {team_id: snapshots.of_team(tx, team_id) for team_id in changed}
        for team_id, rows in plain.items():
            self._ports.store.put(snapshots.team_key(team_id), snapshots.to_json(self._ports.home, rows))
            self._teams[team_id] = found[team_id]

    def _prints(self) -> dict[str, Print]:
        """Return the open jobs, oldest first, each with what would have to be rebuilt exactly."""
        with self._ports.db.read() as tx:
            found, standing = _OPEN.all(tx), _STANDING.all(tx)
        prints: dict[str, Print] = {row[0]: row for row in found}
        for row in standing:
            prints[row[0]] += row
        return prints
