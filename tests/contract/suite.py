"""What every provider must do, whatever stands behind it.

A provider's own test file derives from `ProviderContract` and gives it a `rig`: the provider over something real, or
over something that behaves like it. Real rigs wait; fake ones move their clock.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from typing import Protocol

import pytest

from jobs.errors import ProviderError, Rejected, Unknown
from jobs.providers import Guarantee, Instance, InstanceState, LaunchOrder, Need, Offer, Provider
from tests.support.builders import a_need

LONG = timedelta(minutes=5)
SHORT = timedelta(seconds=4)


class Rig(Protocol):
    """One provider on its ground, and what the suite has to know about both."""

    provider: Provider
    home: str
    need: Need  # one that the provider can meet

    def neighbour(self) -> Provider:
        """Return a provider of another home on the same ground."""

    def order(self, name: str, *, lasts: timedelta) -> LaunchOrder:
        """Return an order of this home whose machine would stay up far beyond its deadline, `lasts` from now."""

    def until(self, condition: Callable[[], bool], limit: timedelta) -> bool:
        """Let time pass until the condition holds; return whether it did within `limit`."""

    def alive(self) -> int:
        """Return how many machines stand, seen by other means than the provider's."""

    def unreachable(self) -> AbstractContextManager[None]:
        """Return a context in which the provider cannot reach its ground."""


def launched(rig: Rig, name: str = "a", *, lasts: timedelta = LONG) -> tuple[LaunchOrder, Instance]:
    """Ask for a machine at the cheapest offer and wait until it runs."""
    order = rig.order(name, lasts=lasts)
    instance = rig.provider.launch(cheapest(rig), order)
    assert rig.until(lambda: state(rig, order) in (InstanceState.RUNNING, InstanceState.GONE), LONG)
    return order, instance


def cheapest(rig: Rig) -> Offer:
    """Return the offer that the suite launches at."""
    return rig.provider.offers(rig.need)[0]


def state(rig: Rig, order: LaunchOrder) -> InstanceState | None:
    """Return what the provider says of the order's machine; None when it knows none."""
    found = rig.provider.find(order.launch_key)
    return found.state if found is not None else None


def gone(rig: Rig, order: LaunchOrder) -> bool:
    """Return whether the machine is positively gone, or not there at all."""
    return state(rig, order) in (InstanceState.GONE, None)


def living(provider: Provider) -> list[str]:
    """Return the ids of what the provider lists and does not call gone."""
    return sorted(one.id for one in provider.list() if one.state is not InstanceState.GONE)


