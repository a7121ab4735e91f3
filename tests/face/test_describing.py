"""A team says what its lines mean while the job runs: the hint's button, the form, and what everybody is told."""

from __future__ import annotations

import gzip

import pytest
from sqlmodel import delete, select

from jobs import db
from jobs.lifecycle import JobState
from jobs.model import Job, MetricPoint, NoteKind, Outbox
from tests.face.stage import Stage, buttons, shown
from tests.face.test_approvals import form, told
from trainer.wire import log_key

TEMPLATE = "E{epoch} q <{value}>"
HINT = {"code": "unread", "text": f"If `E1 q <1.5>` is its progress: `progress: ['{TEMPLATE}']`", "template": TEMPLATE}


def hinted(stage: Stage) -> Job:
    """Return a job that runs, and of which nothing was read."""
    job = stage.running()
    stage.store.put(log_key(job.id, 1, 1), gzip.compress(b"begins\nE1 q <1.5>\nE2 q <0.75>\n"))
    stage.happens(job, NoteKind.TROUBLE, HINT)
    stage.tell()
    return job


def whispered(stage: Stage) -> bool:
    """Return whether the form's answer is owed: it is made once the form is acknowledged."""
    with stage.db.read() as tx:
        return tx.exec(select(Outbox).where(Outbox.kind == "whisper")).first() is not None


def progress_of(stage: Stage, job: Job) -> list[str]:
    return (stage.job(job.id).spec or {})["progress"]


def test_the_button_of_the_hint_opens_a_form_and_what_it_says_holds_from_then_on(open_stage: Stage) -> None:
    stage = open_stage
    job = hinted(stage)
    hint = stage.replies()[0]
    assert buttons(hint) == ["describe"]
    stage.people.press("ada", "#vision", hint["ts"], "describe")
    view = form(stage, "ada")
    assert "E2 q <0.75>" in shown(view).replace("&lt;", "<").replace("&gt;", ">")
    assert view["blocks"][-1]["element"]["initial_value"] == TEMPLATE

    refused = stage.people.submit("ada", view["id"], {"lines": "E{epoch q"})
    assert "A brace in `E{epoch q` has no other" in str(refused)
    assert progress_of(stage, job) == []
    stage.people.submit("ada", view["id"], {"lines": "E{epoch} q <{loss}>\n\n  none like this {acc}\n"})
    assert progress_of(stage, job) == ["E{epoch} q <{loss}>", "none like this {acc}"]
    stage.until(lambda: whispered(stage))
    stage.tell()
    assert told(stage, "ada") == (
        "`job0001` is read so from its first line on. "
        "Of its newest 3 lines 2 fit; the last of them says step 2, `loss` 0.75."
    )


def test_what_is_said_is_written_to_the_control_file_and_goes_along_with_a_rerun(open_stage: Stage) -> None:
    stage = open_stage
    job = hinted(stage)
    stage.service.describe(job.id, stage.directory.person(stage.ada, stage.team()), [TEMPLATE])
    again, _ = stage.service.rerun(job.id, stage.directory.person(stage.ada, stage.team()), {}, "another")
    assert again.request["overrides"]["progress"] == [TEMPLATE]


def test_after_a_series_was_misread_its_new_picture_stands_though_its_steps_are_lower(stage: Stage) -> None:
    job = stage.trained(stage.running(), 2000)
    stage.tell()
    stage.pass_time(60)
    with stage.db.write() as tx:
        tx.exec(delete(MetricPoint))
        for step in range(10):
            point = {"job_id": job.id, "attempt": 1, "series": "loss", "step": step, "odd": ""}
            db.insert_once(tx, MetricPoint, {**point, "value": 2.0, "at": stage.clock.now()})
    stage.happens(job, NoteKind.ANEW, {"series": ["loss"]})
    with stage.db.write() as tx:
        stage.noted(tx, job, NoteKind.FIRST_PLOT, {"series": "loss"}, key=f"{job.id}:first_plot:1")
    stage.tell()
    assert [plot.series[0].steps[-1] for plot in stage.sketches.asked] == [2000, 9]


def test_who_has_no_part_in_a_job_is_told_so_instead_of_asked(open_stage: Stage) -> None:
    stage = open_stage
    job = hinted(stage)
    stage.people.press("tam", "#vision", stage.replies()[0]["ts"], "describe")
    view = form(stage, "tam", lambda one: "may say what its lines mean" in shown(one))
    assert view["submit"] is None
    assert progress_of(stage, job) == []


def test_once_the_job_has_ended_there_is_no_button_and_nothing_is_changed(open_stage: Stage) -> None:
    stage = open_stage
    job = hinted(stage)
    stage.people.press("ada", "#vision", stage.replies()[0]["ts"], "describe")
    view = form(stage, "ada")
    said = stage.replies()[0]["text"]
    stage.ended(job)
    stage.tell()
    assert (buttons(stage.replies()[0]), stage.replies()[0]["text"]) == ([], said)
    stage.people.submit("ada", view["id"], {"lines": TEMPLATE})
    assert progress_of(stage, job) == []


def test_without_a_hint_the_form_suggests_what_the_newest_lines_look_like(open_stage: Stage) -> None:
    stage = open_stage
    job = stage.running()
    printed = "".join(f"E{step // 4} b{step % 4} A<{4 / step:.3f}>\n" for step in range(1, 20))
    stage.store.put(log_key(job.id, 1, 1), gzip.compress(printed.encode()))
    stage.people.type("ada", "#vision", f"/train progress {job.id}")
    stage.people.press("ada", "#vision", stage.people.ephemerals("ada", stage.vision)[-1]["ts"], "describe")
    view = form(stage, "ada")
    assert view["blocks"][-1]["element"]["initial_value"] == "E{epoch} b{batch} A<{value}>"
    stage.people.submit("ada", view["id"], {"lines": "E{epoch} b{batch} A<{loss}>"})
    stage.until(lambda: whispered(stage))
    stage.tell()
    # How many batches an epoch has no line says: which step it is shows where the machine has begun to count.
    assert told(stage, "ada").endswith("Of its newest 19 lines 19 fit; the last of them says `loss` 0.211.")


@pytest.mark.parametrize("state", [JobState.RUNNING, JobState.STOPPING])
def test_how_a_job_is_read_is_shown_with_a_button_while_it_runs(open_stage: Stage, state: JobState) -> None:
    stage = open_stage
    job = stage.running()
    stage.people.type("ada", "#vision", f"/train progress {job.id}")
    seen = stage.people.ephemerals("ada", stage.vision)[-1]
    assert (buttons(seen), "by what is known of trainers" in seen["text"]) == (["describe"], True)
    stage.service.describe(job.id, stage.directory.person(stage.ada, stage.team()), [TEMPLATE])
    if state is JobState.STOPPING:
        with stage.db.write() as tx:
            db.touch(tx, db.get_job(tx, job.id), stage.clock.now(), stop_reason="stopped")
    stage.people.type("ada", "#vision", f"/train progress {job.id}")
    seen = stage.people.ephemerals("ada", stage.vision)[-1]
    assert "E{epoch} q &lt;{value}&gt;" in shown(seen)
    assert buttons(seen) == (["describe"] if state is JobState.RUNNING else [])
