"""The operator's own prices over the catalogue's."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from jobs.errors import Misconfigured
from jobs.offers import catalogue_offers
from jobs.prices import Prices

ROW = {
    "provider": "aws", "name": "c7i.large", "region": "us-east-1", "gpu": "cpu", "memory_gb": 0, "gpus": 0,
    "dollars": "0.09", "spot": False, "date": "2026-11-01", "source": "our contract",
}  # fmt: skip


def listed(tmp_path: Path, *rows: object) -> Path:
    path = tmp_path / "prices.json"
    path.write_text(json.dumps({"offers": rows}))
    return path


def test_without_a_file_the_catalogue_stands() -> None:
    assert Prices().of("aws") == catalogue_offers("aws")


def test_a_machine_that_the_catalogue_does_not_know_is_added(tmp_path: Path) -> None:
    prices = Prices(listed(tmp_path, ROW))
    assert (prices.of("aws")[0].name, prices.of("aws")[0].micros_per_hour) == ("c7i.large", 90_000)
    assert len(catalogue_offers("aws")) + 1 == len(prices.of("aws"))
    assert catalogue_offers("lambda") == prices.of("lambda")


def test_a_contracts_price_replaces_the_catalogues(tmp_path: Path) -> None:
    cheaper = {**ROW, "name": "g5.xlarge", "gpu": "a10g", "memory_gb": 24, "gpus": 1, "dollars": "0.7"}
    offers = [o for o in Prices(listed(tmp_path, cheaper)).of("aws") if o.name == "g5.xlarge" and not o.spot]
    assert [offer.micros_per_hour for offer in offers] == [700_000]


@pytest.mark.parametrize("broken", [{**ROW, "dollars": "cheap"}, {"name": "x"}, "nothing"])
def test_a_row_that_is_none_is_named(tmp_path: Path, broken: object) -> None:
    with pytest.raises(Misconfigured, match="row 2"):
        Prices(listed(tmp_path, ROW, broken))


def test_a_file_that_is_no_list_is_named(tmp_path: Path) -> None:
    path = tmp_path / "prices.json"
    path.write_text("[")
    with pytest.raises(Misconfigured, match="HOURGLASS_PRICES"):
        Prices(path)
