"""The rows of what is owed to people: messages of the outbox and cards, read and moved on.

A row is marked before Slack is called and settled after: `uncertain` therefore means that a post may stand, whether
the process died or the answer was lost, and it is looked up before it is posted again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import bindparam, func, select
from sqlmodel import Session

from jobs import db, statements
from jobs.lifecycle import WITH_MACHINE, JobState
from jobs.model import Card, Job, Note, NoteKind, Outbox
from jobs.prepared import Line, Pair, Query, Rows, table_of

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
UNREAD = "unread"  # a trouble that is none: nothing that the script prints was read
_AT_ONCE = 500  # rows looked at in one pass


# Asked after every message and at every wake, so built once, and of jobs only what a card's turn hangs on is read.
_OUTBOX, _CARD, _JOB, _NOTE = table_of(Outbox), table_of(Card), table_of(Job), table_of(Note)
_MESSAGES, _CARDS = Rows(Outbox), Rows(Card)
_FIRST = func.min(_OUTBOX.c.id).label("first")
_URGENCY = func.min(_OUTBOX.c.priority).label("urgency")
_QUEUES = (
    select(_FIRST, _URGENCY)
    .where(_OUTBOX.c.state.in_(_OPEN))
    .group_by(func.coalesce(_OUTBOX.c.job_id, _OUTBOX.c.key), _OUTBOX.c.channel)
    .order_by(_URGENCY, _FIRST)
    .limit(_AT_ONCE)
    .subquery()
)
_RESTED = (
    _CARD.c.tried_at.is_(None)
    | (_CARD.c.tried_at <= bindparam("refreshed"))
    | ((_CARD.c.role == TAIL) & (_CARD.c.tried_at <= bindparam("tailed")))
)
_TURNS = Pair(_CARDS, Rows(Job, ("version", "state", "stage", "stop_reason", "outcome", "charged")))
_STALE = Query(
    select(*_TURNS.columns)
    .select_from(_CARD.join(_JOB, _JOB.c.id == _CARD.c.job_id))
    .where(
        (_CARD.c.shown < _JOB.c.version) | (_JOB.c.state.in_(WITH_MACHINE) & (_CARD.c.shown < FINAL) & _RESTED),
        _CARD.c.error != GONE,
    )
    .order_by(_CARD.c.ts.is_not(None), _JOB.c.state.in_(_BUSY), _CARD.c.tried_at, _CARD.c.id)
    .limit(_AT_ONCE),
    _TURNS,
)
_BEHIND = Query(
    select(_CARD.c.id)
    .select_from(_CARD.join(_JOB, _JOB.c.id == _CARD.c.job_id))
    .where(_CARD.c.shown < _JOB.c.version, _CARD.c.error != GONE)
    .limit(1)
)
_ANY_OPEN = Query(select(_OUTBOX.c.id).where(_OUTBOX.c.state.in_(_OPEN)).limit(1))
_HEAD = Query(select(*_CARDS.columns).where(_CARD.c.role == HEAD, _CARD.c.job_id == bindparam("job")), _CARDS)
_TOLD = Query(
    select(*_MESSAGES.columns).where(
        _OUTBOX.c.note_id.in_(
            select(_NOTE.c.id).where(
                _NOTE.c.job_id == bindparam("job"), _NOTE.c.kind.in_((NoteKind.WARNED, NoteKind.TROUBLE))
            )
        ),
        _OUTBOX.c.state != "dropped",
    ),
    _MESSAGES,
)
_OLDEST = Query(select(*_MESSAGES.columns).where(_OUTBOX.c.state.in_(_OPEN)).order_by(_OUTBOX.c.id).limit(1), _MESSAGES)
_UNPOSTED = Query(
    select(func.min(_NOTE.c.at))
    .select_from(_NOTE.join(_CARD, _CARD.c.job_id == _NOTE.c.job_id))
    .where(_CARD.c.ts.is_(None), _CARD.c.error != GONE, _NOTE.c.kind.in_(_CARDED))
)
_NOTED = Query(select(_NOTE.c.id).where(_NOTE.c.key == bindparam("key")))
_MESSAGE = Query(select(_OUTBOX.c.id).where(_OUTBOX.c.key == bindparam("key")))
_FORGOTTEN = Query(
    select(func.max(_NOTE.c.at)).where(_NOTE.c.job_id == bindparam("job"), _NOTE.c.kind == NoteKind.ANEW.value)
)
_PLOTS = Query(
    select(_OUTBOX.c.payload).where(
        _OUTBOX.c.job_id == bindparam("job"), _OUTBOX.c.kind == "plot", _OUTBOX.c.state == "done"
    )
)


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


def show(tx: Session, *, job_id: str, role: str, recipient: str, since: datetime | None = None) -> bool:
    """Write down a card that is to be shown, once. One that may stand `since` then is looked up before it is posted."""
    values = {"job_id": job_id, "role": role, "recipient": recipient, "channel": "", "shown": 0, "error": ""}
    return db.insert_once(tx, Card, values | ({} if since is None else {"tried_at": since}))


@dataclass(frozen=True, kw_only=True)
class Waiting:
    """The first message of a queue: of a job in a channel, whose messages are said in their order."""

    row: Outbox
    urgency: int  # the least priority in the queue: what waits behind something lends it its urgency
    head: Card | None  # the card that heads its job's thread


def _in_queue(tx: Session, line: Line) -> Waiting:
    owed, urgency, head = line[: len(_MESSAGES.columns)], line[-1], line[len(_MESSAGES.columns) : -1]
    card = _CARDS(tx, head) if head[0] is not None else None
    return Waiting(row=_MESSAGES(tx, owed), urgency=urgency, head=card)


_WAITING = Query(
    select(*_MESSAGES.columns, *_CARDS.columns, _QUEUES.c.urgency)
    .select_from(
        _OUTBOX.join(_QUEUES, _QUEUES.c.first == _OUTBOX.c.id).outerjoin(
            _CARD, (_CARD.c.job_id == _OUTBOX.c.job_id) & (_CARD.c.role == HEAD)
        )
    )
    .order_by(_OUTBOX.c.id),
    _in_queue,
)


def waiting(tx: Session) -> list[Waiting]:
    """Return the first message of each queue, oldest first."""
    return _WAITING.all(tx)


def cards(tx: Session, now: datetime) -> list[CardState]:
    """Return the cards that show an older version than their job has, and those of jobs that cost money now.

    Those that were never posted come first, then those whose job changed its state lately, then whose turn it is.
    """
    wanted = _STALE.all(tx, tailed=now - TAILED, refreshed=now - REFRESHED)
    return [CardState(card=card, version=job.version, state=job.state, face=_face(job)) for card, job in wanted]


def at_rest(tx: Session) -> bool:
    """Return whether everybody has been told everything, and every card shows its job as it is."""
    return not (_ANY_OPEN.all(tx) or _BEHIND.all(tx) or unseen(tx, 1))


def _face(job: Job) -> str:
    return f"{job.state} {job.stage} {job.stop_reason} {job.outcome is not None} {job.charged is not None}"


def head(tx: Session, job_id: str) -> Card | None:
    """Return the card that heads the job's thread."""
    return _HEAD.first(tx, job=job_id)


