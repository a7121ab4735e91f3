"""The rows of what is owed to people: messages of the outbox and cards, read and moved on.

A row is marked before Slack is called and settled after: `uncertain` therefore means that a post may stand, whether
the process died or the answer was lost, and it is looked up before it is posted again.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import bindparam
from sqlmodel import Session, col, func, select, update

from jobs import db
from jobs.glances import only
from jobs.lifecycle import WITH_MACHINE, JobState
from jobs.model import Card, Job, Note, NoteKind, Outbox

MARK = "notified"  # the last fact that was fanned out
GONE = "gone"  # a card's error: it cannot be shown, and nobody tries any more
FINAL = 2**31 - 1  # a card that shows its last word: no version of the job is newer
HEAD, APPROVAL, TAIL = "head", "approval", "tail"
_OPEN = ("owed", "uncertain")
_CARDED = (NoteKind.PRICED, NoteKind.ASKED)  # facts that owe a card
# The state in which a job spends its time: its card changes by numbers, those of all others by what people wait for.
_BUSY = (JobState.RUNNING,)
REFRESHED = timedelta(seconds=60)  # after which costs and times on a card are brought up to date
TAILED = timedelta(seconds=10)  # the same for the newest lines of a log
BURNING = ("nan", "diverged", "hung")  # troubles after which each further minute is money for nothing
_AT_ONCE = 500  # rows looked at in one pass


# Asked after every message and at every wake, so built once, and of jobs only what a card's turn hangs on is read.
_QUEUES = (
    select(func.min(col(Outbox.id)), func.min(col(Outbox.priority)))
    .where(col(Outbox.state).in_(_OPEN))
    .group_by(func.coalesce(col(Outbox.job_id), col(Outbox.key)), col(Outbox.channel))
    .order_by(func.min(col(Outbox.priority)), func.min(col(Outbox.id)))
    .limit(_AT_ONCE)
)
_ROWS = select(Outbox).where(col(Outbox.id).in_(bindparam("ids", expanding=True))).order_by(col(Outbox.id))
_RESTED = (
    col(Card.tried_at).is_(None)
    | (col(Card.tried_at) <= bindparam("refreshed"))
    | ((col(Card.role) == TAIL) & (col(Card.tried_at) <= bindparam("tailed")))
)
_STALE = (
    select(Card, Job)
    .join(Job, col(Job.id) == col(Card.job_id))
    .where(
        (col(Card.shown) < col(Job.version)) | (col(Job.state).in_(WITH_MACHINE) & (col(Card.shown) < FINAL) & _RESTED),
        col(Card.error) != GONE,
    )
    .order_by(col(Card.ts).is_not(None), col(Job.state).in_(_BUSY), col(Card.tried_at), col(Card.id))
    .limit(_AT_ONCE)
    .options(only(Job.version, Job.state, Job.stage, Job.stop_reason, Job.outcome, Job.charged))
)
_HEADS = select(Card).where(Card.role == HEAD, col(Card.job_id).in_(bindparam("jobs", expanding=True)))


@dataclass(frozen=True, kw_only=True)
class CardState:
    """A card with what decides whether it is to be shown anew."""

    card: Card
    version: int
    state: JobState
    face: str  # what makes a change of the card urgent: state, stage, whether it is ending


def owe(
    tx: Session,
    *,
    key: str,
    kind: str,
    channel: str,
    priority: int,
    payload: dict[str, Any],
    at: datetime,
    **more: Any,
) -> bool:
    """Write down at `at` a message that is owed, once; `more` are columns (`job_id`, `note_id`)."""
    payload = {**payload, "at": at.timestamp()}
    values = {"key": key, "kind": kind, "channel": channel, "priority": priority, "payload": payload}
    return db.insert_once(tx, Outbox, {**values, "state": "owed", "tries": 0, "error": "", **more})


def show(tx: Session, *, job_id: str, role: str, recipient: str) -> bool:
    """Write down a card that is to be shown, once."""
    values = {"job_id": job_id, "role": role, "recipient": recipient, "channel": "", "shown": 0, "error": ""}
    return db.insert_once(tx, Card, values)


@dataclass(frozen=True, kw_only=True)
class Waiting:
    """The first message of a queue: of a job in a channel, whose messages are said in their order."""

    row: Outbox
    urgency: int  # the least priority in the queue: what waits behind something lends it its urgency


def waiting(tx: Session) -> list[Waiting]:
    """Return the first message of each queue, the most urgent queues first, then the oldest."""
    found = dict(tx.exec(_QUEUES).all())
    if not found:
        return []
    rows = tx.exec(_ROWS, params={"ids": list(found)})
    return [Waiting(row=row, urgency=found[row.id]) for row in rows]


def cards(tx: Session, now: datetime) -> list[CardState]:
    """Return the cards that show an older version than their job has, and those of jobs that cost money now.

    Those that were never posted come first, then those whose job changed its state lately, then whose turn it is.
    """
    wanted = tx.exec(_STALE, params={"tailed": now - TAILED, "refreshed": now - REFRESHED})
    return [CardState(card=card, version=job.version, state=job.state, face=_face(job)) for card, job in wanted]


def at_rest(tx: Session) -> bool:
    """Return whether everybody has been told everything, and every card shows its job as it is."""
    if unseen(tx, int(db.mark(tx, MARK) or 0)) or waiting(tx):
        return False
    stale = select(Card.id).join(Job, col(Job.id) == col(Card.job_id)).where(col(Card.shown) < col(Job.version))
    return tx.exec(stale.where(col(Card.error) != GONE).limit(1)).first() is None


def _face(job: Job) -> str:
    return f"{job.state} {job.stage} {job.stop_reason} {job.outcome is not None} {job.charged is not None}"


def head(tx: Session, job_id: str) -> Card | None:
    """Return the card that heads the job's thread."""
    return tx.exec(select(Card).where(Card.job_id == job_id, Card.role == HEAD)).first()


