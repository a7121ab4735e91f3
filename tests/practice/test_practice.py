"""What only the practice provider promises: nothing survives its machine, its machine survives the bot."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import psutil
import pytest

from jobs.clock import SystemClock
from jobs.errors import NoCapacity, Rejected, Unknown
from jobs.providers import Instance, InstanceState, LaunchOrder
from jobs.providers.practice import Practice
from jobs.providers.practice_timer import ENDED, LOCK, MACHINE, STARTED, read, write
from jobs.providers.processes import Mark, mark, send
from jobs.reaper import STALE, Reaper
from tests.practice import hostile
from tests.support import workload
from tests.support.builders import a_need, an_offer
from tests.support.clock import FakeClock
from trainer.archive import build

LONG = timedelta(minutes=5)


class Ground:
    """A folder with practice machines that run one program."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.machines = folder / "machines"
        self.clock = SystemClock()
        self.home = str(uuid.uuid4())
        self.program = folder / "program.py"
        self.pids = folder / "pids"
        self.practice = self.provider()

    def provider(self, machines: int = 2, environment: dict[str, str] | None = None) -> Practice:
        return Practice(
            folder=self.machines,
            home=self.home,
            clock=self.clock,
            price=lambda need: an_offer(provider="practice"),
            archive=self.program,
            machines=machines,
            environment=environment,
        )

    def order(self, name: str = "a", *, lasts: timedelta = LONG, **env: str) -> LaunchOrder:
        deadline = self.clock.now() + lasts
        return LaunchOrder(
            launch_key=f"hg-{self.home[:8]}-{name}-a1-r0",
            tags={"home": self.home, "deadline": str(int(deadline.timestamp()))},
            deadline=deadline,
            image=None,
            store=(self.folder / "store").as_uri(),
            job=name,
            attempt=1,
            rank=0,
            env={"PIDS": str(self.pids), **env},
            gpus=1,
            disk_gb=1,
            shm_gb=0,
        )

    def run(self, program: str, *, pids: int = 1, lasts: timedelta = LONG, **env: str) -> Instance:
        """Launch a machine with this program and wait until it told of so many processes."""
        self.program.write_text(program)
        instance = self.practice.launch(an_offer(), self.order(lasts=lasts, **env))
        assert until(lambda: len(self.told()) >= pids)
        return instance

    def told(self) -> list[int]:
        return [int(line) for line in self.pids.read_text().split()] if self.pids.exists() else []

    def alive(self) -> list[int]:
        return [pid for pid in self.told() if mark(pid) is not None]

    def timer(self, instance: Instance) -> int:
        started = read(self.machines / instance.id / STARTED)
        assert started is not None
        return int(started["timer"]["pid"])

    def state(self, instance: Instance) -> InstanceState | None:
        found = self.practice.find(instance.id)
        return found.state if found is not None else None


def until(condition: Callable[[], bool], seconds: float = 60.0) -> bool:
    """Wait until the condition holds; return whether it did in time."""
    give_up = time.monotonic() + seconds
    while not (held := condition()) and time.monotonic() < give_up:
        time.sleep(0.02)
    return held


@pytest.fixture
def ground(tmp_path: Path) -> Iterator[Ground]:
    ground = Ground(tmp_path)
    yield ground
    for instance in ground.practice.list():
        ground.practice.terminate(instance)
    for pid in ground.alive():
        os.kill(pid, signal.SIGKILL)


def test_a_daemon_without_session_environment_or_manners_ends_with_its_machine(ground: Ground) -> None:
    instance = ground.run(hostile.DAEMON, pids=2)
    assert len(ground.alive()) == 2
    ground.practice.terminate(instance)
    assert ground.alive() == []
    assert ground.state(instance) is InstanceState.GONE


def test_a_daemon_ends_at_the_deadline_though_everything_else_is_frozen(ground: Ground) -> None:
    instance = ground.run(hostile.DAEMON, pids=2, lasts=timedelta(seconds=5))
    for pid in ground.told():
        os.kill(pid, signal.SIGSTOP)
    assert until(lambda: ground.alive() == [])
    assert until(lambda: ground.state(instance) is InstanceState.GONE)


