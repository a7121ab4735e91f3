"""The operator's own prices: machines that the dated catalogue does not know, or what a contract made cheaper.

A file of the catalogue's form, named by `HOURGLASS_PRICES`:

    {"offers": [{"provider": "aws", "name": "c7i.large", "region": "us-east-1", "gpu": "cpu", "memory_gb": 0,
                 "gpus": 0, "dollars": "0.09", "spot": false, "date": "2026-11-01", "source": "our contract"}]}

A row for a machine that the catalogue knows replaces the catalogue's.
"""

from __future__ import annotations

import json
from pathlib import Path

from jobs.errors import Misconfigured
from jobs.offers import catalogue_offers, catalogue_row
from jobs.providers import Offer


class Prices:
    """The catalogue with the operator's rows laid over it."""

    def __init__(self, path: Path | None = None) -> None:
        """Read the file at once; raises `Misconfigured` naming the row that is none."""
        self._own = () if path is None else _read(path)

    def own(self, provider: str) -> tuple[Offer, ...]:
        """Return the operator's own prices of one provider, which no price list overrules."""
        return tuple(offer for offer in self._own if offer.provider == provider)

    def of(self, provider: str) -> tuple[Offer, ...]:
        """Return one provider's priced machines."""
        own = self.own(provider)
        replaced = {_machine(offer) for offer in own}
        return own + tuple(offer for offer in catalogue_offers(provider) if _machine(offer) not in replaced)


def _machine(offer: Offer) -> tuple[str, str, bool]:
    return offer.name, offer.region, offer.spot


def _read(path: Path) -> tuple[Offer, ...]:
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))["offers"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise Misconfigured(f"HOURGLASS_PRICES: {path} is no price list: {error}") from error
    offers = []
    for number, row in enumerate(rows, start=1):
        try:
            offers.append(catalogue_row(row).offer)
        except (KeyError, ValueError, ArithmeticError, TypeError) as error:
            raise Misconfigured(f"HOURGLASS_PRICES: row {number} of {path} cannot be read: {error!r}") from error
    return tuple(offers)
