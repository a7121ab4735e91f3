"""Two bots on one file: both hear Approve for the same job, both look for its machine.

The jobs are made first; then both processes go through them side by side, meeting at a barrier before each one.
What they met is compared with what the file, the cloud's folder and the ledger hold afterwards.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

from jobs import db as rows
from jobs.clock import RandomIds
from jobs.errors import NotWritten
from jobs.lifecycle import AttemptState, JobState
from jobs.policy import Person
from jobs.values import DOLLAR
from tests.races.heats import START_PATIENCE, TRIES, race
from tests.races.quiet import without_logs
from tests.races.renting import rentals_over
from tests.races.shared_cloud import SharedCloud
from tests.support.house import LEAD, OTHER_LEAD, House

ASKS = 900  # minutes: $30, which a lead has to agree to
STARTS = 60  # minutes: $2, which starts at once
WON = "won"


@dataclass(frozen=True, kw_only=True)
class Pressed:
    """What one Approve button under two leads came to, over many jobs."""

    jobs: int
    winners: int
    explained: int  # losers whose error names the winner
    holds: int  # entries of money, one a job
    may_launch: int  # jobs that are queued on the winner's word
    broke: tuple[str, ...]  # errors of another kind


@dataclass(frozen=True, kw_only=True)
class Launched:
    """What two bots made of many queued jobs."""

    jobs: int
    intents: int
    calls: int  # of the provider's launch
    machines: int
    named: int  # jobs whose one machine stands in their one row
    broke: tuple[str, ...]


def press(folder: Path, jobs: int) -> Pressed:
    """Have two leads in two processes press Approve for each of `jobs` jobs at the same moment."""
    url, house = _house(folder)
    ids = [house.priced(minutes=ASKS).id for _ in range(jobs)]
    told: list[tuple[str, dict[str, str]]] = race(approve, [(url, ids, lead) for lead in (LEAD, OTHER_LEAD)])
    winner = {job_id: lead for lead, said in told for job_id, word in said.items() if word == WON}
    lost = [(job_id, word) for _, said in told for job_id, word in said.items() if word != WON]
    found = [house.job(job_id) for job_id in ids]
    house.balanced()
    pressed = Pressed(
        jobs=jobs,
        winners=sum(word == WON for _, said in told for word in said.values()),
        explained=sum(f"TooLate: {winner.get(job_id)} approved" in word for job_id, word in lost),
        holds=sum(len([kind for kind, _ in house.entries(job_id) if kind == "hold"]) for job_id in ids),
        may_launch=sum(job.state is JobState.QUEUED and job.decided_by == winner.get(job.id) for job in found),
        broke=tuple(word for _, word in lost if not word.startswith("TooLate: ")),
    )
    house.db.close()
    return pressed


def launch(folder: Path, jobs: int) -> Launched:
    """Have two bots look for a machine for each of `jobs` queued jobs at the same moment; one runs a pass, too."""
    url, house = _house(folder)
    ids = [house.priced(minutes=STARTS).id for _ in range(jobs)]
    told: list[tuple[str, ...]] = race(rent, [(url, ids, folder, bot) for bot in range(2)])
    cloud = SharedCloud(folder)
    names = {machine.id for machine in cloud.list()}
    with house.db.read() as tx:
        rented = {job_id: rows.attempts(tx, job_id) for job_id in ids}
    house.db.close()
    return Launched(
        jobs=jobs,
        intents=sum(len(own) for own in rented.values()),
        calls=len(cloud.calls("launch")),
        machines=len(names),
        named=sum(
            [row.state for row in own] == [AttemptState.LAUNCHED] and own[0].instance_id in names
            for own in rented.values()
        ),
        broke=tuple(text for one in told for text in one),
    )


def _house(folder: Path) -> tuple[str, House]:
    url = f"sqlite:///{folder / 'hourglass.db'}"
    return url, House(url=url, cap=1_000_000 * DOLLAR)


# ---------------------------------------------------------------- in the other processes


def approve(url: str, jobs: Sequence[str], lead: Person, start: Barrier, results: Any) -> None:
    """Press Approve for each job as this lead; tell what each press was answered."""
    house = House(url=url, cap=None, ids=RandomIds())
    said: dict[str, str] = {}
    for job_id in jobs:
        start.wait(START_PATIENCE)
        try:
            _again(lambda: house.service.approve(job_id, lead))  # noqa: B023  called at once
            said[job_id] = WON
        except Exception as error:  # noqa: BLE001  every answer is counted by the race
            said[job_id] = f"{type(error).__name__}: {error}"
    results.put((lead.id, said))
    house.db.close()


def rent(url: str, jobs: Sequence[str], folder: Path, bot: int, start: Barrier, results: Any) -> None:
    """Look for each job's machine; the second bot enforces first for every other job. Tell what broke."""
    house = House(url=url, cap=None, ids=RandomIds())
    rentals = rentals_over(house.db, house.clock, SharedCloud(folder), folder / "store")
    broke: list[str] = []
    with without_logs():
        for turn, job_id in enumerate(jobs):
            start.wait(START_PATIENCE)
            try:
                if bot and turn % 2:
                    _again(rentals.enforce)
                _again(lambda: rentals.launch(job_id))  # noqa: B023  called at once
            except Exception as error:  # noqa: BLE001  as above
                broke.append(f"{type(error).__name__}: {error}")
    results.put(tuple(broke))
    house.db.close()


def _again(act: Callable[[], object]) -> None:
    """Do as people and ticks do who are told that nothing was written."""
    for _ in range(TRIES):
        with suppress(NotWritten):
            act()
            return
    raise AssertionError("The database took nothing in fifty tries.")