def test_what_the_first_process_leaves_behind_ends_when_it_goes(ground: Ground) -> None:
    instance = ground.run(hostile.ABANDONS, pids=2, ABANDON_AFTER="0.2")
    assert until(lambda: ground.alive() == [])
    assert until(lambda: ground.state(instance) is InstanceState.GONE)


def test_with_timer_and_first_process_killed_the_rest_counts_as_running_until_it_is_ended(ground: Ground) -> None:
    instance = ground.run(hostile.ABANDONS, pids=2, ABANDON_AFTER="3600")
    first, left_behind = ground.told()
    os.kill(ground.timer(instance), signal.SIGKILL)
    os.kill(first, signal.SIGKILL)
    assert until(lambda: ground.alive() == [left_behind])
    assert ground.state(instance) is InstanceState.RUNNING
    ground.practice.terminate(instance)
    assert ground.alive() == []
    assert ground.state(instance) is InstanceState.GONE


def test_a_machine_that_forks_faster_than_one_looks_is_ended_whole(ground: Ground) -> None:
    instance = ground.run(hostile.BREEDS, pids=5)
    ground.practice.terminate(instance)
    assert ground.alive() == []
    count = len(ground.told())
    assert not until(lambda: len(ground.told()) > count, seconds=0.3)


def test_the_timer_goes_with_its_machine_and_takes_the_disk_along(ground: Ground) -> None:
    instance = ground.run(hostile.LEAVES)
    timer = ground.timer(instance)
    assert until(lambda: mark(timer) is None)
    assert ground.state(instance) is InstanceState.GONE
    assert not (ground.machines / instance.id / "scratch").exists()
    assert (ground.machines / instance.id / "console.txt").read_text() == "bye\n"


def test_a_polite_signal_does_not_part_the_timer_from_its_machine(ground: Ground) -> None:
    instance = ground.run(hostile.STAYS)
    timer = mark(ground.timer(instance))
    assert timer is not None
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        os.kill(timer.pid, number)
    assert not until(lambda: mark(timer.pid) is None, seconds=0.5)
    assert ground.state(instance) is InstanceState.RUNNING


def test_the_machine_outlives_a_killed_bot_and_still_ends_at_its_deadline(ground: Ground) -> None:
    ground.program.write_text(hostile.STAYS)
    order = ground.order(lasts=timedelta(seconds=12))
    bot = subprocess.Popen([sys.executable, "-c", _BOT, str(ground.folder), ground.home, order.launch_key])
    try:
        assert until(lambda: len(ground.alive()) == 1)
    finally:
        bot.kill()
        bot.wait()
    assert len(ground.alive()) == 1
    found = ground.practice.find(order.launch_key)
    assert found is not None and found.state is InstanceState.RUNNING
    assert until(lambda: ground.alive() == [])
    assert until(lambda: ground.state(found) is InstanceState.GONE)


# A bot of its own, so that it can be killed; what it launches lasts twelve seconds.
_BOT = """
import dataclasses, sys, time
from datetime import timedelta
from pathlib import Path
from tests.practice.test_practice import Ground
from tests.support.builders import an_offer
ground = Ground(Path(sys.argv[1]))
ground.home = sys.argv[2]
order = ground.order(lasts=timedelta(seconds=12))
tags = dict(order.tags, home=sys.argv[2])
ground.provider().launch(an_offer(), dataclasses.replace(order, launch_key=sys.argv[3], tags=tags))
time.sleep(3600)
"""


