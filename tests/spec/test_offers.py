"""Prices: the catalogue, the desk's comparison by whole instances, and what it says when nothing fits."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

import pytest

from jobs.errors import BadSpec, NoCapacity, ProviderError, Rejected, Unknown
from jobs.gpus import GPU_NAMES, MEMORY_GB
from jobs.offers import Desk, catalogue, catalogue_offers, matching, practice_offer, satisfies
from jobs.providers import Instance, LaunchOrder, Need, Offer, Provider
from tests.support.builders import a_need, an_offer, some_traits

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


class Shop:
    """A provider that only sells: what is on its shelf, or an error."""

    def __init__(self, name: str, shelf: Sequence[Offer] = (), error: ProviderError | None = None) -> None:
        self.traits = some_traits(name=name)
        self._shelf = shelf
        self._error = error

    def offers(self, need: Need) -> Sequence[Offer]:
        if self._error:
            raise self._error
        return matching(self._shelf, need)

    def launch(self, offer: Offer, order: LaunchOrder) -> Instance:
        raise Rejected("Nothing is launched here.")

    def find(self, launch_key: str) -> Instance | None:
        return None

    def list(self) -> Sequence[Instance]:
        return ()

    def terminate(self, instance: Instance) -> None:
        return None

    def extend(self, instance: Instance, deadline: datetime) -> None:
        raise Rejected("Nothing is extended here.")


def desk(*shops: Shop) -> Desk:
    providers: dict[str, Provider] = {shop.traits.name: shop for shop in shops}
    return Desk(providers)


def row(provider: str, gpu: str, gpus: int, dollars: float, *, memory: int = 80, spot: bool = False) -> Offer:
    return an_offer(
        provider=provider,
        name=f"{gpus}x{gpu}",
        gpu=gpu,
        gpus=gpus,
        memory_gb=memory,
        micros_per_hour=int(dollars * 1_000_000),
        spot=spot,
    )


# ---------------------------------------------------------------- the catalogue


def test_the_catalogue_is_dated_sourced_and_speaks_only_of_known_gpus() -> None:
    for entry in catalogue():
        assert entry.source
        assert entry.offer.micros_per_hour > 0
        assert datetime(2026, 1, 1, tzinfo=UTC) < entry.offer.priced_at <= NOON
        assert entry.offer.memory_gb in MEMORY_GB[entry.offer.gpu]


def test_every_name_that_people_may_type_has_a_price() -> None:
    assert {entry.offer.gpu for entry in catalogue()} == set(GPU_NAMES)


def test_prices_are_of_the_whole_instance_to_the_last_micro_dollar() -> None:
    p4d = next(offer for offer in catalogue_offers("aws") if offer.name == "p4d.24xlarge" and not offer.spot)

    assert (p4d.gpus, p4d.micros_per_hour) == (8, 21_957_642)


def test_practice_costs_what_the_cheapest_single_gpu_machine_costs() -> None:
    one = practice_offer(a_need(gpu="a100", count=1), NOON)
    large = practice_offer(a_need(gpu="a100", memory_gb=80, count=2), NOON)

    assert one is not None
    assert large is not None
    assert (one.micros_per_hour, one.gpus, one.fixed_price, one.priced_at) == (760_000, 1, True, NOON)
    assert (large.micros_per_hour, large.gpus, large.memory_gb) == (2 * 870_000, 2, 80)


def test_practice_without_a_gpu_costs_nothing_and_what_is_not_priced_is_not_offered() -> None:
    cpu = practice_offer(a_need(gpu="cpu", count=0), NOON)

    assert cpu is not None
    assert cpu.micros_per_hour == 0
    assert practice_offer(a_need(gpu="a100", memory_gb=999), NOON) is None


# ---------------------------------------------------------------- quoting


def test_the_cheapest_whole_instance_comes_first_whatever_one_gpu_costs() -> None:
    eight = row("aws", "a100", 8, 16.0)  # $2 a GPU
    one = row("lambda", "a100", 1, 3.0)

    assert desk(Shop("aws", [eight]), Shop("lambda", [one])).quote(a_need(count=1), []) == [one, eight]


def test_more_memory_and_more_gpus_will_do_and_another_market_will_not() -> None:
    need = a_need(gpu="a100", memory_gb=40, count=2, spot=False)

    assert satisfies(row("x", "a100", 2, 1, memory=80), need)
    assert satisfies(row("x", "a100", 8, 1, memory=40), need)
    assert not satisfies(row("x", "a100", 1, 1), need)
    assert not satisfies(row("x", "h100", 2, 1), need)
    assert not satisfies(row("x", "a100", 2, 1, spot=True), need)
    assert not satisfies(row("x", "a100", 2, 1, memory=40), a_need(gpu="a100", memory_gb=80, count=2))


def test_only_the_allowed_providers_are_asked() -> None:
    counter = desk(Shop("aws", [row("aws", "a100", 1, 1.0)]), Shop("lambda", [row("lambda", "a100", 1, 2.0)]))

    assert [offer.provider for offer in counter.quote(a_need(), ["lambda"])] == ["lambda"]


def test_a_provider_that_does_not_answer_does_not_silence_the_others() -> None:
    counter = desk(Shop("aws", error=Unknown("No answer.")), Shop("lambda", [row("lambda", "a100", 1, 2.0)]))

    assert len(counter.quote(a_need(), [])) == 1
    assert list(counter.survey(a_need(), []).errors) == ["aws"]


def test_when_somebody_did_not_answer_nobody_claims_that_there_is_nothing() -> None:
    with pytest.raises(Unknown):
        desk(Shop("aws", error=Rejected("No.")), Shop("gcp", error=Unknown("No answer.")), Shop("lambda")).quote(
            a_need(), []
        )
    with pytest.raises(NoCapacity):
        desk(Shop("aws", error=NoCapacity("Full."))).quote(a_need(), [])


@pytest.mark.parametrize(
    ("need", "said"),
    [
        (
            a_need(gpu="h100", count=8),
            "No provider here has 8 × h100; nearest: 1 × h100 (80 GB) at lambda. Write `gpu=h100`.",
        ),
        (a_need(gpu="h200", count=1), "nearest: 1 × h100 (80 GB) at lambda. Write `gpu=h100`."),
        (
            a_need(gpu="h100", count=1, spot=True),
            "has 1 × h100 on spot; nearest: 1 × h100 (80 GB) at lambda. Write `gpu=h100` and `spot=no`.",
        ),
        (
            a_need(gpu="a100", memory_gb=80, count=1),
            "has 1 × a100-80gb; nearest: 2 × a100 (40 GB) at lambda. Write `gpu=a100`.",
        ),
        (
            a_need(gpu="cpu", count=0),
            "has a machine without a GPU; there is 1 × h100 (80 GB) at lambda, 2 × a100 (40 GB) at lambda.",
        ),
    ],
)
def test_when_nothing_fits_the_nearest_is_offered(need: Need, said: str) -> None:
    shelf = [row("lambda", "h100", 1, 3.0), row("lambda", "a100", 2, 3.0, memory=40)]

    with pytest.raises(BadSpec) as caught:
        desk(Shop("lambda", shelf)).quote(need, [])

    assert said in str(caught.value)


def test_a_provider_that_is_not_configured_is_named_with_its_neighbour() -> None:
    with pytest.raises(BadSpec, match=r"`dokcer` is not a provider here\. Did you mean `docker`"):
        desk(Shop("docker")).quote(a_need(), ["dokcer"])


def test_a_desk_without_machines_says_so() -> None:
    with pytest.raises(BadSpec, match="nor any other machine that has a price"):
        desk(Shop("docker")).quote(a_need(), [])


# ---------------------------------------------------------------- comparing


def test_a_comparison_has_live_prices_for_the_configured_and_the_catalogue_for_the_rest() -> None:
    live = row("lambda", "a100", 1, 0.5)
    rows = desk(Shop("lambda", [live])).compare("a100")

    assert rows[0].offer == live
    assert (rows[0].configured, rows[0].source) == (True, "")
    assert {entry.offer.provider for entry in rows[1:]} == {"aws", "gcp", "vast"}
    assert all(entry.source and not entry.configured for entry in rows[1:])
    assert [entry.offer.micros_per_hour for entry in rows] == sorted(entry.offer.micros_per_hour for entry in rows)


def test_a_configured_provider_that_does_not_answer_is_shown_with_its_catalogue_price() -> None:
    rows = desk(Shop("lambda", error=Unknown("No answer."))).compare("a10")

    assert [(entry.offer.provider, entry.configured) for entry in rows] == [("lambda", True)]


def test_a_comparison_can_be_of_one_memory_or_one_market() -> None:
    assert {entry.offer.memory_gb for entry in desk().compare("a100-80gb")} == {80}
    assert all(entry.offer.spot for entry in desk().compare(spot=True))
    assert len(desk().compare()) == len(catalogue())


def test_the_price_of_one_gpu_stands_beside_that_of_the_machine() -> None:
    p4d = next(entry for entry in desk().compare("a100", spot=False) if entry.offer.name == "p4d.24xlarge")

    assert p4d.micros_per_gpu == 2_744_706
