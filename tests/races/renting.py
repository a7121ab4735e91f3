"""The renting side over somebody's database: the real `Rentals`, a store in a folder, one provider called `cloud`."""

from __future__ import annotations

from pathlib import Path

from jobs.clock import Clock
from jobs.db import Database
from jobs.follow import Follow
from jobs.offers import Desk
from jobs.ports import Ports
from jobs.providers import Provider
from jobs.rentals import Rentals
from tests.support.world import HOME, Parcel
from trainer.storage import FolderStore


def rentals_over(database: Database, clock: Clock, provider: Provider, folder: Path) -> Rentals:
    """Return rentals that nobody wakes: the race says when they work."""
    store = FolderStore(folder)
    providers = {"cloud": provider}
    follow = Follow(db=database, clock=clock, store=store, wake=lambda _: None)
    return Rentals(
        Ports(
            db=database,
            clock=clock,
            providers=providers,
            market=Desk(providers),
            packer=Parcel(),
            store=store,
            store_uri=store.root.as_uri(),
            home=HOME,
            drain=follow.drain,
            wake=lambda _: None,
        ),
        silence=0.0,
    )
