"""What the outbox survives: limits, outages, lost answers, crashes, channels that close, blocks that are refused."""

from __future__ import annotations

from sqlmodel import select

from bot import outbox
from bot.plots import PlotFailed
from jobs import db
from jobs.lifecycle import JobState
from jobs.model import Card, NoteKind, Outbox
from tests.face.relay import Relay, down, limited, lost, refused
from tests.face.stage import Stage, buttons, shown


def test_a_crash_between_post_and_commit_makes_no_second_card(stage: Stage, relay: Relay) -> None:
    stage.typed(minutes=60)
    relay.faults = [lost("chat.postMessage")]
    stage.notifier.round()
    stage.restart()
    stage.tell()
    assert len(stage.people.messages(stage.vision)) == 1
    assert relay.calls.count("chat.postMessage") == 1


def test_a_reply_whose_answer_was_lost_is_found_by_its_metadata(stage: Stage, relay: Relay) -> None:
    job = stage.running()
    stage.tell()
    relay.faults = [lost("chat.postMessage")]
    stage.happens(job, NoteKind.TROUBLE, {"code": "nan", "text": "The loss is NaN."})
    stage.notifier.round()
    stage.restart()
    stage.tell()
    assert len(stage.replies()) == 1
    with stage.db.read() as tx:
        row = tx.exec(select(Outbox).where(Outbox.kind == "reply")).one()
    assert (row.state, row.ts) == ("done", stage.replies()[0]["ts"])


def test_a_reply_that_never_arrived_is_posted_again(stage: Stage, relay: Relay) -> None:
    job = stage.running()
    stage.tell()
    relay.faults = [down("chat.postMessage"), down("chat.postMessage")]
    stage.happens(job, NoteKind.TROUBLE, {"code": "nan", "text": "The loss is NaN."})
    stage.tell()
    assert len(stage.replies()) == 1
    assert relay.faults == []


def test_an_upload_whose_answer_was_lost_is_found_by_its_name(stage: Stage, relay: Relay) -> None:
    stage.trained(stage.running(), 600)
    relay.faults = [lost("files.completeUploadExternal")]
    stage.tell()
    assert [file["name"] for reply in stage.replies() for file in reply.get("files", [])] == ["job0001-600.png"]


def test_a_limit_on_one_channel_holds_up_no_other_and_is_waited_for_as_told(stage: Stage, relay: Relay) -> None:
    nlp = stage.people.channel_id("nlp")
    stage.typed(minutes=60)
    relay.faults = [limited("chat.postMessage", 30)]
    stage.notifier.round()
    assert stage.people.messages(stage.vision) == []
    stage.typed(minutes=60, channel=nlp)
    stage.notifier.round()
    assert len(stage.people.messages(nlp)) == 1
    stage.pass_time(29)
    stage.notifier.round()
    assert stage.people.messages(stage.vision) == []
    stage.pass_time(1.1)
    stage.notifier.round()
    assert len(stage.people.messages(stage.vision)) == 1


def test_a_limit_on_edits_does_not_hold_up_messages(stage: Stage, relay: Relay) -> None:
    job = stage.running()
    stage.tell()
    relay.faults = [limited("chat.update", 60)]
    stage.trained(job, 100, notes=False)
    stage.pass_time(5)
    stage.notifier.round()
    stage.happens(job, NoteKind.TROUBLE, {"code": "nan", "text": "The loss is NaN."})
    stage.notifier.round()
    assert len(stage.replies()) == 1
    assert "step" not in stage.card()["text"]
    stage.pass_time(61)
    stage.notifier.round()
    assert "step 100 of 4,000" in stage.card()["text"]


def test_many_messages_in_one_channel_keep_slack_s_pace(stage: Stage, relay: Relay) -> None:
    for _ in range(8):
        stage.typed(minutes=15)
    stage.tell()
    assert len(stage.people.messages(stage.vision)) == 8
    assert relay.calls.count("chat.postMessage") == 8  # none was answered with a limit and posted anew


def test_the_newest_version_of_a_card_wins_and_those_between_are_skipped(stage: Stage, relay: Relay) -> None:
    job = stage.running()
    stage.tell()
    edits = relay.calls.count("chat.update")
    for steps in range(100, 1100, 100):
        stage.trained(job, steps, notes=False)
        stage.notifier.round()
    stage.tell()
    assert "step 1,000 of 4,000" in stage.card()["text"]
    assert relay.calls.count("chat.update") - edits == 1


def test_a_change_of_state_is_shown_at_once_though_numbers_were_just_edited(stage: Stage) -> None:
    job = stage.running()
    stage.tell()
    stage.pass_time(5)
    stage.trained(job, 100, notes=False)
    stage.notifier.round()
    stage.ended(job)
    stage.notifier.round()
    assert "the machine is being ended" in stage.card()["text"]


def test_costs_on_a_card_go_on_though_nothing_happens(stage: Stage) -> None:
    stage.running()
    stage.tell()
    stage.pass_time(1800)
    stage.notifier.round()
    assert "$1.0" in shown(stage.card())


