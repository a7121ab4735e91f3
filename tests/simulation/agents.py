"""What runs on the machines: a script drawn for each as it is made, played on the cloud's time while it stands.

An agent speaks some time after the boot, tells of steps and checkpoints, ends early, at its deadline, on a word from
the control file or on a spot notice; or it dies and says nothing more, which is for others to notice.
"""

from __future__ import annotations

import hashlib
import json
import math
import random
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from tests.simulation.cloud import NOTICE, Cloud
from tests.simulation.machine import Cause, Machine
from tests.simulation.shelf import Shelf
from trainer import wire

ODD = (
    "<!channel> *now* \u202egnp.exe\u202c \x1b[31m</script> ```"  # a last line, as a script or a stranger may write it
)

At = Callable[[datetime, str, Callable[[], None]], None]


@dataclass(frozen=True, kw_only=True)
class Temper:
    """How likely agents do what, of one machine each."""

    early: float = 0.45  # finishes before its deadline
    failing: float = 0.1  # its command fails
    mute: float = 0.03  # never says a word
    dying: float = 0.06  # stops in the middle and says nothing more
    deaf: float = 0.05  # does not stop when it is asked to
    off: float = 0.5  # powers its machine off after its last word
    half: float = 0.15  # of an upload: it is cut off before its manifest, and told of all the same
    odd: float = 0.1  # of a word: numbers that are none, a flood of them, letters that Slack or a reader falls for


