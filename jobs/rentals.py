"""Renting: from a QUEUED job to a machine that is gone and paid for. The only caller of providers.

Everything is derived from rows, so a bot that is killed at any point goes on where it was: an intent is looked up,
a machine is found by its key, a deadline is a column. Put together here of its parts, one thought each:

    search, choices, launches    a machine for a QUEUED job, intent before effect
    enforcement, endings         what has to end, and when it is believed gone
    conclusions, settlements     another machine or the end; the money closed
    controls                     what a running machine is asked for, and a deadline that moves
    renewals                     its credentials, lent anew before they end
    adoption, overdue            machines that no row knows, machines that do not end
    journal, snapshots           what a lost database is rebuilt from
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from jobs.adoption import Adoption
from jobs.clockwatch import ClockWatch, nobody
from jobs.conclusions import Conclusions
from jobs.controls import Controls
from jobs.enforcement import Enforcement
from jobs.journal import Journal
from jobs.lanes import InTurn, Lanes
from jobs.launches import Launches
from jobs.model import Job
from jobs.ports import Claims, Ports
from jobs.search import Search
from jobs.settlements import Settlements

SILENCE = 300.0  # seconds since the start after which a provider that does not answer holds up no launch any more


class Rentals:
    """Launches, enforces, settles. Safe between threads; `lanes` says how a pass runs over several providers.

    `reference` asks a clock that is not ours, for when the wall clock jumped. `silence` is how many seconds after the
    start a provider that does not answer holds up launches at most.
    """

    def __init__(
        self,
        ports: Ports,
        *,
        lanes: Lanes | None = None,
        reference: Callable[[], datetime | None] = nobody,
        silence: float = SILENCE,
    ) -> None:
        claims = Claims()
        self._settlements = Settlements(ports)
        self._journal = Journal(ports, self._settlements)
        self._adoption = Adoption(ports)
        launches = Launches(ports, claims, self._journal, heard=self._has_heard)
        self._search = Search(ports, claims, launches, self._settlements)
        self._controls = Controls(ports, self._journal)
        self._clock, self._began, self._silence = ports.clock, ports.clock.monotonic(), silence
        self._clockwatch = ClockWatch(ports.clock, reference)
        self._trusted = True
        self._enforcement = Enforcement(
            ports,
            claims=claims,
            launches=launches,
            settlements=self._settlements,
            controls=self._controls,
            adoption=self._adoption,
            conclusions=Conclusions(ports, self._settlements),
            lanes=lanes or InTurn(),
        )

    def due(self) -> list[str]:
        """Return the QUEUED jobs for which a machine should be looked for now; none while `launch` would do nothing."""
        return self._search.due() if self._may_launch() else []

    def launch(self, job_id: str) -> None:
        """Find a machine for a QUEUED job; does nothing for any other.

        Nor while the wall clock is in doubt: the deadline would go to the machine's own timers and to its provider,
        and a clock that is corrected later does not correct those. Nor before a new process has heard from the
        providers what stands: its rows may be an old copy, and the job have its machine already.
        """
        if self._may_launch():
            self._search.launch(job_id)

    def launch_due(self) -> None:
        """Find machines for every QUEUED job whose time has come, one after the other."""
        for job_id in self.due():
            self.launch(job_id)

    def enforce(self) -> None:
        """Look at every job with a machine and every machine that may stand, once; set the mark `enforced`.

        What changed since the last pass is then kept in the store.
        """
        self._trusted = self._clockwatch.trusted()
        self._enforcement.round(trusted=self._trusted)
        self._journal.round()

    def attend(self, job_id: str) -> None:
        """Do for one job at once what a pass would do."""
        self._enforcement.attend(job_id, trusted=self._steady())

    def move_deadline(self, job: Job, deadline: datetime) -> None:
        """Move the job's machines to a new deadline, everything but the job's own column; raises, and nothing moved."""
        self._controls.move_deadline(job, deadline)

    def _may_launch(self) -> bool:
        return self._has_heard() and self._steady()

    def _has_heard(self) -> bool:
        return self._adoption.has_heard() or self._clock.monotonic() - self._began >= self._silence

    def _steady(self) -> bool:
        return self._trusted and self._clockwatch.steady()

    def owed_receipts(self) -> None:
        """Write the receipts that a crash or a store that was down left out; for the start."""
        self._settlements.owed_receipts()
