"""What may be rented, for how much, and who is asked."""

from __future__ import annotations

import itertools
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs import policy
from jobs.errors import NoCapacity
from jobs.lifecycle import JobState
from jobs.model import Job, Period, Team
from jobs.policy import Decision, No, Person, Why
from jobs.providers import Guarantee, Traits
from jobs.values import DOLLAR, JobSpec, SpotPolicy
from tests.support.builders import a_spec, a_team, an_offer, some_traits
from tests.support.clock import START

HOURS = 60.0

spans = st.integers(0, 3 * 3600).map(lambda seconds: timedelta(seconds=seconds))
granules = st.sampled_from([timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1), timedelta(0)])
minimums = st.sampled_from([timedelta(0), timedelta(minutes=1), timedelta(minutes=10), timedelta(seconds=61)])
rates = st.integers(0, 50 * DOLLAR)


@st.composite
def traits(draw: st.DrawFn) -> Traits:
    return some_traits(
        granule=draw(granules),
        minimum=draw(minimums),
        startup=draw(spans),
        hard_lag=draw(spans),
        disk_micros_per_gb_hour=draw(st.integers(0, 500)),
    )


# ---------------------------------------------------------------- bills


@pytest.mark.parametrize(
    ("ran", "granule", "minimum", "micros"),
    [
        (timedelta(hours=1), timedelta(seconds=1), timedelta(0), 2 * DOLLAR),
        (timedelta(minutes=61), timedelta(hours=1), timedelta(0), 4 * DOLLAR),
        (timedelta(seconds=5), timedelta(seconds=1), timedelta(minutes=1), 33_334),
        (timedelta(0), timedelta(minutes=1), timedelta(0), 0),
        (timedelta(microseconds=1), timedelta(minutes=1), timedelta(0), 33_334),
    ],
    ids=["by the second", "a started hour", "the minimum", "nothing", "a started minute"],
)
def test_a_machine_is_billed_in_started_granules(
    ran: timedelta, granule: timedelta, minimum: timedelta, micros: int
) -> None:
    billed = policy.bill(micros_per_hour=2 * DOLLAR, ran=ran, traits=some_traits(granule=granule, minimum=minimum))
    assert billed == micros


def test_a_disk_is_billed_beside_the_machine() -> None:
    traits = some_traits(disk_micros_per_gb_hour=110)
    billed = policy.bill(micros_per_hour=2 * DOLLAR, ran=timedelta(hours=2), traits=traits, disk_gb=100)
    assert billed == 4 * DOLLAR + 2 * 100 * 110


def test_a_hold_covers_start_up_the_providers_lag_every_node_and_the_retries() -> None:
    traits = some_traits(
        startup=timedelta(minutes=10), hard_lag=timedelta(minutes=5), granule=timedelta(hours=1), minimum=timedelta(0)
    )
    # 4 h 15 min are five started hours, on each of two nodes; each retry may waste a started hour.
    held = policy.worst_case(ceiling=3 * DOLLAR, nodes=2, minutes=4 * HOURS, traits=traits, retries=1)
    assert held == 2 * (5 * 3 * DOLLAR + 3 * DOLLAR + 1)


@given(
    traits=traits(),
    ceiling=rates,
    minutes=st.floats(0.1, 3000),
    retries=st.integers(0, 3),
    disk=st.integers(0, 1000),
    cuts=st.lists(st.floats(0, 1), max_size=3),
    cheaper=st.floats(0, 1),
)
def test_no_run_that_ends_in_time_costs_more_than_its_hold(
    traits: Traits, ceiling: int, minutes: float, retries: int, disk: int, cuts: list[float], cheaper: float
) -> None:
    """However the time is split over the first machine and its retries, at any price under the ceiling."""
    held = policy.worst_case(ceiling=ceiling, nodes=1, minutes=minutes, traits=traits, retries=retries, disk_gb=disk)
    whole = timedelta(minutes=minutes) + traits.startup + traits.hard_lag
    marks = [timedelta(0), *(whole * cut for cut in sorted(cuts[:retries])), whole]
    bills = [
        policy.bill(micros_per_hour=int(ceiling * cheaper), ran=end - begin, traits=traits, disk_gb=disk)
        for begin, end in itertools.pairwise(marks)
    ]
    assert sum(bills) <= held


