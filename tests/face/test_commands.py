"""What is typed and what is answered: every command in a real workspace, acknowledged in time, in private."""

from __future__ import annotations

import gzip
import re
import threading
from pathlib import Path

import pytest
from sqlalchemy.exc import OperationalError
from sqlmodel import select

from bot import answering, logbook
from bot.events import Events
from bot.parts import Caller
from bot.views import answers
from jobs import db
from jobs.errors import NotFound
from jobs.lifecycle import JobState
from jobs.model import Attempt, Job, NoteKind
from jobs.values import DOLLAR
from tests.face.stage import GROUP, Stage, shown
from trainer.wire import log_key

RUN = "/train acme/vit@main gpu=a100 hours=1"


def mentioned(stage: Stage, text: str) -> None:
    """Let Ada mention the bot in the newest thread, and wait until the mention was taken."""
    stage.people.type("ada", "#vision", text, thread_ts=stage.card()["ts"])
    stage.people.settle()
    assert all(one.acknowledged for one in stage.people.deliveries() if one.kind == "events_api")


def newest(stage: Stage) -> str:
    """Return what Ada was last told privately."""
    return str(stage.people.ephemerals("ada", stage.vision)[-1]["text"])


def say(stage: Stage, job: Job, text: bytes, number: int = 1, rank: int = 0) -> None:
    """Put a chunk of the job's output into the store, as its agent would."""
    stage.store.put(log_key(job.id, 1, number, rank), gzip.compress(text))


def test_a_run_is_written_down_before_it_is_acknowledged(open_stage: Stage) -> None:
    outcome = open_stage.people.type("ada", "#vision", RUN)
    assert outcome.ok
    assert outcome.reply is not None
    assert outcome.reply["response_type"] == "ephemeral"
    assert open_stage.job("job0001").state is JobState.REQUESTED
    assert newest(open_stage).startswith("On it: `acme/vit@main gpu=a100 hours=1`.")
    open_stage.intake.work("job0001")
    open_stage.tell()
    assert "$12.00 held" in open_stage.card()["text"]


def test_the_same_delivery_twice_is_one_job(open_stage: Stage) -> None:
    open_stage.people.type("ada", "#vision", RUN)
    open_stage.people.redeliver()
    with open_stage.db.read() as tx:
        assert [job.id for job in tx.exec(select(Job))] == ["job0001"]


def test_when_the_database_is_busy_nothing_is_written_and_the_answer_says_so(open_stage: Stage) -> None:
    release, entered = threading.Event(), threading.Event()

    def hold() -> None:
        with open_stage.db.write():
            entered.set()
            release.wait(10)

    holder = threading.Thread(target=hold)
    holder.start()
    entered.wait(10)
    try:
        outcome = open_stage.people.type("ada", "#vision", RUN)
    finally:
        release.set()
        holder.join()
    assert outcome.ok
    assert "nothing was written" in newest(open_stage)
    assert f"`{RUN}`" in newest(open_stage)
    with open_stage.db.read() as tx:
        assert list(tx.exec(select(Job))) == []


@pytest.mark.parametrize(
    ("typed", "quoted", "fix"),
    [
        ("/train acme/vit@main gpu=a1000 hours=4", "a1000", "/train acme/vit@main gpu=a100 hours=4"),
        ("/train statsu job0001", "statsu", "/train status job0001"),
        ("/train acme/vit gpu=a100 hours=4", "acme/vit", "/train acme/vit@main gpu=a100 hours=4"),
        ("/budget cpa 300", "cpa", "/budget cap 300"),
    ],
)
def test_a_bad_line_is_quoted_and_the_line_to_copy_is_shown(
    open_stage: Stage, typed: str, quoted: str, fix: str
) -> None:
    open_stage.people.type("ada", "#vision", typed)
    told = open_stage.people.ephemerals("ada", open_stage.vision)[-1]
    assert quoted in told["text"]
    assert f"```{fix}```" in shown(told)


def test_help_names_every_verb(open_stage: Stage) -> None:
    open_stage.people.type("ada", "#vision", "/train help")
    for verb in ("gpus", "list", "status", "stop", "extend", "logs", "checkpoints", "rerun"):
        assert f"/train {verb}" in newest(open_stage)


