"""What views promise: Slack accepts them as they are, and `text` alone carries the fact."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from bot.catalogue import Catalogue
from bot.logbook import Page
from bot.parse import TOPICS
from bot.sandbox.limits import check_message_blocks, check_view
from bot.views import answers, approval, card, lines, manual, replies
from bot.views.blocks import Message
from jobs.lifecycle import AttemptState, JobState
from jobs.offers import PriceRow
from jobs.values import DOLLAR
from tests.face import scenes
from tests.face.scenes import SCENES, Scene
from tests.support.builders import a_request, a_source, a_spec, an_offer
from tests.support.clock import START

SAY = Catalogue.load()
# Braces that are meant to be seen.
DESCRIPTIONS = (
    lines.EXAMPLE,
    "a <{loss}>",
    "a &lt;{loss}&gt;",
    "a &lt;{}&gt;",
    "`{}`",
    "`{step}`",
    "`{epoch}`",
    "`{batch}`",
)
NASTY = "<!channel> & <https://evil|x> `*_~ \u202e" + "ä" * 5000


def faults(scene: Scene) -> list[Any]:
    """Return what Slack would have against the scene, and what its text lacks."""
    shown = scene.message(SAY)
    if not isinstance(shown, Message):
        return [*check_view(json.loads(json.dumps(shown)))]
    found: list[Any] = [*check_message_blocks(json.loads(json.dumps(list(shown.blocks))))]
    if not shown.text.strip():
        found.append("its text says nothing")
    if len(shown.text.encode()) > 4000 and scene.name.startswith("card"):
        found.append("its text is longer than Slack keeps")
    return found


def left_open(scene: Scene) -> list[str]:
    """Return the scene's texts in which a placeholder was not filled, or with nothing."""
    bare = [re.sub(r"<!date[^>]*>", "", text) for text in scenes.texts(scene.message(SAY))]
    bare = [re.sub("|".join(map(re.escape, DESCRIPTIONS)), " ", text) for text in bare]
    return [text for text in bare if "{" in text or "None" in text.replace("step-None", "")]


def test_slack_accepts_each_scene_and_its_text_says_something() -> None:
    assert {scene.name: found for scene in SCENES if (found := faults(scene))} == {}


def test_no_placeholder_is_left_open() -> None:
    assert {scene.name: found for scene in SCENES if (found := left_open(scene))} == {}


@pytest.mark.parametrize("state", list(JobState))
def test_the_longest_and_nastiest_facts_fit_and_call_nobody(state: JobState) -> None:
    facts = scenes.facts(
        state,
        **{**scenes.TRAINING, "stage_note": NASTY},
        source=a_source(repo="a/" + "r" * 300, subject=NASTY),
        spec=a_spec(),
        request=a_request(reason=NASTY),
        error=NASTY,
        decision_note=NASTY,
        needs_lead=["cost"],
        outcome={"reason": "error", "code": 1, "tail": [NASTY] * 40},
        checkpoints=(scenes.checkpoint(),),
    )
    for message in (
        card.head(SAY, facts, ["U9LEAD"] * 40),
        approval.copy(SAY, facts),
        replies.ended(SAY, facts, ["U1ADA"], None, []),
        replies.trouble(SAY, facts, ["U1ADA"], {"text": NASTY}),
        answers.refused(SAY, NASTY, NASTY),
        answers.logs(SAY, facts, Page(lines=[NASTY] * 100), None),
    ):
        assert check_message_blocks(json.loads(json.dumps(list(message.blocks)))) == []
        for text in scenes.texts(message):
            assert "<!channel>" not in text
            assert "\u202e" not in text
            assert "|x>" not in text


def test_a_phone_reads_the_whole_fact_in_text() -> None:
    facts = scenes.facts(**scenes.TRAINING)
    assert card.text(SAY, facts) == (
        "acme/vit@3f9c2ab on 1 × A100: training, step 1,800 of 4,000, loss 1.83, about 12 min to go, "
        "$1.00 so far of $12.40 held, ends <!date^1794492000^{date_short_pretty} at {time}|12 Nov 14:00 UTC>."
    )


