"""A cloud that several processes can rent from: each machine is a file in one folder.

It stands in for a provider in the races. Nothing in it is idempotent, so that whoever asks twice has two machines;
every call is a line in one file, written in one piece.
"""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from jobs.providers import Instance, InstanceState, LaunchOrder, Need, Offer, Traits
from tests.support.builders import an_offer, some_traits
from tests.support.clock import START


class SharedCloud:
    """The six verbs over a folder; machines boot at once and end at once."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.traits: Traits = some_traits(idempotent=False)
        (folder / "machines").mkdir(parents=True, exist_ok=True)

    def offers(self, need: Need) -> Sequence[Offer]:
        """Return one machine that is always free."""
        return (an_offer(gpu=need.gpu, spot=need.spot),)

    def launch(self, offer: Offer, order: LaunchOrder) -> Instance:
        """Make a machine, whoever asked for the same before."""
        self._called("launch", order.launch_key)
        instance = f"i-{uuid.uuid4().hex[:12]}"
        facts = {"tags": dict(order.tags), "region": offer.region}
        (self.folder / "machines" / f"{instance}.json").write_text(json.dumps(facts))
        return self._show(instance, facts)

    def find(self, launch_key: str) -> Instance | None:
        """Return a machine with that key."""
        return next((machine for machine in self.list() if machine.tags["key"] == launch_key), None)

    def list(self) -> Sequence[Instance]:
        """Return every machine that stands."""
        standing = sorted((self.folder / "machines").glob("*.json"))
        return [self._show(path.stem, json.loads(path.read_text())) for path in standing]

    def terminate(self, instance: Instance) -> None:
        """End a machine; one that is gone already is as it should be."""
        self._called("terminate", instance.id)
        (self.folder / "machines" / f"{instance.id}.json").unlink(missing_ok=True)

    def extend(self, instance: Instance, deadline: datetime) -> None:
        """Refuse: nothing is extended in these races."""
        raise AssertionError("A race for a launch extends nothing.")

    def calls(self, verb: str) -> list[str]:
        """Return what the verb was called with, by any process."""
        path = self.folder / "calls"
        lines = path.read_text().splitlines() if path.exists() else []
        return [what for name, what in (line.split(" ", 1) for line in lines) if name == verb]

    def _called(self, verb: str, what: str) -> None:
        # O_APPEND with one short write is whole whoever else writes.
        file = os.open(self.folder / "calls", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            os.write(file, f"{verb} {what}\n".encode())
        finally:
            os.close(file)

    def _show(self, instance: str, facts: dict[str, object]) -> Instance:
        tags, region = facts["tags"], facts["region"]
        assert isinstance(tags, dict) and isinstance(region, str)
        return Instance(
            provider=self.traits.name,
            id=instance,
            region=region,
            state=InstanceState.RUNNING,
            tags=tags,
            launched_at=START,
            ended_at=None,
            note="",
        )