def test_the_machine_sees_an_allow_list_of_the_bots_environment_and_its_own_variables(ground: Ground) -> None:
    seen = ground.folder / "seen.json"
    ground.program.write_text(hostile.ENVIRONMENT)
    bot = {"PATH": "/usr/bin:/bin", "LANG": "de_DE.UTF-8", "SLACK_BOT_TOKEN": "xoxb-hush", "AWS_PROFILE": "ours"}
    order = ground.order(SEEN=str(seen), WANDB_API_KEY="hush-9", HOURGLASS_JOB="another")
    instance = ground.provider(environment=bot).launch(an_offer(), order)
    assert until(seen.exists)
    env = json.loads(seen.read_text())
    scratch = str(ground.machines / instance.id / "scratch")
    assert "SLACK_BOT_TOKEN" not in env and "AWS_PROFILE" not in env
    assert env["PATH"].split(":") == [str(Path(sys.executable).parent), "/usr/bin", "/bin"]
    assert (env["LANG"], env["HOME"], env["TMPDIR"]) == ("de_DE.UTF-8", scratch, scratch)
    assert env["WANDB_API_KEY"] == "hush-9"
    assert env["HOURGLASS_SECRETS"] == "HOURGLASS_JOB,PIDS,SEEN,WANDB_API_KEY"
    assert (env["HOURGLASS_JOB"], env["HOURGLASS_INSTANCE"]) == ("a", instance.id)
    timer = psutil.Process(ground.timer(instance))
    assert "SLACK_BOT_TOKEN" not in timer.environ() and "hush-9" not in " ".join(timer.cmdline())
    files = [path for path in (ground.machines / instance.id).rglob("*") if path.is_file()]
    assert files and not any(b"hush-9" in path.read_bytes() for path in files)


def test_a_stranger_that_got_the_number_of_a_dead_process_is_left_alone(ground: Ground) -> None:
    instance = ground.run(hostile.STAYS)
    folder = ground.machines / instance.id
    started = read(folder / STARTED)
    assert started is not None
    os.kill(ground.timer(instance), signal.SIGKILL)
    stranger = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(3600)"], start_new_session=True)
    try:
        forged = {"pid": stranger.pid, "born": "another boot:1"}
        write(folder / STARTED, {**started, "main": forged, "timer": forged})
        ground.practice.terminate(instance)
        send(Mark(**forged), signal.SIGKILL)  # type: ignore[arg-type]  # a mapping of both kinds of value
        assert stranger.poll() is None
        assert ground.alive() == []
    finally:
        stranger.kill()
        stranger.wait()


