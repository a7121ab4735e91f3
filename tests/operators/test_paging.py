"""Leads are called when a machine outlives its deadline, each hour again, and told when it is gone at last."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from jobs.model import NoteKind
from tests.operators.newsroom import Newsroom


def overdue(folder: Path) -> tuple[Newsroom, str]:
    """Return a newsroom with a machine that its cloud does not end, at its deadline."""
    room = Newsroom(folder, "paging")
    job = room.ask("vision", "ada", 6)
    room.world.rentals.launch(job.id)
    room.world.tick()
    assert room.rest()
    room.world.cloud.deaf = True
    passes(room, (room.world.attempts(job.id)[0].deadline - room.clock.now()) / timedelta(minutes=1))
    return room, job.id


def passes(room: Newsroom, minutes: float) -> None:
    """Let so many minutes go by, with a look at everything in each."""
    until = room.clock.now() + timedelta(minutes=minutes)
    while room.clock.now() < until:
        room.clock.advance(min(timedelta(minutes=1), until - room.clock.now()))
        room.world.tick()
    assert room.rest()


def heard(room: Newsroom, words: str) -> tuple[int, int]:
    """Return how often a thread of #vision and Lea's direct messages say so."""
    talk = room.slack.state.workspace
    direct = talk.direct(talk.bot_user, room.slack.people["lea"])
    threads = [message for message in talk.everything(room.slack.rooms["vision"]) if message.thread_ts]
    return sum(words in m.text for m in threads), sum(words in m.text for m in talk.everything(direct.id))


def test_leads_are_called_after_five_minutes_once_and_then_each_hour(tmp_path: Path) -> None:
    room, _ = overdue(tmp_path)
    passes(room, 4)
    assert heard(room, "past its deadline. I go on ending it") == (0, 0)
    passes(room, 3)
    assert heard(room, "past its deadline. I go on ending it") == (1, 1)
    passes(room, 55)
    assert heard(room, "past its deadline. I go on ending it") == (1, 1)
    passes(room, 5)
    assert heard(room, "past its deadline. I go on ending it") == (2, 2)


def test_leads_are_told_when_it_is_gone_at_last(tmp_path: Path) -> None:
    room, job_id = overdue(tmp_path)
    passes(room, 20)
    room.world.cloud.deaf = False
    passes(room, 3)
    assert [note.kind for note in room.world.notes(job_id)].count(NoteKind.OVERDUE) == 1
    assert heard(room, "is confirmed gone, 2") == (1, 1)  # 20 or 21 min


def test_nobody_is_told_of_an_end_that_nobody_waited_for(tmp_path: Path) -> None:
    room, _ = overdue(tmp_path)
    room.world.cloud.deaf = False
    passes(room, 5)
    assert heard(room, "is confirmed gone") == (0, 0)