def settle(tx: Session, row: Outbox, **columns: Any) -> None:
    """Change an outbox row."""
    statements.changed(tx, Outbox, {"id": row.id}, columns)


def settle_card(tx: Session, card: Card, **columns: Any) -> None:
    """Change a card's row."""
    statements.changed(tx, Card, {"id": card.id}, columns)


def thread(tx: Session, job_id: str, ts: str) -> None:
    """Remember which thread is the job's: mentions in it are about the job. No version: nobody is shown it."""
    statements.changed(tx, Job, {"id": job_id}, {"thread_ts": ts})


def name_people(tx: Session, job_id: str, people: Sequence[str]) -> None:
    """Write down whom a job's `notify` means, now that the names have been looked up."""
    statements.changed(tx, Job, {"id": job_id}, {"notify": list(people)})


def was_told(tx: Session, key: str) -> bool:
    """Return whether a message of that key was ever owed."""
    return bool(_MESSAGE.all(tx, key=key))


def pressable(tx: Session, job_id: str) -> list[Outbox]:
    """Return the replies with buttons that are of use only while the job runs, sent or still owed."""
    rows = _TOLD.all(tx, job=job_id)
    codes = (*BURNING, UNREAD)
    return [row for row in rows if row.payload["what"] == "warning" or row.payload["data"].get("code") in codes]


def paged(tx: Session, note: Note) -> bool:
    """Return whether a fact tells of the end of a machine because of which leads were called."""
    if note.kind != NoteKind.GONE:
        return False
    called = note.key.removesuffix(NoteKind.GONE.value) + NoteKind.OVERDUE.value
    return bool(_NOTED.all(tx, key=called))


def oldest_owed(tx: Session) -> datetime | None:
    """Return since when somebody waits to be told something; None when nobody does.

    That is the oldest of: a message that is owed, a card that was never posted, a fact that was not fanned out.
    """
    row = _OLDEST.first(tx)
    since: list[datetime | None] = [*_UNPOSTED.one(tx), *(note.at for note in unseen(tx, 1))]
    if row is not None:
        since.append(datetime.fromtimestamp(float(row.payload["at"]), UTC))
    return min((at for at in since if at is not None), default=None)


def unseen(tx: Session, most: int = _AT_ONCE) -> Sequence[Note]:
    """Return the next facts that nobody was told of yet, oldest first."""
    return db.notes_after(tx, int(db.mark(tx, MARK) or 0), most)


def plotted(tx: Session, job_id: str) -> int | None:
    """Return the last step that a plot in the job's thread shows, None before the first one.

    One of a series that was misread then, and told anew since, shows nothing.
    """
    (forgotten,) = _FORGOTTEN.one(tx, job=job_id)
    since = forgotten.timestamp() if forgotten else 0.0
    drawn = [payload for (payload,) in _PLOTS.all(tx, job=job_id) if "step" in payload and payload["at"] >= since]
    return max((payload["step"] for payload in drawn), default=None)
