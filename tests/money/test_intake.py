"""From a typed request to held, asked or refused; whatever comes between."""

from __future__ import annotations

from datetime import timedelta

import pytest

from jobs import policy
from jobs.errors import (
    BadImage,
    BadSource,
    BadSpec,
    HourglassError,
    NoCapacity,
    Refused,
    Unauthorized,
    Unknown,
)
from jobs.lifecycle import JobState
from jobs.model import EntryKind
from jobs.plans import corrected
from jobs.providers import Guarantee
from jobs.values import DOLLAR, SpotPolicy
from tests.support.builders import SHA, a_request, a_spec, an_offer, some_traits
from tests.support.clock import START
from tests.support.house import ADA, LEAD, House, Priced

# ---------------------------------------------------------------- what starts


def test_a_cheap_job_is_held_and_queued_with_everything_that_was_found() -> None:
    house = House()
    house.neighbours.digest = "sha256:ab"
    job = house.priced()
    assert job.state is JobState.QUEUED
    assert (job.hold, job.rate_ceiling, job.image_digest, job.needs_lead) == (12 * DOLLAR, 3 * DOLLAR, "sha256:ab", [])
    assert job.source is not None and job.source["sha"] == SHA
    assert job.period_id == house.period().id
    assert house.entries(job.id) == [(EntryKind.HOLD, 12 * DOLLAR)]
    assert house.kinds(job.id) == ["requested", "priced"]
    assert house.notes(job.id)[1].data["hold"] == 12 * DOLLAR
    assert house.woken[-1] == job.id


def test_work_that_was_done_is_not_done_again() -> None:
    house = House()
    job = house.priced()
    asked = len(house.neighbours.asked)
    house.intake.work(job.id)
    assert (len(house.neighbours.asked), house.job(job.id).version) == (asked, job.version)


def test_a_crash_before_the_transaction_is_worked_on_anew() -> None:
    house = House()
    job = house.asked()

    def crash() -> None:
        raise KeyboardInterrupt

    house.neighbours.between = crash
    with pytest.raises(KeyboardInterrupt):
        house.intake.work(job.id)
    assert (house.job(job.id).state, house.intake.due()) == (JobState.REQUESTED, [job.id])
    house.neighbours.between = lambda: None
    house.intake.work(job.id)
    assert (house.job(job.id).state, house.intake.due()) == (JobState.QUEUED, [])
    assert house.period().held == 12 * DOLLAR


def test_a_job_that_is_cancelled_meanwhile_stays_cancelled() -> None:
    house = House()
    job = house.asked()
    house.neighbours.between = lambda: [house.service.cancel(job.id, ADA)].clear()
    house.intake.work(job.id)
    assert house.job(job.id).state is JobState.CANCELLED
    assert house.period().held == 0
    assert house.kinds(job.id) == ["requested", "ended"]


def test_a_job_is_bound_to_the_providers_that_can_serve_it_under_its_ceiling() -> None:
    house = House()
    house.providers |= {name: Priced(some_traits(name=name)) for name in ("near", "dear")}
    prices = (("cloud", 2), ("near", 3), ("dear", 4))
    house.neighbours.offers = [an_offer(provider=name, micros_per_hour=cost * DOLLAR) for name, cost in prices]
    job = house.priced()
    assert job.spec is not None
    assert job.spec["providers"] == ["cloud", "near"]


def test_both_markets_are_asked_and_one_silent_one_does_no_harm() -> None:
    house = House()
    house.neighbours.quotes = [Unknown("no answer"), [an_offer(spot=True, micros_per_hour=DOLLAR)]]
    job = house.priced(spot=SpotPolicy.AUTO)
    assert (job.state, job.rate_ceiling) == (JobState.QUEUED, 1_500_000)


