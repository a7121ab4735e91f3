"""What a machine finds in its store: an order and a source, as the control plane writes them."""

from __future__ import annotations

import hashlib
import io
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from jobs.providers import LaunchOrder
from trainer import wire
from trainer.storage import FolderStore, Store


def put_work(
    store: Store,
    order: LaunchOrder,
    *,
    commands: Sequence[str],
    files: Mapping[str, str] | None = None,
    grace: float = 2.0,
    upload_every: float = 1.0,
) -> wire.AgentOrder:
    """Put the source archive and the agent's order in place; they need no GPU."""
    packed = _packed(files or {"README": "nothing but commands\n"})
    store.put(wire.source_key(order.job), packed)
    agent = wire.AgentOrder(
        job=order.job,
        attempt=order.attempt,
        rank=order.rank,
        nodes=order.nodes,
        source_key=wire.source_key(order.job),
        source_sha256=hashlib.sha256(packed).hexdigest(),
        commit="3f9c2ab15d0e4c6b8a7f1e2d3c4b5a6978879695",
        setup=(),
        commands=commands,
        argv=(),
        env={},
        gpu=wire.GpuNeed(name="cpu", count=0, memory_gb=None, required=True),
        checkpoints=wire.CheckpointRule(path="out", upload_every=upload_every, keep=2),
        deadline=order.deadline.timestamp(),
        grace=grace,
        resume_key=None,
        flush_every=0.2,
    )
    store.put(wire.order_key(order.job, order.attempt, order.rank), wire.to_json(agent))
    return agent


def _packed(files: Mapping[str, str]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, text in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(text.encode())
            archive.addfile(entry, io.BytesIO(text.encode()))
    return buffer.getvalue()


def ask(store: Store, order: LaunchOrder, *, seq: int = 1, stop: wire.Reason | None = None) -> None:
    """Write the control file."""
    control = wire.Control(seq=seq, deadline=order.deadline.timestamp(), stop=stop)
    store.put(wire.control_key(order.job, order.attempt), wire.to_json(control))


def events(store: Store, order: LaunchOrder) -> Iterator[wire.Event]:
    """Yield what the machine has told so far, in order."""
    number = 1
    while (chunk := store.get(wire.event_key(order.job, order.attempt, number, order.rank))) is not None:
        yield from (wire.from_json(wire.Event, line) for line in chunk.splitlines())
        number += 1


def outcome(store: Store, order: LaunchOrder) -> Mapping[str, object] | None:
    """Return the outcome's data, or None while there is none."""
    return next((dict(event.data) for event in events(store, order) if event.kind is wire.EventKind.OUTCOME), None)


def folder_store(order: LaunchOrder) -> FolderStore:
    """Return the store of an order whose store is a folder."""
    return FolderStore(Path(order.store.removeprefix("file://")))
