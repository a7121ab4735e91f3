"""The docker provider keeps the contract, with a real engine and the real first process in its containers."""

from __future__ import annotations

import contextlib
import dataclasses
import gzip
import itertools
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from pathlib import Path

import docker
import pytest

from jobs.clock import SystemClock
from jobs.errors import NoCapacity, Rejected, Unknown
from jobs.providers import InstanceState, LaunchOrder, Provider
from jobs.providers.docker import Docker, Gpus
from tests.contract.relay import Relay
from tests.contract.suite import LONG, ProviderContract, cheapest, launched, state
from tests.support import engine
from tests.support.builders import a_need, an_offer
from tests.support.workload import outcome, put_work
from trainer import wire
from trainer.archive import build
from trainer.storage import FolderStore

pytestmark = pytest.mark.engine

SOCKET = "/var/run/docker.sock"

_names = itertools.count(1)


class DockerRig:
    """Containers of this machine's engine, seen through a relay that can be cut."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.home = str(uuid.uuid4())
        self.need = a_need(gpu="cpu", count=0)
        self.clock = SystemClock()
        self.archive = build(folder / "trainer.pyz", with_s3=False)
        self.relay = Relay(folder / "engine.sock", SOCKET)
        self.clients: list[docker.DockerClient] = []
        self.provider: Provider = self.docker_of(self.home)

    def docker_of(self, home: str, gpus: tuple[Gpus, ...] = ()) -> Docker:
        return Docker(home=home, clock=self.clock, archive=self.archive, connect=self._connect, gpus=gpus)

    def _connect(self) -> docker.DockerClient:
        client = docker.DockerClient(base_url=f"unix://{self.relay.path}", version="auto", timeout=30)
        self.clients.append(client)
        return client

    def neighbour(self) -> Provider:
        return self.docker_of(str(uuid.uuid4()))

    def order(self, name: str, *, lasts: timedelta) -> LaunchOrder:
        deadline = self.clock.now() + lasts
        job = f"job{next(_names)}{name}"
        key = f"hg-{self.home[:8]}-{job}-a1-r0"
        tags = {"app": "hourglass", "home": self.home, "job": job, "deadline": str(int(deadline.timestamp()))}
        order = LaunchOrder(
            launch_key=key,
            tags={**tags, "key": key},
            deadline=deadline,
            image=engine.PYTHON,
            store=(self.folder / "store").as_uri(),
            job=job,
            attempt=1,
            rank=0,
            env={},
            gpus=0,
            disk_gb=1,
            shm_gb=1,
        )
        # Deaf to polite requests, so that nothing but the end of the machine ends it.
        put_work(FolderStore(self.folder / "store"), order, commands=["trap '' TERM", "sleep 3600"], grace=0.5)
        return order

    def until(self, condition: Callable[[], bool], limit: timedelta) -> bool:
        give_up = time.monotonic() + limit.total_seconds()
        while not (held := condition()) and time.monotonic() < give_up:
            time.sleep(0.1)
        return held

    def alive(self) -> int:
        return len(engine.containers(self.home))

    def unreachable(self) -> contextlib.AbstractContextManager[None]:
        return self.relay.cut()

    def close(self) -> None:
        for instance in self.provider.list():
            self.provider.terminate(instance)
        left = engine.containers(self.home, ended=True)
        for client in self.clients:
            client.close()
        self.relay.close()
        assert left == []


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[DockerRig]:
    engine.require(engine.PYTHON)
    rig = DockerRig(tmp_path)
    yield rig
    rig.close()


class TestDocker(ProviderContract):
    """The suite; the fixture above is its rig."""


def test_a_lost_answer_to_the_making_is_found_and_started_by_the_same_launch(rig: DockerRig) -> None:
    order = rig.order("a", lasts=LONG)
    rig.relay.lose_answer_to(b"/containers/create")
    with pytest.raises(Unknown):
        rig.provider.launch(cheapest(rig), order)
    assert len(engine.containers(rig.home, ended=True)) == 1
    assert rig.provider.find(order.launch_key) is None
    assert rig.provider.launch(cheapest(rig), order).state is InstanceState.RUNNING
    assert len(engine.containers(rig.home, ended=True)) == 1


def test_a_lost_answer_to_the_start_is_found_running(rig: DockerRig) -> None:
    order = rig.order("a", lasts=LONG)
    rig.relay.lose_answer_to(b"/start")
    with pytest.raises(Unknown):
        rig.provider.launch(cheapest(rig), order)
    assert rig.until(lambda: state(rig, order) is InstanceState.RUNNING, LONG)


def test_a_container_that_ended_by_itself_says_so_and_its_record_goes_with_terminate(rig: DockerRig) -> None:
    order = rig.order("a", lasts=LONG)
    put_work(FolderStore(rig.folder / "store"), order, commands=["exit 3"])
    instance = rig.provider.launch(cheapest(rig), order)
    assert rig.until(lambda: state(rig, order) is InstanceState.GONE, LONG)
    found = rig.provider.find(order.launch_key)
    assert found is not None and found.note == "exit code 1"
    rig.provider.terminate(instance)
    assert engine.containers(rig.home, ended=True) == []
    assert rig.provider.find(order.launch_key) == found


def test_what_is_not_ours_is_left_alone(rig: DockerRig) -> None:
    order, instance = launched(rig)
    with pytest.raises(Rejected, match="not of this deployment"):
        rig.neighbour().terminate(instance)
    assert state(rig, order) is InstanceState.RUNNING


def test_the_container_has_no_privilege_no_socket_and_sees_its_own_job_alone(rig: DockerRig) -> None:
    other = rig.order("b", lasts=LONG)
    order = rig.order("a", lasts=LONG)
    look = (
        "echo user $(id -u) caps $(awk '/CapBnd/ {print $2}' /proc/self/status) "
        "new $(awk '/NoNewPrivs/ {print $2}' /proc/self/status) "
        "socket $(ls /var/run/docker.sock 2>/dev/null | wc -l) jobs $(ls /hourglass/store/jobs) "
        "shm $(df -m --output=size /dev/shm | tail -n 1)",
        "for place in control/$HOURGLASS_JOB jobs/$HOURGLASS_JOB; do "
        "touch /hourglass/store/$place/x 2>/dev/null && echo wrote $place || echo not $place; done",
        "touch $HOME/x && touch /hourglass/store/jobs/$HOURGLASS_JOB/a1/x && echo wrote own",
        "touch /hourglass/trainer.pyz 2>/dev/null && echo wrote archive || echo not archive",
        # Whose files they are may forbid it too: the mounts themselves have to.
        "awk '$2 ~ \"^/hourglass/store\" {print $2, substr($4, 1, 2)}' /proc/mounts | sort",
    )
    put_work(FolderStore(rig.folder / "store"), order, commands=look)
    rig.provider.launch(cheapest(rig), order)
    assert rig.until(lambda: state(rig, order) is InstanceState.GONE, LONG)
    chunks = sorted((rig.folder / "store/jobs" / order.job).rglob("log/*.txt.gz"))
    lines = b"".join(gzip.decompress(path.read_bytes()) for path in chunks).decode().splitlines()
    user = lines[0].split()
    assert user[:6] == ["user", user[1], "caps", "0000000000000000", "new", "1"] and user[1] != "0"
    assert user[6:10] == ["socket", "0", "jobs", order.job] and other.job not in lines[0]
    assert user[10:] == ["shm", "1024"]
    assert lines[1:5] == [f"not control/{order.job}", f"not jobs/{order.job}", "wrote own", "not archive"]
    assert lines[5:] == [
        f"/hourglass/store/control/{order.job} ro",
        f"/hourglass/store/jobs/{order.job} ro",
        f"/hourglass/store/jobs/{order.job}/a1 rw",
    ]


def pair(rig: DockerRig, commands: Sequence[str]) -> list[LaunchOrder]:
    """Return the orders of two machines of one attempt; each runs `commands` when both are ready."""
    first = rig.order("a", lasts=LONG)
    key = first.launch_key.removesuffix("-r0")
    orders = []
    for rank in (0, 1):
        named = {"launch_key": f"{key}-r{rank}", "tags": {**first.tags, "key": f"{key}-r{rank}", "rank": str(rank)}}
        orders.append(dataclasses.replace(first, rank=rank, nodes=2, **named))
        put_work(FolderStore(rig.folder / "store"), orders[-1], commands=commands, grace=0.5)
    return orders


def test_machines_of_one_attempt_meet_on_a_network_of_their_own_that_goes_with_the_last(rig: DockerRig) -> None:
    talk = (
        'test $NODE_RANK = 1 || python3 -c \'import socket, os; s = socket.create_server(("", int(os.environ'
        '["MASTER_PORT"]))); c, _ = s.accept(); print(c.recv(9).decode())\'',
        "test $NODE_RANK = 0 || until python3 -c 'import socket, os; c = socket.create_connection((os.environ"
        '["MASTER_ADDR"], int(os.environ["MASTER_PORT"]))); c.send(b"a word")\'; do sleep 0.1; done',
    )
    orders = pair(rig, talk)
    instances = [rig.provider.launch(cheapest(rig), order) for order in orders]
    assert len(engine.networks(rig.home)) == 1
    for order in orders:
        assert rig.until(lambda: state(rig, order) is InstanceState.GONE, LONG)  # noqa: B023  called at once
    store = FolderStore(rig.folder / "store")
    assert [(outcome(store, order) or {}).get("reason") for order in orders] == ["finished", "finished"]
    assert gzip.decompress(store.get(wire.log_key(orders[0].job, 1, 1)) or b"") == b"a word\n"
    rig.provider.terminate(instances[0])
    rig.provider.terminate(instances[1])
    assert engine.networks(rig.home) == []


def test_a_network_stays_while_a_machine_is_on_it_and_one_left_behind_goes_after_the_deadline(rig: DockerRig) -> None:
    first, second = pair(rig, ["trap '' TERM", "sleep 3600"])
    one, other = (rig.provider.launch(cheapest(rig), order) for order in (first, second))
    rig.provider.terminate(one)
    assert len(engine.networks(rig.home)) == 1
    assert state(rig, second) is InstanceState.RUNNING
    for client in rig.clients[:1]:  # as if the bot had died between the network and its first machine
        client.networks.create("hg-left", labels={"hourglass.home": rig.home, "hourglass.deadline": "1"})
    rig.provider.list()
    assert len(engine.networks(rig.home)) == 1
    rig.provider.terminate(other)
    assert engine.networks(rig.home) == []


def test_gpus_that_are_taken_are_no_capacity_before_anything_is_made(rig: DockerRig) -> None:
    provider = rig.docker_of(rig.home, gpus=(Gpus(name="a100", memory_gb=80, count=2),))
    need = a_need(gpu="a100", memory_gb=80, count=3)
    assert provider.offers(need) == []
    assert provider.offers(a_need(gpu="a100", count=2, spot=True)) == []
    offer = provider.offers(a_need(gpu="a100", memory_gb=80, count=2))[0]
    assert (offer.gpus, offer.memory_gb, offer.fixed_price) == (2, 80, True)
    order = rig.order("a", lasts=LONG)
    three = dataclasses.replace(order, gpus=3)
    with pytest.raises(NoCapacity, match="2 of the engine's a100 GPUs are free and 3 are needed"):
        provider.launch(offer, three)
    assert engine.containers(rig.home, ended=True) == []


def test_an_engine_without_gpus_says_what_it_lacks_and_keeps_no_container(rig: DockerRig) -> None:
    provider = rig.docker_of(rig.home, gpus=(Gpus(name="a100", memory_gb=80, count=1),))
    order = rig.order("a", lasts=LONG)
    one = dataclasses.replace(order, gpus=1)
    with pytest.raises(Rejected, match="NVIDIA container toolkit"):
        provider.launch(an_offer(provider="docker", memory_gb=80), one)
    assert engine.containers(rig.home, ended=True) == []


def test_an_image_that_does_not_exist_and_none_at_all_are_said_so(rig: DockerRig) -> None:
    order = rig.order("a", lasts=LONG)
    for image, word in (("127.0.0.1:1/no/such:image", "no/such"), (None, "needs an image")):
        with pytest.raises((Rejected, Unknown), match=word):
            rig.provider.launch(cheapest(rig), dataclasses.replace(order, image=image))
    assert engine.containers(rig.home, ended=True) == []


def test_a_local_image_is_pinned_to_its_id_and_runs_by_it_also_as_a_digest(rig: DockerRig) -> None:
    provider = rig.docker_of(rig.home)
    pinned = provider.pin(engine.PYTHON)
    assert pinned.startswith("sha256:") and len(pinned) == 71
    assert provider.pin(pinned) == pinned
    order = rig.order("a", lasts=LONG)
    by_digest = dataclasses.replace(order, image=f"hourglass-test/python@{pinned}")
    assert provider.launch(cheapest(rig), by_digest).state is InstanceState.RUNNING


def test_an_engine_that_is_down_at_the_start_is_asked_again(tmp_path: Path) -> None:
    engine.require(engine.PYTHON)
    rig = DockerRig(tmp_path)
    with rig.unreachable(), pytest.raises(Unknown):
        rig.provider.list()
    assert list(rig.provider.list()) == []
    rig.close()