def test_list_status_logs_and_checkpoints_answer_privately(open_stage: Stage) -> None:
    stage = open_stage
    job = stage.trained(stage.running(), 1800)
    stage.saved(job, 1000)
    say(stage, job, b"step 1\nloss is <nan> & so on\n")
    say(stage, job, b"10%\r20%\r30%\nstep 2\n", 2)
    stage.people.type("ada", "#vision", "/train list")
    assert "`job0001`  *acme/vit@3f9c2ab on 1 × A100*  ·  training" in newest(stage)
    stage.people.type("ada", "#vision", f"/train status {job.id}")
    assert "step 1,800 of 4,000, loss 3.023" in newest(stage)
    stage.people.type("ada", "#vision", f"/train logs {job.id}")
    told = stage.people.wait_for(lambda: newest(stage) if "Newest output" in newest(stage) else "")
    assert "step 1\nloss is &lt;nan&gt; &amp; so on\n30%\nstep 2" in told
    stage.people.type("ada", "#vision", f"/train logs {job.id} NAN")
    told = stage.people.wait_for(lambda: newest(stage) if "step 2" not in newest(stage) else "")
    assert told.startswith("*Newest output of `job0001`* with `NAN`, 1 line\n")
    stage.people.type("ada", "#vision", f"/train checkpoints {job.id}")
    assert "/files/jobs/job0001/a1/ckpt/step-1000/model.pt?exp=" in newest(stage)


def test_a_log_answers_with_a_link_to_all_of_it_and_says_when_it_is_an_older_attempts(open_stage: Stage) -> None:
    stage = open_stage
    job = stage.running()
    say(stage, job, b"step 1\n")

    def answered(line: str, word: str) -> str:
        stage.people.type("ada", "#vision", f"/train logs {job.id}{line}")
        stage.people.wait_for(
            lambda: any(word in shown(said) for said in stage.people.ephemerals("ada", stage.vision)[-1:])
        )
        return shown(stage.people.ephemerals("ada", stage.vision)[-1])

    told = answered("", "step 1")
    assert f"<http://files.test/logs/jobs/{job.id}/a1?exp=" in told
    assert "|The whole log>" in told
    assert "attempt" not in told

    with stage.db.write() as tx:
        first = next(one for one in db.attempts(tx, job.id))
        columns = {name: value for name, value in first.model_dump().items() if name != "id"}
        tx.add(Attempt(**{**columns, "number": 2, "launch_key": "another"}))
    assert "This is from attempt 1. Attempt 2 has said nothing yet." in answered("", "attempt 1")
    stage.store.put(log_key(job.id, 2, 1), gzip.compress(b"begins anew\n"))
    assert "a2?exp=" in answered("", "begins anew")
    assert "This is from attempt 1. Attempt 2 has no such line." in answered(" step", "step 1")


@pytest.mark.parametrize("verb", ["status", "logs", "checkpoints", "rerun", "stop"])
def test_in_a_direct_message_a_stranger_is_not_told_of_a_job(open_stage: Stage, verb: str) -> None:
    stage = open_stage
    job = stage.running()
    for stranger in ("gus", "tam"):
        stage.people.type(stranger, "@hourglass", f"/train {verb} {job.id}")
        stage.people.wait_for(lambda who=stranger: stage.people.ephemerals(who))  # type: ignore[misc]
        told = stage.people.ephemerals(stranger)[-1]["text"]
        assert told == f"You have no part in job `{job.id}`. Ask in one of its team's channels."
    assert len(stage.service.list_jobs("vision")) == 1


def test_a_direct_message_among_several_people_is_no_teams_channel(open_stage: Stage) -> None:
    stage = open_stage
    job, group = stage.running(), stage.people.channel_id(GROUP)
    for verb in ("status", "logs"):
        stage.people.type("gus", f"#{GROUP}", f"/train {verb} {job.id}")
        assert "You have no part in job" in stage.people.ephemerals("gus", group)[-1]["text"]
    stage.people.type("gus", f"#{GROUP}", "/train list all")
    assert "You have no part in a job" in stage.people.ephemerals("gus", group)[-1]["text"]
    stage.people.type("ada", f"#{GROUP}", f"/train status {job.id}")
    assert "acme/vit@3f9c2ab" in stage.people.ephemerals("ada", group)[-1]["text"]


def test_in_a_direct_message_the_one_who_asked_those_to_be_told_and_leads_see_a_job(open_stage: Stage) -> None:
    stage = open_stage
    job = stage.running()
    with stage.db.write() as tx:
        db.touch(tx, db.get_job(tx, job.id), stage.clock.now(), notify=[stage.people.user_id("tam")])
    for who in ("ada", "tam", "lea"):
        stage.people.type(who, "@hourglass", f"/train status {job.id}")
        assert "acme/vit@3f9c2ab" in stage.people.ephemerals(who)[-1]["text"]


