"""What each verb does and answers, whoever asked: a slash command, a mention in a thread, a button.

A verb that only reads rows or writes one is quick, and is done before the delivery is acknowledged. One that asks
providers, files or the whole workspace is not, and is done after.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from bot import estimate, logbook, outbox
from bot import facts as known
from bot.facts import JobFacts
from bot.parts import Caller, Parts
from bot.telling import longer_costs
from bot.verbs import (
    Checkpoints,
    Command,
    Estimate,
    Extend,
    Gpus,
    Help,
    List,
    Logs,
    Progress,
    Rerun,
    Run,
    Status,
    Stop,
)
from bot.views import answers, card, fits, lines, manual
from bot.views.blocks import Message
from bot.views.replies import FileLink
from jobs import db, policy
from jobs.errors import BadRequest, HourglassError, NotAllowed, NotFound, NotWritten, TooLate
from jobs.lifecycle import JobState
from jobs.model import Checkpoint, Job
from jobs.policy import Person
from trainer.storage import StoreFault

log = logging.getLogger(__name__)

FORM = "D"  # in place of a channel: a form has none, and was opened where one was looked at
_LOOKED_THROUGH = 200  # of a team's newest jobs, for those that a person has a part in
SLOW = (Estimate, Extend, Gpus, Logs)  # they ask a provider, the store or a git host


def quick(command: Command) -> bool:
    """Return whether the verb is done before its delivery is acknowledged."""
    return not isinstance(command, SLOW)


def lasting(command: Command) -> bool:
    """Return whether the verb may take minutes, so that not even a mention is kept waiting for it."""
    return isinstance(command, Estimate) and bool(command.repo)


def guarded(parts: Parts, typed: str, act: Callable[[], Message]) -> Message:
    """Return what `act` answers, or what went wrong in words: nobody is left without an answer, or sees a secret."""
    answer = _guarded(parts, typed, act)
    return Message(text=parts.mask.shown(answer.text), blocks=parts.mask.shown(list(answer.blocks)))


def _guarded(parts: Parts, typed: str, act: Callable[[], Message]) -> Message:
    try:
        return act()
    except NotWritten:
        log.warning("Nothing was written for %r in time.", typed)
        return answers.not_written(parts.say, typed)
    except HourglassError as error:
        return answers.failure(parts.say, error)
    except Exception:
        # The one place where a mistake of ours meets a person: it gets a name, and the log has the rest.
        incident = secrets.token_hex(4)
        log.exception("Incident %s while answering %r", incident, typed)
        return answers.broken(parts.say, incident)


def perform(parts: Parts, command: Command, caller: Caller) -> Message:
    """Do what the verb asks for and return the answer; raises `jobs.errors`."""
    match command:
        case Run():
            job, new = parts.service.request(command.request)
            return answers.accepted(parts.say, command.request.text or command.request.repo, job.id, again=not new)
        case Help():
            return manual.manual(parts.say, command.topic)
        case Gpus():
            rows = parts.desk.compare(command.name, True if command.spot else None)
            return answers.prices(parts.say, rows, parts.clock.now())
        case Estimate():
            return fits.fits(parts.say, estimate.judged(parts, command, caller))
        case List():
            return _list(parts, command, caller)
        case Status():
            facts = look(parts, command.job, caller)
            return card.head(parts.say, facts, ())
        case Stop():
            return stop(parts, command.job, caller)
        case Extend():
            return extend(parts, command.job, command.minutes, caller)
        case Logs():
            facts = look(parts, command.job, caller)
            if command.follow and not facts.ended:
                return follow(parts, facts)
            return logs(parts, facts, command)
        case Progress():
            return lines.shown(parts.say, look(parts, command.job, caller))
        case Checkpoints():
            facts = look(parts, command.job, caller)
            found = {saved.name: files(parts, saved) for saved in facts.checkpoints}
            return answers.checkpoints(parts.say, facts, found)
        case Rerun():
            return rerun(parts, command.job, command.overrides, caller, resume=command.resume)


def look(parts: Parts, job_id: str, caller: Caller) -> JobFacts:
    """Return the facts of a job of the caller's team; raises `NotFound` for one of another team's.

    A direct message is no team's channel: there a job is shown to those who have a part in it.
    """
    team = None if caller.in_direct_message else parts.service.team_of(caller.channel)
    with parts.db.read() as tx:
        facts = known.read(tx, job_id, parts.traits, parts.clock.now())
    if team is not None and facts.job.team_id != team.id:
        raise NotFound(f"Job `{job_id}` belongs to another team. Ask in one of its channels.")
    if caller.in_direct_message and caller.channel != FORM and not _has_part(parts, facts.job, caller.person):
        raise NotFound(f"You have no part in job `{job_id}`. Ask in one of its team's channels.")
    return facts


def _has_part(parts: Parts, job: Job, user: str) -> bool:
    """Return whether this person asked for the job, is to be told of it or leads its team."""
    return user in (job.person, *job.notify) or person(parts, job, user).lead


def person(parts: Parts, job: Job, user: str) -> Person:
    """Return who asks, about that job: Slack is only asked where the answer could matter."""
    with parts.db.read() as tx:
        team = db.get_team(tx, job.team_id)
    return parts.people.person(user, team)


def stop(parts: Parts, job_id: str, caller: Caller) -> Message:
    """End a job; whoever asked for it needs no look-up in Slack, so that Stop works when Slack is slow."""
    facts = look(parts, job_id, caller)
    own = caller.person in (facts.job.person, *facts.job.notify)
    by = Person(id=caller.person, lead=False) if own else person(parts, facts.job, caller.person)
    parts.service.cancel(job_id, by)
    return answers.stopping(parts.say, look(parts, job_id, caller))


def extend(parts: Parts, job_id: str, minutes: float, caller: Caller) -> Message:
    """Move a deadline; asks the machine's provider."""
    facts = look(parts, job_id, caller)
    by = person(parts, facts.job, caller.person)
    parts.service.extend(job_id, by, minutes, delivery=caller.delivery)
    return answers.extended(parts.say, look(parts, job_id, caller))


