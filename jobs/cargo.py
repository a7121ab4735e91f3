"""What has to lie in the store before a machine is asked for: the commit, the checkpoint to go on from, the order.

Everything here may be done twice: objects are put under the same keys with the same bytes, and a crash in
between leaves files that no machine was told of.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import structlog
from sqlmodel import Session

from jobs import db, orders, provisions
from jobs.errors import NotFound
from jobs.model import Attempt, Checkpoint, Job
from jobs.ports import Ports
from jobs.records import parse
from jobs.saves import is_proven, to_go_on_from
from jobs.values import JobSpec, Request, Source
from trainer import wire

log = structlog.get_logger(__name__)

# The number under which a checkpoint of another job is laid into a job's own prefix, before its first attempt.
INHERITED = 0


def lineage(tx: Session, job_id: str) -> Iterator[list[Checkpoint]]:
    """Yield the checkpoints of a job, of the one that it went on from, and so on."""
    ancestor: str | None = job_id
    seen: set[str] = set()
    while ancestor is not None and ancestor not in seen:
        seen.add(ancestor)
        try:
            request = parse(Request, db.get_job(tx, ancestor).request)
        except NotFound:
            return
        yield db.checkpoints(tx, ancestor)
        ancestor = request.rerun_of if request.resume else None


@dataclass(frozen=True, kw_only=True)
class Cargo:
    """What every attempt of a job takes along."""

    spec: JobSpec
    source: Source
    source_sha256: str
    resume_key: str | None


class Loader:
    """Lays a job's files ready."""

    def __init__(self, ports: Ports) -> None:
        self._ports = ports

    def load(self, job: Job) -> Cargo:
        """Pack the commit unless it lies there, look at the inputs, choose where to go on from.

        Raises `BadSource`, `BadSpec` and `StoreFault`.
        """
        source, spec = parse(Source, job.source or {}), parse(JobSpec, job.spec or {})
        ports = self._ports
        provisions.check(spec, job.team_id, store=ports.store, store_uri=ports.store_uri, keys=ports.data_keys)
        return Cargo(
            spec=spec,
            source=source,
            source_sha256=self._packed(job, source),
            resume_key=self._resume_key(job),
        )

    def lay_order(self, launch: orders.Launch) -> None:
        """Put the order of each node and the first control file."""
        for rank in range(launch.spec.nodes):
            order = orders.agent_order(launch, rank)
            self._ports.store.put(wire.order_key(order.job, order.attempt, rank), wire.to_json(order))
        self._ports.store.put(
            wire.control_key(launch.job.id, launch.number), orders.control(seq=1, deadline=launch.deadline)
        )

    def order_of(self, attempt: Attempt) -> wire.AgentOrder | None:
        """Return the order that was laid for an attempt, None where there is none that can be read."""
        data = self._ports.store.get(wire.order_key(attempt.job_id, attempt.number, attempt.rank))
        try:
            return None if data is None else wire.from_json(wire.AgentOrder, data)
        except ValueError:
            log.error("order.unreadable", job=attempt.job_id, attempt=attempt.number)
            return None

    def _packed(self, job: Job, source: Source) -> str:
        """Return the sha256 of the packed commit, packing it once a job: an earlier attempt's order knows it."""
        store, key = self._ports.store, wire.source_key(job.id)
        with self._ports.db.read() as tx:
            earlier = [row for row in db.attempts(tx, job.id) if row.rank == 0]
        for attempt in reversed(earlier):
            order = self.order_of(attempt)
            if order is not None and store.size(key) is not None:
                return order.source_sha256
        with tempfile.TemporaryDirectory(prefix="hourglass-source-") as folder:
            archive = Path(folder) / "source.tar.gz"
            sha256 = self._ports.packer.pack(source, archive)
            store.put_file(key, archive)
        return sha256

    def _resume_key(self, job: Job) -> str | None:
        """Return the prefix of the newest whole checkpoint to go on from: the job's own, else one it inherits.

        From what may be half an attempt never goes on by itself: it would end where beginning anew would not. Somebody
        who asks for a job's last checkpoint gets it, where there is no other.
        """
        with self._ports.db.read() as tx:
            own = db.checkpoints(tx, job.id)
        for row in filter(is_proven, to_go_on_from(own)):
            if self._ports.store.size(row.manifest) is not None:
                return _prefix(row.manifest)
        request = parse(Request, job.request)
        if request.resume and request.rerun_of:
            return self._inherited(job, request.rerun_of)
        return None

    def _inherited(self, job: Job, parent: str) -> str | None:
        """Copy the newest whole checkpoint of `parent` under this job's prefix, the only one its machine may read.

        Where that saved none, of what it went on from itself; one that may be half only where there is no other.
        """
        with self._ports.db.read() as tx:
            rows = [row for saved in lineage(tx, parent) for row in to_go_on_from(saved)]
            tx.expunge_all()
        for row in sorted(rows, key=is_proven, reverse=True):  # stable
            manifest = wire.manifest_key(job.id, INHERITED, row.name)
            if self._ports.store.size(manifest) is not None or self._copied(row, _prefix(manifest)):
                return _prefix(manifest)
        return None

    def _copied(self, row: Checkpoint, target: str) -> bool:
        """Copy a checkpoint's files, its manifest last; False when one of them is no longer there."""
        store, prefix = self._ports.store, _prefix(row.manifest)
        sizes: dict[str, int | None] = {file["path"]: file["size"] for file in row.files}
        for path, size in {**sizes, "manifest.json": None}.items():
            if size is not None and store.size(f"{prefix}/{path}") != size:
                return False  # something else lies there: it could be of any size
            if not store.copy(f"{prefix}/{path}", f"{target}/{path}"):
                return False
        return True


def _prefix(manifest: str) -> str:
    return manifest.rpartition("/")[0]