def heads(tx: Session, job_ids: Collection[str]) -> dict[str, Card]:
    """Return the cards that head these jobs' threads, by job; a job without one is left out."""
    return {card.job_id: card for card in tx.exec(_HEADS, params={"jobs": list(job_ids)})} if job_ids else {}


def settle(tx: Session, row: Outbox, **columns: Any) -> None:
    """Change an outbox row."""
    tx.exec(update(Outbox).where(col(Outbox.id) == row.id).values(**columns))


def settle_card(tx: Session, card: Card, **columns: Any) -> None:
    """Change a card's row."""
    tx.exec(update(Card).where(col(Card.id) == card.id).values(**columns))


def thread(tx: Session, job_id: str, ts: str) -> None:
    """Remember which thread is the job's: mentions in it are about the job. No version: nobody is shown it."""
    tx.exec(update(Job).where(col(Job.id) == job_id).values(thread_ts=ts))


def name_people(tx: Session, job_id: str, people: Sequence[str]) -> None:
    """Write down whom a job's `notify` means, now that the names have been looked up."""
    tx.exec(update(Job).where(col(Job.id) == job_id).values(notify=list(people)))


def was_told(tx: Session, key: str) -> bool:
    """Return whether a message of that key was ever owed."""
    return tx.exec(select(Outbox.id).where(Outbox.key == key)).first() is not None


def pressable(tx: Session, job_id: str) -> list[Outbox]:
    """Return the replies with buttons that are of use only while the job runs, sent or still owed."""
    told = select(Note.id).where(Note.job_id == job_id, col(Note.kind).in_((NoteKind.WARNED, NoteKind.TROUBLE)))
    rows = tx.exec(select(Outbox).where(col(Outbox.note_id).in_(told), Outbox.state != "dropped"))
    return [row for row in rows if row.payload["what"] == "warning" or row.payload["data"].get("code") in BURNING]


def paged(tx: Session, note: Note) -> bool:
    """Return whether a fact tells of the end of a machine because of which leads were called."""
    if note.kind != NoteKind.GONE:
        return False
    called = note.key.removesuffix(NoteKind.GONE.value) + NoteKind.OVERDUE.value
    return tx.exec(select(Note.id).where(Note.key == called)).first() is not None


def oldest_owed(tx: Session) -> datetime | None:
    """Return since when somebody waits to be told something; None when nobody does.

    That is the oldest of: a message that is owed, a card that was never posted, a fact that was not fanned out.
    """
    row = tx.exec(select(Outbox).where(col(Outbox.state).in_(_OPEN)).order_by(col(Outbox.id)).limit(1)).first()
    asked = (
        select(func.min(Note.at))
        .join(Card, col(Card.job_id) == col(Note.job_id))
        .where(col(Card.ts).is_(None), col(Card.error) != GONE, col(Note.kind).in_(_CARDED))
    )
    fresh = select(Note.at).where(col(Note.id) > int(db.mark(tx, MARK) or 0)).order_by(col(Note.id)).limit(1)
    since = [tx.exec(asked).one(), tx.exec(fresh).first()]
    if row is not None:
        since.append(datetime.fromtimestamp(float(row.payload["at"]), UTC))
    return min((at for at in since if at is not None), default=None)


def unseen(tx: Session, after: int) -> Sequence[Note]:
    """Return the next facts that nobody was told of yet."""
    return db.notes_after(tx, after, _AT_ONCE)


def plotted(tx: Session, job_id: str) -> int | None:
    """Return the last step that a plot in the job's thread shows, None before the first one."""
    wanted = select(Outbox.payload).where(Outbox.job_id == job_id, Outbox.kind == "plot", Outbox.state == "done")
    return max((payload["step"] for payload in tx.exec(wanted) if "step" in payload), default=None)