@pytest.mark.parametrize(("market", "ceiling"), [(SpotPolicy.AUTO, 2_000_000), (SpotPolicy.SPOT, 1_500_000)])
def test_who_takes_either_market_is_held_what_a_machine_on_demand_costs(market: SpotPolicy, ceiling: int) -> None:
    house = House()
    offers = {True: [an_offer(spot=True, micros_per_hour=DOLLAR)], False: [an_offer(micros_per_hour=2 * DOLLAR)]}
    house.neighbours.quotes = [offers[need.spot] for need in policy.needs(a_spec(spot=market))]
    assert house.priced(spot=market).rate_ceiling == ceiling


# ---------------------------------------------------------------- what a lead is asked


def test_a_dear_job_is_held_and_put_before_a_lead_who_is_told_everything() -> None:
    house = House()
    job = house.priced(minutes=900)
    assert (job.state, job.needs_lead, job.asked_at) == (JobState.AWAITING_APPROVAL, ["cost"], START)
    assert house.period().held == 45 * DOLLAR
    assert house.notes(job.id)[-1].kind == "asked"
    assert house.notes(job.id)[-1].data == {
        "why": ["cost"],
        "instead_minutes": 360,
        "instead_cost": 18 * DOLLAR,
        "hold": 45 * DOLLAR,
        "free": 255 * DOLLAR,
        "auto_approve": 20 * DOLLAR,
    }


def test_what_the_month_cannot_pay_waits_without_a_hold() -> None:
    house = House(cap=20 * DOLLAR)
    house.service.set_budget("vision", LEAD, "share_percent", 100)
    house.priced(person="U2BOB")
    job = house.priced(minutes=240)
    assert (job.state, job.needs_lead, job.hold) == (JobState.AWAITING_APPROVAL, ["budget"], 12 * DOLLAR)
    assert (job.period_id, house.period().held, house.entries(job.id)) == (None, 12 * DOLLAR, [])


def test_a_second_job_over_a_persons_share_asks() -> None:
    house = House(cap=36 * DOLLAR)
    assert house.priced(minutes=180).state is JobState.QUEUED
    second = house.priced(minutes=195)
    assert (second.state, second.needs_lead) == (JobState.AWAITING_APPROVAL, ["share"])
    assert house.priced(person="U2BOB").state is JobState.QUEUED


def test_a_provider_that_may_forget_its_machines_asks_for_each_of_them() -> None:
    house = House(traits=some_traits(guarantee=Guarantee.ON_BOX))
    assert house.priced(minutes=30).needs_lead == ["weak"]


# ---------------------------------------------------------------- what is refused


def _refusal(house: House, job_id: str) -> dict[str, object]:
    (note,) = [note for note in house.notes(job_id) if note.kind == "refused"]
    return note.data


def test_a_team_without_a_budget_starts_nothing_and_is_told_the_line_to_type() -> None:
    house = House(cap=None)
    job = house.priced()
    assert (job.state, job.stop_reason) == (JobState.FAILED, "refused")
    assert job.error == "This team has no budget yet. A lead types `/budget cap 300`."
    assert _refusal(house, job.id) == {"reason": "refused", "text": job.error, "fix": None}
    assert house.neighbours.asked == []  # and no network is asked for what cannot start


def test_a_frozen_team_starts_nothing() -> None:
    house = House()
    house.service.freeze("vision", LEAD, True)
    job = house.priced()
    assert (job.state, job.stop_reason) == (JobState.FAILED, "refused")
    assert "unfreeze" in job.error


def test_a_job_over_the_longest_is_refused_with_the_corrected_line() -> None:
    house = House()
    job = house.priced(minutes=30 * 60)
    assert job.state is JobState.FAILED
    assert job.error == "hours=30h is longer than this team's longest job, 24h."
    assert _refusal(house, job.id)["fix"] == "/train acme/vit@3f9c2ab gpu=a100 hours=24h"


def test_a_price_limit_under_every_offer_is_refused_with_the_corrected_line() -> None:
    house = House()
    job = house.priced(max_price=DOLLAR)
    assert "cheapest machine: gpu-1x-a100, $2.00 an hour" in job.error
    assert _refusal(house, job.id)["fix"] == "/train acme/vit@3f9c2ab gpu=a100 hours=4 max_price=2.00"