class ProviderContract:
    """The suite; a subclass adds the `rig` fixture."""

    def test_offers_meet_the_need_at_a_price_for_the_whole_instance_cheapest_first(self, rig: Rig) -> None:
        offers = rig.provider.offers(rig.need)
        assert offers
        assert all(offer.provider == rig.provider.traits.name for offer in offers)
        assert all(offer.gpu == rig.need.gpu and offer.gpus >= rig.need.count for offer in offers)
        assert [o.micros_per_hour for o in offers] == sorted(o.micros_per_hour for o in offers)

    def test_there_is_no_offer_for_what_nobody_has(self, rig: Rig) -> None:
        assert list(rig.provider.offers(a_need(gpu="z900"))) == []

    def test_a_launched_machine_is_found_and_listed_with_the_tags_it_was_given(self, rig: Rig) -> None:
        order, instance = launched(rig)
        found = rig.provider.find(order.launch_key)
        assert found is not None
        assert (found.id, found.provider, dict(found.tags)) == (
            instance.id,
            rig.provider.traits.name,
            dict(order.tags),
        )
        assert found.state is InstanceState.RUNNING
        assert found.launched_at is not None and found.launched_at.tzinfo is UTC
        assert [dict(one.tags) for one in rig.provider.list()] == [dict(order.tags)]
        assert rig.alive() == 1

    def test_a_repeated_key_meets_the_same_machine(self, rig: Rig) -> None:
        if not rig.provider.traits.idempotent:
            pytest.skip(f"{rig.provider.traits.name} does not promise it")
        order, first = launched(rig)
        assert rig.provider.launch(cheapest(rig), order).id == first.id
        assert rig.alive() == 1

    def test_a_repeated_key_does_not_bring_back_what_was_ended(self, rig: Rig) -> None:
        if not rig.provider.traits.idempotent:
            pytest.skip(f"{rig.provider.traits.name} does not promise it")
        order, first = launched(rig)
        rig.provider.terminate(first)
        assert rig.until(lambda: gone(rig, order), LONG)
        again = rig.provider.launch(cheapest(rig), order)
        assert again.state in (InstanceState.ENDING, InstanceState.GONE)
        assert rig.alive() == 0

    def test_two_keys_are_two_machines_and_ending_one_leaves_the_other(self, rig: Rig) -> None:
        one, first = launched(rig, "a")
        other, second = launched(rig, "b")
        assert first.id != second.id
        rig.provider.terminate(first)
        assert rig.until(lambda: gone(rig, one), LONG)
        assert state(rig, other) is InstanceState.RUNNING
        assert living(rig.provider) == [second.id]
        assert rig.alive() == 1

    def test_an_ended_machine_is_gone_and_says_when(self, rig: Rig) -> None:
        order, instance = launched(rig)
        rig.provider.terminate(instance)
        assert rig.until(lambda: gone(rig, order), LONG)
        assert rig.until(lambda: rig.alive() == 0, LONG)
        assert living(rig.provider) == []
        found = rig.provider.find(order.launch_key)
        assert found is None or (found.ended_at is not None and found.ended_at.tzinfo is UTC)

    def test_ending_twice_is_no_error(self, rig: Rig) -> None:
        order, instance = launched(rig)
        rig.provider.terminate(instance)
        rig.provider.terminate(instance)
        assert rig.until(lambda: gone(rig, order), LONG)
        rig.provider.terminate(instance)
        assert gone(rig, order)

    def test_what_was_never_launched_is_not_found_and_its_end_is_no_error(self, rig: Rig) -> None:
        order, instance = launched(rig)
        assert rig.provider.find(f"{order.launch_key}-never") is None
        rig.provider.terminate(dataclasses.replace(instance, id=f"{instance.id[:-2]}zz"))
        assert state(rig, order) is InstanceState.RUNNING

    def test_another_home_sees_nothing_of_ours(self, rig: Rig) -> None:
        order, _ = launched(rig)
        neighbour = rig.neighbour()
        assert list(neighbour.list()) == []
        assert neighbour.find(order.launch_key) is None

    def test_the_deadline_ends_the_machine_with_nobodys_help(self, rig: Rig) -> None:
        if rig.provider.traits.guarantee is Guarantee.NONE:
            pytest.skip(f"{rig.provider.traits.name} does not promise it")
        order, instance = launched(rig, lasts=SHORT)
        if rig.provider.traits.guarantee is Guarantee.EXTERNAL:
            rig.provider.extend(instance, order.deadline)
        assert rig.until(lambda: rig.alive() == 0, SHORT + rig.provider.traits.hard_lag)
        assert rig.until(lambda: gone(rig, order), LONG)

    def test_a_moved_deadline_holds_and_its_tag_says_so_or_the_move_is_refused(self, rig: Rig) -> None:
        order, instance = launched(rig, lasts=SHORT)
        later = order.deadline + timedelta(minutes=10)
        if not rig.provider.traits.extendable:
            with pytest.raises(Rejected):
                rig.provider.extend(instance, later)
            return
        rig.provider.extend(instance, later)
        found = rig.provider.find(order.launch_key)
        assert found is not None and found.tags["deadline"] == str(int(later.timestamp()))
        assert not rig.until(lambda: gone(rig, order), SHORT + timedelta(seconds=2))
        rig.provider.terminate(instance)

    def test_a_timer_beside_the_machine_is_shown_from_when_it_was_set(self, rig: Rig) -> None:
        if rig.provider.traits.guarantee is not Guarantee.EXTERNAL:
            pytest.skip(f"{rig.provider.traits.name} does not promise it")
        order, instance = launched(rig)
        before = rig.provider.find(order.launch_key)
        assert before is not None and before.limit is None and before.limit_seen
        rig.provider.extend(instance, order.deadline)
        found = rig.provider.find(order.launch_key)
        shown = [one.limit for one in (found, *rig.provider.list()) if one is not None]
        assert len(shown) == 2
        assert all(at is not None and abs(at - order.deadline) <= timedelta(seconds=1) for at in shown)

    def test_a_deadline_moved_closer_ends_it_then(self, rig: Rig) -> None:
        if not rig.provider.traits.extendable:
            pytest.skip(f"{rig.provider.traits.name} does not promise it")
        order, instance = launched(rig)
        rig.provider.extend(instance, order.deadline - LONG + SHORT)
        assert rig.until(lambda: gone(rig, order), SHORT + rig.provider.traits.hard_lag)

    def test_out_of_reach_every_verb_raises_our_errors_and_no_listing_reads_as_gone(self, rig: Rig) -> None:
        order, instance = launched(rig)
        other = rig.order("b", lasts=LONG)
        offer = cheapest(rig)
        with rig.unreachable():
            with pytest.raises(Unknown):
                rig.provider.list()
            with pytest.raises(Unknown):
                rig.provider.find(order.launch_key)
            with pytest.raises(ProviderError):
                rig.provider.launch(offer, other)
            with pytest.raises(ProviderError):
                rig.provider.terminate(instance)
        assert state(rig, order) is InstanceState.RUNNING

    def test_the_order_and_the_errors_keep_secrets_to_themselves(self, rig: Rig) -> None:
        order = dataclasses.replace(rig.order("a", lasts=LONG), env={"API_KEY": "hush-hush-9"})
        assert "hush-hush-9" not in repr(order)
        with rig.unreachable(), pytest.raises(ProviderError) as caught:
            rig.provider.launch(cheapest_offline(rig), order)
        assert "hush-hush-9" not in f"{caught.value!r} {caught.value} {caught.value.__cause__!r}"


def cheapest_offline(rig: Rig) -> Offer:
    """Return an offer of the right shape without asking the provider, which cannot answer now."""
    return Offer(
        provider=rig.provider.traits.name,
        name="any",
        region="here",
        gpu=rig.need.gpu,
        memory_gb=0,
        gpus=0,
        micros_per_hour=0,
        spot=False,
        priced_at=datetime(2026, 11, 1, tzinfo=UTC),
    )
