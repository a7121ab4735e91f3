"""A job's thread, as its team reads it: one card that is edited, and a reply at each milestone."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from sqlmodel import select

from jobs import db
from jobs.errors import BadSource
from jobs.lifecycle import JobEventName
from jobs.model import Job, NoteKind, Outbox
from jobs.values import DOLLAR
from jobs.withdrawal import withdraw
from tests.face.stage import Stage, buttons, shown
from tests.support.builders import an_offer


def test_one_card_follows_the_job_from_its_price_to_its_settled_cost(stage: Stage) -> None:
    job = stage.typed(minutes=60)
    stage.tell()
    first = stage.card()
    assert shown(first).startswith("acme/vit@3f9c2ab on 1 × A100")
    assert "$3.00 held" in first["text"]
    assert buttons(first) == ["stop"]

    job = stage.launched(job, note="fetching the image")
    stage.tell()
    assert "Fetching the image, billed since" in shown(stage.card())

    with stage.db.write() as tx:
        db.move(tx, db.get_job(tx, job.id), JobEventName.RUN, stage.clock.now(), stage="run")
    stage.trained(job, 1800)
    stage.tell()
    assert "▰▰▰▰▰▱▱▱▱▱▱▱ 45 %" in shown(stage.card())
    assert "step 1,800 of 4,000, loss 3.023" in stage.card()["text"]
    assert buttons(stage.card()) == ["stop", "extend"]

    stage.pass_time(1800)
    job = stage.ended(job)
    stage.settled(job, DOLLAR)
    stage.tell()
    assert "$1.00 charged of $3.00 held" in shown(stage.card())
    assert buttons(stage.card()) == ["rerun"]
    assert [message["ts"] for message in stage.people.messages(stage.vision)] == [first["ts"]]


def test_the_end_mentions_people_and_links_the_checkpoint(stage: Stage) -> None:
    job = stage.running(stage.typed(minutes=60, notify=["@tam"]))
    stage.trained(job, 4000)
    stage.saved(job, 4000, {"model.pt": b"w" * 2000, "config.json": b"{}"})
    stage.pass_time(1800)
    stage.ended(stage.job(job.id))
    stage.tell()
    end = stage.replies()[-1]
    assert end["text"] == (
        f"<@{stage.ada}> <@{stage.tam}> done: loss 1.83, $1.00 so far of $3.00 held, checkpoint step 4000"
    )
    assert "|model.pt> (2.0 kB)" in shown(end)
    assert "/files/jobs/job0001/a1/ckpt/step-4000/config.json?exp=" in shown(end)


def test_replies_come_at_milestones_and_in_order(stage: Stage) -> None:
    job = stage.running()
    stage.trained(job, 500)
    stage.saved(job, 400)
    stage.happens(job, NoteKind.TROUBLE, {"code": "nan", "text": "The loss is NaN at step 600."})
    stage.tell()
    for steps in range(600, 2000, 100):
        stage.trained(job, steps)
        stage.tell()
    stage.happens(job, NoteKind.PLOT, {"percent": 50})
    stage.tell()
    assert stage.texts() == [
        "Loss 3.729 at step 500 / 4,000",
        "Checkpoint at step 400 is safe (7 B).",
        f"<@{stage.ada}> trouble with `job0001`: The loss is NaN at step 600.",
        "Loss 2.969 at step 1,900 / 4,000",
    ]


def test_the_warning_offers_more_time_with_its_price_and_is_not_posted_late(stage: Stage) -> None:
    job = stage.running()
    stage.happens(job, NoteKind.WARNED, {"deadline": 0})
    stage.tell()
    warning = stage.replies()[-1]
    assert "1 h left: it saves and stops <!date^" in warning["text"]
    assert buttons(warning) == ["extend_30", "extend_60", "extend_120"]
    assert "+1 h ($3.00)" in shown(warning)

    late = stage.running(stage.typed(minutes=30))
    stage.tell()
    with stage.db.write() as tx:
        stage.noted(tx, late, NoteKind.WARNED, {"deadline": 0})
    stage.ended(late)
    stage.tell()
    assert [text for text in stage.texts() if "left" in text] == []


def test_a_warning_loses_its_buttons_when_the_job_has_ended(stage: Stage) -> None:
    job = stage.running()
    stage.happens(job, NoteKind.WARNED, {"deadline": 0})
    stage.tell()
    (at,) = [n for n, reply in enumerate(stage.replies()) if buttons(reply)]
    stage.ended(job)
    stage.tell()
    warning = stage.replies()[at]
    assert buttons(warning) == []
    assert warning["text"] == f"<@{stage.ada}> was told here that the end came near. It has ended."

    stage.ended(stage.running())  # nobody was warned, and there is nothing to edit
    stage.tell()
    with stage.db.read() as tx:
        edits = tx.exec(select(Outbox).where(Outbox.kind == "edit")).all()
    assert [(row.job_id, row.state) for row in edits] == [(job.id, "done")]


@pytest.mark.parametrize(
    ("code", "expected"),
    [("nan", ["stop"]), ("diverged", ["stop"]), ("hung", ["stop"]), ("torch_no_cuda", [])],
    ids=str,
)
def test_a_run_that_burns_money_can_be_stopped_where_it_is_told(stage: Stage, code: str, expected: list[str]) -> None:
    job = stage.running()
    stage.happens(job, NoteKind.TROUBLE, {"code": code, "text": "loss is NaN at step 600."})
    stage.tell()
    assert buttons(stage.replies()[0]) == expected
    said = stage.replies()[0]["text"]
    stage.ended(job)
    stage.tell()
    assert (buttons(stage.replies()[0]), stage.replies()[0]["text"]) == ([], said)


def test_a_script_that_was_not_understood_is_a_hint_that_calls_nobody(stage: Stage) -> None:
    job = stage.running()
    stage.happens(job, NoteKind.TROUBLE, {"code": "unread", "text": "If `a <1.5>` is its progress: `progress: ['…']`"})
    stage.tell()
    assert stage.texts() == ["`job0001`: If `a &lt;1.5&gt;` is its progress: `progress: ['…']`"]
    assert shown(stage.replies()[0]).startswith("💡")


def test_a_machine_that_cannot_be_extended_offers_to_continue_from_the_checkpoint(stage: Stage) -> None:
    stage.providers["cloud"].traits = replace(stage.providers["cloud"].traits, extendable=False)
    stage.restart()
    job = stage.running()
    stage.happens(job, NoteKind.WARNED, {"deadline": 0})
    stage.tell()
    assert buttons(stage.card()) == ["stop", "continue"]
    assert buttons(stage.replies()[-1]) == ["continue"]


OOM = (
    "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 39.50 GiB of"
    " which 1.50 GiB is free. Of the allocated memory 33.00 GiB is allocated by PyTorch, and 4.00 GiB is reserved by"
    " PyTorch but unallocated."
)


def pressed(stage: Stage, told: dict[str, Any]) -> tuple[str, str, str]:
    """Press the button for another machine; return which job is run again, on which GPU and market."""
    stage.people.press("ada", "#vision", told["ts"], "larger")
    request = stage.people.wait_for(lambda: stage.service.list_jobs("vision")[0:-1])[0].request
    return request["rerun_of"], request["overrides"]["gpu"], request["overrides"]["spot"]


def waiting_for_an_a100(stage: Stage) -> Job:
    """Return a job that waits while nothing but an H100 is offered."""
    job = stage.typed(minutes=60)
    stage.providers["cloud"].stock = (an_offer(gpu="h100", memory_gb=80, zone="here-1b", micros_per_hour=3 * DOLLAR),)
    return job


def test_a_gpu_that_was_too_small_brings_advice_and_a_larger_one_with_its_price(open_stage: Stage) -> None:
    stage = open_stage
    stage.providers["cloud"].stock = (an_offer(gpu="h100", memory_gb=80, micros_per_hour=3 * DOLLAR),)
    job = stage.running()
    stage.ended(job, "gpu_oom", code=1, tail=[OOM])
    stage.tell()
    end = stage.replies()[-1]
    assert "It asked for 2.1 GB more; 1.6 GB of 42 GB were free." in shown(end)
    assert f"`/train rerun {job.id} env.PYTORCH_ALLOC_CONF=expandable_segments:True" in shown(end)
    assert "half the micro-batch with twice the accumulation" in shown(end)
    assert "Run on 1 × H100 80 GB ($3.00/h)" in shown(end)
    assert buttons(end) == ["larger"]

    assert pressed(stage, end) == (job.id, "h100", "on-demand")
    stage.people.press("ada", "#vision", end["ts"], "larger")
    stage.people.wait_for(lambda: "Already on it" in stage.people.ephemerals("ada")[-1]["text"])
    assert len(stage.service.list_jobs("vision")) == 2


@pytest.mark.parametrize(
    ("memory", "figures"),
    [(OOM, True), ("XlaRuntimeError: RESOURCE_EXHAUSTED: Out of memory while trying to allocate 8 bytes.", False)],
    ids=["pytorch", "no figures"],
)
def test_a_gpu_that_was_too_small_brings_advice_also_where_the_last_lines_do_not_tell(
    open_stage: Stage, memory: str, figures: bool
) -> None:
    stage = open_stage
    stage.providers["cloud"].stock = (an_offer(gpu="h100", memory_gb=80, micros_per_hour=3 * DOLLAR),)
    job = stage.running()
    stage.ended(job, "gpu_oom", code=1, tail=["torchrun says a lot", "train.py FAILED"], memory=memory)
    stage.tell()
    end = stage.replies()[-1]
    assert ("It asked for 2.1 GB more" in shown(end)) is figures
    assert "half the micro-batch with twice the accumulation" in shown(end)
    assert buttons(end) == ["larger"]


def test_where_no_machine_was_free_another_is_offered_with_its_price(open_stage: Stage) -> None:
    stage = open_stage
    job = waiting_for_an_a100(stage)
    stage.tell()
    with stage.db.write() as tx:
        fresh = db.get_job(tx, job.id)
        withdraw(tx, fresh, JobEventName.FAIL, stage.clock.now(), stop_reason="no_capacity", error="All is full.")
        stage.noted(tx, job, NoteKind.SETTLED, {"charged": 0, "overrun": 0})
    stage.tell()
    end = stage.replies()[-1]
    assert "1 × H100 80 GB is offered at cloud, here-1b." in shown(end)
    assert "Run on 1 × H100 80 GB ($3.00/h)" in shown(end)
    assert pressed(stage, end) == (job.id, "h100", "on-demand")


def test_a_job_that_waits_says_once_why_and_what_else_there_is(open_stage: Stage) -> None:
    stage = open_stage
    job = waiting_for_an_a100(stage)
    why = {"text": "The quota is `Running On-Demand P instances`.", "reason": "no_capacity", "retry_at": 0}
    stage.happens(job, NoteKind.NO_MACHINE, {**why, "first": True})
    stage.tell()
    (told,) = stage.replies()
    assert "it waits for one. The quota is `Running On-Demand P instances`." in shown(told)
    assert "1 × H100 80 GB is offered at cloud, here-1b." in shown(told)
    assert buttons(told) == ["larger"]
    with stage.db.write() as tx:
        db.note_on(tx, job, NoteKind.NO_MACHINE, stage.clock.now(), data={**why, "first": False}, key="again")
    stage.tell()
    assert len(stage.replies()) == 1


def test_a_failure_shows_the_reason_and_the_last_lines(stage: Stage) -> None:
    job = stage.running()
    tail = ["Traceback (most recent call last):", "ValueError: <!channel> & </b>"]
    stage.ended(job, "error", code=1, tail=tail)
    stage.tell()
    end = stage.replies()[-1]
    assert end["text"].startswith(f"<@{stage.ada}> failed: the command exited with code 1: $0.0")
    assert "ValueError: &lt;!channel&gt; &amp; &lt;/b&gt;" in shown(end)


def test_a_job_that_never_got_a_machine_ends_with_words(stage: Stage) -> None:
    job = stage.typed(minutes=60)
    stage.tell()
    with stage.db.write() as tx:
        fresh = db.get_job(tx, job.id)
        withdraw(
            tx, fresh, JobEventName.FAIL, stage.clock.now(), stop_reason="no_capacity", error="All zones are full."
        )
        stage.noted(tx, job, NoteKind.SETTLED, {"charged": 0, "overrun": 0})
    stage.tell()
    assert stage.texts() == [f"<@{stage.ada}> failed: no machine of that kind was free. Nothing was charged."]
    assert "All zones are full." in shown(stage.card())


def test_a_refused_request_is_answered_privately_with_the_line_to_copy(stage: Stage) -> None:
    stage.neighbours.source = BadSource("There is no `nope` in acme/vit.", fix="/train acme/vit@main gpu=a100 hours=4")
    stage.typed()
    stage.tell()
    assert stage.people.messages(stage.vision) == []
    told = stage.people.ephemerals("ada", stage.vision)[-1]
    assert told["text"] == (
        f"<@{stage.ada}> There is no `nope` in acme/vit. Try: `/train acme/vit@main gpu=a100 hours=4`"
    )
    assert "```/train acme/vit@main gpu=a100 hours=4```" in shown(told)


def test_credentials_that_have_ended_are_told_in_a_thread_and_to_each_lead(stage: Stage) -> None:
    job = stage.running()
    stage.happens(job, NoteKind.TROUBLE, {"code": "no_credentials", "text": "The bot cannot look after its machines."})
    stage.tell()
    assert stage.texts()[-1].endswith("trouble with `job0001`: The bot cannot look after its machines.")
    assert "cannot look after its machines" in stage.people.dms("lea")[-1]["text"]


def test_an_overrun_and_an_overdue_machine_are_told_to_the_leads(stage: Stage) -> None:
    job = stage.running()
    facts: dict[str, Any] = {"minutes": 6, "provider": "cloud", "instance": "i-1"}
    stage.happens(job, NoteKind.OVERDUE, facts)
    stage.tell()
    assert f"<@{stage.lea}> `cloud i-1` of `job0001` is alive 6 min past its deadline." in stage.texts()[-1]
    assert "alive 6 min past its deadline" in stage.people.dms("lea")[-1]["text"]
    stage.happens(job, NoteKind.SETTLED, {"charged": 4 * DOLLAR, "overrun": DOLLAR})
    stage.tell()
    assert stage.texts()[-1] == f"<@{stage.lea}> `job0001` cost $1.00 more than was held for it."


def test_the_thread_ends_with_the_bill_where_money_moved(stage: Stage) -> None:
    facts = {"charged": 3 * DOLLAR, "held": 8 * DOLLAR, "released": 5 * DOLLAR, "overrun": 0}
    estimates = {"saved": 2 * DOLLAR, "disk": 20_000, "egress": 180_000, "egress_bytes": 2_000_000_000}
    stage.happens(stage.running(), NoteKind.SETTLED, {**facts, **estimates, "bills": 1})
    stage.tell()
    assert stage.texts()[-1] == (
        "It cost $3.00 of the $8.00 that were held; $5.00 are free again. "
        "Spot saved $2.00 against the same machines on demand. "
        "In that, by estimate: $0.02 for its disk. "
        "Not in that, by estimate: $0.18 when its files (2.0 GB) are downloaded once."
    )


def test_no_bill_is_told_of_a_machine_that_costs_nothing(stage: Stage) -> None:
    stage.happens(stage.running(), NoteKind.SETTLED, {"charged": 3 * DOLLAR, "held": 8 * DOLLAR, "released": 5})
    stage.tell()
    assert "that were held" not in "".join(stage.texts())
