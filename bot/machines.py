"""The configured providers, each handed what it needs; built the same way for the bot, the reaper and the doctor."""

from __future__ import annotations

from jobs.clock import Clock
from jobs.offers import practice_offer
from jobs.prices import Prices
from jobs.providers import Provider
from jobs.providers.registry import Parts, connect
from jobs.settings import Settings
from trainer import archive


def connected(settings: Settings, clock: Clock) -> dict[str, Provider]:
    """Return the providers by name, in the order of preference; `settings.home` is filled in.

    Raises `Misconfigured` when one that is named cannot work.
    """
    settings.state.mkdir(parents=True, exist_ok=True)
    return connect(
        Parts(
            settings=settings,
            home=str(settings.home),
            clock=clock,
            archive=archive.build(settings.state / "trainer.pyz", with_s3=settings.store_uri().startswith("s3:")),
            practice_price=lambda need: practice_offer(need, clock.now()),
            catalogue=Prices(settings.prices).of,
        )
    )