def logs(parts: Parts, facts: JobFacts, command: Logs) -> Message:
    """Return the newest lines of one machine's output; raises `BadRequest` where the job has no such machine."""
    node, most = command.node or 1, facts.spec.nodes if facts.spec else 1
    if node > most:
        fix = f"/train logs {facts.job.id}"
        if most == 1:
            raise BadRequest(f"Job `{facts.job.id}` has one machine.", fix=fix)
        raise BadRequest(f"Job `{facts.job.id}` has {most} machines, counted from 1.", fix=f"{fix} node={most}")
    page = logbook.read(parts.store, facts, command.grep, node)
    whole = None if page.attempt is None else parts.links.log(facts.job.id, page.attempt, node - 1)
    fetch = "" if page.attempt is None or whole else f"{facts.job.id} {page.attempt} {node - 1}"
    return answers.logs(parts.say, facts, page, command.grep, node, whole=whole, fetch=fetch)


def whole_log(parts: Parts, job_id: str, attempt: str, rank: str, caller: Caller) -> Message:
    """Return a link made now to all that a machine printed; raises `NotFound` where there is no such machine."""
    facts = look(parts, job_id, caller)
    known = {
        (str(one.number), str(at)) for one in facts.attempts for at in range(facts.spec.nodes if facts.spec else 1)
    }
    if (attempt, rank) not in known:
        raise NotFound(f"Job `{job_id}` has no such machine. `/train logs {job_id}` shows what it said.")
    key, size = logbook.gathered(parts.store, job_id, int(attempt), int(rank))
    try:
        url, until = parts.links.fresh(key)
    except StoreFault as error:
        raise NotAllowed(str(error)) from error
    name = f"{key.removeprefix('jobs/').removesuffix('/log.txt.gz').replace('/', '-')}.log.gz"
    return answers.links(parts.say, job_id, [FileLink(name=name, bytes=size, url=url)], until)


def follow(parts: Parts, facts: JobFacts) -> Message:
    """Let the newest lines stand in the job's thread, brought up to date until it ends."""
    with parts.db.write() as tx:
        outbox.show(tx, job_id=facts.job.id, role=outbox.TAIL, recipient=facts.job.channel)
    parts.wake()
    return answers.following(parts.say, facts)


