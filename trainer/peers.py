"""The machines of one attempt find each other through the store, and their commands start together.

Each says that it is ready, and under which name the others reach it; the first one says a port as well, at which its
torchrun will be met. When all have spoken, each has the same variables: those that torchrun reads in place of its
options (c10d, the first machine's address, as many nodes as were rented), and those that others go by.

    jobs/<job>/a<attempt>/peer.json       the first machine
    jobs/<job>/a<attempt>-r1/peer.json    the second, and so on

torchrun numbers machines in the order of their names' letters, not of their ranks: providers give names that sort as
the ranks do, so that the process of rank 0 is on the machine whose progress is told.
"""

from __future__ import annotations

import socket
from collections.abc import Mapping
from typing import Any

from trainer import wire
from trainer.fetch import CannotStart
from trainer.storage import Store
from trainer.wire import AgentOrder, Peer, Reason

# Machines are asked for together; what differs is how long each boots, fetches its image and its inputs.
PATIENCE = 30 * 60.0  # seconds


class Meeting:
    """One machine's part in it; a context manager that lets go of the port just before the command takes it."""

    def __init__(self, order: AgentOrder, store: Store, address: str) -> None:
        """Take the name under which the others reach this machine; raises `CannotStart` where it has none."""
        if not address:
            text = f"{wire.ENV_ADDRESS} is not set: the other machines could not reach this one."
            raise CannotStart(Reason.BAD_SPEC, text)
        self._order, self._store, self._address = order, store, address
        self._found: dict[int, Peer] = {}
        self._held = socket.socket()
        if order.rank == 0:
            self._held.bind(("", 0))  # so that nothing else here gets the port meanwhile

    def __enter__(self) -> Meeting:
        return self

    def __exit__(self, *_: Any) -> None:
        self._held.close()

    @property
    def ready(self) -> str:
        """Return how many are there, for people."""
        return f"{len(self._found)} of {self._order.nodes} machines were ready"

    @property
    def late(self) -> str:
        """Return who is not there, for people."""
        return f"no word from machine {', '.join(str(rank + 1) for rank in self._missing())}, counted from 1."

    def arrive(self) -> None:
        """Say that this machine is ready; raises `StoreFault`."""
        port = self._held.getsockname()[1] if self._order.rank == 0 else 0
        own = Peer(address=self._address, port=port)
        self._store.put(wire.peer_key(self._order.job, self._order.attempt, self._order.rank), wire.to_json(own))
        self._found[self._order.rank] = own

    def complete(self) -> bool:
        """Look for those that are missing; return whether all are there. Raises `StoreFault`."""
        for rank in self._missing():
            data = self._store.get(wire.peer_key(self._order.job, self._order.attempt, rank))
            if data is None:
                return False
            self._found[rank] = wire.from_json(Peer, data)
        return True

    def variables(self) -> Mapping[str, str]:
        """Return what the command finds in its environment once all are there; the team's own word on any stands."""
        order, first = self._order, self._found[0]
        told = {
            "PET_NNODES": str(order.nodes),
            "PET_NPROC_PER_NODE": str(max(1, order.gpu.count)),
            "PET_RDZV_BACKEND": "c10d",
            "PET_RDZV_ID": f"{order.job}-a{order.attempt}",
            "PET_RDZV_ENDPOINT": f"{first.address}:{first.port}",
            # Said, because torchrun would guess it from names that it resolves.
            "PET_RDZV_CONF": f"is_host={int(order.rank == 0)}",
            "PET_LOCAL_ADDR": self._address,
            "MASTER_ADDR": first.address,
            "MASTER_PORT": str(first.port),
            "NNODES": str(order.nodes),
            "NODE_RANK": str(order.rank),
        }
        return {name: said for name, said in told.items() if name not in order.env}

    def _missing(self) -> list[int]:
        return [rank for rank in range(self._order.nodes) if rank not in self._found]
