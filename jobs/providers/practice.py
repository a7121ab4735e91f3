"""The practice provider: this computer's CPU stands in for the GPU that was asked for.

A machine is a session of processes that outlives the bot: a timer of its own (`practice_timer`), below it the same
first process that a container has, below that the agent and the team's command. Everything about it is real but the
GPU and the money. It is no prison: a job runs as whoever runs the bot, on the same disk and network.

A machine's id is its launch key and its record a folder of that name, so a repeated key can only meet the same machine.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from jobs.clock import Clock
from jobs.errors import NoCapacity, ProviderError, Rejected, Unknown
from jobs.providers import Guarantee, Instance, InstanceState, LaunchOrder, Need, Offer, Traits, machine_env
from jobs.providers.practice_timer import (
    ENDED,
    EXIT_STARTED,
    EXIT_TAKEN,
    LOCK,
    MACHINE,
    SCRATCH,
    STARTED,
    finish,
    read,
    write,
)
from jobs.providers.processes import Mark, end, lives, members, send
from trainer import wire

NAME = "practice"
STAND_IN = (
    "Practice: this computer's CPU stands in for the {gpu}. "
    "Training, files, budget and deadline are real; no money moves."
)

_KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_ENDING = "ending"  # a file whose presence says that somebody asked for the end
_START_PATIENCE = 30.0  # seconds for the timer to start the machine: two forks and an exec
_REMEMBERED = timedelta(days=7)  # how long an ended machine is still listed and found
_PASSED_ON = ("LANG", "LC_ALL", "TZ")  # of the bot's environment; everything else stays with the bot
_PACKAGES = Path(__file__).resolve().parents[2]  # the timer imports `jobs` from where this was imported from


class Practice:
    """Machines made of this computer's processes."""

    traits = Traits(
        name=NAME,
        guarantee=Guarantee.NATIVE,
        hard_lag=timedelta(seconds=30),
        startup=timedelta(0),
        granule=timedelta(seconds=1),
        minimum=timedelta(0),
        bills=False,
        extendable=True,
        idempotent=True,
        runs_images=False,
        joins=sys.platform == "linux",  # where each address from 127.0.0.1 on is this computer
        stand_in=STAND_IN,
    )

    def __init__(
        self,
        *,
        folder: Path,  # where machines are recorded; survives the bot
        home: str,
        clock: Clock,
        price: Callable[[Need], Offer | None],  # what such a machine would cost, from the catalogue
        archive: Path,  # the trainer's archive, which every machine runs
        python: str | None = None,  # the Python that jobs run with; None: the bot's own
        inputs: Path | None = None,  # what jobs took along, kept for the next; None: for the one machine
        machines: int = 2,  # how many may run at a time
        environment: Mapping[str, str] | None = None,  # the bot's own, of which a few names are passed on
    ) -> None:
        self._folder = folder.absolute()
        self._home = home
        self._clock = clock
        self._price = price
        self._archive = archive.absolute()
        self._python = python or sys.executable
        self._inputs = inputs.absolute() if inputs is not None else None
        self._machines = machines
        self._environment = os.environ if environment is None else environment

    def offers(self, need: Need) -> Sequence[Offer]:
        """Return this computer at the catalogue's price of what it stands in for, or nothing."""
        offer = self._price(need)
        return [offer] if offer is not None else []

    def launch(self, offer: Offer, order: LaunchOrder) -> Instance:
        """Start the machine, or return the one that carries this key already."""
        del offer  # every machine here is this computer
        if not _KEY.fullmatch(order.launch_key):
            raise Rejected(f"{order.launch_key!r} cannot name a machine: use letters, digits, '.', '-' and '_'.")
        with self._locked():
            if (standing := self._observe(order.launch_key)) is not None:
                return standing
            if order.deadline <= self._clock.now():
                raise Rejected(f"The deadline {order.deadline:%Y-%m-%d %H:%M:%S} UTC has passed; nothing was started.")
            busy = sum(seen.state is not InstanceState.GONE for seen in self._all())
            if busy >= self._machines:
                raise NoCapacity(
                    f"All {self._machines} practice machines are taken. Wait for one to end, or set "
                    "HOURGLASS_PRACTICE_MACHINES."
                )
            self._start(order)
            return self._expect(order.launch_key)

    def find(self, launch_key: str) -> Instance | None:
        """Return the machine with this key, also for a week after its end; None when none was started."""
        if not _KEY.fullmatch(launch_key):
            return None
        with self._locked():
            seen = self._observe(launch_key)
        return seen if seen is not None and seen.tags.get("home") == self._home else None

    def list(self) -> Sequence[Instance]:
        """Return this home's machines, the ended ones of the last week among them."""
        with self._locked():
            return [seen for seen in self._all() if seen.tags.get("home") == self._home]

    def terminate(self, instance: Instance) -> None:
        """Kill every process of the machine, until none is left or some would not die; `find` says which."""
        folder = self._folder / instance.id
        with self._translated():
            if not _KEY.fullmatch(instance.id) or not _exists(folder / MACHINE) or _exists(folder / ENDED):
                return
            (folder / _ENDING).touch()
            if read(folder / STARTED) is None and not self._unstarted(folder):
                raise Unknown(f"{instance.id} is being started at this moment; ask for its end again.")
            main, timer = _marks(folder)
            if end(instance.id, main=main, timer=timer):
                return
            # The timer last: it took in the orphans, and while it lives it would have ended the rest in our place.
            if timer is not None:
                send(timer, signal.SIGKILL)
            finish(folder, self._clock.now().timestamp())

    def extend(self, instance: Instance, deadline: datetime) -> None:
        """Move the deadline and its tag in one write; the timer reads it within a second."""
        with self._locked():
            seen = self._observe(instance.id) if _KEY.fullmatch(instance.id) else None
            if seen is None or seen.state is InstanceState.GONE:
                raise Rejected(f"{instance.id} has ended; its deadline cannot move.")
            record = self._record(instance.id)
            tags = {**record["tags"], "deadline": str(int(deadline.timestamp()))}
            write(self._folder / instance.id / MACHINE, {**record, "tags": tags, "deadline": deadline.timestamp()})

    # ------------------------------------------------------------ one machine

    def _start(self, order: LaunchOrder) -> None:
        folder = self._folder / order.launch_key
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        record = {
            "id": order.launch_key,
            "tags": dict(order.tags),
            "deadline": order.deadline.timestamp(),
            "launched_at": self._clock.now().timestamp(),
        }
        write(folder / MACHINE, record)
        machine = {"argv": [self._python, "-IB", str(self._archive)], "env": self._machine_env(folder, order)}
        try:
            started = subprocess.run(
                [sys.executable, "-PB", "-m", "jobs.providers.practice_timer", str(folder)],
                input=json.dumps(machine),
                env={**self._passed_on(), "PYTHONPATH": str(_PACKAGES)},
                cwd=_PACKAGES,
                capture_output=True,
                text=True,
                timeout=_START_PATIENCE,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise Unknown("The practice machine's timer did not answer; the machine may run.") from error
        if started.returncode not in (EXIT_STARTED, EXIT_TAKEN):
            raise Rejected(f"The practice machine could not be started: {started.stderr.strip() or 'no reason given'}")

    def _machine_env(self, folder: Path, order: LaunchOrder) -> dict[str, str]:
        scratch = str(folder / SCRATCH)
        own_path = f"{Path(self._python).parent}{os.pathsep}{self._environment.get('PATH', os.defpath)}"
        return {
            **self._passed_on(),
            "PATH": own_path,
            "HOME": scratch,
            "TMPDIR": scratch,
            **machine_env(order, instance=order.launch_key, workdir=scratch, address=_address(order)),
            **self._kept(order),
        }

    def _kept(self, order: LaunchOrder) -> dict[str, str]:
        # Each team its own folder: what one may read, another may not.
        return {wire.ENV_CACHE: str(self._inputs / order.tags.get("team", "none"))} if self._inputs else {}

    def _passed_on(self) -> dict[str, str]:
        passed = {name: self._environment[name] for name in _PASSED_ON if name in self._environment}
        return {"LANG": "C.UTF-8", **passed}

    def _observe(self, key: str) -> Instance | None:
        """Return what stands of `key`; None when it was never started. Writes down an end that nobody saw."""
        folder = self._folder / key
        if not _exists(folder / MACHINE):
            return None
        record = self._record(key)
        ended = read(folder / ENDED)
        if ended is None:
            main, timer = _marks(folder)
            if lives(main) or lives(timer) or members(key, main=main, timer=timer):
                state = InstanceState.ENDING if _exists(folder / _ENDING) else InstanceState.RUNNING
                return _instance(record, state, None)
            if read(folder / STARTED) is None:
                # Written before the start, and then the bot died: unless a timer is starting it now, nothing stands.
                return _instance(record, InstanceState.PENDING, None) if _taken(folder / LOCK) else None
            finish(folder, self._clock.now().timestamp())
            ended = read(folder / ENDED) or {}
        return _instance(record, InstanceState.GONE, float(ended["at"]))

    def _expect(self, key: str) -> Instance:
        seen = self._observe(key)
        if seen is None:
            raise Unknown(f"The practice machine {key} was started and is not there.")
        return seen

    def _record(self, key: str) -> dict[str, Any]:
        record = read(self._folder / key / MACHINE)
        if record is None or not isinstance(record.get("tags"), dict):
            raise ValueError(f"the record of {key} is damaged")
        return record

    def _unstarted(self, folder: Path) -> bool:
        """Make sure that a machine without a start gets none; return False when its timer is at it now."""
        with (folder / LOCK).open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
            # Whoever holds this lock and finds `ended.json` starts nothing.
            finish(folder, self._clock.now().timestamp())
            return True

    def _all(self) -> Iterator[Instance]:
        if not self._folder.is_dir():
            return
        for folder in sorted(self._folder.iterdir()):
            if folder.is_dir() and (seen := self._observe(folder.name)) is not None:
                if seen.ended_at is None or self._clock.now() - seen.ended_at < _REMEMBERED:
                    yield seen
                else:
                    shutil.rmtree(folder, ignore_errors=True)

    # ------------------------------------------------------------ the boundary

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        """Hold the one lock of all practice machines: launches, looks and extensions of any process take turns."""
        with self._translated():
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            with (self._folder / ".lock").open("w") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                yield

    @contextlib.contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except ProviderError:
            raise
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise Unknown(f"The practice machines under {self._folder} cannot be read or written: {error}.") from error


def _address(order: LaunchOrder) -> str:
    # Three digits each: as words these sort as the ranks do.
    return f"127.0.1.{100 + order.rank}" if order.nodes > 1 else ""


def _exists(path: Path) -> bool:
    # Not `Path.exists`, which says no to a folder that cannot be looked into.
    try:
        path.stat()
    except FileNotFoundError:
        return False
    return True


def _marks(folder: Path) -> tuple[Mark | None, Mark | None]:
    started = read(folder / STARTED) or {}
    main, timer = (Mark(**started[who]) if started.get(who) else None for who in ("main", "timer"))
    return main, timer


def _taken(lock: Path) -> bool:
    try:
        with lock.open("r") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


def _instance(record: Mapping[str, Any], state: InstanceState, ended_at: float | None) -> Instance:
    return Instance(
        provider=NAME,
        id=record["id"],
        region="here",
        state=state,
        tags=dict(record["tags"]),
        launched_at=datetime.fromtimestamp(record["launched_at"], UTC),
        ended_at=datetime.fromtimestamp(ended_at, UTC) if ended_at is not None else None,
    )