class Agents:
    """Plays every machine's script. `spoke` is called after each chunk that was written."""

    def __init__(self, seed: str, temper: Temper, shelf: Shelf, at: At, spoke: Callable[[Machine], None]) -> None:
        self._chance = random.Random(seed)
        self._temper = temper
        self._shelf = shelf
        self._at = at
        self._spoke = spoke
        self._chunks: dict[str, int] = {}
        self._over: set[str] = set()
        self.befell: Counter[str] = Counter()
        self._listening: defaultdict[str, list[tuple[Cloud, Machine]]] = defaultdict(list)  # by their control file

    def begin(self, cloud: Cloud, machine: Machine) -> None:
        """Lay out a new machine's life."""
        chance, temper = self._chance, self._temper
        draw = chance.random()
        if machine.runs_at is None or draw < temper.mute:
            self.befell["a script that says nothing"] += machine.runs_at is not None
            return
        begins = machine.runs_at + timedelta(seconds=round(chance.uniform(2, 40), 3))
        self._plan(begins, cloud, machine, "up", lambda: self._says(machine, _stage("run")))
        life = (machine.order.deadline - begins).total_seconds()
        if chance.random() >= temper.deaf:
            self._listening[self._control(machine)].append((cloud, machine))
        else:
            self.befell["a script that ignores its stop"] += 1
        if life <= 10:
            return
        at = lambda share: begins + timedelta(seconds=round(life * share, 3))  # noqa: E731  read as one line each
        for share in sorted(chance.uniform(0.05, 0.95) for _ in range(chance.choice((0, 1, 1, 2)))):
            self._plan(at(share), cloud, machine, "progress", lambda share=share: self._progress(machine, share))
        if chance.random() < 0.5:
            self._plan(at(chance.uniform(0.1, 0.8)), cloud, machine, "save", lambda: self._saves(machine))
        if draw < temper.mute + temper.dying:
            self._plan(at(chance.uniform(0.05, 0.9)), cloud, machine, "dies", lambda: self._dies(machine))
        elif draw < temper.mute + temper.dying + temper.failing:
            self._plan(
                at(chance.uniform(0.01, 0.6)), cloud, machine, "fails", lambda: self._ends(cloud, machine, "error")
            )
        elif draw < temper.mute + temper.dying + temper.failing + temper.early:
            self.befell["a script that ends early"] += 1
            ends = at(chance.uniform(0.05, 0.95))
            self._plan(ends, cloud, machine, "finishes", lambda: self._ends(cloud, machine, "finished"))
        reclaimed = machine.ends.get(Cause.RECLAIM)
        if reclaimed is not None:
            told = reclaimed - NOTICE + timedelta(seconds=5)
            self._plan(told, cloud, machine, "notice", lambda: self._reclaimed(cloud, machine))

    def told(self, key: str) -> None:
        """Look at a control file that was just written, a few seconds later, as agents do."""
        for cloud, machine in self._listening.get(key, ()):
            later = cloud.time.now() + timedelta(seconds=5)
            self._plan(later, cloud, machine, "control", partial(self._obeys, cloud, machine))

    def over(self, machine: Machine) -> bool:
        """Return whether a machine's agent has ended, or died."""
        return machine.id in self._over

    # ------------------------------------------------------------ inside

    def _plan(self, at: datetime, cloud: Cloud, machine: Machine, what: str, act: Callable[[], None]) -> None:
        def play() -> None:
            if machine.running(cloud.time.now()) and machine.id not in self._over and not self._shelf.shut:
                act()

        self._at(at, f"agent {what} {machine.key}", play)

    def _dies(self, machine: Machine) -> None:
        self.befell["a script that dies without a word"] += 1
        self._over.add(machine.id)

    def _obeys(self, cloud: Cloud, machine: Machine) -> None:
        data = self._shelf.get(self._control(machine))
        stop = None if data is None else wire.from_json(wire.Control, data).stop
        if stop is not None:
            self.befell["a machine is left behind"] += stop is wire.Reason.LEFT_BEHIND
            self._ends(cloud, machine, stop.value)

    def _progress(self, machine: Machine, share: float) -> None:
        step = int(share * 1000)
        if self._happens(self._temper.odd):
            self.befell["numbers that are none, or hundreds of series"] += 1
            odd = [{"step": step, "values": {"loss": loss}} for loss in (math.nan, math.inf, -math.inf, 1e308)]
            flood = [{"step": step, "values": {f"series {number}": 1.0}} for number in range(300)]
            self._says(machine, *({"kind": "metric", "data": data} for data in self._chance.choice((odd, flood))))
        metric = {"kind": "metric", "data": {"step": step, "values": {"loss": round(4.0 - 2 * share, 4)}}}
        progress = {"kind": "progress", "data": {"step": step, "total": 1000, "percent": 100 * share}}
        self._says(machine, metric, progress)

    def _saves(self, machine: Machine, *, cut: bool = False) -> None:
        name = f"step-{self._chunks.get(machine.id, 0)}"
        prefix = wire.checkpoint_prefix(machine.order.job, machine.order.attempt, name, machine.order.rank)
        entry = wire.FileEntry(path="ckpt.pt", size=len(name), sha256=hashlib.sha256(name.encode()).hexdigest())
        self._shelf.put(f"{prefix}/ckpt.pt", name.encode())
        whole = wire.Manifest(name=name, step=1, at=0.0, files=(entry,))
        if cut or self._happens(self._temper.half):
            self.befell["half an upload, told of as whole"] += 1
        else:
            self._shelf.put(f"{prefix}/manifest.json", wire.to_json(whole))
        told = {"name": name, "step": 1, "manifest": f"{prefix}/manifest.json", "bytes": len(name), "files": 1}
        self._says(machine, {"kind": "checkpoint", "data": {**told, "removed": []}})

    def _ends(self, cloud: Cloud, machine: Machine, reason: str) -> None:
        tail = [ODD] if self._happens(self._temper.odd) else []
        self.befell["last words to be misread"] += len(tail)
        told = {"reason": reason, "code": 0, "signal": None, "tail": tail, "steps": 1}
        self._says(machine, {"kind": "outcome", "data": told})
        self._over.add(machine.id)
        if self._chance.random() < self._temper.off:
            cloud.power_off(machine, timedelta(seconds=round(self._chance.uniform(1, 20), 3)))

    def _reclaimed(self, cloud: Cloud, machine: Machine) -> None:
        """Save once more, which half of the time ends in mid-upload, and say that the machine is taken."""
        cut = self._happens(0.5)
        self.befell["reclaimed in mid-checkpoint"] += cut
        self._saves(machine, cut=cut)
        self._ends(cloud, machine, "preempted")

    def _happens(self, chance: float) -> bool:
        return self._chance.random() < chance

    def _says(self, machine: Machine, *events: dict[str, Any]) -> None:
        number = self._chunks[machine.id] = self._chunks.get(machine.id, 0) + 1
        moment = machine.launched_at.timestamp()
        data = b"".join(json.dumps({"t": moment, **event}).encode() + b"\n" for event in events)
        self._shelf.put(wire.event_key(machine.order.job, machine.order.attempt, number, machine.order.rank), data)
        self._spoke(machine)

    @staticmethod
    def _control(machine: Machine) -> str:
        return wire.control_key(machine.order.job, machine.order.attempt)


def _stage(stage: str) -> dict[str, Any]:
    return {"kind": "stage", "data": {"stage": stage, "note": ""}}