@pytest.mark.parametrize(
    ("pace", "told"),
    [(12.34, "12.3 steps a second"), (1500.0, "1,500 steps a second"), (0.4, "2.5 s a step"), (0.002, "8 min a step")],
)
def test_a_card_of_what_runs_says_how_fast_it_goes(pace: float, told: str) -> None:
    def state(of: JobState) -> str:
        told = card.head(SAY, scenes.facts(of, **{**scenes.TRAINING, "pace": pace}), ())
        return " ".join(scenes.texts(told))

    assert told in state(JobState.RUNNING)
    assert told not in state(JobState.SUCCEEDED)


def test_the_end_says_where_more_of_the_output_is() -> None:
    over = scenes.facts(
        JobState.FAILED, **{**scenes.TRAINING, "outcome": {"reason": "error", "code": 1, "tail": ["x"]}}
    )
    told = " ".join(scenes.texts(replies.ended(SAY, over, [], None, [], whole="https://bot/logs/x")))
    assert "The last lines it said. More of them: `/train logs k7m2pqx`. <https://bot/logs/x|The whole log>" in told
    told = " ".join(scenes.texts(replies.ended(SAY, over, [], None, [])))
    assert "The last lines it said. More of them: `/train logs k7m2pqx`." in told


def test_what_costs_nothing_says_so_instead_of_counting_zeros() -> None:
    run = scenes.facts(**{**scenes.TRAINING, "hold": 0, "attempts": [scenes.attempt(micros_per_hour=0)]})
    own = replace(run, offer=an_offer(micros_per_hour=0))
    assert "loss 1.83, about 12 min to go, free of charge, ends" in card.text(SAY, own)


@pytest.mark.parametrize(
    ("needs", "words"),
    [
        (["cost", "share"], "Under $20.00 needs nobody: `hours=3` is $11.97."),
        (["budget"], "Less needs nobody: `hours=3`"),
    ],
)
def test_what_would_start_at_once_is_measured_by_what_the_job_went_over(needs: list[str], words: str) -> None:
    facts = scenes.facts(JobState.AWAITING_APPROVAL, needs_lead=needs)
    assert words in approval.asked(SAY, facts, 180.0, 11_970_000).text


def test_each_state_offers_only_what_can_be_done_in_it() -> None:
    offered = {
        state: [e["action_id"] for b in card.head(SAY, scenes.facts(state), []).blocks for e in b.get("elements", ())
                if e["type"] == "button"]
        for state in JobState
    }  # fmt: skip
    assert offered == {
        JobState.REQUESTED: [],
        JobState.AWAITING_APPROVAL: ["approve", "approve_shorter", "deny", "stop"],
        JobState.QUEUED: ["stop"],
        JobState.PROVISIONING: ["stop"],
        JobState.RUNNING: ["stop", "extend"],
        JobState.STOPPING: [],
        JobState.SUCCEEDED: ["rerun"],
        JobState.FAILED: ["rerun"],
        JobState.CANCELLED: ["rerun"],
        JobState.TIMED_OUT: ["rerun"],
        JobState.DENIED: ["rerun"],
        JobState.EXPIRED: ["rerun"],
    }


def test_a_weak_guarantee_is_said_and_a_stand_in_says_what_it_is() -> None:
    weak = next(scene for scene in SCENES if scene.name == "card asked").message(SAY)
    assert any("Weak guarantee" in text for text in scenes.texts(weak))
    practice = next(scene for scene in SCENES if scene.name == "card practice").message(SAY)
    assert any("Practice: this computer's CPU stands in for the A100." in text for text in scenes.texts(practice))