def test_in_a_direct_message_the_jobs_are_listed_that_a_person_has_a_part_in(open_stage: Stage) -> None:
    stage = open_stage
    job = stage.running()

    def told(who: str) -> str:
        stage.people.type(who, "@hourglass", "/train list all")
        return str(stage.people.ephemerals(who)[-1]["text"])

    for stranger in ("gus", "tam"):
        assert told(stranger) == "You have no part in a job. Ask in one of your team's channels."
    with stage.db.write() as tx:
        db.touch(tx, db.get_job(tx, job.id), stage.clock.now(), notify=[stage.people.user_id("tam")])
    for who in ("ada", "tam", "lea"):
        assert f"`{job.id}`" in told(who)
    assert "no part" in told("gus")
    stage.people.type("gus", "#vision", "/train list all")
    assert f"`{job.id}`" in stage.people.ephemerals("gus", stage.vision)[-1]["text"]


def test_where_the_site_is_not_reached_a_button_gathers_the_whole_log(open_stage: Stage) -> None:
    stage = open_stage
    job = stage.running()
    say(stage, job, b"step 1\n")
    say(stage, job, b"step 2\n", 2)
    caller = Caller(person=stage.ada, channel=stage.vision, delivery="press")
    facts = answering.look(stage.parts, job.id, caller)
    told = answers.logs(stage.parts.say, facts, logbook.read(stage.store, facts, None), None, fetch=f"{job.id} 1 0")
    (button,) = next(block["elements"] for block in told.blocks if block["type"] == "actions")
    assert button["action_id"] == "whole_log"
    answer = answering.whole_log(stage.parts, *button["value"].split(), caller).text
    assert f"<http://files.test/files/jobs/{job.id}/a1/log.txt.gz?exp=" in answer
    assert gzip.decompress(stage.store.get(f"jobs/{job.id}/a1/log.txt.gz") or b"") == b"step 1\nstep 2\n"
    for wrong in (("2", "0"), ("1", "1"), ("x", "0")):
        with pytest.raises(NotFound):
            answering.whole_log(stage.parts, job.id, *wrong, caller)


def test_a_word_is_looked_for_in_the_whole_log(open_stage: Stage) -> None:
    stage = open_stage
    job = stage.running()
    for number in range(1, 101):
        say(stage, job, b"needle here\n" if number == 5 else b"step\n" * 50, number)
    stage.people.type("ada", "#vision", f"/train logs {job.id} needle")
    stage.people.wait_for(lambda: stage.people.ephemerals("ada", stage.vision))
    assert newest(stage).startswith("*Newest output of `job0001`* with `needle`, 1 line\n")


def test_prices_are_compared(open_stage: Stage) -> None:
    open_stage.people.type("ada", "#vision", "/train gpus h100")
    told = open_stage.people.wait_for(lambda: open_stage.people.ephemerals("ada", open_stage.vision))[-1]["text"]
    assert "h100" in told
    assert "a GPU" in told
    assert re.search(r"  aws +\d\d \w{3}\b", told)


def test_stop_by_its_requester_needs_nobody(open_stage: Stage) -> None:
    job = open_stage.running()
    open_stage.people.type("ada", "#vision", f"/train stop {job.id}")
    assert open_stage.job(job.id).state is JobState.STOPPING
    assert "asked to save and stop" in newest(open_stage)


def test_a_stranger_to_the_job_may_not_stop_it(open_stage: Stage) -> None:
    job = open_stage.running()
    open_stage.people.type("tam", "#vision", f"/train stop {job.id}")
    assert open_stage.job(job.id).state is JobState.RUNNING
    told = open_stage.people.ephemerals("tam", open_stage.vision)[-1]["text"]
    assert f"<@{open_stage.ada}>" in told


def test_a_job_of_another_team_is_not_shown(open_stage: Stage) -> None:
    stage = open_stage
    stage.service.add_team("nlp")
    stage.service.map_channel(stage.people.channel_id("nlp"), "nlp")
    job = stage.running()
    stage.people.type("ada", "#nlp", f"/train status {job.id}")
    assert "belongs to another team" in stage.people.ephemerals("ada", stage.people.channel_id("nlp"))[-1]["text"]


