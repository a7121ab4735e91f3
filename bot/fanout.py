"""Which messages a fact becomes, pure. Threads hear of milestones; everything else is on the card.

A message's key is what makes it one: a fact that is read twice after a crash owes nothing new.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from jobs.model import Job, Note, NoteKind
from jobs.overdue import NO_CREDENTIALS

APPROVALS, ENDS, WARNINGS, REST = range(4)  # the order in which a queue is worked off


@dataclass(frozen=True, kw_only=True)
class Draft:
    """A message that is to be owed."""

    key: str
    what: str  # which view renders it, when it is sent
    kind: str  # reply | plot | dm | whisper | edit
    priority: int
    to: str = ""  # whom, where it is not the job's thread
    data: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Owed:
    """What one fact owes: messages, and cards by (role, recipient)."""

    drafts: Sequence[Draft] = ()
    cards: Sequence[tuple[str, str]] = ()


def owed(
    note: Note, job: Job | None, leads: Sequence[str], *, carded: bool, paged: bool = False, buttons: bool = False
) -> Owed:
    """Return what the fact owes.

    `carded` says whether the job has a card (and with it a thread) by now, `paged` whether leads were called because
    of the machine that the fact is about, `buttons` whether replies have such that are of no use any more.
    """
    if job is None:
        return Owed(drafts=_for_leads(note, leads)) if note.kind == NoteKind.ALERT else Owed()
    match note.kind:
        case NoteKind.PRICED:
            return Owed(cards=[("head", job.channel)])
        case NoteKind.ASKED:
            copies = [("approval", lead) for lead in leads if lead != job.person]
            return Owed(cards=[("head", job.channel), *copies], drafts=[_reply(note, "asked", APPROVALS)])
        case NoteKind.REFUSED:
            return Owed(drafts=[_reply(note, "refused", ENDS) if carded else _whisper(note, job)])
        case NoteKind.OVERDUE:
            return Owed(drafts=[_reply(note, "overdue", ENDS), *_for_leads(note, leads)])
        case NoteKind.TROUBLE if note.data.get("code") == NO_CREDENTIALS:
            return Owed(drafts=[_reply(note, "trouble", WARNINGS), *_for_leads(note, leads)])
        case NoteKind.GONE:
            return Owed(drafts=[_reply(note, "at_last", ENDS), *_for_leads(note, leads)] if paged else [])
        case NoteKind.ENDED:
            return Owed(drafts=[_last_plot(note, job), _end(note, job), *_no_more_buttons(note, job, buttons)])
        case NoteKind.SETTLED:
            over = [_reply(note, "overrun", ENDS)] if note.data.get("overrun") else []
            over += [_bill(note)] if note.data.get("bills") and carded else []
            # An end that no machine told (nothing was free, it never came up) is told here, once.
            return Owed(drafts=[_end(note, job), *over, *_no_more_buttons(note, job, buttons)] if carded else over)
        case NoteKind.NO_MACHINE:  # that it waits on is on the card
            return Owed(drafts=[_reply(note, "no_machine", WARNINGS)] if note.data.get("first") and carded else [])
        case NoteKind.PLOT:
            return Owed(drafts=[_plot(note)] if 40 <= float(note.data.get("percent", 0)) < 90 else [])
        case NoteKind.FIRST_PLOT:
            return Owed(drafts=[_plot(note)])
        case _:
            reply = _REPLIES.get(note.kind)
            return Owed(drafts=[_reply(note, *reply)] if reply and carded else [])


_REPLIES: dict[str, tuple[str, int]] = {
    NoteKind.REMINDED: ("reminder", APPROVALS),
    NoteKind.GRANTED: ("granted", WARNINGS),
    NoteKind.DENIED: ("denied", APPROVALS),
    NoteKind.EXPIRED: ("expired", APPROVALS),
    NoteKind.CHECKPOINT: ("checkpoint", REST),
    NoteKind.TROUBLE: ("trouble", WARNINGS),
    NoteKind.RECLAIMED: ("reclaimed", WARNINGS),
    NoteKind.WARNED: ("warning", WARNINGS),
    NoteKind.EXTENDED: ("extended", REST),
}


def _reply(note: Note, what: str, priority: int) -> Draft:
    return Draft(key=f"{note.key}:reply", what=what, kind="reply", priority=priority, data=note.data)


def _plot(note: Note) -> Draft:
    return Draft(key=f"{note.key}:plot", what="plot", kind="plot", priority=REST, data=note.data)


def _bill(note: Note) -> Draft:
    return Draft(key=f"{note.key}:bill", what="bill", kind="reply", priority=ENDS, data=note.data)


def _last_plot(note: Note, job: Job) -> Draft:
    return Draft(key=f"{job.id}:last:plot", what="last_plot", kind="plot", priority=ENDS, data=note.data)


def _end(note: Note, job: Job) -> Draft:
    return Draft(key=f"{job.id}:ended:reply", what="ended", kind="reply", priority=ENDS, data=note.data)


def _no_more_buttons(note: Note, job: Job, buttons: bool) -> list[Draft]:
    """Return what takes the buttons off the replies: nothing can be stopped or made longer any more."""
    return [Draft(key=f"{job.id}:over:edit", what="over", kind="edit", priority=REST, data=note.data)] * buttons


def _whisper(note: Note, job: Job) -> Draft:
    return Draft(
        key=f"{note.key}:whisper", what="refused", kind="whisper", priority=ENDS, to=job.person, data=note.data
    )


def _for_leads(note: Note, leads: Sequence[str]) -> list[Draft]:
    what = {NoteKind.ALERT: "alert", NoteKind.GONE: "at_last", NoteKind.TROUBLE: "trouble"}.get(
        NoteKind(note.kind), "overdue"
    )
    return [
        Draft(key=f"{note.key}:dm:{lead}", what=what, kind="dm", priority=ENDS, to=lead, data=note.data)
        for lead in leads
    ]
