"""Every machine of every cloud, by the job and the attempt that it was made for, and what it has cost."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from tests.simulation.books import Case
from tests.simulation.cloud import Cloud
from tests.simulation.machine import Machine
from tests.simulation.reckoning import price


class Fleet:
    """The clouds as they really are."""

    def __init__(self, clouds: Sequence[Cloud]) -> None:
        self.clouds = {cloud.traits.name: cloud for cloud in clouds}

    def of(self, case: Case) -> list[tuple[Cloud, Machine]]:
        """Return every machine of a job, with its cloud."""
        return [(cloud, one) for key in case.keys for cloud in self.clouds.values() for one in cloud.of_key(key)]

    def together(self, key: str, machine: Machine) -> bool:
        """Return whether a key's machine is of the same attempt."""
        made = [one for cloud in self.clouds.values() for one in cloud.of_key(key)]
        return any(one.order.attempt == machine.order.attempt for one in made)

    def billed(self, key: str, now: datetime) -> tuple[int, int]:
        """Return the least and the most that a key's machines cost: they differ where a cloud forgot one."""
        least = most = 0
        for cloud in self.clouds.values():
            for machine in cloud.of_key(key):
                ended = machine.end(now)
                until = ended[0] if ended is not None else now
                disk = machine.order.disk_gb
                rate = machine.offer.micros_per_hour
                low = price(rate, disk, until - machine.launched_at, cloud.traits)
                forgotten = cloud.unseen.get(key)
                high = price(rate, disk, (forgotten or until) - machine.launched_at, cloud.traits)
                least, most = least + low, most + max(low, high)
        return least, most
