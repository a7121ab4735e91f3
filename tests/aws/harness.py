"""Machines that boot: each instance in moto's books becomes a container that runs its user data.

A stand-in for EC2's hosts, and nothing else is one: the boot script, the warden, the engine that it talks to (this
computer's own) and what it fetches from the store are real. A machine powers off by `shutdown`, as a real one
does, and is then terminated in the books; one that is terminated in the books loses its power.

    with engine_cloud() as cloud, Machines(cloud) as machines:
        provider = aws(cloud, bootstrap(cloud, uri, archive), home=…)
        …
        machines.console(instance_id)
"""

from __future__ import annotations

import contextlib
import ipaddress
import shutil
import subprocess
import tempfile
import threading
import time
import uuid
from base64 import b64decode
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from jobs.bootstrap import Bootstrap
from jobs.clock import Clock, SystemClock
from jobs.credentials import JobCredentials
from jobs.providers import Offer
from jobs.providers.aws import Aws
from jobs.values import DOLLAR
from tests.aws.cloud import IMAGE, REGION, ROLE, Cloud
from tests.aws.metadata import MachineMetadata
from tests.support import engine
from trainer.storage import S3Store, open_store

LIVE = ("pending", "running")
BOOT_LOG = "/var/lib/hourglass/boot.log"

# What a machine has and a container has not. The first process stands in for the power; cloud-init's part is one line.
_POWER = """#!/bin/bash
trap 'exit 0' TERM
bash /machine/user-data >/machine/console 2>&1 &
while :; do sleep 0.1 & wait $!; done
"""
_SHUTDOWN = """#!/bin/bash
echo "shutdown $*" >>/machine/power
case "$1 $2" in
"-P now") kill -TERM 1 ;;
"-P +"*)
    [[ ! -e /machine/timer ]] || kill -- -"$(</machine/timer)"
    setsid bash -c 'echo $$ >/machine/timer; sleep $(($1 * 60)); kill -TERM 1' - "${2#+}" </dev/null >/dev/null 2>&1 &
    ;;
*) exit 1 ;;
esac
"""


@contextlib.contextmanager
def engine_cloud() -> Iterator[Cloud]:
    """Serve a cloud where containers reach it, on the engine's own bridge; skips the test where there is no engine."""
    engine.require(engine.PYTHON)
    subnet = _docker("network", "inspect", "bridge", "--format", "{{(index .IPAM.Config 0).Subnet}}").stdout.strip()
    # Older engines do not say which address is their own; it is the first.
    with Cloud(str(next(ipaddress.ip_network(subnet).hosts()))) as cloud:
        yield cloud


def open_bucket(cloud: Cloud, uri: str) -> S3Store:
    """Return the store at `uri`, as the bot sees it."""
    store = open_store(uri, cloud.store_environment())
    assert isinstance(store, S3Store)
    return store


def bootstrap(
    cloud: Cloud, uri: str, archive: Path, clock: Clock | None = None, *, notice: str = "aws=http://127.0.0.1:1"
) -> Bootstrap:
    """Return what makes boot scripts over that store, with credentials that STS lends."""
    clock = clock or SystemClock()
    credentials = lender(cloud, uri, clock)
    return Bootstrap(
        store=open_bucket(cloud, uri), clock=clock, archive=archive, credentials=credentials, notice=notice
    )


def lender(cloud: Cloud, uri: str, clock: Clock) -> JobCredentials:
    """Return who lends machines of that cloud their credentials."""
    sts = cloud.client("sts", REGION)
    return JobCredentials(role=ROLE, store_uri=uri, clock=clock, environment=cloud.environment(), sts=sts)


def prices() -> tuple[Offer, ...]:
    """Return two machines without and one with a GPU, in two regions."""
    rows = (
        ("c7i.xlarge", REGION, "cpu", 0, 0, 178_500),
        ("c7i.large", REGION, "cpu", 0, 0, 89_250),
        ("c7i.large", "us-west-2", "cpu", 0, 0, 89_250),
        ("g4dn.xlarge", REGION, "t4", 16, 1, 526_000),
        ("p4d.24xlarge", REGION, "a100", 40, 8, 22 * DOLLAR),
    )
    return tuple(
        Offer(
            provider="aws",
            name=name,
            region=region,
            gpu=gpu,
            memory_gb=memory,
            gpus=gpus,
            micros_per_hour=micros,
            spot=False,
            priced_at=datetime(2026, 9, 1, tzinfo=UTC),
        )
        for name, region, gpu, memory, gpus, micros in rows
    )


def aws(cloud: Cloud, boot: Bootstrap, *, home: str, **changes: Any) -> Aws:
    """Return the provider of one home on that cloud."""
    parts: dict[str, Any] = {
        "home": home,
        "regions": (REGION,),
        "prices": prices(),
        "boot": boot,
        "clients": cloud.client,
        "image": IMAGE,
    }
    return Aws(**(parts | changes))


def until(condition: Callable[[], bool], seconds: float) -> bool:
    """Wait for the condition; return whether it held within `seconds`."""
    ends = time.monotonic() + seconds
    while not condition():
        if time.monotonic() >= ends:
            return False
        time.sleep(0.1)
    return True


