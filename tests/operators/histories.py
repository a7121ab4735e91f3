"""Histories of notifications: what must be true of a workspace after Slack's bad days, and of the jobs meanwhile.

The judge reads the workspace and the facts. What a fact owes is written down here a second time, in a small table of
its own; the outbox's rows are asked only for the order in which messages became owed.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from sqlmodel import SQLModel, select

from bot.fanout import APPROVALS, ENDS, REST, WARNINGS
from bot.telling import Teller
from jobs import db
from jobs.model import Card, Job, Note, NoteKind, Outbox
from jobs.values import DOLLAR
from tests.operators.newsroom import SAY, Course, Newsroom
from tests.operators.slack import OUTAGE, Weather

# Facts of which a thread must hear, whatever happened to Slack meanwhile; others may be overtaken by time.
MUST = {
    NoteKind.GRANTED: "{key}:reply",
    NoteKind.DENIED: "{key}:reply",
    NoteKind.EXPIRED: "{key}:reply",
    NoteKind.TROUBLE: "{key}:reply",
    NoteKind.ENDED: "{job}:ended:reply",
    NoteKind.PRICED: "card:{job}:head:{channel}",
    NoteKind.ASKED: "card:{job}:head:{channel}",
}
TABLES = ("job", "attempt", "entry", "note", "checkpoint", "metricpoint", "period")
OF_THE_FACE = {"job": ("thread_ts", "notify")}  # columns that the notifier fills in
CARDS = 2.5  # between warnings and the rest, which waits for its card


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What one history came to."""

    broken: list[str]  # each broken promise, in words
    doubles: int  # messages that stand more than once
    lost: int  # facts of which nobody was told
    counts: Counter[str]


def history(folder: Path, seed: str) -> Verdict:
    """Live through a seed twice, with Slack's bad days and without any Slack, and judge."""
    room, alone = Newsroom(folder / "told", seed), Newsroom(folder / "alone", seed, told=False)
    Course(room, seed).run()
    Course(alone, seed).run()
    rested = room.rest()
    keys = Counter(key for key, _ in room.slack.standing())
    doubles = [key for key, count in keys.items() if count > 1]
    missing = sorted(must_stand(room) - set(keys))
    broken = [f"{seed}: {key} stands {keys[key]} times" for key in doubles]
    broken += [f"{seed}: {key} was never said" for key in missing]
    broken += [f"{seed}: the outbox never came to rest"] * (not rested)
    broken += [f"{seed}: {words}" for words in (*out_of_order(room), *stale_cards(room))]
    if rows(room) != rows(alone):
        broken.append(f"{seed}: the jobs went another way than without Slack")
    counts = Counter(room.slack.counts)
    counts.update({"jobs": len(finished(room)), "restarts": room.lives - 1})
    return Verdict(broken=broken, doubles=len(doubles), lost=len(missing), counts=counts)


def finished(room: Newsroom) -> list[Job]:
    """Return the jobs that have ended."""
    with room.world.db.read() as tx:
        return [job for job in tx.exec(select(Job)) if job.finished_at is not None]


def must_stand(room: Newsroom) -> set[str]:
    """Return the keys of the messages that must stand, from the facts alone."""
    with room.world.db.read() as tx:
        facts = [(note, db.get_job(tx, note.job_id)) for note in tx.exec(select(Note)) if note.job_id]
    return {
        MUST[NoteKind(note.kind)].format(key=note.key, job=job.id, channel=job.channel)
        for note, job in facts
        if note.kind in MUST
    }


def out_of_order(room: Newsroom) -> list[str]:
    """Return the messages that stand in their thread before one that was owed earlier."""
    with room.world.db.read() as tx:
        owed = list(tx.exec(select(Outbox)))
    by_key = {row.key: row for row in owed}
    by_file = {row.payload["name"]: row for row in owed if "name" in row.payload}
    newest: dict[str, int] = {}
    found = []
    for key, message in room.slack.standing():
        row = by_key.get(key) or by_file.get(key)
        if row is None or message.thread_ts is None:
            continue
        if (row.id or 0) < newest.get(message.thread_ts, 0):
            found.append(f"{key} stands after what was owed later")
        newest[message.thread_ts] = max(newest.get(message.thread_ts, 0), row.id or 0)
    return found


