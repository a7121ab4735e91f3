"""A lead decides: who is asked, what they see, one press for every copy, and an answer to every press that is none."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from slack_sdk import WebClient

from bot.people import People, Unverified
from jobs.lifecycle import JobState
from jobs.model import Job
from tests.face.stage import Stage, buttons, shown


@pytest.fixture
def asked(open_stage: Stage) -> Stage:
    """Twenty hours, $60 at the most, over what starts without a lead; everybody has been told."""
    open_stage.typed(minutes=1200, reason="baseline for the <paper>")
    open_stage.tell()
    return open_stage


def copy(stage: Stage) -> dict[str, Any]:
    """Return what Lea sees in her direct messages."""
    return stage.people.dms("lea")[-1]


def told(stage: Stage, who: str) -> str:
    """Return what somebody was last told privately in #vision."""
    return str(stage.people.wait_for(lambda: stage.people.ephemerals(who, stage.vision))[-1]["text"])


def is_a_form(view: dict[str, Any]) -> bool:
    """Return whether the modal has been filled in."""
    return bool(view["submit"])


def form(stage: Stage, who: str, wanted: Callable[[dict[str, Any]], bool] = is_a_form) -> dict[str, Any]:
    """Return the modal that somebody has open, once it is filled in."""

    def found() -> list[dict[str, Any]]:
        return [view for view in stage.people.views(who) if wanted(view)]

    return stage.people.wait_for(found)[-1]


def job(stage: Stage) -> Job:
    """Return the job."""
    return stage.job("job0001")


def test_the_card_asks_the_leads_and_each_of_them_gets_a_copy(asked: Stage) -> None:
    card = asked.card()
    assert f"to decide: <@{asked.lea}>" in card["text"]
    assert "it can cost up to $60.00; only what stays under $20.00 starts without a lead" in shown(card)
    assert buttons(card) == ["approve", "approve_shorter", "deny", "stop"]
    seen = shown(copy(asked))
    assert f"<@{asked.ada}> asks for up to $60.00 in <#{asked.vision}>" in seen
    assert "baseline for the &lt;paper&gt;" in seen
    assert "*Free this month*\n$240.00" in seen
    assert buttons(copy(asked)) == ["approve", "approve_shorter", "deny"]
    assert copy(asked)["text"] == (
        f"acme/vit@3f9c2ab on 1 × A100: <@{asked.ada}> asks for up to $60.00 in <#{asked.vision}>. They say: “baseline "
        "for the &lt;paper&gt;”. A lead decides because it can cost up to $60.00; only what stays under $20.00 starts "
        "without a lead. Free this month: $240.00."
    )


def test_the_requester_is_told_what_would_start_at_once(asked: Stage) -> None:
    assert asked.texts() == [
        f"<@{asked.ada}> a lead decides about this one. Under $20.00 needs nobody: `hours=6` is $18.00."
    ]


def test_one_press_updates_every_copy_and_says_who_decided(asked: Stage) -> None:
    outcome = asked.people.press("lea", "@hourglass", copy(asked)["ts"], "approve")
    assert outcome.ok
    assert job(asked).state is JobState.QUEUED
    asked.tell()
    for message in (asked.card(), copy(asked)):
        assert f"Approved by <@{asked.lea}>" in shown(message)
        assert "approve" not in buttons(message)
    assert f"<@{asked.ada}> <@{asked.lea}> approved it: 20 h, up to $60.00." in asked.texts()


def test_the_requester_and_others_may_not_approve_and_are_told(asked: Stage) -> None:
    for who in ("ada", "tam"):
        asked.people.press(who, "#vision", asked.card()["ts"], "approve")
        assert told(asked, who) == "Only a lead of this team can decide that."
    assert job(asked).state is JobState.AWAITING_APPROVAL


def test_a_guest_may_not_approve_though_he_were_on_the_list(asked: Stage) -> None:
    asked.service.set_budget("vision", asked.directory.person(asked.lea, asked.team()), "leads", [asked.gus, asked.lea])
    asked.people.press("gus", "#vision", asked.card()["ts"], "approve")
    assert "guest" in told(asked, "gus")
    assert job(asked).state is JobState.AWAITING_APPROVAL


def test_a_second_press_is_told_who_was_first(asked: Stage) -> None:
    ts = asked.card()["ts"]
    asked.people.press("lea", "#vision", ts, "approve")
    asked.people.press("lea", "#vision", ts, "approve")
    assert f"<@{asked.lea}> approved job job0001" in told(asked, "lea")


def test_a_repeated_delivery_of_a_press_is_not_a_second_press(asked: Stage) -> None:
    asked.people.press("lea", "#vision", asked.card()["ts"], "approve")
    asked.people.redeliver()
    assert asked.people.ephemerals("lea", asked.vision) == []


def test_a_press_after_the_expiry_is_told_so(asked: Stage) -> None:
    ts = asked.card()["ts"]
    asked.pass_time(4 * 3600)
    asked.service.expire_due()
    asked.people.press("lea", "#vision", ts, "approve")
    assert "expired" in told(asked, "lea")
    asked.tell()
    assert "nobody decided in time" in shown(asked.card())
    assert "Expired: nobody decided in time." in shown(copy(asked))
    assert "/train rerun job0001" in asked.texts()[-1]


def test_reminders_mention_the_leads_in_the_thread(asked: Stage) -> None:
    asked.pass_time(16 * 60)
    asked.service.remind_due()
    asked.tell()
    assert asked.texts()[-1].startswith(f"<@{asked.lea}> this has waited 16 min")