def test_extend_and_rerun_by_command(open_stage: Stage) -> None:
    stage = open_stage
    job = stage.running()
    stage.people.type("ada", "#vision", f"/train extend {job.id} 30m")
    told = stage.people.wait_for(lambda: stage.people.ephemerals("ada", stage.vision))[-1]["text"]
    assert told.startswith("`job0001`: it ends <!date^")
    assert stage.moved[0][0] == job.id
    stage.people.type("ada", "#vision", f"/train rerun {job.id} hours=2")
    assert newest(stage).startswith("On it: `acme/vit@3f9c2ab`")
    assert stage.job("job0002").request["overrides"]["hours"] == "2"
    stage.people.type("ada", "#vision", f"/train rerun {job.id} resume")
    assert "has no whole checkpoint to go on from" in newest(stage)
    stage.saved(job, 400)
    stage.people.type("ada", "#vision", f"/train rerun {job.id} resume hours=2")
    again = stage.people.wait_for(lambda: stage.job("job0003") if newest(stage).startswith("On it") else None)
    assert again is not None
    assert (again.request["rerun_of"], again.request["resume"]) == (job.id, True)
    # It has saved nothing yet, and what it goes on from is there for the next one, too.
    stage.people.type("ada", "#vision", f"/train rerun {again.id} resume hours=1")
    third = stage.people.wait_for(lambda: stage.job("job0004") if newest(stage).startswith("On it") else None)
    assert third is not None
    assert (third.request["rerun_of"], third.request["resume"]) == (again.id, True)


def test_of_several_machines_one_log_is_shown_and_the_answer_says_which_and_how_to_see_another(
    open_stage: Stage,
) -> None:
    stage = open_stage
    alone, job = stage.running(), stage.running()
    with stage.db.write() as tx:
        db.touch(tx, db.get_job(tx, job.id), stage.clock.now(), spec={**(job.spec or {}), "nodes": 2})
    say(stage, job, b"rank 0 speaks\n")
    say(stage, job, b"rank 1 speaks\n", rank=1)

    def answered(line: str, word: str) -> str:
        stage.people.type("ada", "#vision", f"/train logs {job.id}{line}")
        stage.people.wait_for(
            lambda: any(word in shown(said) for said in stage.people.ephemerals("ada", stage.vision)[-1:])
        )
        return shown(stage.people.ephemerals("ada", stage.vision)[-1])

    told = answered("", "rank 0 speaks")
    assert "rank 1 speaks" not in told
    assert f"Machine 1 of 2. Another one's: `/train logs {job.id} node=2`" in told
    told = answered(" node=2", "rank 1 speaks")
    assert f"Machine 2 of 2. Another one's: `/train logs {job.id} node=1`" in told
    answered(" node=2 rank 0", f"Another one's: `/train logs {job.id} node=1`")
    assert "2 machines, counted from 1" in answered(" node=3", "counted from 1")
    stage.people.type("ada", "#vision", f"/train logs {alone.id} node=2")
    stage.people.wait_for(lambda: "has one machine" in newest(stage))


def test_a_log_that_is_followed_stands_in_the_thread_until_the_job_has_ended(open_stage: Stage) -> None:
    stage = open_stage
    job = stage.running()
    stage.tell()
    say(stage, job, b"step 1: loss 3.2\n")
    stage.people.type("ada", "#vision", f"/train logs {job.id} follow")
    stage.people.wait_for(lambda: stage.people.ephemerals("ada", stage.vision))
    assert newest(stage).startswith(f"The newest lines of `{job.id}` stand in its thread")
    stage.tell()
    (tail,) = stage.replies()
    assert "step 1: loss 3.2" in shown(tail)

    say(stage, job, b"step 2: loss 2.9\n", 2)
    stage.tell()
    assert "step 2" not in shown(stage.replies()[0])  # Slack takes so many edits and no more
    stage.pass_time(11)
    stage.tell()
    assert "step 2: loss 2.9" in shown(stage.replies()[0])

    say(stage, job, b"done\n", 3)
    stage.ended(job)
    stage.tell()
    assert "\ndone" in shown(stage.replies()[0])
    assert "These were its last." in shown(stage.replies()[0])
    stage.people.type("ada", "#vision", f"/train logs {job.id} follow")
    stage.people.wait_for(lambda: stage.people.ephemerals("ada", stage.vision)[1:])
    assert newest(stage).startswith("*Newest output")


def test_a_mention_in_the_thread_means_its_job_and_is_answered_there_once(open_stage: Stage) -> None:
    stage = open_stage
    job = stage.running()
    stage.tell()
    mentioned(stage, "@hourglass status")
    stage.people.redeliver()
    stage.people.settle()
    stage.tell()
    answers = [text for text in stage.texts() if "training" in text]
    assert len(answers) == 1
    mentioned(stage, "@hourglass stop")
    assert stage.job(job.id).state is JobState.STOPPING