@given(
    traits=traits(),
    rate=rates,
    minutes=st.floats(0.1, 3000),
    nodes=st.integers(1, 8),
    retries=st.integers(0, 3),
    cost=st.integers(0, 500 * DOLLAR),
)
def test_time_cut_to_a_cost_fits_it_and_is_as_long_as_it_can_be(
    traits: Traits, rate: int, minutes: float, nodes: int, retries: int, cost: int
) -> None:
    def price(candidate: float) -> int:
        return policy.worst_case(ceiling=rate, nodes=nodes, minutes=candidate, traits=traits, retries=retries)

    cut = policy.cut_to_cost(max_cost=cost, rate=rate, nodes=nodes, minutes=minutes, traits=traits, retries=retries)
    assert 0 <= cut <= minutes
    assert cut == 0 or price(cut) <= cost
    longer = cut + 1 / 60
    assert longer > minutes or price(longer) > cost


def test_max_cost_caps_the_hold() -> None:
    spec = a_spec(max_cost=3 * DOLLAR)
    assert policy.hold_of(spec, ceiling=2 * DOLLAR, traits=[some_traits()]) == 3 * DOLLAR
    assert policy.hold_of(a_spec(), ceiling=2 * DOLLAR, traits=[some_traits()]) == 8 * DOLLAR


def test_the_dearest_provider_that_may_run_a_job_decides_its_hold() -> None:
    slow = some_traits(startup=timedelta(hours=1))
    assert policy.hold_of(a_spec(), ceiling=2 * DOLLAR, traits=[some_traits(), slow]) == 10 * DOLLAR


# ---------------------------------------------------------------- offers


def test_the_ceiling_is_half_above_the_cheapest_offer_and_never_over_max_price() -> None:
    offer = an_offer(micros_per_hour=2 * DOLLAR)
    assert policy.rate_ceiling(offer, a_spec()) == 3 * DOLLAR
    assert policy.rate_ceiling(offer, a_spec(max_price=2_500_000)) == 2_500_000
    assert policy.rate_ceiling(offer, a_spec(max_price=9 * DOLLAR)) == 3 * DOLLAR


def test_where_both_markets_will_do_the_ceiling_pays_for_the_one_that_nobody_ends() -> None:
    spot, steady = an_offer(spot=True, micros_per_hour=DOLLAR), an_offer(micros_per_hour=2 * DOLLAR)
    assert policy.rate_ceiling(spot, a_spec(), steady) == 2 * DOLLAR
    assert policy.rate_ceiling(spot, a_spec(max_price=1_700_000), steady) == 1_700_000
    assert policy.rate_ceiling(spot, a_spec(), an_offer(micros_per_hour=1_200_000)) == 1_500_000


def test_a_price_that_cannot_rise_is_its_own_ceiling() -> None:
    assert policy.rate_ceiling(an_offer(fixed_price=True), a_spec()) == 2 * DOLLAR


def test_the_cheapest_offer_under_the_ceiling_is_chosen() -> None:
    offers = [an_offer(name=name, micros_per_hour=cost) for name, cost in (("b", 3), ("a", 2), ("c", 9))]
    assert policy.choose(offers, a_spec(), 5).name == "a"
    assert policy.choose(offers[2:], a_spec(), 9).name == "c"
    with pytest.raises(NoCapacity, match="max_price"):
        policy.choose(offers, a_spec(), 1)


def test_equal_prices_go_to_the_provider_that_was_named_first() -> None:
    offers = [an_offer(provider="aws"), an_offer(provider="lambda")]
    assert policy.choose(offers, a_spec(providers=("lambda", "aws")), 2 * DOLLAR).provider == "lambda"
    assert policy.choose(offers, a_spec(), 2 * DOLLAR).provider == "aws"
    with pytest.raises(NoCapacity):
        policy.choose(offers, a_spec(providers=("gcp",)), 2 * DOLLAR)


