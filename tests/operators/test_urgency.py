"""What is urgent is said first, however much else is owed, and nobody is kept from a turn for ever."""

from __future__ import annotations

from pathlib import Path

from bot import outbox
from bot.fanout import APPROVALS, ENDS, REST
from jobs import db
from jobs.model import Job, NoteKind
from jobs.values import DOLLAR
from tests.face.stage import Stage
from tests.operators.newsroom import Newsroom
from tests.operators.slack import OUTAGE
from tests.support.house import House


def standing(room: Newsroom, where: str) -> Job:
    """Return a job whose card stands."""
    room.service.set_budget("vision", room.lead, "auto_approve", DOLLAR)
    job = room.ask(where, "ada", 15)
    assert room.rest()
    return job


def happens(room: Newsroom, job: Job, kind: NoteKind) -> None:
    """Let a fact be written."""
    with room.world.db.write() as tx:
        db.note_on(tx, db.get_job(tx, job.id), kind, room.clock.now(), data={"text": "NaN", "code": "nan"})


def test_an_approval_is_seen_behind_a_thousand_other_messages() -> None:
    house = House()
    with house.db.write() as tx:
        for number in range(1001):
            outbox.owe(
                tx,
                key=f"k{number}",
                kind="reply",
                channel="C1",
                priority=REST if number < 1000 else APPROVALS,
                payload={},
                at=house.clock.now(),
                job_id=f"job{number}",
            )
    with house.db.read() as tx:
        first = min(outbox.waiting(tx), key=lambda one: one.urgency)
    assert (first.row.key, first.urgency) == ("k1000", APPROVALS)


def test_what_waits_behind_something_lends_it_its_urgency() -> None:
    house = House()
    with house.db.write() as tx:
        for key, priority in (("first", REST), ("second", ENDS)):
            more = {"channel": "C1", "priority": priority, "payload": {}, "at": house.clock.now(), "job_id": "job0001"}
            outbox.owe(tx, key=key, kind="reply", **more)
    with house.db.read() as tx:
        assert [(one.row.key, one.urgency) for one in outbox.waiting(tx)] == [("first", ENDS)]


def test_what_is_asked_while_a_backlog_is_worked_off_overtakes_it(tmp_path: Path) -> None:
    room = Newsroom(tmp_path, "overtaking")
    here, there = standing(room, "vision"), standing(room, "nlp")
    room.clock.advance(5)
    happens(room, here, NoteKind.TROUBLE)
    happens(room, there, NoteKind.EXTENDED)
    said = len(room.slack.said)
    asked: list[Job] = []

    def somebody_asks(method: str) -> None:
        if method == "chat.postMessage" and not asked:
            asked.append(room.ask("nlp", "tam", 60))

    room.slack.on_call = somebody_asks
    assert room.rest()
    keys = [one.key for one in room.slack.said[said:] if one.channel in room.slack.rooms.values()]
    assert keys[:2] == [f"{here.id}:trouble:reply", f"card:{asked[0].id}:head:{room.slack.rooms['nlp']}"]


def test_an_outage_is_not_tried_to_the_end_of_the_backlog(tmp_path: Path) -> None:
    room = Newsroom(tmp_path, "outage")
    for job in [standing(room, "vision") for _ in range(6)]:
        happens(room, job, NoteKind.TROUBLE)
    room.clock.advance(5)
    room.slack.weather = OUTAGE
    room.tell(1)
    assert room.slack.counts["away"] == 2
    assert room.rest()
    assert room.slack.counts["posts"] == 12


def test_every_card_has_its_turn_though_all_change_all_the_time(stage: Stage) -> None:
    jobs = [stage.running(stage.typed(minutes=15)) for _ in range(5)]
    stage.tell()
    for steps in range(100, 1300, 100):
        for job in jobs:
            stage.trained(job, steps, notes=False)
        stage.pass_time(1.6)
        stage.notifier.round()
    shown = [message["text"] for message in stage.people.messages(stage.vision)]
    assert [text for text in shown if "step" not in text] == []