def test_a_channel_that_closed_before_the_card_moves_the_thread_to_its_requester(stage: Stage) -> None:
    job = stage.typed(minutes=60)
    stage.people.kick_bot(stage.vision)
    stage.tell()
    card = stage.people.dms("ada")[-1]
    assert "acme/vit@3f9c2ab on 1 × A100" in card["text"]
    assert "could not post where it was asked for" in shown(card)
    stage.happens(stage.running(job), NoteKind.TROUBLE, {"code": "nan", "text": "The loss is NaN."})
    stage.tell()
    assert "The loss is NaN." in stage.people.thread(_dm(stage), card["ts"])[-1]["text"]


def test_a_channel_that_closes_later_sends_what_is_owed_to_the_requester(stage: Stage) -> None:
    job = stage.running()
    stage.tell()
    stage.people.kick_bot(stage.vision)
    stage.happens(job, NoteKind.TROUBLE, {"code": "nan", "text": "The loss is NaN."})
    stage.tell()
    told = stage.people.dms("ada")[-1]["text"]
    assert "The loss is NaN." in told
    assert f"I could not post this in <#{stage.vision}>" in told


def test_refused_blocks_are_said_as_text(stage: Stage, relay: Relay) -> None:
    relay.faults = [refused("chat.postMessage", "invalid_blocks")]
    stage.typed(minutes=60)
    stage.tell()
    assert "$3.00 held" in stage.card()["text"]
    assert relay.calls.count("chat.postMessage") == 2


def test_a_plot_that_cannot_be_drawn_is_said_in_words(stage: Stage) -> None:
    stage.sketches.failure = PlotFailed("no fonts")
    job = stage.trained(stage.running(), 600)
    stage.tell()
    assert stage.texts() == [
        "Loss 3.675 at step 600 / 4,000. (The plot could not be shown; the training is not affected.)"
    ]
    assert stage.job(job.id).state is JobState.RUNNING


def test_a_plot_that_slack_does_not_take_is_said_in_words(stage: Stage, relay: Relay) -> None:
    relay.faults = [refused("files.getUploadURLExternal", "missing_scope")]
    stage.trained(stage.running(), 600)
    stage.tell()
    assert stage.texts()[0].startswith("Loss 3.675 at step 600 / 4,000. (The plot")


def test_a_token_that_does_not_work_stops_everything_and_loses_nothing(stage: Stage, relay: Relay) -> None:
    stage.typed(minutes=60)
    relay.faults = [refused("chat.postMessage", "token_revoked")]
    stage.notifier.round()
    stage.notifier.round()
    assert relay.calls.count("chat.postMessage") == 1
    stage.tell()
    assert len(stage.people.messages(stage.vision)) == 1


def test_what_slack_refuses_for_ever_is_given_up_and_the_rest_goes_on(stage: Stage, relay: Relay) -> None:
    job = stage.running()
    stage.tell()
    relay.faults = [refused("chat.postMessage", "some_new_word") for _ in range(8)]
    stage.happens(job, NoteKind.TROUBLE, {"code": "nan", "text": "The loss is NaN."})
    stage.tell(patience=600)
    stage.saved(job, 400)
    stage.tell()
    assert stage.texts() == ["Checkpoint at step 400 is safe (7 B)."]


def test_a_card_that_somebody_deleted_is_let_be_and_its_thread_goes_on(stage: Stage, relay: Relay) -> None:
    job = stage.running()
    stage.tell()
    relay.faults = [refused("chat.update", "message_not_found")]
    stage.trained(job, 100, notes=False)
    stage.saved(job, 100)
    stage.tell()
    assert stage.texts() == ["Checkpoint at step 100 is safe (7 B)."]
    with stage.db.read() as tx:
        assert tx.exec(select(Card)).one().error == "gone"


def test_approvals_overtake_what_can_wait(stage: Stage) -> None:
    first = stage.running()
    stage.tell()
    for step in (100, 200, 300, 400):
        stage.saved(first, step)
    stage.typed(minutes=1200)
    stage.pass_time(2)
    before = len(stage.people.messages(stage.vision))
    stage.notifier.round()
    assert len(stage.people.messages(stage.vision)) == before + 1
    assert "approve" in buttons(stage.card())
    assert stage.people.thread(stage.vision, stage.people.messages(stage.vision)[0]["ts"])[1:] == []


def test_facts_read_twice_owe_nothing_new(stage: Stage) -> None:
    job = stage.trained(stage.running(), 600)
    stage.saved(job, 600)
    stage.tell()
    said = len(stage.replies())
    with stage.db.write() as tx:
        db.set_mark(tx, "notified", "0", stage.clock.now())
    stage.restart()
    stage.tell()
    assert (len(stage.replies()), len(stage.people.messages(stage.vision))) == (said, 1)


def test_a_mistake_in_one_message_silences_no_other(stage: Stage) -> None:
    job = stage.running()
    stage.tell()
    with stage.db.write() as tx:
        outbox.owe(
            tx,
            key="broken",
            kind="reply",
            channel=stage.vision,
            priority=0,
            payload={"what": "extended"},  # without the data that its view reads
            at=stage.clock.now(),
            job_id=job.id,
        )
    other = stage.running(stage.typed(minutes=15))
    stage.happens(other, NoteKind.TROUBLE, {"code": "nan", "text": "The loss is NaN."})
    stage.notifier.round()
    stage.pass_time(1.1)
    stage.notifier.round()
    stage.pass_time(1.1)
    stage.notifier.round()
    assert "The loss is NaN." in stage.texts()[0]


def _dm(stage: Stage) -> str:
    with stage.db.read() as tx:
        return tx.exec(select(Card)).one().channel
