"""A post that may stand is looked up first, and stays in doubt until it was: whatever happens to the look-up."""

from __future__ import annotations

from typing import Any

import pytest
from sqlmodel import delete

from bot.delivery import Delivery
from bot.retelling import doubt
from jobs.model import Card, NoteKind
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
def test_a_job_that_was_rebuilt_without_its_card_gets_it_and_what_its_thread_is_owed(
    stage: Stage, posted: bool
) -> None:
    """The last record of the lost database was made between the job's launch and its card."""
    job = stage.running()
    if posted:
        stage.tell()
    with stage.db.write() as tx:
        tx.execute(delete(Card))
        doubt(tx, Report(fresh=[job.id], old_news=999))
    stage.restart()
    stage.happens(job, NoteKind.TROUBLE, {"code": "nan", "text": "The loss is NaN."})
    with stage.db.write() as tx:
        doubt(tx, Report(fresh=[job.id], old_news=999))
    stage.tell()
    assert (
        len([one for one in stage.people.messages(stage.vision) if one.get("thread_ts", one["ts"]) == one["ts"]]) == 1
    )
    assert len(stage.replies()) == 1