@pytest.mark.parametrize(
    ("market", "chosen"), [(SpotPolicy.ON_DEMAND, False), (SpotPolicy.SPOT, True), (SpotPolicy.AUTO, True)]
)
def test_a_machine_that_can_be_taken_back_is_chosen_only_where_that_is_wanted(market: SpotPolicy, chosen: bool) -> None:
    offers = [an_offer(spot=False, micros_per_hour=2), an_offer(spot=True, micros_per_hour=1)]
    assert policy.choose(offers, a_spec(spot=market), 5).spot is chosen
    assert len(policy.needs(a_spec(spot=market))) == (2 if market is SpotPolicy.AUTO else 1)


def test_a_machine_without_a_gpu_is_asked_for_as_such() -> None:
    (need,) = policy.needs(a_spec(gpu="cpu", gpus=1))
    assert (need.gpu, need.count) == ("cpu", 0)


# ---------------------------------------------------------------- spans and words


@pytest.mark.parametrize(
    ("minutes", "grace", "warning"),
    [(2, 12, 30), (10, 60, 150), (20, 120, 300), (59, 120, 885), (60, 120, 900), (240, 120, 900)],
)
def test_grace_and_warning_shrink_with_the_rental(minutes: float, grace: int, warning: int) -> None:
    found = policy.grace(minutes).total_seconds(), policy.warning(minutes).total_seconds()
    assert found == (grace, warning)


@pytest.mark.parametrize(
    ("minutes", "first"),
    [(3, []), (5, []), (6, [5]), (60, [55, 50]), (61, [60, 55]), (240, [225, 210]), (390, [360, 300, 240, 225])],
)
def test_what_is_offered_instead_is_a_round_duration(minutes: float, first: list[float]) -> None:
    assert policy.friendly(minutes)[: len(first)] == first


@pytest.mark.parametrize(
    ("micros", "words"), [(11_970_000, "$11.97"), (1, "$0.01"), (0, "$0.00"), (-4 * DOLLAR, "-$4.00")]
)
def test_dollars_are_never_fewer_than_the_micros(micros: int, words: str) -> None:
    assert policy.dollars(micros) == words


@pytest.mark.parametrize(
    ("minutes", "words"), [(240, "4h"), (90, "90m"), (0.5, "0.5m"), (60, "1h"), (1500, "25h"), (12002, "200h2m")]
)
def test_durations_are_written_as_they_are_typed(minutes: float, words: str) -> None:
    assert policy.duration(minutes) == words


def test_another_machine_is_tried_ever_more_seldom_for_capacity_and_thrice_after_a_loss() -> None:
    waits = [policy.retry_after("no_capacity", tries) for tries in (1, 2, 3, 6, 60)]
    assert waits == [timedelta(seconds=each) for each in (30, 60, 120, 600, 600)]
    assert [policy.retry_after("preempted", tries) is None for tries in (1, 3, 4)] == [False, False, True]
    assert policy.retry_after("error", 1) is None


# ---------------------------------------------------------------- who is asked


def _month(*, granted: int = 0, held: int = 0, spent: int = 0, cap: int = 300) -> Period:
    values = {"cap": cap, "granted": granted, "held": held, "spent": spent}
    return Period(team_id="vision", month="2026-11", **{name: each * DOLLAR for name, each in values.items()})


def _decide(
    minutes: float = 4 * HOURS,
    *,
    team: Team | None = None,
    month: Period | None = None,
    used: int = 0,
    weak: bool = False,
    rate: float = 3.99,
) -> Decision:
    return policy.decide(
        team=team or a_team(),
        period=month or _month(),
        used=used * DOLLAR,
        minutes=minutes,
        weak=weak,
        hold_for=lambda candidate: int(rate * DOLLAR * candidate / 60),
    )


def test_under_the_limit_nobody_is_asked() -> None:
    assert _decide() == Decision(kind="hold")


def test_at_the_limit_a_lead_is_asked_and_told_what_would_start_at_once() -> None:
    assert _decide(rate=5) == Decision(kind="ask", why=(Why.COST,), instead_minutes=225)
    assert _decide(rate=4.999999) == Decision(kind="hold")


def test_what_would_start_at_once_is_found_among_whole_hours_first() -> None:
    decision = _decide(15 * HOURS)
    assert decision.instead_minutes == 5 * HOURS


