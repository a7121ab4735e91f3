"""The boot script on a machine: in a real container, with this computer's engine, against S3 as moto speaks it."""

from __future__ import annotations

import dataclasses
import hashlib
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import pytest

from jobs.bootstrap import Bootstrap
from jobs.providers import Instance, InstanceState, LaunchOrder
from jobs.providers.aws import Aws
from tests.aws import timers
from tests.aws.cloud import REGION, Cloud
from tests.aws.harness import Machines, aws, bootstrap, engine_cloud, open_bucket, prices, until
from tests.aws.orders import TRAIN, boot_log, command_log, launch_order
from tests.support import engine
from tests.support.workload import ask, events, outcome, put_work
from trainer import archive, wire
from trainer.storage import S3Store

pytestmark = [pytest.mark.engine, pytest.mark.timeout(180), pytest.mark.xdist_group("engine aws")]

DEAF = ("trap '' TERM", "sleep 3600")  # deaf to polite requests: nothing but the end of the machine ends it


@pytest.fixture(scope="module")
def agent(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return archive.build(tmp_path_factory.mktemp("archive") / "trainer.pyz", with_s3=True)


@dataclass
class Ground:
    """A cloud whose machines boot, a bucket in it, the provider, and what was rented."""

    cloud: Cloud
    machines: Machines
    uri: str
    store: S3Store
    scripts: Bootstrap
    provider: Aws
    home: str
    orders: dict[str, LaunchOrder] = field(default_factory=dict)

    def rent(
        self,
        job: str,
        commands: tuple[str, ...],
        lasts: float,
        *,
        image: str = engine.PYTHON,
        secrets: Mapping[str, str] | None = None,
        gpus: int = 0,
    ) -> Instance:
        """Lay the job ready and launch its machine, to end `lasts` seconds from now."""
        ends = datetime.now(UTC) + timedelta(seconds=lasts)
        order = launch_order(self.uri, home=self.home, job=job, deadline=ends, image=image, secrets=secrets)
        order = dataclasses.replace(order, gpus=gpus)
        put_work(self.store, order, commands=commands, files={"train.py": TRAIN})
        ask(self.store, order)
        self.orders[job] = order
        return self.provider.launch(prices()[1], order)

    def state(self, job: str) -> InstanceState | None:
        found = self.provider.find(self.orders[job].launch_key)
        return found.state if found else None

    def told(self, job: str) -> list[wire.Event]:
        return list(events(self.store, self.orders[job]))

    def outcome(self, job: str) -> Mapping[str, object]:
        return outcome(self.store, self.orders[job]) or {}

    def runs(self, job: str) -> bool:
        stages = [event.data["stage"] for event in self.told(job) if event.kind is wire.EventKind.STAGE]
        return wire.Stage.RUN in stages


@pytest.fixture
def ground(agent: Path) -> Iterator[Ground]:
    home = str(uuid4())
    with engine_cloud() as cloud, Machines(cloud) as machines:
        uri = cloud.bucket("team-files")
        scripts = bootstrap(cloud, uri, agent, notice=f"aws={machines.metadata.url}")
        provider = aws(cloud, scripts, home=home, schedules=cloud.with_schedules())
        yield Ground(cloud, machines, uri, open_bucket(cloud, uri), scripts, provider, home)


def test_a_machine_boots_trains_tells_uploads_and_ends_its_own_rental(ground: Ground) -> None:
    secret = "two lines,\none 'quote'"
    machine = ground.rent("train1", ("python3 train.py 20",), 120, secrets={"TOKEN": secret})
    assert until(lambda: bool(ground.outcome("train1")), 90), ground.machines.console(machine.id)
    assert ground.outcome("train1")["reason"] == wire.Reason.FINISHED, ground.outcome("train1")

    told = ground.told("train1")
    losses = [e.data["values"]["loss"] for e in told if e.kind is wire.EventKind.METRIC and "loss" in e.data["values"]]
    assert (losses[0], losses[-1]) == (4.0, 0.2)
    manifest = next(e.data["manifest"] for e in told if e.kind is wire.EventKind.CHECKPOINT)
    files = wire.from_json(wire.Manifest, ground.store.get(manifest) or b"").files
    assert [file.path for file in files] == ["ckpt.pt"]
    assert hashlib.sha256(secret.encode()).hexdigest() in command_log(ground.store, "train1")

    assert until(lambda: ground.state("train1") is InstanceState.GONE, 60), ground.machines.console(machine.id)
    assert ground.machines.powered() == []
    log = boot_log(ground.store, "train1")
    assert "powers off in" in log
    assert "The container ended with 0." in log
    assert log.rstrip().endswith("The machine powers off.")


def test_the_bundle_is_gone_once_it_was_read_and_no_secret_is_seen_from_outside(ground: Ground) -> None:
    machine = ground.rent("shy1", DEAF, 120, secrets={"TOKEN": "hush-hush-9"})
    assert until(lambda: ground.runs("shy1"), 90), ground.machines.console(machine.id)
    assert list(ground.store.keys("launch/shy1")) == ["launch/shy1/a1-r0/lease", "launch/shy1/a1-r0/script"]
    inspected = subprocess.run(
        ["docker", "inspect", *ground.machines.containers()], capture_output=True, text=True, check=True, timeout=30
    )
    everything = inspected.stdout + ground.machines.console(machine.id) + boot_log(ground.store, "shy1")
    assert "hg-" in everything
    assert "hush-hush-9" not in everything
    assert "X-Amz-Signature" not in ground.machines.console(machine.id)
    ground.provider.terminate(machine)
    assert until(lambda: ground.machines.powered() == [], 30)
    assert list(ground.store.keys("launch/shy1")) == []


def test_at_its_deadline_a_machine_is_off_though_agent_and_warden_are_frozen_and_dead(ground: Ground) -> None:
    machine = ground.rent("deaf1", DEAF, 40)
    assert until(lambda: ground.runs("deaf1"), 35), ground.machines.console(machine.id)
    (container,) = ground.machines.containers()
    subprocess.run(["docker", "pause", container], check=True, capture_output=True, timeout=30)
    kill_the_work = 'for p in /proc/[0-9]*; do grep -qz "^work$" "$p/cmdline" && kill -9 "${p#/proc/}"; done; true'
    ground.machines.run(machine.id, "bash", "-c", kill_the_work)
    assert ground.machines.powered() == [machine.id]
    ends = ground.orders["deaf1"].deadline
    assert until(lambda: ground.machines.powered() == [], (ends - datetime.now(UTC)).total_seconds() + 30)
    assert datetime.now(UTC) >= ends - timedelta(seconds=1)
    assert until(lambda: ground.state("deaf1") is InstanceState.GONE, 30)
    assert ground.machines.containers() == []


def test_the_systems_own_timer_is_set_before_anything_else(ground: Ground) -> None:
    machine = ground.rent("timer1", DEAF, 175)  # whole minutes, rounded up: a boot may take most of one
    assert until(lambda: "shutdown -P +" in ground.machines.console(machine.id), 30)
    assert "shutdown -P +3\n" in ground.machines.console(machine.id)


def test_a_moved_deadline_reaches_the_machines_own_timers_by_its_tag(ground: Ground) -> None:
    machine = ground.rent("longer1", DEAF, 60)
    old = ground.orders["longer1"].deadline
    longer = dataclasses.replace(ground.orders["longer1"], deadline=old + timedelta(seconds=40))
    ground.provider.extend(machine, longer.deadline)
    ask(ground.store, longer, seq=2)
    assert until(lambda: "The deadline is another one" in ground.machines.console(machine.id), 50)
    assert not until(lambda: ground.machines.powered() == [], (old - datetime.now(UTC)).total_seconds() + 5)
    assert "powers off in" in ground.machines.console(machine.id)
    assert until(lambda: ground.machines.powered() == [], (old - datetime.now(UTC)).total_seconds() + 40 + 30)
    assert datetime.now(UTC) >= old + timedelta(seconds=39)


def test_a_deadline_moved_closer_reaches_them_too(ground: Ground) -> None:
    machine = ground.rent("closer1", DEAF, 600)
    assert until(lambda: ground.machines.powered() == [machine.id], 30)
    ground.provider.extend(machine, datetime.now(UTC) + timedelta(seconds=15))
    assert until(lambda: ground.machines.powered() == [], 60), ground.machines.console(machine.id)


def test_the_schedule_alone_ends_a_machine_all_of_whose_own_timers_are_dead(ground: Ground) -> None:
    machine = ground.rent("stuck1", DEAF, 60)
    ground.provider.extend(machine, ground.orders["stuck1"].deadline)
    assert until(lambda: ground.machines.powered() == [machine.id], 40)
    # What a kernel that hangs does: nothing on the machine acts any more.
    frozen = ["docker", "pause", f"machine-{machine.id}"]
    subprocess.run(frozen, check=True, capture_output=True, timeout=30)
    with timers.ticking(ground.cloud.as_hosts, REGION):
        assert until(lambda: ground.state("stuck1") is InstanceState.GONE, 90)
    assert datetime.now(UTC) >= ground.orders["stuck1"].deadline
    assert until(lambda: ground.machines.powered() == [], 30)
    assert timers.standing(REGION) == []


def test_an_image_that_cannot_be_is_told_in_the_agents_place(ground: Ground) -> None:
    machine = ground.rent("image1", DEAF, 120, image="Not/An:Image:Name")
    assert until(lambda: bool(ground.outcome("image1")), 60), ground.machines.console(machine.id)
    told = ground.outcome("image1")
    assert told["reason"] == wire.Reason.BAD_IMAGE
    assert "The image Not/An:Image:Name cannot be pulled." in str(told["tail"])
    assert until(lambda: ground.state("image1") is InstanceState.GONE, 60)


def test_a_machine_without_a_driver_is_told_in_the_agents_place(ground: Ground) -> None:
    """As on this computer's engine, which has no GPU to hand to a container."""
    machine = ground.rent("blind1", DEAF, 120, gpus=1)
    assert until(lambda: bool(ground.outcome("blind1")), 60), ground.machines.console(machine.id)
    told = ground.outcome("blind1")
    assert told["reason"] == wire.Reason.NO_GPU
    assert "its NVIDIA driver or container toolkit is missing or broken." in str(told["tail"])
    assert "could not select device driver" in str(told["tail"]), "the engine's own word"
    assert until(lambda: ground.state("blind1") is InstanceState.GONE, 60)


@pytest.fixture
def image_without_python() -> Iterator[str]:
    engine.require(engine.PYTHON)
    name = f"hourglass-test/without-python:{uuid4().hex[:8]}"
    made = f"without-python-{uuid4().hex[:8]}"

    def docker(*words: str) -> None:
        subprocess.run(["docker", *words], check=True, capture_output=True, timeout=60)

    docker("run", "--name", made, engine.PYTHON, "bash", "-c", "rm -f /usr/bin/python*")
    docker("commit", made, name)
    docker("rm", made)
    yield name
    docker("rmi", "--force", name)


def test_an_image_without_python_is_told_in_the_agents_place(ground: Ground, image_without_python: str) -> None:
    machine = ground.rent("bare1", DEAF, 120, image=image_without_python)
    assert until(lambda: bool(ground.outcome("bare1")), 60), ground.machines.console(machine.id)
    told = ground.outcome("bare1")
    assert told["reason"] == wire.Reason.BAD_IMAGE
    assert "has no python3" in str(told["tail"])
    assert until(lambda: ground.state("bare1") is InstanceState.GONE, 60)


def test_a_bundle_that_was_tampered_with_is_not_run_and_the_machine_ends(ground: Ground) -> None:
    ends = datetime.now(UTC) + timedelta(seconds=120)
    order = launch_order(ground.uri, home=ground.home, job="bad1", deadline=ends)
    ground.orders["bad1"] = order
    ground.scripts.script(order)
    ground.store.put("launch/bad1/a1-r0/bundle", b"touch /machine/owned\n")
    machine = ground.provider.launch(prices()[1], order)
    assert until(lambda: ground.state("bad1") is InstanceState.GONE, 60), ground.machines.console(machine.id)
    assert "The machine's bundle cannot be read." in ground.machines.console(machine.id)
