"""An empty or older database is rebuilt from the store and the machines' tags before anything may end."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from bot.recovery import refuse_to_forget
from jobs import db, snapshots
from jobs.errors import Misconfigured, Unknown
from jobs.extensions import begin
from jobs.lifecycle import AttemptState, JobState
from jobs.policy import Person
from jobs.values import DOLLAR
from tests.recovery.loss import books, copy, lose, recovered
from tests.support.builders import a_spec, some_traits
from tests.support.clock import FakeClock
from tests.support.fake_provider import FakeProvider
from tests.support.mortal import Killed
from tests.support.world import HOME, Agent, World, key_of

LEAD = Person(id="U9LEAD", lead=True)


def a_busy_world(folder: Path) -> World:
    """Return a world with a settled job, one that runs, one whose machine boots, one that waits, one that saves."""
    world = World(folder)
    _, agent = world.running()
    agent.saves("ckpt-100", 100).ends()
    world.pass_time(minutes=5)
    world.running()
    world.launch()
    world.queued(not_before=world.now() + timedelta(hours=1))
    stopping, _ = world.running()
    world.stop(stopping)
    world.rentals.enforce()
    return world


def verbs(world: World, since: int) -> set[str]:
    """Return what the cloud was asked for from that call on."""
    return {verb for verb, _ in world.cloud.calls[since:]}


def test_a_lost_database_is_rebuilt_to_the_last_row(tmp_path: Path) -> None:
    world = a_busy_world(tmp_path)
    before = books(world)
    lose(world)
    calls = len(world.cloud.calls)
    found = recovered(world)
    assert books(world) == before
    assert (len(found.report.added), len(found.report.standing), found.whole) == (5, 3, True)
    assert (found.report.held, found.report.spent) == (world.period().held, world.period().spent)
    assert world.balanced()
    assert verbs(world, calls) == {"list"}  # nothing was ended, launched or moved


def test_a_bot_does_not_begin_on_an_empty_database_while_the_store_remembers(tmp_path: Path) -> None:
    world = a_busy_world(tmp_path)
    refuse_to_forget(world.db, world.store, HOME)
    lose(world)
    with pytest.raises(Misconfigured, match="hourglass recover"):
        refuse_to_forget(world.db, world.store, HOME)
    refuse_to_forget(world.db, world.store, "another-home")
    recovered(world)
    refuse_to_forget(world.db, world.store, HOME)


def test_what_was_rebuilt_goes_on_to_its_end(tmp_path: Path) -> None:
    world = a_busy_world(tmp_path)
    lose(world)
    recovered(world)
    world.pass_time(hours=6, every=900)
    assert {world.job(f"job{number:04d}").state for number in range(2, 6)} <= {
        JobState.TIMED_OUT,
        JobState.CANCELLED,
        JobState.FAILED,
    }
    assert world.cloud.alive() == []
    assert len(world.cloud.machines) == 5  # each job's one, the one that waited included
    assert (world.balanced(), world.period().held) == (True, 0)


def test_a_machine_is_heard_again_from_its_first_word(tmp_path: Path) -> None:
    world = World(tmp_path)
    job_id, agent = world.running()
    agent.says("metric", step=1, values={"loss": 2.5}).saves("ckpt-1", 1)
    world.follow.round()
    world.rentals.enforce()
    lose(world)
    recovered(world)
    (row,) = world.attempts(job_id)
    assert (row.state, row.cursor) == (AttemptState.UP, 0)
    world.follow.round()
    with world.db.read() as tx:
        assert [point.value for point in db.metrics(tx, job_id)["loss"]] == [2.5]
        assert [saved.name for saved in db.checkpoints(tx, job_id)] == ["ckpt-1"]
    agent.ends()
    world.pass_time(minutes=5)
    assert world.job(job_id).state is JobState.SUCCEEDED
    assert len(world.notes(job_id, "ended")) == 1


def test_doing_it_again_changes_nothing(tmp_path: Path) -> None:
    world = a_busy_world(tmp_path)
    lose(world)
    recovered(world)
    before = books(world)
    again = recovered(world).report
    assert (books(world), again.added, again.advanced, again.teams) == (before, [], [], [])
    assert again.known == 5


def test_a_dry_run_says_the_same_and_writes_nothing(tmp_path: Path) -> None:
    world = a_busy_world(tmp_path)
    lose(world)
    empty = books(world)
    said = recovered(world, dry=True).report
    assert books(world) == empty
    assert said == recovered(world).report


def test_an_older_database_is_brought_forward_and_keeps_what_is_newer(tmp_path: Path) -> None:
    world = World(tmp_path)
    first, agent = world.running()
    waiting = world.queued(not_before=world.now() + timedelta(hours=9))
    old = copy(world)
    agent.ends()
    world.pass_time(minutes=5)
    second, _ = world.running()
    world.rentals.enforce()
    before = books(world)
    lose(world, old)
    assert world.job(first).state is JobState.RUNNING
    report = recovered(world).report
    assert books(world) == before
    assert (report.added, report.advanced, report.known) == ([second], [first], 1)
    assert world.job(waiting).state is JobState.QUEUED
    assert world.balanced()


def test_an_older_record_does_not_undo_what_the_database_knows(tmp_path: Path) -> None:
    world = World(tmp_path)
    job_id, agent = world.running()
    world.rentals.enforce()
    agent.ends()
    world.follow.round()
    before = books(world)
    assert world.job(job_id).state is JobState.STOPPING  # the record still says that it runs
    assert recovered(world).report.known == 1
    assert books(world) == before


def test_a_receipt_is_the_last_word_though_an_old_copy_has_counted_further(tmp_path: Path) -> None:
    """Two backups, put back one after the other: the later copy has more versions of the job, and not its end."""
    world = World(tmp_path)
    job_id, agent = world.running()
    earlier = copy(world)
    for _ in range(9):
        with world.db.write() as tx:
            db.touch(tx, db.get_job(tx, job_id), world.now())
    later = copy(world)
    lose(world, earlier)
    recovered(world)
    agent.ends()
    world.pass_time(minutes=5)
    before = books(world)
    lose(world, later)
    assert (world.job(job_id).state, world.job(job_id).charged) == (JobState.RUNNING, None)
    recovered(world)
    assert books(world) == before
    assert world.balanced()


@pytest.mark.parametrize("point", ["before launch", "after launch"])
def test_a_database_lost_around_the_launch_leaves_one_machine(tmp_path: Path, point: str) -> None:
    world = World(tmp_path)
    world.fate.dies(point)
    with pytest.raises(Killed):
        world.launch()
    lose(world)
    recovered(world)
    stands = point == "after launch"
    assert [row.state for row in world.attempts("job0001")] == [
        AttemptState.LAUNCHED if stands else AttemptState.INTENT
    ]
    world.pass_time(minutes=10)
    assert [machine.order.launch_key for machine in world.cloud.machines] == [key_of("job0001")]
    assert world.states("job0001") == (JobState.PROVISIONING, [AttemptState.LAUNCHED])
    world.pass_time(hours=5, every=900)
    assert (world.cloud.alive(), world.period().held, world.balanced()) == ([], 0, True)


def test_without_idempotency_an_unanswered_launch_is_waited_for_before_another(tmp_path: Path) -> None:
    clock = FakeClock()
    world = World(tmp_path, FakeProvider(clock, traits=some_traits(idempotent=False)), clock=clock)
    world.fate.dies("before launch")
    with pytest.raises(Killed):
        world.launch()
    lose(world)
    recovered(world)
    world.pass_time(minutes=4)
    assert world.cloud.machines == []  # it may have been asked for, and stand unseen
    world.pass_time(minutes=4)
    assert len(world.cloud.machines) == 1


def test_an_extension_that_only_the_provider_knows_is_kept_and_paid_for(tmp_path: Path) -> None:
    world = World(tmp_path)
    job_id, _ = world.running(a_spec(providers=("cloud",)))
    world.rentals.enforce()
    old = copy(world)
    deadline = world.job(job_id).deadline
    assert deadline is not None
    with world.db.write() as tx:
        begin(tx, job_id, LEAD, 60, at=world.now(), traits={"cloud": world.cloud.traits})
    world.rentals.move_deadline(world.job(job_id), deadline + timedelta(hours=1))
    held = world.job(job_id).hold
    for older in (None, old):
        lose(world, older)
        recovered(world)
        job = world.job(job_id)
        assert (job.deadline, job.hold) == (deadline + timedelta(hours=1), held)
        assert world.period().held == held
        assert world.attempts(job_id)[0].deadline == deadline + timedelta(hours=1)


def test_an_extension_that_was_half_written_counts(tmp_path: Path) -> None:
    world = World(tmp_path)
    job_id, _ = world.running(a_spec(providers=("cloud",)))
    deadline = world.job(job_id).deadline
    assert deadline is not None
    with world.db.write() as tx:
        begin(tx, job_id, LEAD, 60, at=world.now(), traits={"cloud": world.cloud.traits})
    world.rentals.move_deadline(world.job(job_id), deadline + timedelta(hours=1))
    world.rentals.enforce()  # the record has the machine's new deadline, and the job's old one
    held = world.job(job_id).hold
    lose(world)
    recovered(world)
    later = deadline + timedelta(hours=1)
    assert (world.job(job_id).deadline, world.job(job_id).hold) == (later, held)
    assert world.job(job_id).spec == {**(world.job(job_id).spec or {}), "minutes": 300.0}


def test_a_later_tag_without_a_hold_gets_one(tmp_path: Path) -> None:
    world = World(tmp_path)
    job_id, _ = world.running()
    world.rentals.enforce()
    deadline = world.job(job_id).deadline
    assert deadline is not None
    world.cloud.extend(world.cloud.list()[0], deadline + timedelta(hours=2))
    lose(world)
    recovered(world)
    assert world.job(job_id).deadline == deadline + timedelta(hours=2)
    assert world.job(job_id).hold == world.period().held == 3 * DOLLAR * 6
    assert world.balanced()


def test_where_only_tags_are_left_the_machine_is_kept_ended_in_time_and_paid(tmp_path: Path) -> None:
    world = World(tmp_path)
    job_id, _ = world.running()
    hold, deadline = world.job(job_id).hold, world.job(job_id).deadline
    for key in list(world.store.keys("")):
        world.store.delete(key)
    lose(world)
    report = recovered(world).report
    assert (report.from_tags, report.capless) == ([job_id], ["vision"])
    job = world.job(job_id)
    assert (job.hold, job.deadline, world.period().held) == (hold, deadline.replace(microsecond=0), hold)
    world.pass_time(hours=3, every=600)
    assert len(world.cloud.alive()) == 1
    world.pass_time(hours=2, every=300)
    assert world.cloud.alive() == []
    assert world.job(job_id).state is JobState.TIMED_OUT
    charged = world.job(job_id).charged or 0
    assert 0.99 * hold <= charged <= hold + DOLLAR // 10
    assert (world.period().held, world.balanced()) == (0, True)


def test_another_homes_machines_and_records_are_left_alone_and_named(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.running()
    world.rentals.enforce()
    for machine in world.cloud.machines:
        machine.tags["home"] = "another"
    for key in (snapshots.job_key("job0001"), snapshots.team_key("vision")):
        data = world.store.get(key) or b""
        world.store.put(key, data.replace(b'"home": "0f3c1e52', b'"home": "ffffffff'))
    lose(world)
    found = recovered(world)
    assert (found.report.added, found.report.standing, found.evidence.teams) == ([], [], {})
    assert found.evidence.homes == {"ffffffff-7a44-4f0e-9d1b-6b2a54a3c9d1"}


def test_what_cannot_be_read_is_named_and_the_rest_is_rebuilt(tmp_path: Path) -> None:
    world = World(tmp_path)
    first, second = world.launch(), world.launch()
    world.rentals.enforce()
    world.store.put(snapshots.job_key(first), b'{"home": "x", "rows": {"version"')
    lose(world)
    found = recovered(world)
    assert list(found.evidence.unread) == [snapshots.job_key(first)]
    assert not found.whole
    assert found.report.added == [second]
    assert found.report.from_tags == [first]  # its machine stands all the same
    assert world.job(first).hold > 0


def test_a_provider_that_does_not_answer_is_named_and_its_jobs_are_rebuilt(tmp_path: Path) -> None:
    world = World(tmp_path)
    job_id, _ = world.running()
    world.rentals.enforce()
    before = books(world)
    lose(world)
    world.cloud.down = Unknown("The cloud did not answer.")
    found = recovered(world)
    assert found.evidence.silent == {"cloud": "The cloud did not answer."}
    assert books(world) == before
    assert job_id in found.report.fresh


def test_nodes_of_one_job_are_one_job_from_tags_too(tmp_path: Path) -> None:
    world = World(tmp_path)
    job_id = world.launch(a_spec(nodes=2))
    for key in list(world.store.keys("")):
        world.store.delete(key)
    lose(world)
    recovered(world)
    assert [(row.rank, row.state) for row in world.attempts(job_id)] == [
        (0, AttemptState.LAUNCHED),
        (1, AttemptState.LAUNCHED),
    ]
    for rank in (0, 1):
        Agent(world, job_id, rank=rank).says("stage", stage="run", note="")
    world.follow.round()
    assert world.job(job_id).state is JobState.RUNNING
