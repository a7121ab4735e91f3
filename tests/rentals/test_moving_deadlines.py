"""An extension moves the provider, the control file and the columns, in that order; any failure leaves the old end."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import pytest

from jobs import db, extensions
from jobs.errors import HourglassError, Refused, TooLate, Unknown
from jobs.model import Job
from jobs.policy import Person
from jobs.service import Service
from jobs.settings import load
from tests.support.builders import a_spec, some_traits
from tests.support.clock import FakeClock
from tests.support.fake_provider import FakeProvider
from tests.support.world import World
from trainer.storage import FolderStore, StoreFault

LEAD = Person(id="U9LEAD", lead=True)
SPEC = a_spec(minutes=60, providers=("cloud",))
HALF = timedelta(minutes=30)


def extend(world: World, job_id: str, minutes: float = 30) -> None:
    """Do what a press of Extend does: hold, machines, column."""
    traits = {cloud.traits.name: cloud.traits for cloud in world.clouds}
    with world.db.write() as tx:
        extension = extensions.begin(tx, job_id, LEAD, minutes, at=world.now(), traits=traits)
    try:
        world.rentals.move_deadline(world.job(job_id), extension.new)
    except HourglassError:
        with world.db.write() as tx:
            extensions.undo(tx, extension, at=world.now())
        raise
    with world.db.write() as tx:
        extensions.finish(tx, extension, at=world.now())


def test_everybody_knows_the_new_deadline_and_the_machine_lives_to_it(tmp_path: Path) -> None:
    world = World(tmp_path)
    job_id, _ = world.running(SPEC)
    old = world.job(job_id).deadline
    assert old is not None
    world.pass_time(minutes=50, every=600)
    assert len(world.notes(job_id, "warned")) == 1
    extend(world, job_id)

    control, (attempt,) = world.told_to_stop(job_id), world.attempts(job_id)
    assert old + HALF == attempt.deadline == world.job(job_id).deadline
    assert control is not None and (old + HALF).timestamp() == control.deadline
    assert str(int((old + HALF).timestamp())) == world.cloud.machines[0].tags["deadline"]
    world.pass_time(minutes=25, every=300)
    assert len(world.cloud.alive()) == 1
    assert len(world.notes(job_id, "warned")) == 2
    world.pass_time(minutes=16, every=300)
    assert world.cloud.alive() == []
    assert world.balanced()


@pytest.mark.parametrize("verb", ["find", "extend"])
def test_a_provider_that_fails_leaves_the_old_deadline(tmp_path: Path, verb: str) -> None:
    world = World(tmp_path)
    job_id, _ = world.running(SPEC)
    old, held = world.job(job_id).deadline, world.job(job_id).hold
    world.cloud.fail(verb, Unknown("timed out"))
    with pytest.raises(Unknown):
        extend(world, job_id)

    assert (old, held) == (world.job(job_id).deadline, world.job(job_id).hold)
    assert old == world.attempts(job_id)[0].deadline
    world.pass_time(hours=1, every=600)
    assert world.cloud.alive() == []
    assert world.balanced()


def test_a_store_that_fails_takes_the_provider_back_to_the_old_deadline(tmp_path: Path) -> None:
    class Full(FolderStore):
        def put(self, key: str, data: bytes) -> None:
            if key.startswith("control/"):
                raise StoreFault("no space is left")
            super().put(key, data)

    world = World(tmp_path)
    job_id, _ = world.running(SPEC)
    old = world.job(job_id).deadline
    assert old is not None
    world.store = Full(tmp_path)
    world.restart()
    with pytest.raises(HourglassError, match="no space is left"):
        extend(world, job_id)
    assert world.cloud.machines[0].tags["deadline"] == str(int(old.timestamp()))
    world.store = FolderStore(tmp_path)
    world.restart()
    world.tick()

    assert old == world.attempts(job_id)[0].deadline == world.job(job_id).deadline
    control = world.told_to_stop(job_id)
    assert control is not None and old.timestamp() == control.deadline


def test_a_machine_whose_deadline_is_fixed_says_how_to_go_on(tmp_path: Path) -> None:
    clock = FakeClock()
    world = World(tmp_path, FakeProvider(clock, traits=some_traits(extendable=False)), clock=clock)
    job_id, _ = world.running(SPEC)
    with pytest.raises(Refused, match="checkpoint"):
        world.rentals.move_deadline(world.job(job_id), world.now() + timedelta(hours=9))
    assert [call for call in world.cloud.calls if call[0] == "extend"] == []


def test_killed_before_the_jobs_column_moved_the_old_deadline_is_enforced(tmp_path: Path) -> None:
    world = World(tmp_path)
    job_id, _ = world.running(SPEC)
    old = world.job(job_id).deadline
    assert old is not None
    world.rentals.move_deadline(world.job(job_id), old + HALF)  # and nobody lived to finish it
    world.restart()
    world.tick()

    control = world.told_to_stop(job_id)
    assert control is not None and old.timestamp() == control.deadline
    world.pass_time(minutes=61, every=600)
    assert world.cloud.alive() == []


def test_a_stop_in_the_midst_of_an_extension_takes_the_machine_back_to_the_old_deadline(tmp_path: Path) -> None:
    world = World(tmp_path)
    job_id, _ = world.running(SPEC)
    old, held = world.job(job_id).deadline, world.period().held
    assert old is not None

    def moved_and_then_stopped(job: Job, deadline: datetime) -> None:
        world.rentals.move_deadline(job, deadline)
        if deadline > old:
            world.stop(job_id)

    service = Service(
        db=world.db,
        clock=world.clock,
        ids=world.ids,
        settings=load({}),
        traits={cloud.traits.name: cloud.traits for cloud in world.clouds},
        mover=moved_and_then_stopped,
        wake=world.woken.append,
    )
    with pytest.raises(TooLate):
        service.extend(job_id, LEAD, 30)

    assert world.cloud.machines[0].tags["deadline"] == str(int(old.timestamp()))
    assert old == world.attempts(job_id)[0].deadline == world.job(job_id).deadline
    assert held == world.period().held
    world.tick()
    control = world.told_to_stop(job_id)
    assert control is not None
    assert (control.deadline, control.stop) == (old.timestamp(), "stopped")


def test_a_job_that_is_ending_is_not_extended(tmp_path: Path) -> None:
    world = World(tmp_path)
    job_id, _ = world.running(SPEC)
    job = world.job(job_id)
    world.stop(job_id)
    with pytest.raises(TooLate):
        world.rentals.move_deadline(job, world.now() + timedelta(hours=2))
    assert job.deadline == world.attempts(job_id)[0].deadline


def test_a_machine_that_is_not_there_yet_is_not_extended(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.cloud.lose_answers()
    job_id = world.launch(SPEC)
    with pytest.raises(TooLate):
        world.rentals.move_deadline(world.job(job_id), world.now() + timedelta(hours=2))


def test_a_control_file_that_cannot_be_read_is_written_anew(tmp_path: Path) -> None:
    world = World(tmp_path)
    job_id, _ = world.running(SPEC)
    world.store.put(f"control/{job_id}/a1.json", b"{half")
    world.tick()
    control = world.told_to_stop(job_id)
    assert control is not None and control.seq > 1
    world.stop(job_id)
    world.tick()
    stopped = world.told_to_stop(job_id)
    assert stopped is not None and stopped.seq > control.seq and stopped.stop == "stopped"


def test_the_control_file_is_written_only_when_it_differs(tmp_path: Path) -> None:
    world = World(tmp_path)
    job_id, _ = world.running(SPEC)
    for _ in range(3):
        world.tick()
    control = world.told_to_stop(job_id)
    assert control is not None and control.seq == 1


def test_the_money_of_an_extension_that_failed_is_free_again(tmp_path: Path) -> None:
    world = World(tmp_path)
    job_id, _ = world.running(SPEC)
    held = world.period().held
    world.cloud.fail("extend", Unknown("timed out"))
    with pytest.raises(Unknown):
        extend(world, job_id)
    assert held == world.period().held
    with world.db.read() as tx:
        assert held == db.get_job(tx, job_id).hold
