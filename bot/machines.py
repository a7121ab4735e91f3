"""The configured providers, each handed what it needs; built the same way for the bot, the reaper and the doctor."""

from __future__ import annotations

from collections.abc import Sequence

from jobs.clock import Clock
from jobs.offers import practice_offer
from jobs.prices import Prices
from jobs.providers import Instance, Provider
from jobs.providers.registry import Parts, connect
from jobs.reaper import Ender
from jobs.settings import Settings
from trainer import archive


def connected(settings: Settings, clock: Clock) -> dict[str, Provider]:
    """Return the providers by name, in the order of preference; `settings.home` is filled in.

    Raises `Misconfigured` when one that is named cannot work.
    """
    settings.state.mkdir(parents=True, exist_ok=True)
    prices = Prices(settings.prices)
    with_s3 = settings.store_uri().startswith("s3:")
    return connect(
        Parts(
            settings=settings,
            home=str(settings.home),
            clock=clock,
            archive=archive.build(settings.state / "trainer.pyz", with_s3=with_s3),
            practice_price=lambda need: practice_offer(need, clock.now()),
            catalogue=prices.of,
            own_prices=prices.own,
        )
    )


def enders(settings: Settings, clock: Clock) -> dict[str, Ender]:
    """Return the providers as the reaper has them: built without store, prices and the trainer, and only to end."""
    parts = Parts(
        settings=settings,
        home=str(settings.home),
        clock=clock,
        archive=settings.state / "trainer.pyz",
        practice_price=lambda need: None,
        catalogue=lambda name: (),
        ends_only=True,
    )
    return {name: OnlyEnds(provider) for name, provider in connect(parts).items()}


class OnlyEnds:
    """A provider of which two verbs are left: nothing that holds it can rent, or move a deadline."""

    def __init__(self, provider: Ender) -> None:
        self._list, self._terminate = provider.list, provider.terminate

    def list(self) -> Sequence[Instance]:
        """Return this home's machines."""
        return self._list()

    def terminate(self, instance: Instance) -> None:
        """Ask for its end."""
        self._terminate(instance)
