"""What would be lost with the database, kept in the store: each job's rows until it is settled, each team's limits.

A record is put before its machine is asked for and before a deadline moves at a provider, so that no machine stands
whose money, person and thread lie in the database alone. Everything else follows with the enforcing pass. A settled
job's rows move into its receipt.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import TypeAlias

import sqlalchemy
import structlog
from sqlmodel import col, select

from jobs import snapshots
from jobs.lifecycle import TERMINAL
from jobs.model import Attempt, Job, Team
from jobs.ports import Ports
from jobs.settlements import Settlements
from trainer.storage import StoreFault

log = structlog.get_logger(__name__)

# After a start every open job is written once; a pass with a deadline to enforce does not wait for all of them.
A_ROUND = 200
TOGETHER = 20  # of them read at once; a launch that has its record to write waits for so many puts at most

Print: TypeAlias = tuple[object, ...]  # what of a job is worth another put, when it changes


class Journal:
    """Writes records. Safe between threads; one process writes them, as it does the rows."""

    def __init__(self, ports: Ports, settlements: Settlements) -> None:
        self._ports = ports
        self._settlements = settlements
        self._turn = threading.Lock()  # an older look at a job must not be put over a newer one
        self._jobs: dict[str, Print] = {}
        self._teams: dict[str, bytes] = {}

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
            plain = {team_id: snapshots.of_team(tx, team_id) for team_id in tx.exec(select(Team.id))}
        for team_id, rows in plain.items():
            data = snapshots.to_json(self._ports.home, rows)
            if self._teams.get(team_id) != data:
                self._ports.store.put(snapshots.team_key(team_id), data)
                self._teams[team_id] = data

    def _prints(self) -> dict[str, Print]:
        """Return the open jobs, oldest first, each with what would have to be rebuilt exactly."""
        is_open = col(Job.state).not_in(TERMINAL)
        job = (Job.id, Job.state, Job.attempt, Job.hold, Job.deadline, Job.stop_reason, Job.thread_ts)
        jobs = sqlalchemy.select(*map(col, job)).where(is_open).order_by(col(Job.created_at), col(Job.id))
        machine = (Attempt.job_id, Attempt.state, Attempt.instance_id, Attempt.deadline, Attempt.billed)
        machines = (
            sqlalchemy.select(*map(col, machine))
            .join(Job, col(Job.id) == col(Attempt.job_id))
            .where(is_open)
            .order_by(col(Attempt.id))
        )
        with self._ports.db.read() as tx:
            # Columns, not rows: thousands of jobs are looked at in each pass.
            found, standing = tx.connection().execute(jobs).all(), tx.connection().execute(machines).all()
        prints: dict[str, Print] = {str(row[0]): tuple(row) for row in found}
        for row in standing:
            prints[str(row[0])] += tuple(row)
        return prints
