"""What people may not have been told of jobs whose rows were rebuilt.

Which messages were posted is known up to the moment of the last record, or of the backup that was put back; those after
it may stand in the thread. They are owed as uncertain, so that each is looked up there by its key before it is posted.
"""

from __future__ import annotations

from sqlmodel import Session, col, select, update

from bot import fanout, outbox
from jobs import db
from jobs.model import Note, Outbox
from jobs.restoring import Report

_FOUND_AGAIN = frozenset({"reply", "plot"})  # a whisper leaves nothing behind that could be looked up


def doubt(tx: Session, report: Report) -> None:
    """Owe as uncertain what the threads of the restored jobs may lack; what is older than those counts as told."""
    told = int(db.mark(tx, outbox.MARK) or 0)
    backed_up = tx.exec(select(Note).where(told < col(Note.id), col(Note.id) <= report.last_note)).all()
    # What leads are owed of a month is fanned out as ever, and what follows it with it: none of that is owed twice.
    of_months = (note.id - 1 for note in backed_up if note.id and note.job_id is None)
    old_news = min(of_months, default=report.old_news)
    newest = tx.exec(select(Note).order_by(col(Note.id).desc()).limit(1)).first()
    if newest is not None and old_news > told:
        db.set_mark(tx, outbox.MARK, str(old_news), newest.at)
    for job_id in dict.fromkeys([*(note.job_id for note in backed_up if note.job_id), *report.fresh]):
        job = db.get_job(tx, job_id)
        for note in db.notes(tx, job_id):
            owed = fanout.owed(note, job, (), carded=outbox.head(tx, job_id) is not None)
            for role, recipient in owed.cards:  # a job has none where the last record was made before it was shown
                outbox.show(tx, job_id=job_id, role=role, recipient=recipient, since=job.created_at)
            for draft in owed.drafts:
                if draft.kind not in _FOUND_AGAIN:
                    continue
                new = outbox.owe(
                    tx,
                    key=draft.key,
                    kind=draft.kind,
                    channel=draft.to or job.channel,
                    priority=draft.priority,
                    payload={"what": draft.what, "data": {**draft.data, "by": note.by, "team": note.team_id}},
                    at=job.created_at,  # from when on it is looked for
                    job_id=job_id,
                    note_id=note.id,
                )
                if new:
                    tx.exec(update(Outbox).where(col(Outbox.key) == draft.key).values(state="uncertain"))
