"""A post that may stand is looked up first, and stays in doubt until it was: whatever happens to the look-up."""

from __future__ import annotations

from typing import Any

import pytest
from sqlmodel import delete

from bot.delivery import Delivery
from bot.retelling import doubt
from jobs import db as rows
from jobs.model import Card, Mark, NoteKind
from jobs.policy import Person
from jobs.restoring import Report
from tests.face.relay import Relay, limited, lost, refused
from tests.face.stage import Stage


@pytest.mark.parametrize(
    "trouble", [limited("conversations.history", 1), refused("conversations.history", "token_revoked")]
)
def test_a_card_whose_look_up_fails_is_not_posted_twice(stage: Stage, relay: Relay, trouble: Any) -> None:
    relay.faults = [lost("chat.postMessage"), trouble]
    stage.typed(minutes=60)
    stage.tell(patience=120)
    assert relay.faults == []
    assert len(stage.people.messages(stage.vision)) == 1


def test_a_card_that_was_found_shows_what_became_of_its_job_meanwhile(stage: Stage, relay: Relay) -> None:
    job = stage.typed(minutes=60)
    relay.faults = [lost("chat.postMessage")]
    stage.notifier.round()
    before = stage.card()["text"]
    stage.service.cancel(job.id, Person(id=job.person, lead=False))
    stage.tell()
    (card,) = stage.people.messages(stage.vision)
    assert relay.faults == []
    assert card["text"] != before
    assert "withdrawn" in card["text"]


def test_a_card_that_was_found_shows_that_its_job_runs_by_now(stage: Stage, relay: Relay) -> None:
    job = stage.typed(minutes=60)
    relay.faults = [lost("chat.postMessage")]
    stage.notifier.round()
    before = stage.card()["text"]
    stage.running(job)
    stage.tell()
    (card,) = stage.people.messages(stage.vision)
    assert relay.faults == []
    assert card["text"] != before


def test_a_plot_that_was_begun_is_found_though_the_curve_went_on(stage: Stage, relay: Relay) -> None:
    job = stage.trained(stage.running(), 600)
    relay.faults = [lost("files.completeUploadExternal")]
    stage.notifier.round()
    for _ in range(3):
        stage.pass_time(1.1)
        stage.notifier.round()
    stage.restart()  # what was drawn is forgotten, and there is more to draw
    stage.trained(job, 900, notes=False)
    stage.tell()
    assert relay.faults == []
    assert [file["name"] for reply in stage.replies() for file in reply.get("files", [])] == ["job0001-600.png"]


def test_a_mistake_after_the_post_makes_no_second_one(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    job = stage.running()
    stage.tell()
    stage.happens(job, NoteKind.TROUBLE, {"code": "nan", "text": "The loss is NaN."})
    posted, wrong = Delivery.post, [TypeError("a mistake of ours")]

    def stumbles(*args: Any, **more: Any) -> str:
        ts = posted(*args, **more)
        if wrong:
            raise wrong.pop()
        return ts

    monkeypatch.setattr(Delivery, "post", stumbles)  # a mistake has no port through which it could come
    stage.tell()
    assert len(stage.replies()) == 1


def test_plots_that_piled_up_are_shown_as_one(stage: Stage) -> None:
    job = stage.trained(stage.running(), 2000)
    stage.happens(job, NoteKind.PLOT, {"series": "loss", "percent": 50})
    stage.tell()
    assert [file["name"] for reply in stage.replies() for file in reply.get("files", [])] == ["job0001-2000.png"]


@pytest.mark.parametrize("posted", [False, True])
@pytest.mark.parametrize("backed_up", [False, True])
def test_a_job_that_was_rebuilt_without_its_card_gets_it_and_what_its_thread_is_owed(
    stage: Stage, posted: bool, backed_up: bool
) -> None:
    """The last record of the lost database, or the backup, was made between the job's launch and its card."""
    job = stage.running()
    if posted:
        stage.tell()
    stage.happens(job, NoteKind.TROUBLE, {"code": "nan", "text": "The loss is NaN."})
    with stage.db.write() as tx:
        tx.execute(delete(Card))
        tx.execute(delete(Mark))
        last = max(note.id or 0 for note in rows.notes(tx, job.id))
        doubt(tx, Report(last_note=last, old_news=last) if backed_up else Report(fresh=[job.id], old_news=last))
    stage.restart()
    stage.tell()
    heads = [one for one in stage.people.messages(stage.vision) if one.get("thread_ts", one["ts"]) == one["ts"]]
    assert (len(heads), len(stage.replies())) == (1, 1)


def test_leads_are_told_of_a_month_though_the_database_was_lost_just_then(stage: Stage) -> None:
    stage.running()
    stage.tell()
    with stage.db.write() as tx:
        alert = {"percent": 80, "held": 0, "spent": 80, "month": "2026-03", "cap": 100, "granted": 0}
        rows.note(tx, key="vision:80", kind=NoteKind.ALERT, at=stage.clock.now(), team_id="vision", data=alert)
        last = max(note.id or 0 for note in rows.notes_after(tx, 0, 1000))
        doubt(tx, Report(last_note=last, old_news=last))
    stage.restart()
    stage.tell()
    assert ["80 %" in str(one) for one in stage.people.dms(stage.lea)] == [True]
