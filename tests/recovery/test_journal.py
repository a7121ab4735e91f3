"""What a lost database would be rebuilt from lies in the store: before the machine is asked for, until it is paid."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from jobs import db, ledger, snapshots
from jobs.lifecycle import AttemptState, JobState
from jobs.snapshots import JobRows, TeamRows
from tests.support.world import HOME, World
from trainer.storage import FolderStore, StoreFault


def record(world: World, job_id: str) -> JobRows | None:
    """Return what the store says of an open job."""
    data = world.store.get(snapshots.job_key(job_id))
    home, plain = (HOME, None) if data is None else snapshots.read(data)
    assert home == HOME
    return None if plain is None else snapshots.job_rows(plain)


class Full(FolderStore):
    """A folder that has no room for a job's record."""

    def put(self, key: str, data: bytes) -> None:
        """Store what is no record."""
        if key.startswith(snapshots.JOBS):
            raise StoreFault("The disk is full.")
        super().put(key, data)


def told(world: World, job_id: str) -> JobRows:
    """Return what the store says of a job that it knows."""
    rows = record(world, job_id)
    assert rows is not None
    return rows


def test_a_record_lies_in_the_store_before_the_machine_is_asked_for(tmp_path: Path) -> None:
    world = World(tmp_path)
    seen: list[JobRows | None] = []
    world.cloud.before("launch", lambda: seen.append(record(world, "job0001")))
    job_id = world.launch()
    (rows,) = seen
    assert rows is not None
    assert (rows.job.id, rows.job.state, rows.job.hold) == (job_id, JobState.PROVISIONING, world.job(job_id).hold)
    assert (rows.job.person, rows.job.channel, rows.month) == ("U1ADA", "C1TRAIN", "2026-11")
    assert [row.state for row in rows.attempts] == [AttemptState.INTENT]
    assert [(month, entry.micros) for month, entry in rows.entries] == [("2026-11", rows.job.hold)]


def test_no_machine_is_asked_for_while_its_record_cannot_be_put(tmp_path: Path) -> None:
    world = World(tmp_path)

    world.store = Full(tmp_path)
    world.restart()
    job_id = world.launch()
    assert world.cloud.machines == []
    assert world.states(job_id) == (JobState.QUEUED, [AttemptState.NEVER])
    assert world.balanced()


def test_a_record_follows_the_job_and_becomes_its_receipt(tmp_path: Path) -> None:
    world = World(tmp_path)
    job_id, agent = world.running()
    world.rentals.enforce()
    rows = record(world, job_id)
    assert rows is not None
    assert (rows.job.state, rows.attempts[0].instance_id) == (JobState.RUNNING, "i-0001")
    agent.ends()
    world.pass_time(minutes=5)
    assert record(world, job_id) is None
    receipt = world.store.get(snapshots.receipt_key(job_id))
    assert receipt is not None
    settled = snapshots.job_rows(snapshots.read(receipt)[1] or {})
    assert (settled.job.state, settled.job.charged) == (JobState.SUCCEEDED, world.job(job_id).charged)
    assert [(entry.kind.value, entry.micros) for _, entry in settled.entries] == world.entries(job_id)


def test_a_longer_rental_is_written_down_before_its_machine_is_told(tmp_path: Path) -> None:
    world = World(tmp_path)
    job_id, _ = world.running()
    world.rentals.enforce()
    with world.db.write() as tx:
        ledger.grow_hold(tx, job=db.get_job(tx, job_id), micros=7, key=f"{job_id}:more", at=world.now(), must_fit=True)
    held: list[int] = []
    world.cloud.before("extend", lambda: held.append(told(world, job_id).job.hold))
    job = world.job(job_id)
    assert job.deadline is not None
    world.rentals.move_deadline(job, job.deadline + timedelta(hours=1))
    assert held == [job.hold]


def test_a_team_and_its_months_lie_there_too(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.rentals.enforce()
    data = world.store.get(snapshots.team_key("vision"))
    assert data is not None
    rows: TeamRows = snapshots.team_rows(snapshots.read(data)[1] or {})
    assert (rows.team.cap, [period.month for period in rows.periods]) == (300_000_000, ["2026-11"])


def test_what_did_not_change_is_not_put_again(tmp_path: Path) -> None:
    world = World(tmp_path)
    job_id, _ = world.running()
    world.rentals.enforce()
    world.store.delete(snapshots.job_key(job_id))
    world.rentals.enforce()
    assert record(world, job_id) is None


def test_an_end_without_a_machine_leaves_no_open_record(tmp_path: Path) -> None:
    world = World(tmp_path)
    job_id = world.queued()
    world.rentals.enforce()
    assert record(world, job_id) is not None
    world.stop(job_id)
    world.rentals.enforce()
    assert record(world, job_id) is None
    assert world.store.size(snapshots.receipt_key(job_id)) is not None