def test_over_the_free_budget_a_lead_is_asked() -> None:
    assert _decide(month=_month(held=200, spent=90)).why == (Why.BUDGET,)
    assert _decide(month=_month(held=200, spent=90, granted=6)) == Decision(kind="hold")
    assert _decide(month=_month(held=290, spent=90)).why == (Why.BUDGET,)


def test_over_a_persons_share_a_lead_is_asked() -> None:
    assert _decide(used=134) == Decision(kind="hold")
    assert _decide(used=135).why == (Why.SHARE,)
    assert _decide(used=135).instead_minutes == 225


def test_a_weak_guarantee_asks_a_lead_and_nothing_shorter_would_start() -> None:
    assert _decide(weak=True) == Decision(kind="ask", why=(Why.WEAK,))
    assert _decide(weak=True, rate=50, used=290, month=_month(held=290)).why == tuple(Why)


def test_every_reason_is_told() -> None:
    assert _decide(rate=50, used=290, month=_month(held=290)).why == (Why.COST, Why.BUDGET, Why.SHARE)


def test_where_even_the_shortest_needs_a_lead_nothing_is_offered() -> None:
    assert _decide(team=a_team(auto_approve=0)) == Decision(kind="ask", why=(Why.COST,))


def test_a_free_machine_of_the_teams_own_asks_nobody_whatever_the_month_looks_like() -> None:
    assert _decide(rate=0, used=400, month=_month(spent=400)) == Decision(kind="hold")


@pytest.mark.parametrize(
    ("team", "why"),
    [
        (a_team(cap=None), No.NO_CAP),
        (a_team(frozen=True), No.FROZEN),
        (a_team(cap=None, frozen=True), No.FROZEN),
        (a_team(longest_minutes=239), No.TOO_LONG),
    ],
)
def test_what_nobody_may_start_is_refused(team: Team, why: No) -> None:
    assert _decide(team=team) == Decision(kind="refuse", why=(why,))


@given(
    minutes=st.floats(1, 24 * HOURS),
    rate=st.floats(0, 100),
    held=st.integers(0, 400),
    used=st.integers(0, 400),
)
def test_what_is_offered_instead_would_start_at_once(minutes: float, rate: float, held: int, used: int) -> None:
    decision = _decide(minutes, rate=rate, month=_month(held=held), used=used)
    if decision.instead_minutes is not None:
        assert decision.instead_minutes < minutes
        again = _decide(decision.instead_minutes, rate=rate, month=_month(held=held), used=used)
        assert again == Decision(kind="hold")


@pytest.mark.parametrize(
    ("guarantee", "bills", "weak"),
    [
        (Guarantee.NATIVE, True, False),
        (Guarantee.EXTERNAL, True, False),
        (Guarantee.ON_BOX, True, True),
        (Guarantee.NONE, True, True),
        (Guarantee.ON_BOX, False, False),
    ],
)
def test_only_a_provider_that_bills_can_have_a_weak_guarantee(guarantee: Guarantee, bills: bool, weak: bool) -> None:
    assert policy.is_weak(some_traits(guarantee=guarantee, bills=bills)) is weak


@pytest.mark.parametrize(
    ("person", "code"),
    [
        (Person(id="U9", lead=True), None),
        (Person(id="U9", lead=False), "not_lead"),
        (Person(id="U9", lead=True, guest=True), "guest"),
        (Person(id="U1ADA", lead=True), "own_job"),
        (Person(id="U1ADA", lead=True, only_lead=True), None),
        (Person(id="U1ADA", lead=False, only_lead=True), "not_lead"),
    ],
)
def test_a_lead_who_did_not_ask_for_it_may_approve(person: Person, code: str | None) -> None:
    job = Job(
        id="j",
        delivery="d",
        team_id="vision",
        channel="C",
        person="U1ADA",
        request={},
        state=JobState.AWAITING_APPROVAL,
        created_at=START,
    )
    assert policy.may_approve(person, job) == code


def test_the_hold_pays_for_retries_only_where_there_may_be_some() -> None:
    specs: list[JobSpec] = [a_spec(), a_spec(retry_on=("no-capacity",))]
    assert [policy.retries(spec) for spec in specs] == [0, 3]
