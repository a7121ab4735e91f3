"""The control plane, put together: everything that works without Slack."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass

from bot.counted import CountedProvider
from bot.machines import connected
from bot.metrics import Metrics
from bot.notify import Notifier
from bot.timekeeper import Timekeeper
from jobs.clock import Clock, Ids
from jobs.db import Database
from jobs.follow import Follow
from jobs.lanes import SideBySide
from jobs.leases import Lender
from jobs.offers import Desk
from jobs.ports import Ports as RentalPorts
from jobs.ports import no_credentials
from jobs.providers import Provider
from jobs.rentals import Rentals
from jobs.scheduler import Scheduler
from jobs.service import Service
from jobs.settings import Settings, mask_of, secret_values
from jobs.source import SourceResolver
from trainer.storage import open_store


class Wakes:
    """What a commit wakes: filled in once the parts that sleep have been built."""

    def __init__(self) -> None:
        self.scheduler: Scheduler | None = None
        self.notifier: Notifier | None = None

    def __call__(self, job_id: str = "") -> None:
        """Let the workers look at once; an empty id means that something, somewhere, changed."""
        if self.scheduler:
            self.scheduler.wake(job_id)
        if self.notifier:
            self.notifier.wake()


@dataclass(frozen=True, kw_only=True)
class ControlPlane:
    """Everything that works without Slack."""

    db: Database
    service: Service
    rentals: Rentals
    follow: Follow
    desk: Desk
    source: SourceResolver
    providers: Mapping[str, Provider]
    metrics: Metrics


@dataclass(frozen=True, kw_only=True)
class Ports:
    """What the world is reached through; a test hands in its own."""

    clock: Clock
    ids: Ids


def control_plane(settings: Settings, ports: Ports, wakes: Wakes, stack: ExitStack) -> ControlPlane:
    """Build what works without Slack; whatever has to be closed is left with `stack`."""
    db = Database.open(settings.database(), mask=mask_of(os.environ))
    stack.callback(db.close)
    metrics = Metrics(db, ports.clock)
    providers: dict[str, Provider] = {
        name: CountedProvider(provider, metrics.provider) for name, provider in connected(settings, ports.clock).items()
    }
    secrets = secret_values()
    store = open_store(settings.store_uri())
    source = SourceResolver(
        git_hosts=settings.git_hosts, git_tokens=settings.git_tokens, cache_dir=settings.state / "git"
    )
    desk = Desk(providers)
    lender = _lender(settings, ports.clock)
    follow = Follow(db=db, clock=ports.clock, store=store, wake=wakes)
    rentals = Rentals(
        RentalPorts(
            db=db,
            clock=ports.clock,
            providers=providers,
            market=desk,
            packer=source,
            store=store,
            store_uri=settings.store_uri(),
            home=str(settings.home),
            secrets=secrets,
            credentials=no_credentials if set(settings.providers) == {"aws"} else lender,
            renew=lender,
            data_keys=settings.data_keys(),
            drain=follow.drain,
            wake=wakes,
        ),
        lanes=SideBySide(),
        reference=Timekeeper(settings.slack_api_url),
    )
    service = Service(
        db=db,
        clock=ports.clock,
        ids=ports.ids,
        settings=settings,
        traits={name: provider.traits for name, provider in providers.items()},
        mover=rentals.move_deadline,
        wake=wakes,
    )
    return ControlPlane(
        db=db,
        service=service,
        rentals=rentals,
        follow=follow,
        desk=desk,
        source=source,
        providers=providers,
        metrics=metrics,
    )


def _lender(settings: Settings, clock: Clock) -> Lender:
    """Return who lends machines their way to the store; the first ones of `aws` come with the boot script."""
    if not settings.store_uri().startswith("s3:"):
        return no_credentials
    from jobs.credentials import JobCredentials  # with AWS's SDK, which most starts can do without

    return JobCredentials(
        role=settings.aws_job_role, store_uri=settings.store_uri(), clock=clock, kms_key=settings.aws_kms_key or ""
    )
