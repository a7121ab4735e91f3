"""A machine is never asked for twice, never forgotten, and never dearer than what was held."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from jobs import db
from jobs.errors import NoCapacity, QuotaExceeded, Rejected, Scope, Throttled, Unauthorized, Unknown
from jobs.lifecycle import AttemptState, JobState
from jobs.values import DOLLAR, SpotPolicy
from tests.support.builders import a_spec, an_offer, some_traits
from tests.support.clock import FakeClock
from tests.support.fake_provider import FakeProvider
from tests.support.world import World, key_of


def a_cloud(clock: FakeClock, *, idempotent: bool = True, **script: object) -> FakeProvider:
    return FakeProvider(clock, traits=some_traits(idempotent=idempotent), **script)  # type: ignore[arg-type]  # scripts


@pytest.mark.parametrize("idempotent", [True, False])
def test_a_lost_answer_is_looked_up_and_adopted(tmp_path: Path, idempotent: bool) -> None:
    clock = FakeClock()
    world = World(tmp_path, a_cloud(clock, idempotent=idempotent), clock=clock)
    world.cloud.lose_answers()
    job_id = world.launch()
    assert world.states(job_id) == (JobState.PROVISIONING, [AttemptState.INTENT])

    world.tick()

    assert world.states(job_id) == (JobState.PROVISIONING, [AttemptState.LAUNCHED])
    assert len(world.cloud.machines) == 1
    assert [note.kind for note in world.notes(job_id) if note.kind in ("launched", "adopted")] == ["adopted"]


def test_without_idempotency_five_minutes_of_empty_look_ups_come_before_a_new_key(tmp_path: Path) -> None:
    clock = FakeClock()
    world = World(tmp_path, a_cloud(clock, idempotent=False), clock=clock)
    world.cloud.fail("launch", Unknown("timed out"))
    job_id = world.launch()

    world.pass_time(minutes=5)
    assert [row.state for row in world.attempts(job_id)] == [AttemptState.INTENT]
    world.pass_time(minutes=1)

    first, second = world.attempts(job_id)
    assert (first.state, second.state) == (AttemptState.NEVER, AttemptState.LAUNCHED)
    assert second.intent_at - first.intent_at >= timedelta(minutes=5)
    assert [("launch", key_of(job_id, 1)), ("launch", key_of(job_id, 2))] == [
        call for call in world.cloud.calls if call[0] == "launch"
    ]


def test_a_listing_that_is_not_whole_proves_nothing(tmp_path: Path) -> None:
    clock = FakeClock()
    world = World(tmp_path, a_cloud(clock, idempotent=False), clock=clock)
    world.cloud.lose_answers()
    job_id = world.launch()
    world.cloud.down = Unknown("half a listing")
    world.pass_time(minutes=30, every=120)
    assert [row.state for row in world.attempts(job_id)] == [AttemptState.INTENT]

    world.cloud.down = None
    world.tick()
    assert [row.state for row in world.attempts(job_id)] == [AttemptState.LAUNCHED]
    assert len(world.cloud.machines) == 1


def test_a_machine_that_speaks_is_not_written_off_though_no_listing_shows_it(tmp_path: Path) -> None:
    clock = FakeClock()
    world = World(tmp_path, a_cloud(clock, idempotent=False), clock=clock)
    world.cloud.fail("launch", Unknown("timed out"))
    job_id = world.launch()
    world.store.put(f"jobs/{job_id}/a1/events/00000001.jsonl", b"")

    world.pass_time(minutes=20, every=120)

    assert [row.state for row in world.attempts(job_id)] == [AttemptState.INTENT]


def test_an_idempotent_provider_is_asked_again_under_the_same_key(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.cloud.fail("launch", Unknown("timed out"))
    job_id = world.launch()
    world.tick()
    assert [row.state for row in world.attempts(job_id)] == [AttemptState.INTENT]  # its answer may be on the way
    world.clock.advance(60)
    world.tick()

    assert [row.state for row in world.attempts(job_id)] == [AttemptState.LAUNCHED]
    assert {key_of(job_id, 1)} == {what for verb, what in world.cloud.calls if verb == "launch"}


def test_the_same_order_is_asked_for_again_to_the_byte(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.secrets["KEY"] = "value"
    world.cloud.traits = some_traits(idempotent=False)  # so that the second call makes a machine that shows its order
    world.cloud.lose_answers()
    job_id = world.launch(a_spec(secrets=("KEY",), nodes=1))
    world.cloud.traits = some_traits(idempotent=True)
    first = world.cloud.machines.pop().order
    world.clock.advance(90)
    world.tick()

    assert repr(first) == repr(world.cloud.machines[0].order)
    assert dict(first.env) == dict(world.cloud.machines[0].order.env)
    assert world.states(job_id) == (JobState.PROVISIONING, [AttemptState.LAUNCHED])


def test_a_provider_that_breaks_in_mid_call_may_have_made_a_machine(tmp_path: Path) -> None:
    clock = FakeClock()
    world = World(tmp_path, a_cloud(clock, idempotent=False), clock=clock)
    world.cloud.fail("launch", RuntimeError("a bug in an SDK"))
    job_id = world.launch()

    assert world.states(job_id) == (JobState.PROVISIONING, [AttemptState.INTENT])
    world.pass_time(minutes=4, every=60)
    assert len([call for call in world.cloud.calls if call[0] == "launch"]) == 1


# ---------------------------------------------------------------- a definite no


def three_offers() -> list[object]:
    return [
        an_offer(name="small", region="r1", micros_per_hour=1 * DOLLAR),
        an_offer(name="small", region="r2", micros_per_hour=2 * DOLLAR),
        an_offer(name="big", region="r1", micros_per_hour=5 * DOLLAR),
    ]


def test_no_capacity_leads_to_the_next_offer_under_a_new_key(tmp_path: Path) -> None:
    clock = FakeClock()
    cloud = FakeProvider(clock, catalogue=three_offers())  # type: ignore[arg-type]  # offers
    world = World(tmp_path, cloud, clock=clock)
    cloud.full.add(("small", "r1"))
    job_id = world.launch()

    first, second = world.attempts(job_id)
    assert (first.state, first.billed) == (AttemptState.NEVER, 0)
    assert (second.state, second.region, second.micros_per_hour) == (AttemptState.LAUNCHED, "r2", 2 * DOLLAR)
    assert first.launch_key != second.launch_key


def test_fall_back_never_goes_above_the_ceiling(tmp_path: Path) -> None:
    clock = FakeClock()
    cloud = FakeProvider(clock, catalogue=three_offers())  # type: ignore[arg-type]  # offers
    world = World(tmp_path, cloud, clock=clock)
    cloud.full.update({("small", "r1"), ("small", "r2")})
    job_id = world.launch(ceiling=3 * DOLLAR)

    assert (world.job(job_id).state, world.job(job_id).stop_reason) == (JobState.FAILED, "no_capacity")
    assert cloud.machines == []
    assert "no-capacity" in world.job(job_id).error
    assert (world.period().held, world.balanced()) == (0, True)


@pytest.mark.parametrize(
    ("error", "taken"),
    [
        (NoCapacity("none left", scope=Scope.ZONE), ("small", "r2")),
        (NoCapacity("none left", scope=Scope.REGION), ("small", "r2")),
        (QuotaExceeded("8 vCPUs"), ("small", "r2")),
        (Rejected("no such type"), ("small", "r2")),
    ],
)
def test_a_refusal_rules_out_what_its_scope_says(tmp_path: Path, error: Exception, taken: tuple[str, str]) -> None:
    clock = FakeClock()
    cloud = FakeProvider(clock, catalogue=three_offers())  # type: ignore[arg-type]  # offers
    world = World(tmp_path, cloud, clock=clock)
    cloud.fail("launch", error)
    job_id = world.launch(ceiling=9 * DOLLAR)

    last = world.attempts(job_id)[-1]
    assert taken == (last.offer["name"], last.region)


def test_an_account_without_rights_rules_out_its_provider_and_leads_to_another(tmp_path: Path) -> None:
    clock = FakeClock()
    cheap = FakeProvider(
        clock, traits=some_traits(name="cheap"), catalogue=[an_offer(provider="cheap", micros_per_hour=1)]
    )
    dear = FakeProvider(clock, traits=some_traits(name="dear"), catalogue=[an_offer(provider="dear")])
    world = World(tmp_path, cheap, dear, clock=clock)
    cheap.fail("launch", Unauthorized("the key expired"))
    job_id = world.launch()

    assert [row.provider for row in world.attempts(job_id)] == ["cheap", "dear"]
    assert len(dear.machines) == 1


def test_a_job_that_may_wait_for_capacity_gets_all_its_hours_once_there_is_some(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.cloud.full.add(("gpu-1x-a100", "here-1"))
    job_id = world.launch(a_spec(retry_on=("no-capacity",)))
    assert JobState.QUEUED is world.job(job_id).state
    assert (world.job(job_id).not_before or world.now()) > world.now()

    world.pass_time(minutes=40, every=120)
    world.cloud.full.clear()
    world.pass_time(minutes=15, every=120)

    job, last = world.job(job_id), world.attempts(job_id)[-1]
    assert AttemptState.LAUNCHED is last.state
    assert last.intent_at + timedelta(hours=4) == last.deadline == job.deadline


def test_waiting_for_capacity_ends_when_the_rental_would_have(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.cloud.full.add(("gpu-1x-a100", "here-1"))
    job_id = world.launch(a_spec(retry_on=("no-capacity",), minutes=60))
    world.pass_time(hours=1.5, every=300)

    assert (world.job(job_id).state, world.job(job_id).stop_reason) == (JobState.FAILED, "no_capacity")
    assert (world.period().held, world.balanced()) == (0, True)


def test_a_throttled_launch_is_tried_again_under_a_new_key(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.cloud.fail("launch", Throttled("slow down"))
    job_id = world.launch()
    assert JobState.QUEUED is world.job(job_id).state

    world.pass_time(minutes=1)
    assert [row.state for row in world.attempts(job_id)] == [AttemptState.NEVER, AttemptState.LAUNCHED]


def test_a_price_that_rose_over_what_is_held_shortens_nothing_and_takes_nothing(tmp_path: Path) -> None:
    clock = FakeClock()
    cloud = FakeProvider(clock, catalogue=[an_offer(micros_per_hour=2 * DOLLAR)])
    world = World(tmp_path, cloud, clock=clock)
    job_id = world.launch(ceiling=2 * DOLLAR, hold=10_000)  # a hold that pays for 18 seconds

    assert JobState.FAILED is world.job(job_id).state
    assert cloud.machines == []


def test_max_cost_becomes_an_earlier_deadline(tmp_path: Path) -> None:
    world = World(tmp_path)
    job_id = world.launch(a_spec(max_cost=4 * DOLLAR), ceiling=3 * DOLLAR)

    (attempt,) = world.attempts(job_id)
    assert world.job(job_id).hold == 4 * DOLLAR
    assert timedelta(hours=2) == attempt.deadline - attempt.intent_at  # at the offer's $2 an hour


def test_cancelled_while_the_provider_is_called_ends_the_machine_that_comes_of_it(tmp_path: Path) -> None:
    world = World(tmp_path)
    job_id = world.queued()
    world.cloud.before("launch", lambda: world.stop(job_id))
    world.rentals.launch(job_id)
    world.tick()

    assert len(world.cloud.machines) == 1
    assert world.cloud.alive() == []
    assert world.states(job_id) == (JobState.CANCELLED, [AttemptState.GONE])


def test_cancelled_before_the_call_asks_for_nothing(tmp_path: Path) -> None:
    world = World(tmp_path)
    job_id = world.queued()
    world.stop(job_id)
    world.rentals.launch(job_id)
    assert world.cloud.calls == []


def test_both_kinds_of_offers_are_asked_for_where_either_will_do(tmp_path: Path) -> None:
    clock = FakeClock()
    spot = an_offer(name="spot", spot=True, micros_per_hour=1 * DOLLAR)
    world = World(tmp_path, FakeProvider(clock, catalogue=[an_offer(), spot]), clock=clock)
    job_id = world.launch(a_spec(spot=SpotPolicy.AUTO))
    assert world.attempts(job_id)[0].offer["name"] == "spot"


def test_nothing_is_asked_for_once_its_deadline_has_passed(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.cloud.fail("launch", Unknown("timed out"))
    job_id = world.launch(a_spec(minutes=60))
    world.rentals.enforce()
    world.cloud.machines.clear()
    (row,) = world.attempts(job_id)
    with world.db.write() as tx:
        fields = {"instance_id": None, "launched_at": None, "state": AttemptState.INTENT}
        db.touch_attempt(tx, row, world.now(), **fields)
    world.clock.jump(timedelta(hours=2))  # doubted in this pass: nothing ends by it, and nothing begins either
    world.rentals.enforce()
    assert world.cloud.machines == []


# ---------------------------------------------------------------- several nodes


def test_each_node_has_a_key_and_an_order_of_its_own(tmp_path: Path) -> None:
    world = World(tmp_path)
    job_id = world.launch(a_spec(nodes=2))

    assert [key_of(job_id, 1, 0), key_of(job_id, 1, 1)] == [row.launch_key for row in world.attempts(job_id)]
    assert world.store.size(f"jobs/{job_id}/a1-r1/order.json")


def test_a_node_that_cannot_be_had_ends_the_others_and_all_are_tried_again(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.cloud.before("launch", lambda: None)
    world.cloud.before("launch", lambda: world.cloud.fail("launch", NoCapacity("one was left")))
    job_id = world.launch(a_spec(nodes=2))
    world.tick()
    first = world.attempts(job_id)
    assert [row.state for row in first] == [AttemptState.GONE, AttemptState.NEVER]
    assert JobState.QUEUED is world.job(job_id).state

    world.pass_time(minutes=1)
    assert [row.state for row in world.attempts(job_id)][2:] == [AttemptState.LAUNCHED] * 2
    assert len(world.cloud.alive()) == 2