def test_a_mention_is_acknowledged_only_when_it_is_written_down(open_stage: Stage) -> None:
    stage = open_stage
    job = stage.running()
    stage.tell()
    card = stage.card()
    event = {"channel": stage.vision, "user": stage.ada, "ts": "1.5", "thread_ts": card["ts"], "text": "<@U1> stop"}
    passed_on: list[str] = []
    mentioned = Events(stage.parts).mentioned
    with stage.db.engine.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE outbox RENAME TO elsewhere")
    with pytest.raises(OperationalError):
        mentioned(event, {"event_id": "Ev1"}, lambda: passed_on.append("first"))
    with stage.db.engine.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE elsewhere RENAME TO outbox")
    mentioned(event, {"event_id": "Ev1"}, lambda: passed_on.append("second"))
    assert (passed_on, stage.job(job.id).state) == (["second"], JobState.STOPPING)


def test_a_mention_with_a_bad_word_is_answered_in_its_thread(open_stage: Stage) -> None:
    stage = open_stage
    stage.running()
    stage.tell()
    mentioned(stage, "@hourglass stpo")
    stage.tell()
    assert "`stpo` is not something I know; did you mean `stop`?" in stage.texts()[-1]


def test_names_typed_after_notify_become_people(open_stage: Stage) -> None:
    stage = open_stage
    stage.people.type("ada", "#vision", f"{RUN} notify=@tam")
    stage.tell()
    assert stage.job("job0001").notify == [stage.tam]


def test_guests_are_refused(open_stage: Stage) -> None:
    stage = open_stage
    stage.people.type("gus", "#vision", RUN)
    stage.intake.work("job0001")
    stage.tell()
    assert stage.job("job0001").state is JobState.FAILED
    assert "Guests" in stage.people.ephemerals("gus", stage.vision)[-1]["text"]


def test_the_budget_is_shown_with_who_and_what_used_it(open_stage: Stage) -> None:
    stage = open_stage
    job = stage.running()
    stage.happens(job, NoteKind.STAGE)
    stage.people.type("ada", "#vision", "/budget")
    told = stage.people.ephemerals("ada", stage.vision)[-1]
    assert told["text"] == "vision, 2026-11: $297.00 free of $300.00; $3.00 held, $0.00 spent."
    assert f"<@{stage.ada}>  $3.00" in shown(told)
    assert "`job0001`  $3.00 held" in shown(told)
    assert "/budget cap 300" in shown(told)


def test_the_budget_s_own_help_names_every_line(open_stage: Stage) -> None:
    open_stage.people.type("ada", "#vision", "/budget help")
    for line in ("cap 300", "auto-approve 20", "longest 24h", "share 50", "leads @ada", "zone", "freeze", "unfreeze"):
        assert f"/budget {line}" in newest(open_stage)
    assert open_stage.people.messages("#vision") == []


def test_a_lead_changes_the_budget_where_all_can_read_it_and_nobody_else_can(open_stage: Stage) -> None:
    stage = open_stage
    stage.people.type("ada", "#vision", "/budget cap 500")
    assert "Only a lead" in newest(stage)
    stage.people.type("lea", "#vision", "/budget cap 500")
    assert stage.card()["text"] == f"<@{stage.lea}> set vision's budget to $500.00 a month."
    assert stage.team().cap == 500 * DOLLAR
    stage.people.type("lea", "#vision", "/budget leads @tam @lea")
    assert stage.team().leads == [stage.tam, stage.lea]
    stage.people.type("lea", "#vision", "/budget leads @nobody")
    assert "I know nobody called `@nobody`" in stage.people.ephemerals("lea", stage.vision)[-1]["text"]
    stage.people.type("tam", "#vision", "/budget freeze")
    assert "froze new rentals" in stage.card()["text"]
    stage.people.type("ada", "#vision", "/budget")
    assert "/budget unfreeze" in shown(stage.people.ephemerals("ada", stage.vision)[-1])


def test_without_a_budget_the_line_to_type_is_said(tmp_path: Path) -> None:
    stage = Stage(tmp_path, settings={"HOURGLASS_TEAM": "new"})
    stage.service.add_team("new")
    stage.service.map_channel(stage.vision, "new")
    try:
        stage.open()
        stage.people.type("ada", "#vision", "/budget")
        assert "`/budget cap 300`" in newest(stage)
    finally:
        stage.close()
