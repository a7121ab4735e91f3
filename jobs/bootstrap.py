"""What lies ready in the store before a machine is asked for, and the boot script that leads to it.

    trainer/<sha256>.pyz                     the agent, the same for every machine
    launch/<job>/a<attempt>-r<rank>/script   the user data, as it was first made
    launch/<job>/a<attempt>-r<rank>/bundle   environment and links; gone once the machine has read it
    launch/<job>/a<attempt>-r<rank>/lease    since when its credentials are lent and until when (`leases.Span`)

Links are signed with the hour and credentials differ each time, and yet asking a provider twice under one key
must be the same request to the byte. So the first script that is made for a machine is the only one: it is
written down before it is used, and found again after a restart. None of this lies where a machine's own
credentials can read.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from types import MappingProxyType
from typing import Protocol

import structlog

from jobs import boot
from jobs.clock import Clock
from jobs.errors import Rejected, Unknown
from jobs.image_names import mirrored
from jobs.leases import Lender, note_span, span_key
from jobs.providers import LaunchOrder, machine_env
from trainer import wire
from trainer.storage import Store, StoreFault

BOOT_CHUNKS = 24
LINK_MARGIN = timedelta(minutes=15)  # a machine may still be telling its end
LONGEST_LINK = timedelta(days=7)  # S3 signs for no longer
NOTICE_FILE = "/hourglass/notice"  # in the container; the warden puts it there
WORKDIR = "/tmp/hourglass"  # noqa: S108  in the container, which one job has to itself; any user may write there

NO_MIRRORS: Mapping[str, str] = MappingProxyType({})

_log = structlog.get_logger(__name__)


class SigningStore(Store, Protocol):
    """A store that can hand out a link to one object."""

    def sign(self, verb: str, key: str, expires: int) -> str:
        """Return a URL good for one verb (GET, HEAD, PUT, DELETE) on one object, for `expires` seconds."""


class Bootstrap:
    """Makes boot scripts for machines that read their files from `store`."""

    def __init__(
        self,
        *,
        store: SigningStore,
        clock: Clock,
        archive: Path,
        credentials: Lender,
        notice: str,
        mirrors: Mapping[str, str] = NO_MIRRORS,
    ) -> None:
        """Take the trainer's archive, built with S3 in it, and who lends a machine its credentials.

        `notice` is where its provider says that it takes the machine back; `mirrors` are registries' copies that are
        nearer to machines, by the registry's name.
        """
        self._mirrors = mirrors
        self._store = store
        self._clock = clock
        self._archive = archive
        self._credentials = credentials
        self._notice = notice
        self._agent: tuple[str, str] | None = None  # key and sha256, once it is known to lie in the store

    def script(self, order: LaunchOrder) -> str:
        """Return the machine's user data, to the byte what it was the first time.

        Raises `Rejected` for an order that cannot become one, `Unknown` while the store does not answer, and what
        the lender of credentials raises. Found again, a script needs the store alone.
        """
        try:
            kept = self._store.get(_script_key(order.job, order.attempt, order.rank))
            return kept.decode() if kept is not None else self._made(order)
        except StoreFault as error:
            raise Unknown(f"The machine's files could not be laid ready. {error}") from error

    def forget(self, job: str, attempt: int, rank: int) -> None:
        """Remove script and bundle; a store that does not answer is logged, since nothing depends on it."""
        try:
            self._store.delete(span_key(job, attempt, rank))
            self._store.delete(_bundle_key(job, attempt, rank))
            self._store.delete(_script_key(job, attempt, rank))
        except StoreFault as error:
            _log.warning("launch_files_kept", job=job, attempt=attempt, rank=rank, error=str(error))

    def _made(self, order: LaunchOrder) -> str:
        left = order.deadline - self._clock.now()
        if left <= timedelta(0) or order.image is None:
            raise Rejected("A machine needs an image to run and a deadline that is still to come.")
        seconds = int(min(left + LINK_MARGIN, LONGEST_LINK).total_seconds())
        trainer_key, trainer_sha256 = self._agent_in_store()
        bundle_key = _bundle_key(order.job, order.attempt, order.rank)
        lent = self._credentials(order.job, order.attempt, order.deadline, order.reads)
        bundle = boot.pack(self._bundle(order, lent, seconds, trainer_key, bundle_key))
        text = boot.script(
            boot.Boot(
                name=order.launch_key,
                deadline=int(order.deadline.timestamp()),
                lifetime=int(left.total_seconds()),
                image=order.image,
                mirror=mirrored(order.image, self._mirrors),
                gpus=order.gpus,
                shm_gb=order.shm_gb,
                notice=self._notice,
                trainer_sha256=trainer_sha256,
                bundle_url=self._store.sign("GET", bundle_key, seconds),
                bundle_sha256=hashlib.sha256(bundle).hexdigest(),
            )
        )
        # The bundle first: a script that was written down is always one that can be booted.
        self._store.put(bundle_key, bundle)
        note_span(self._store, order.job, order.attempt, order.rank, self._clock.now(), lent)
        self._store.put(_script_key(order.job, order.attempt, order.rank), text.encode())
        return text

    def _bundle(
        self, order: LaunchOrder, lent: Mapping[str, str], seconds: int, trainer_key: str, bundle_key: str
    ) -> boot.Bundle:
        def sign(verb: str, key: str) -> str:
            return self._store.sign(verb, key, seconds)

        machine = order.job, order.attempt
        first_chunk = wire.event_key(*machine, 1, order.rank)
        told = {
            wire.ENV_SPOT_NOTICE: f"file={NOTICE_FILE}",
            wire.ENV_LEASE_URL: sign("GET", wire.lease_key(*machine)),
        }
        return boot.Bundle(
            env={**machine_env(order, instance=order.launch_key, workdir=WORKDIR), **lent, **told},
            trainer_url=sign("GET", trainer_key),
            outcome_url=sign("PUT", first_chunk),
            spoken_url=sign("HEAD", first_chunk),
            discard_url=sign("DELETE", bundle_key),
            boot_urls=[
                sign("PUT", wire.boot_key(*machine, number, order.rank)) for number in range(1, BOOT_CHUNKS + 1)
            ],
        )

    def _agent_in_store(self) -> tuple[str, str]:
        if self._agent is None:
            sha256 = hashlib.sha256(self._archive.read_bytes()).hexdigest()
            key = f"trainer/{sha256}.pyz"
            if self._store.size(key) is None:
                self._store.put_file(key, self._archive)
            self._agent = (key, sha256)
        return self._agent


def _script_key(job: str, attempt: int, rank: int) -> str:
    return f"launch/{job}/a{attempt}-r{rank}/script"


def _bundle_key(job: str, attempt: int, rank: int) -> str:
    return f"launch/{job}/a{attempt}-r{rank}/bundle"