def test_a_denial_carries_its_reason_to_everybody(asked: Stage) -> None:
    asked.people.press("lea", "#vision", asked.card()["ts"], "deny")
    view = form(asked, "lea")
    outcome = asked.people.submit("lea", view["id"], {"reason": "smaller", "words": "An L4 does it."})
    assert outcome.ok
    asked.tell()
    assert job(asked).state is JobState.DENIED
    reason = "Try a smaller GPU first. An L4 does it."
    assert asked.texts()[-1] == f"<@{asked.ada}> <@{asked.lea}> denied it: {reason}"
    assert reason in shown(asked.card())
    assert reason in shown(copy(asked))


def test_a_denial_needs_words_where_no_ready_made_reason_fits(asked: Stage) -> None:
    asked.people.press("lea", "#vision", asked.card()["ts"], "deny")
    view = form(asked, "lea")
    asked.people.submit("lea", view["id"], {"reason": "other"})
    assert job(asked).state is JobState.AWAITING_APPROVAL


def test_a_form_that_somebody_may_not_use_says_so_instead_of_asking(asked: Stage) -> None:
    asked.people.press("tam", "#vision", asked.card()["ts"], "deny")
    view = form(asked, "tam", lambda one: "Only a lead" in shown(one))
    assert view["submit"] is None


def test_a_shorter_approval_holds_less_and_says_so(asked: Stage) -> None:
    asked.people.press("lea", "#vision", asked.card()["ts"], "approve_shorter")
    view = form(asked, "lea")
    options = [o["text"]["text"] for o in view["blocks"][1]["element"]["options"]]
    assert options[0] == "19 h, up to $57.00"
    asked.people.submit("lea", view["id"], {"minutes": "240"})
    asked.tell()
    assert job(asked).state is JobState.QUEUED
    assert f"<@{asked.ada}> <@{asked.lea}> approved it: 4 h, up to $12.00." in asked.texts()


def test_the_requester_withdraws(asked: Stage) -> None:
    asked.people.press("ada", "#vision", asked.card()["ts"], "stop")
    asked.tell()
    assert job(asked).state is JobState.CANCELLED
    assert "Withdrawn before anybody decided." in shown(copy(asked))
    assert f"withdrawn by <@{asked.ada}>" in asked.card()["text"]


def test_leads_come_from_a_user_group_too_and_it_fails_closed(open_stage: Stage) -> None:
    people = People(
        client=open_stage.client, clock=open_stage.clock, leads=(), lead_group="gpu-leads", say=open_stage.say
    )
    assert people.leads(open_stage.team()) == (open_stage.lea,)
    assert people.person(open_stage.lea, open_stage.team()).lead
    assert not people.person(open_stage.ada, open_stage.team()).lead
    nowhere = WebClient(token="x", base_url="http://127.0.0.1:9/api/")
    closed = People(
        client=nowhere, clock=open_stage.clock, leads=(open_stage.lea,), lead_group="gpu-leads", say=open_stage.say
    )
    assert closed.leads(open_stage.team()) == (open_stage.lea,)
    with pytest.raises(Unverified, match="nothing was done"):
        closed.person(open_stage.lea, open_stage.team())


def test_the_buttons_of_a_running_job(open_stage: Stage) -> None:
    stage = open_stage
    running = stage.running()
    stage.tell()
    ts = stage.card()["ts"]
    stage.people.press("ada", "#vision", ts, "extend")
    view = form(stage, "ada")
    assert "1 h more, up to $3.00" in shown(view)
    stage.people.submit("ada", view["id"], {"minutes": "60"})
    stage.until(lambda: bool(stage.moved))
    stage.tell()
    assert "extended it: it ends <!date^" in stage.texts()[-1]
    stage.people.press("tam", "#vision", ts, "stop")
    assert "may stop it" in told(stage, "tam")
    stage.people.press("ada", "#vision", ts, "stop")
    assert stage.job(running.id).state is JobState.STOPPING
    stage.tell()
    assert "asked to save and stop" in stage.card()["text"]


def test_an_extension_that_does_not_fit_is_whispered_to_whom_it_was_asked_by(open_stage: Stage) -> None:
    stage = open_stage
    stage.running()
    stage.tell()
    stage.service.set_budget("vision", stage.directory.person(stage.lea, stage.team()), "cap", 3_000_000)
    stage.tell()  # so that the next fact to be told is the refusal
    stage.people.press("ada", "#vision", stage.card()["ts"], "extend")
    view = form(stage, "ada")
    stage.people.submit("ada", view["id"], {"minutes": "120"})
    stage.until(lambda: not stage.notifier.idle())
    stage.tell()
    assert "a lead has to extend it" in told(stage, "ada")
    assert stage.moved == []


def test_run_again_and_continue_make_new_jobs(open_stage: Stage) -> None:
    stage = open_stage
    first = stage.running()
    stage.saved(first, 400)
    stage.settled(stage.ended(first), 100)
    stage.tell()
    assert buttons(stage.card()) == ["rerun", "continue"]
    stage.people.press("ada", "#vision", stage.card()["ts"], "rerun")
    assert told(stage, "ada").startswith("On it: `acme/vit@3f9c2ab`")
    stage.people.press("ada", "#vision", stage.card()["ts"], "continue")
    stage.people.wait_for(lambda: len(stage.people.ephemerals("ada", stage.vision)) == 2)
    assert [stage.job(f"job000{n}").request["resume"] for n in (2, 3)] == [False, True]