def stale_cards(room: Newsroom) -> list[str]:
    """Return the cards that do not show their job as it is now."""
    teller = Teller(clock=room.clock, say=SAY, people=room.directory, links=room.links, traits=room.traits)
    found = []
    with room.world.db.read() as tx:
        cards = [(card, teller.facts(tx, card.job_id)) for card in list(tx.exec(select(Card)))]
    for card, facts in cards:
        message = room.slack.message(card.channel, card.ts or "")
        if message is None or message.text != teller.card(facts, card).text:
            found.append(f"the {card.role} card of {card.job_id} for {card.recipient} is not the newest")
    return found


def rows(room: Newsroom) -> dict[str, list[tuple[object, ...]]]:
    """Return everything that is written about the jobs and their money, as plain values."""
    found = {}
    with room.world.db.read() as tx:
        for name in TABLES:
            table = SQLModel.metadata.tables[name]
            kept = [column for column in table.columns if column.name not in OF_THE_FACE.get(name, ())]
            found[name] = [tuple(map(str, row)) for row in tx.connection().execute(select(*kept)).all()]
    return found


# ---------------------------------------------------------------- who goes first


def backlog(folder: Path, seed: str) -> Verdict:
    """Let facts of every urgency pile up while Slack is away, for a channel each; return whether they came in order."""
    room = Newsroom(folder, seed)
    room.service.set_budget("vision", room.lead, "auto_approve", DOLLAR)
    chance = room.slack.chance
    urgencies = [chance.choice((APPROVALS, ENDS, WARNINGS, CARDS, REST)) for _ in range(8)]
    standing = {number: _running(room) for number, what in enumerate(urgencies) if what in (ENDS, WARNINGS, REST)}
    assert room.rest()
    room.slack.weather = OUTAGE
    wanted: dict[str, float] = {}
    for number, urgency in enumerate(urgencies):
        wanted |= _happens(room, urgency, standing.get(number))
        room.tell(1)
        room.clock.advance(chance.choice((1.0, 20.0, 90.0)))
    room.clock.advance(60.0)
    said = len(room.slack.said)
    room.slack.weather = Weather(limited=0.5)
    for _ in range(600):
        room.tell(1)
        room.clock.advance(SPACED)
        if set(wanted) <= {one.key for one in room.slack.said[said:]}:
            break
    came = [one.key for one in room.slack.said[said:] if one.key in wanted]
    broken = [f"{seed}: {key} was never said" for key in wanted if key not in came]
    if [wanted[key] for key in came] != sorted(wanted.values()):
        broken.append(f"{seed}: came as {[(key, wanted[key]) for key in came]}")
    return Verdict(broken=broken, doubles=len(came) - len(set(came)), lost=0, counts=Counter(room.slack.counts))


SPACED = 5.0  # seconds between two rounds of a notifier that meets limits


def _running(room: Newsroom) -> Job:
    job = room.ask("vision", "ada", 15)
    room.world.rentals.launch(job.id)
    return job


def _happens(room: Newsroom, urgency: float, job: Job | None) -> dict[str, float]:
    """Let one fact of this urgency be written; return the keys that it owes with the urgency."""
    if job is None:
        fresh = room.ask("vision", "ada", 60 if urgency == APPROVALS else 15)
        keys = [f"card:{fresh.id}:head:{fresh.channel}"]
        return dict.fromkeys([*keys, f"{fresh.id}:asked:reply"] if urgency == APPROVALS else keys, urgency)
    kind = {ENDS: NoteKind.ENDED, WARNINGS: NoteKind.TROUBLE, REST: NoteKind.EXTENDED}[int(urgency)]
    with room.world.db.write() as tx:
        data = {"reason": "error", "text": "boom", "code": "nan"}
        db.note_on(tx, db.get_job(tx, job.id), kind, room.clock.now(), data=data)
    return {f"{job.id}:{kind.value}:reply": urgency}