def test_a_cost_limit_that_buys_no_useful_time_is_refused_saying_the_least_that_works() -> None:
    house = House()
    job = house.priced(max_cost=100_000)
    assert "max_cost=$0.10 pays for no useful time" in job.error
    assert "the least that works is $0.25" in job.error
    assert _refusal(house, job.id)["fix"] == "/train acme/vit@3f9c2ab gpu=a100 hours=4 max_cost=0.25"
    assert house.priced(max_cost=250_000).state is JobState.QUEUED


def test_a_cost_limit_caps_the_hold() -> None:
    house = House()
    assert house.priced(minutes=900, max_cost=5 * DOLLAR).hold == 5 * DOLLAR


@pytest.mark.parametrize(
    ("where", "error", "reason"),
    [
        ("source", BadSource("There is no `acme/vitt`.", fix="/train acme/vit@main"), "bad_source"),
        ("spec", BadSpec("`gpuu` is not a key; did you mean `gpu`?"), "bad_spec"),
        ("offers", BadSpec("No provider here has 8 × h100."), "bad_spec"),
        ("digest", BadImage("There is no image `torch:9`."), "bad_image"),
        ("source", Refused("That host is not allowed here."), "refused"),
    ],
)
def test_bad_input_ends_the_job_with_words_and_a_line_to_copy(where: str, error: HourglassError, reason: str) -> None:
    house = House()
    setattr(house.neighbours, where, error)
    job = house.priced()
    assert (job.state, job.stop_reason, job.error, job.charged) == (JobState.FAILED, reason, str(error), 0)
    fix = getattr(error, "fix", None)
    assert _refusal(house, job.id) == {"reason": reason, "text": str(error), "fix": fix}
    assert house.entries(job.id) == []


def test_a_misspelt_branch_is_answered_with_the_whole_line_to_copy() -> None:
    house = House()
    house.neighbours.source = BadSource("`acme/vit` has no branch `mian`.", nearest="main")
    request = a_request(ref="mian", text="acme/vit@mian gpu=a100 hours=4 -- python train.py --tag=@mian")
    job = house.service.request(request)[0]
    house.price(job)
    assert _refusal(house, job.id)["fix"] == "/train acme/vit@main gpu=a100 hours=4 -- python train.py --tag=@mian"


def test_a_channel_that_cannot_be_posted_to_is_told_before_anything_is_rented() -> None:
    house = House()
    house.neighbours.trouble = "Invite me to the channel first: /invite @hourglass"
    job = house.priced()
    assert (job.stop_reason, job.error) == ("no_channel", house.neighbours.trouble)
    assert house.neighbours.asked == []


def test_who_may_not_rent_at_all_is_told_before_anything_is_priced() -> None:
    house = House()
    house.neighbours.outsiders = {"U1ADA": "A guest cannot rent for this team. Ask one of its members."}
    job = house.priced()
    assert (job.stop_reason, job.error) == ("refused", house.neighbours.outsiders["U1ADA"])
    assert house.neighbours.asked == []


# ---------------------------------------------------------------- what is tried again


def test_a_provider_that_does_not_answer_is_asked_again_later() -> None:
    house = House()
    house.neighbours.offers = Unknown("The cloud did not answer.")
    job = house.priced()
    assert (job.state, job.error) == (JobState.REQUESTED, "The cloud did not answer.")
    assert house.intake.due() == []
    house.clock.advance(5)
    assert house.intake.due() == [job.id]
    house.neighbours.offers = [an_offer()]
    house.intake.work(job.id)
    job = house.job(job.id)
    assert (job.state, job.error, job.not_before) == (JobState.QUEUED, "", None)


