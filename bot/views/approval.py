"""A lead's copy of an approval: who wants what for how much and why, what is left, and what would start at once."""

from __future__ import annotations

from collections.abc import Sequence

from bot.catalogue import Catalogue
from bot.facts import JobFacts
from bot.markup import Markup, code, dollars, mention, room, short, span, when
from bot.views import words
from bot.views.blocks import TEXT, Message, actions, context, cut, fields, header, section
from bot.views.card import deciding, title
from jobs.lifecycle import JobState


def copy(say: Catalogue, facts: JobFacts) -> Message:
    """Return the copy: with buttons while it is to be decided, with the decision afterwards."""
    job, who = facts.job, mention(facts.job.person)
    hold, where = dollars(job.hold, up=True), room(job.channel)
    asked = say("{who} asks for up to {hold} in {channel}.", who=who, hold=hold, channel=where)
    decided = decision(say, facts)
    pairs = [(say("Costs at most"), dollars(job.hold, up=True))]
    if facts.spec is not None:
        pairs.append((say("For"), span(facts.spec.minutes)))
    if facts.free is not None:
        pairs.append((say("Free this month"), dollars(facts.free)))
    if facts.offer is not None:
        named = f"{facts.offer.provider}: {facts.offer.name}"
        if facts.spec is not None and facts.spec.nodes > 1:
            pairs.append((say("Machines"), say("{count} of {price} each", count=facts.spec.nodes, price=named)))
        else:
            pairs.append((say("Machine"), named))
    blocks = [header(title(say, facts)), section(decided or asked), fields(pairs)]
    why = [Markup(f"• {reason}") for reason in words.needs(say, facts)]
    if facts.request.reason:
        why.insert(0, Markup(f"> {say('{reason}', reason=short(facts.request.reason, 400))}"))
    if why:
        blocks.append(section(Markup("\n".join(why))))
    if decided is None:
        blocks += actions(f"approval-{job.id}", deciding(say, facts))
    weak = words.guarantee(say, facts)
    blocks.append(
        context(
            *([weak] if weak else []),
            say("{job} for {who} in {channel}", job=code(job.id), who=who, channel=room(job.channel)),
        )
    )
    text = say("{title}: {asked}", title=title(say, facts), asked=decided or _in_words(say, facts, asked))
    return Message(text=cut(text, TEXT), blocks=blocks)


def _in_words(say: Catalogue, facts: JobFacts, asked: Markup) -> Markup:
    """Return the question as a phone shows it: with the reasons, theirs and ours, and what is left."""
    if facts.request.reason:
        reason = short(facts.request.reason, 400)
        asked = say("{asked} They say: “{reason}”.", asked=asked, reason=reason)
    for need in words.needs(say, facts):
        asked = say("{asked} A lead decides because {need}.", asked=asked, need=need)
    if facts.free is not None:
        asked = say("{asked} Free this month: {free}.", asked=asked, free=dollars(facts.free))
    return asked


def decision(say: Catalogue, facts: JobFacts) -> Markup | None:
    """Say what was decided, by whom and when; None while it is open."""
    job = facts.job
    by, at = mention(job.decided_by or ""), when(job.decided_at or facts.now)
    match job.state:
        case JobState.REQUESTED | JobState.AWAITING_APPROVAL:
            return None
        case JobState.DENIED:
            return say("🚫  Denied by {by} {at}: {reason}", by=by, at=at, reason=short(job.decision_note, 300))
        case JobState.EXPIRED:
            return say("💤  Expired: nobody decided in time. {who} can ask again.", who=mention(job.person))
        case _ if job.decided_by:
            return say("✅  Approved by {by} {at}.", by=by, at=at)
        case _:
            return say("⏹️  Withdrawn before anybody decided.")


def asked(say: Catalogue, facts: JobFacts, instead: float | None, instead_cost: int | None) -> Message:
    """Return what the requester is told: that a lead decides, and what would start at once."""
    line = say("{who} a lead decides about this one.", who=mention(facts.job.person))
    if instead is not None:
        limit = dollars(facts.team.auto_approve)
        typed = code(f"hours={instead / 60:g}")
        cost = dollars(instead_cost, up=True) if instead_cost is not None else ""
        if not cost:
            line = say(
                "{line} Under {limit} needs nobody: {typed} starts at once.", line=line, limit=limit, typed=typed
            )
        elif "cost" in facts.job.needs_lead:
            line = say(
                "{line} Under {limit} needs nobody: {typed} is {cost}.", line=line, limit=limit, typed=typed, cost=cost
            )
        else:  # the month or a person's share is what it goes over: a job's limit is not what counts
            line = say("{line} Less needs nobody: {typed} is {cost}.", line=line, typed=typed, cost=cost)
    return Message(text=line, blocks=[section(line)])


def reminder(say: Catalogue, facts: JobFacts, leads: Sequence[str]) -> Message:
    """Return the reminder in the thread."""
    who = Markup(" ".join(mention(lead) for lead in leads)) if leads else say("Leads")
    waited = span(facts.now - (facts.job.asked_at or facts.now))
    line = say("{who} this has waited {waited} for a decision.", who=who, waited=waited)
    return Message(text=line, blocks=[section(Markup(f"✋  {line}"))])


def expired(say: Catalogue, facts: JobFacts) -> Message:
    """Return that nobody decided."""
    again = code(f"/train rerun {facts.job.id}")
    line = say(
        "{who} nobody decided in time, so it expired. To ask again: {again}", who=mention(facts.job.person), again=again
    )
    return Message(text=line, blocks=[section(Markup(f"💤  {line}"))])


def denied(say: Catalogue, facts: JobFacts) -> Message:
    """Return the denial with its reason."""
    job = facts.job
    line = say(
        "{who} {by} denied it: {reason}",
        who=mention(job.person),
        by=mention(job.decided_by or ""),
        reason=short(job.decision_note, 400),
    )
    return Message(text=line, blocks=[section(Markup(f"🚫  {line}"))])


def granted(say: Catalogue, facts: JobFacts) -> Message:
    """Return the good news, with what was decided."""
    job = facts.job
    span_of = span(facts.spec.minutes) if facts.spec else ""
    line = say(
        "{who} {by} approved it: {span}, up to {hold}.",
        who=mention(job.person),
        by=mention(job.decided_by or ""),
        span=span_of,
        hold=dollars(job.hold, up=True),
    )
    return Message(text=line, blocks=[section(Markup(f"✅  {line}"))])