def test_launched_from_two_threads_at_once_one_key_is_one_machine(ground: Ground) -> None:
    ground.program.write_text(hostile.STAYS)
    order = ground.order()
    threads = [threading.Thread(target=ground.provider().launch, args=(an_offer(), order)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert until(lambda: len(ground.told()) >= 1)
    assert len(ground.practice.list()) == len(ground.told()) == 1


def test_beyond_its_number_of_machines_it_has_no_capacity_and_says_which_setting(ground: Ground) -> None:
    ground.program.write_text(hostile.STAYS)
    one = ground.provider(machines=1)
    first = one.launch(an_offer(), ground.order("a"))
    with pytest.raises(NoCapacity, match="HOURGLASS_PRACTICE_MACHINES"):
        one.launch(an_offer(), ground.order("b"))
    one.terminate(first)
    assert one.launch(an_offer(), ground.order("b")).state is InstanceState.RUNNING


def test_an_intent_without_a_start_is_no_machine_and_the_key_can_be_launched(ground: Ground) -> None:
    ground.program.write_text(hostile.STAYS)
    order = ground.order()
    folder = ground.machines / order.launch_key
    folder.mkdir(parents=True)
    deadline = order.deadline.timestamp()
    record = {"id": order.launch_key, "tags": dict(order.tags), "deadline": deadline, "launched_at": deadline - 300}
    write(folder / MACHINE, record)
    assert ground.practice.find(order.launch_key) is None
    assert list(ground.practice.list()) == []
    assert ground.practice.launch(an_offer(), order).state is InstanceState.RUNNING


def test_an_end_asked_for_before_the_start_leaves_nothing_to_start(ground: Ground) -> None:
    instance = ground.run(hostile.STAYS)
    folder = ground.machines / instance.id
    ground.practice.terminate(instance)
    ground.pids.unlink()
    # As the timer of a bot that was killed in mid-launch comes upon it: the end stands already.
    (folder / STARTED).unlink()
    order = {"argv": [sys.executable, str(ground.program)], "env": {"PIDS": str(ground.pids)}}
    late = subprocess.run(
        [sys.executable, "-m", "jobs.providers.practice_timer", str(folder)],
        input=json.dumps(order),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (late.returncode, late.stderr) == (1, "Its end was asked for before it began.")
    assert ground.told() == []


def test_an_end_asked_for_while_the_timer_is_starting_is_asked_for_again(ground: Ground) -> None:
    instance = ground.run(hostile.STAYS)
    folder = ground.machines / instance.id
    started = read(folder / STARTED)
    assert started is not None
    (folder / STARTED).unlink()  # the living timer holds its lock, as in the moment before it writes this
    with pytest.raises(Unknown, match="again"):
        ground.practice.terminate(instance)
    write(folder / STARTED, started)
    ground.practice.terminate(instance)
    assert ground.alive() == []
    assert (folder / LOCK).exists() and (folder / ENDED).exists()


def test_a_damaged_record_makes_the_listing_unknown_and_does_not_read_as_gone(ground: Ground) -> None:
    instance = ground.run(hostile.STAYS)
    path = ground.machines / instance.id / MACHINE
    whole = path.read_text()
    path.write_text(whole[:20])
    with pytest.raises(Unknown):
        ground.practice.list()
    path.write_text(whole)
    assert [one.id for one in ground.practice.list()] == [instance.id]


def test_without_its_folder_the_timer_still_ends_the_machine(ground: Ground) -> None:
    ground.run(hostile.STAYS, lasts=timedelta(seconds=3))
    pids = ground.told()
    ground.machines.rename(ground.folder / "elsewhere")
    assert until(lambda: all(mark(pid) is None for pid in pids))


def test_with_bot_and_timer_dead_the_reaper_ends_it(ground: Ground) -> None:
    instance = ground.run(hostile.STAYS)
    os.kill(ground.timer(instance), signal.SIGKILL)
    later = FakeClock(ground.clock.now() + LONG + STALE + timedelta(seconds=1))
    report = Reaper({"practice": ground.practice}, later, ground.home).round()
    assert report.ended == [f"practice/{instance.id}"]
    assert ground.alive() == []


def test_the_real_first_process_runs_a_command_and_reports(ground: Ground) -> None:
    build(ground.program, with_s3=False)
    order = ground.order()
    store = workload.folder_store(order)
    workload.put_work(store, order, commands=["python -c \"print('step 1/1: loss 0.5')\""])
    instance = ground.practice.launch(an_offer(), order)
    assert until(lambda: ground.state(instance) is InstanceState.GONE)
    outcome = workload.outcome(store, order)
    assert outcome is not None and outcome["reason"] == "finished"
    assert (ground.machines / instance.id / "console.txt").stat().st_size < 4096


def test_a_deadline_that_has_passed_starts_nothing(ground: Ground) -> None:
    ground.program.write_text(hostile.STAYS)
    with pytest.raises(Rejected, match="has passed"):
        ground.practice.launch(an_offer(), ground.order(lasts=timedelta(seconds=-1)))
    assert list(ground.practice.list()) == []


def test_a_key_that_would_leave_the_folder_is_refused(ground: Ground) -> None:
    ground.program.write_text(hostile.STAYS)
    for key in ("../out", "a/b", ".hidden", "", "x" * 65):
        bad = dataclasses.replace(ground.order(), launch_key=key)
        with pytest.raises(Rejected):
            ground.practice.launch(an_offer(), bad)
        assert ground.practice.find(key) is None


def test_an_interpreter_that_is_not_there_is_said_so(ground: Ground) -> None:
    ground.program.write_text(hostile.STAYS)
    nowhere = Practice(
        folder=ground.machines,
        home=ground.home,
        clock=ground.clock,
        price=lambda need: None,
        archive=ground.program,
        python="/no/such/python",
    )
    with pytest.raises(Rejected, match="/no/such/python"):
        nowhere.launch(an_offer(), ground.order())
    assert ground.practice.find(ground.order().launch_key) is None
    assert nowhere.offers(a_need()) == []