def test_a_wake_before_its_time_asks_nobody_again() -> None:
    house = House()
    house.neighbours.offers = Unknown("The cloud did not answer.")
    job = house.priced()
    for woken in list(house.woken):  # each try wakes the crew, which would ask again at once, for ever
        house.intake.work(woken)
    assert len(house.neighbours.asked) == 1
    assert house.job(job.id).not_before is not None


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (Unknown("The cloud did not answer."), "launch_failed"),
        (Unauthorized("The cloud refused our key."), "launch_failed"),
        (NoCapacity("Nothing is free."), "no_capacity"),
    ],
)
def test_asking_again_ends_after_a_quarter_of_an_hour_with_words(error: Exception, reason: str) -> None:
    house = House()
    house.neighbours.offers = error
    job = house.priced()
    tries = 1
    while job.state is JobState.REQUESTED:
        house.clock.advance(15)
        if house.intake.due():
            tries += 1
            house.intake.work(job.id)
        job = house.job(job.id)
    assert timedelta(minutes=15) < house.clock.now() - START < timedelta(minutes=17)
    assert tries < 30
    assert (job.state, job.stop_reason) == (JobState.FAILED, reason)
    assert str(error) in job.error and "/train rerun" in job.error


def test_a_request_that_waited_for_a_bot_that_was_down_is_still_asked_twice() -> None:
    house = House()
    job = house.asked()
    house.clock.advance(hours=6)
    house.neighbours.offers = Unknown("The cloud did not answer.")
    house.intake.work(job.id)
    assert house.job(job.id).state is JobState.REQUESTED
    house.clock.advance(minutes=1)
    house.intake.work(job.id)
    assert house.job(job.id).state is JobState.FAILED


def test_what_nobody_expected_is_loud_and_does_not_go_on_for_ever() -> None:
    house = House()
    house.neighbours.spec = ZeroDivisionError("secret detail")
    job = house.asked()
    with pytest.raises(ZeroDivisionError):
        house.intake.work(job.id)
    assert house.intake.due() == []
    house.clock.advance(minutes=16)
    with pytest.raises(ZeroDivisionError):
        house.intake.work(job.id)
    job = house.job(job.id)
    assert (job.state, job.stop_reason) == (JobState.FAILED, "internal")
    assert "secret detail" not in job.error


# ---------------------------------------------------------------- the corrected line


@pytest.mark.parametrize(
    ("text", "fixed"),
    [
        ("a/b@c hours=30", "/train a/b@c hours=24h"),
        ("a/b@c hours=30 -- python x.py hours=30", "/train a/b@c hours=24h -- python x.py hours=30"),
        ("a/b@c -- python x.py", "/train a/b@c hours=24h -- python x.py"),
        ("rerun job1", "/train rerun job1 hours=24h"),
        ("a/b@c env.hours=3 hours=30", "/train a/b@c env.hours=3 hours=24h"),
    ],
)
def test_a_line_is_corrected_where_the_word_stands(text: str, fixed: str) -> None:
    assert corrected(text, "hours", "24h") == fixed


def test_a_spec_survives_being_priced() -> None:
    house = House()
    job = house.priced(env={"LR": "3e-4"}, secrets=("WANDB_API_KEY",))
    assert job.spec is not None
    assert (job.spec["env"], job.spec["secrets"], job.spec["minutes"]) == (
        {"LR": "3e-4"},
        ["WANDB_API_KEY"],
        a_spec().minutes,
    )


def test_a_database_that_takes_nothing_leaves_the_job_for_the_next_look() -> None:
    house = House()
    job = house.asked()

    def fail() -> None:
        with house.db.write() as tx:
            tx.connection().exec_driver_sql("ALTER TABLE entry RENAME TO lost")

    house.neighbours.between = fail
    house.intake.work(job.id)
    assert (house.job(job.id).state, house.intake.due()) == (JobState.REQUESTED, [job.id])
    assert house.kinds(job.id) == ["requested"]


def test_machines_that_cannot_reach_each_other_are_refused_in_words_before_anything_is_held() -> None:
    house = House()
    several = house.priced(nodes=2)
    assert "machines of cloud cannot reach each other" in several.error
    assert _refusal(house, several.id)["fix"] == "/train acme/vit@3f9c2ab gpu=a100 hours=4 nodes=1"
    assert (several.state, several.hold) == (JobState.FAILED, 0)