def rerun(
    parts: Parts,
    job_id: str,
    overrides: Mapping[str, Any],
    caller: Caller,
    *,
    resume: bool = False,
    pressed: bool = False,
) -> Message:
    """Ask for the same again, from its last checkpoint where `resume`; raises `NotFound` where it has none.

    `pressed`: by a button, which may be pressed twice and means it once.
    """
    facts = look(parts, job_id, caller)
    if resume and not facts.can_go_on:
        raise NotFound(f"`{job_id}` has no whole checkpoint to go on from. `/train rerun {job_id}` starts it anew.")
    by = person(parts, facts.job, caller.person)
    job, new = parts.service.rerun(job_id, by, overrides, caller.delivery, resume=resume, pressed=pressed)
    return answers.accepted(parts.say, facts.title, job.id, again=not new)


def files(parts: Parts, saved: Checkpoint) -> list[FileLink]:
    """Return a checkpoint's files with the links that can stand in a message."""
    base = saved.manifest.rsplit("/", 1)[0]
    return [
        FileLink(name=file["path"], bytes=file["size"], url=parts.links.url(f"{base}/{file['path']}"))
        for file in saved.files
    ]


def fresh_links(parts: Parts, job_id: str, name: str, caller: Caller) -> Message:
    """Return links made now to a checkpoint's files; raises `NotFound` where it was cleared away."""
    facts = look(parts, job_id, caller)
    saved = next((one for one in facts.checkpoints if one.name == name), None)
    if saved is None:
        raise NotFound(f"Checkpoint `{name}` is no longer kept. `/train checkpoints {job_id}` shows what is.")
    base = saved.manifest.rsplit("/", 1)[0]
    made, until = [], parts.clock.now()
    try:
        for file in saved.files:
            url, until = parts.links.fresh(f"{base}/{file['path']}")
            made.append(FileLink(name=file["path"], bytes=file["size"], url=url))
    except StoreFault as error:
        raise NotAllowed(str(error)) from error
    return answers.links(parts.say, name, made, until)


def costs(facts: JobFacts) -> dict[int, str]:
    """Return what each offered extension may cost at the most."""
    return {minutes: str(cost) for minutes, cost in longer_costs(facts).items()}


def _list(parts: Parts, command: List, caller: Caller) -> Message:
    team = parts.service.team_of(caller.channel)
    mine = caller.person if command.mine else ""
    if mine or not caller.in_direct_message:
        found = parts.service.list_jobs(team.id, limit=answers.LIST_MOST, person=mine)
    else:  # a direct message, where `look` shows no other job either
        newest = parts.service.list_jobs(team.id, limit=_LOOKED_THROUGH)
        found = [job for job in newest if _has_part(parts, job, caller.person)][: answers.LIST_MOST]
        if not found:
            raise NotFound("You have no part in a job. Ask in one of your team's channels.")
    now = parts.clock.now()
    with parts.db.read() as tx:
        facts = [known.read(tx, job.id, parts.traits, now) for job in found]
    return answers.jobs(parts.say, facts, team.name, mine=command.mine)


def deciding(parts: Parts, job_id: str, by: Person) -> JobFacts:
    """Return the facts of a job that this person may decide about; raises `NotAllowed` or `TooLate`.

    Only so that a form is not filled in for nothing: what counts is the check at its submission.
    """
    with parts.db.read() as tx:
        facts = known.read(tx, job_id, parts.traits, parts.clock.now())
    if by.guest or not by.lead:
        raise NotAllowed(parts.say.plain("Only a lead of this team can decide that."))
    if facts.job.state is not JobState.AWAITING_APPROVAL:
        raise TooLate(
            parts.say.plain("{by} has decided this already.", by=facts.job.decided_by)
            if facts.job.decided_by
            else parts.say.plain("There is nothing to decide about this any more.")
        )
    return facts


def shorter_holds(parts: Parts, facts: JobFacts) -> dict[float, int]:
    """Return what each round length under the one that was asked for would hold, the longest first."""
    spec, traits = facts.spec, facts.traits
    if spec is None or traits is None:
        return {}
    return {
        minutes: policy.hold_of(replace(spec, minutes=minutes), ceiling=facts.job.rate_ceiling or 0, traits=[traits])
        for minutes in policy.friendly(spec.minutes)
    }