class Machines:
    """EC2's hosts: watches the books, gives machines power and takes it away. Use it in a `with`."""

    def __init__(self, cloud: Cloud, regions: tuple[str, ...] = (REGION,)) -> None:
        """Take the cloud whose instances are to boot."""
        self._cloud = cloud
        self._regions = regions
        self._label = f"hourglass-test-machine={uuid.uuid4()}"
        self._folder = Path(tempfile.mkdtemp(prefix="machines-"))
        self._addresses: dict[str, str] = {}  # of a machine on the engine's bridge, and its instance id
        self.metadata = MachineMetadata(cloud.address, self._addresses.get, self._described)
        self._powered: dict[str, str] = {}  # instance id to the name of the container that its job runs in
        self._over = threading.Event()
        self._fault: BaseException | None = None
        self._thread = threading.Thread(target=self._watch, daemon=True, name="machines")

    def __enter__(self) -> Machines:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join(30)
        for instance in list(self._powered):
            self._cut(instance)
        self.metadata.close()
        shutil.rmtree(self._folder, ignore_errors=True)
        if self._fault is not None:
            raise self._fault

    def powered(self) -> list[str]:
        """Return the ids of the machines that have power, by what the engine says."""
        listed = _docker("ps", "--filter", f"label={self._label}", "--format", "{{.Names}}").stdout.split()
        return sorted(name.removeprefix("machine-") for name in listed)

    def containers(self) -> list[str]:
        """Return the jobs' containers that run on the machines."""
        running = _docker("ps", "--format", "{{.Names}}").stdout.split()
        return sorted(name for name in self._powered.values() if name in running)

    def console(self, instance: str) -> str:
        """Return what the machine printed, its power switch and its boot log, as far as it is there."""
        folder = self._folder / instance
        _docker("cp", f"machine-{instance}:{BOOT_LOG}", str(folder))
        parts = (folder / name for name in ("console", "power", Path(BOOT_LOG).name))
        return "".join(part.read_text(errors="replace") for part in parts if part.is_file())

    def run(self, instance: str, *words: str) -> str:
        """Run a command on the machine, as its administrator would; return what it printed."""
        return _docker("exec", f"machine-{instance}", *words).stdout

    def _watch(self) -> None:
        try:
            while not self._over.wait(0.2):
                for region in self._regions:
                    self._round(region)
        # Told at the end of the `with`: a thread's error would else be a mere wait that never ends.
        except BaseException as error:  # noqa: BLE001
            self._fault = error

    def _round(self, region: str) -> None:
        books = {one["InstanceId"]: one for one in self._cloud.instances(region=region)}
        powered = set(self.powered())
        for name, one in books.items():
            if one["State"]["Name"] not in LIVE:
                if name in self._powered:
                    self._cut(name)
            elif name not in self._powered:
                self._power(name, one, region)
            elif name not in powered:
                # It powered itself off, and its shutdown behaviour is to terminate.
                self._cut(name)
                self._cloud.books(region).terminate_instances(InstanceIds=[name])

    def _power(self, name: str, one: Mapping[str, Any], region: str) -> None:
        tags = {tag["Key"]: tag["Value"] for tag in one.get("Tags", ())}
        folder = self._folder / name
        folder.mkdir()
        asked = self._cloud.books(region).describe_instance_attribute(InstanceId=name, Attribute="userData")
        (folder / "user-data").write_bytes(b64decode(asked["UserData"]["Value"]))
        (folder / "shutdown").write_text(_SHUTDOWN)
        (folder / "shutdown").chmod(0o755)
        (folder / "power-on").write_text(_POWER)
        docker = Path(str(shutil.which("docker"))).resolve()
        self._powered[name] = tags.get("key", name)
        started = _docker(
            *("run", "--detach", "--name", f"machine-{name}", "--label", self._label),
            *(
                "--volume",
                "/var/run/docker.sock:/var/run/docker.sock",
                "--volume",
                f"{docker}:/usr/local/bin/docker:ro",
            ),
            *("--volume", f"{folder}:/machine", "--volume", f"{folder}/shutdown:/usr/local/sbin/shutdown:ro"),
            *(engine.PYTHON, "/bin/bash", "/machine/power-on"),
        )
        if started.returncode:
            raise RuntimeError(f"The machine {name} does not start: {started.stderr}")
        address = _docker("inspect", "--format", "{{.NetworkSettings.IPAddress}}", f"machine-{name}").stdout.strip()
        self._addresses[address] = name

    def _described(self, name: str) -> Mapping[str, Any] | None:
        found = (one for region in self._regions for one in self._cloud.instances(region=region))
        return next((one for one in found if one["InstanceId"] == name), None)

    def _cut(self, name: str) -> None:
        _docker("cp", f"machine-{name}:{BOOT_LOG}", str(self._folder / name))
        # What runs on a machine goes with it; here the two stand side by side on one engine.
        _docker("rm", "--force", "--volumes", f"machine-{name}")
        _docker("rm", "--force", "--volumes", self._powered.pop(name))


def _docker(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["docker", *words], capture_output=True, text=True, timeout=60, check=False)