@pytest.mark.parametrize("name", ["card of two machines", "copy of two machines"])
def test_what_is_rented_several_times_says_how_often_and_that_each_is_paid_for(name: str) -> None:
    shown = next(scene for scene in SCENES if scene.name == name).message(SAY)
    assert any(re.search(r"2 of cloud.* each$", text, re.MULTILINE) for text in scenes.texts(shown))


@pytest.mark.parametrize("state", [JobState.RUNNING, JobState.SUCCEEDED])
@pytest.mark.parametrize(
    ("resumed", "words"),
    [
        ({"name": "step-001200", "step": 1200}, "went on from step 1,200"),
        ({"name": "best", "step": None}, "went on from best"),
    ],
)
def test_the_card_says_from_where_a_run_went_on_also_when_it_is_over(
    state: JobState, resumed: dict[str, Any], words: str
) -> None:
    training = {**scenes.TRAINING, "stage": "run", "stage_note": "resumed from step 1200"}
    shown = card.head(SAY, scenes.facts(state, **training, resumed=resumed), [])
    assert words in json.dumps(shown.blocks)
    assert words in shown.text
    assert "resumed from" not in json.dumps(shown.blocks)


@pytest.mark.parametrize(
    ("stage", "note", "words"),
    [
        ("image", "2/9", "fetches the image, 2 of 9 layers, billed since"),
        ("engine", "", "container engine, billed since"),
    ],
)
def test_the_card_says_how_far_a_machine_has_booted_and_since_when_it_is_billed(
    stage: str, note: str, words: str
) -> None:
    at = {"stage": stage, "stage_note": note, "stage_at": START + timedelta(minutes=1)}
    starting = scenes.attempt(AttemptState.LAUNCHED)
    known = scenes.facts(JobState.PROVISIONING, **scenes.PROVISIONING, **at, attempts=(starting,))
    assert words in json.dumps(card.head(SAY, known, []).blocks)


def test_the_card_of_a_run_that_began_anew_says_nothing_of_it() -> None:
    assert "went on" not in json.dumps(card.head(SAY, scenes.facts(**scenes.TRAINING), []).blocks)


def test_ids_in_our_own_sentences_become_mentions() -> None:
    said = answers.refused(SAY, "U9LEAD123 approved job k7m2pqx at 10:02 UTC.")
    assert said.text == "<@U9LEAD123> approved job k7m2pqx at 10:02 UTC."


def test_an_end_without_a_checkpoint_says_where_it_was_looked_for() -> None:
    over = scenes.facts(**scenes.TRAINING)
    assert "no checkpoint in `out`" in replies.ended(SAY, over, ["U1ADA"], None, []).text


def test_the_help_says_what_a_checkpoint_is_and_how_many_are_kept() -> None:
    told = manual.manual(SAY, "checkpoints").text
    assert "of each name" in told
    assert "`keep`" in told


@pytest.mark.parametrize("topic", TOPICS)
def test_every_topic_that_can_be_asked_about_has_a_sentence_of_its_own(topic: str) -> None:
    assert manual.manual(SAY, topic).text != manual.manual(SAY, None).text


@pytest.mark.parametrize(
    ("age", "told"),
    [
        (timedelta(seconds=59), "now"),
        (timedelta(minutes=59), "59 min"),
        (timedelta(hours=47, minutes=59), "47 h"),
        (timedelta(days=2), "10 Nov"),
    ],
)
def test_a_price_says_how_old_it_is_and_what_spot_saves(age: timedelta, told: str) -> None:
    offer = an_offer(spot=True, priced_at=START - age)
    row = PriceRow(offer=offer, micros_per_gpu=DOLLAR, configured=True, source="", saves=62)
    shown = answers.prices(SAY, [row], START)
    assert f"cloud    {told:<7}spot, 62 % off" in str(shown.text)
    alone = answers.prices(SAY, [replace(row, saves=None)], START)
    assert "% off" not in str(alone.text)
