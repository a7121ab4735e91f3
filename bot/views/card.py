"""The one card of a job: the head of its thread, edited in place from the first price to the settled cost."""

from __future__ import annotations

from collections.abc import Sequence

from bot.catalogue import Catalogue
from bot.facts import JobFacts
from bot.markup import Markup, bar, dollars, escape, link, mention, short, span, when
from bot.views import words
from bot.views.blocks import TEXT, Block, Message, actions, button, confirm, context, cut, fields, header, section
from jobs import cadence
from jobs.lifecycle import TERMINAL, WITH_MACHINE, JobState

HERE = "here"  # the region of what has none: this computer

_SIGNS = {
    JobState.REQUESTED: "🔎",
    JobState.AWAITING_APPROVAL: "✋",
    JobState.QUEUED: "⏳",
    JobState.PROVISIONING: "⏳",
    JobState.RUNNING: "▶️",
    JobState.STOPPING: "⏹️",
    JobState.SUCCEEDED: "✅",
    JobState.FAILED: "❌",
    JobState.CANCELLED: "⏹️",
    JobState.TIMED_OUT: "⏰",
    JobState.DENIED: "🚫",
    JobState.EXPIRED: "💤",
}


def head(say: Catalogue, facts: JobFacts, leads: Sequence[str], *, moved: bool = False) -> Message:
    """Return the card.

    `leads` are mentioned while they have to decide; `moved` says that it could not stand in its channel.
    """
    blocks: list[Block] = [header(title(say, facts)), section(_state(say, facts))]
    if facts.job.state is JobState.AWAITING_APPROVAL:
        blocks.append(section(_question(say, facts, leads)))
    blocks.append(fields(_figures(say, facts)))
    blocks.append(context(*_small_print(say, facts, moved=moved)))
    blocks += actions(f"card-{facts.job.id}", _buttons(say, facts))
    return Message(text=cut(text(say, facts, leads), TEXT), blocks=blocks)


def title(say: Catalogue, facts: JobFacts) -> str:
    """Return `acme/chargpt@3f9c2ab on 1 × A100`."""
    if not facts.machine:
        return short(facts.title, 120)
    return say.plain("{title} on {machine}", title=short(facts.title, 110), machine=facts.machine)


def text(say: Catalogue, facts: JobFacts, leads: Sequence[str] = ()) -> Markup:
    """Return everything that the card says that matters, in one line."""
    parts = [say("{title}: {standing}", title=title(say, facts), standing=words.standing(say, facts))]
    parts += words.progress(say, facts)
    parts += words.went_on(say, facts)
    parts += _to_go(say, facts)
    parts.append(money(say, facts))
    if facts.job.state is JobState.AWAITING_APPROVAL:
        parts.append(say("to decide: {leads}", leads=_mentions(say, leads)))
    if facts.job.deadline is not None and not facts.ended:
        parts.append(say("ends {when}", when=when(facts.job.deadline)))
    return Markup(", ".join(parts) + ".")


def _state(say: Catalogue, facts: JobFacts) -> Markup:
    standing = words.standing(say, facts)
    lines = [Markup(f"{_SIGNS[facts.job.state]}  *{standing[:1].upper()}{standing[1:]}*")]
    job = facts.job
    parts = words.progress(say, facts)
    parts += words.went_on(say, facts)
    parts += _to_go(say, facts)
    if job.step is not None and job.total:
        share = min(1.0, job.step / job.total)
        parts.insert(0, Markup(f"{bar(share)} {int(share * 100)} %"))
    if parts:
        lines.append(Markup("   ·   ".join(parts)))
    if job.error and job.state in TERMINAL:
        lines.append(escape(short(job.error, 400)))
    return Markup("\n".join(lines))


def _to_go(say: Catalogue, facts: JobFacts) -> list[Markup]:
    job = facts.job
    if job.state is not JobState.RUNNING or job.stage != "run" or facts.ended:
        return []  # what is set up or saved goes at no pace, and its end is not the training's
    quiet = cadence.quiet(job, facts.now)
    if quiet is not None:
        return [say("last step {span} ago", span=span(quiet))]
    parts = words.pace(say, facts)
    if job.eta_at is not None and job.eta_at > facts.now:
        parts.append(say("about {span} to go", span=span(job.eta_at - facts.now)))
    return parts


def _question(say: Catalogue, facts: JobFacts, leads: Sequence[str]) -> Markup:
    why = words.needs(say, facts)
    lines = [say("{leads}: please decide.", leads=_mentions(say, leads))]
    lines += [Markup(f"• {reason}") for reason in why]
    if facts.request.reason:
        lines.append(say("> {reason}", reason=short(facts.request.reason, 300)))
    return Markup("\n".join(lines))


def _mentions(say: Catalogue, leads: Sequence[str]) -> Markup:
    return Markup(" ".join(mention(lead) for lead in leads)) if leads else say("a lead")


def money(say: Catalogue, facts: JobFacts) -> Markup:
    """Say what it costs or has cost, of what is held."""
    job, hold = facts.job, dollars(facts.job.hold, up=True)
    if job.hold == 0 and facts.cost == 0 and facts.offer is not None and facts.offer.micros_per_hour == 0:
        return say("free of charge")
    if job.charged == 0:
        return say("nothing charged of {hold} held", hold=hold)
    if job.charged is not None:
        return say("{charged} charged of {hold} held", charged=dollars(job.charged), hold=hold)
    if facts.attempts:
        return say("{cost} so far of {hold} held", cost=dollars(facts.cost), hold=hold)
    if job.state in (JobState.QUEUED, *WITH_MACHINE):
        return say("{hold} held", hold=hold)
    if job.state in TERMINAL:
        return say("nothing charged")
    return say("up to {hold}", hold=hold)


def _figures(say: Catalogue, facts: JobFacts) -> list[tuple[str, str]]:
    job, spec = facts.job, facts.spec
    figures: list[tuple[str, str]] = [(say("Cost"), money(say, facts))]
    if job.state in TERMINAL:
        if job.finished_at is not None:
            figures.append((say("Ended"), when(job.finished_at)))
    elif job.deadline is not None:
        figures.append((say("Ends"), when(job.deadline)))
    elif spec is not None:
        figures.append((say("Ends"), say("{span} after it is rented", span=span(spec.minutes))))
    if facts.offer is not None:
        live = facts.attempts[-1] if facts.attempts else None
        rate = live.micros_per_hour if live else facts.offer.micros_per_hour
        provider, region = (live.provider, live.region) if live else (facts.offer.provider, facts.offer.region)
        place = f"{provider} {region}" if region not in ("", HERE) else provider
        price = say("{place}, {rate} an hour", place=place, rate=dollars(rate))
        if spec is not None and spec.nodes > 1:
            figures.append((say("Machines"), say("{count} of {price} each", count=spec.nodes, price=price)))
        else:
            figures.append((say("Machine"), price))
    if facts.checkpoints:
        newest = facts.checkpoints[-1]
        reached = short(newest.name, 60) if newest.step is None else say("step {step}", step=f"{newest.step:,}")
        figures.append((say("Checkpoint"), escape(reached)))
    return figures


def _small_print(say: Catalogue, facts: JobFacts, *, moved: bool) -> list[Markup]:
    job, who = facts.job, mention(facts.job.person)
    lines = [say("{job} for {who}", job=words.name(facts), who=who)]
    if facts.source is not None:
        commit = link(f"{facts.source.url.removesuffix('.git')}/commit/{facts.source.sha}", facts.source.sha[:12])
        shown = commit if facts.source.url.startswith("https://") else escape(facts.source.sha[:12])
        lines[0] = Markup(f"{lines[0]}  ·  {shown} {escape(short(facts.source.subject, 80))}")
    if job.decided_by and job.state not in (JobState.DENIED, JobState.AWAITING_APPROVAL):
        lines.append(
            say("Approved by {by} {when}.", by=mention(job.decided_by), when=when(job.decided_at or facts.now))
        )
    guarantee = words.guarantee(say, facts)
    # That the cost is no money has to be read where the cost is, also when all is over.
    if guarantee and (job.state not in TERMINAL or (facts.traits is not None and facts.traits.stand_in)):
        lines.append(guarantee)
    if facts.traits is not None and facts.traits.bills and job.state not in TERMINAL:
        lines.append(say("What is held is the most it can cost; the provider's fee for traffic out is not in it."))
    if moved:
        lines.append(say("This stands here because I could not post where it was asked for. `/invite` me there."))
    return lines


def _buttons(say: Catalogue, facts: JobFacts) -> list[Block]:
    job = facts.job
    if job.state is JobState.AWAITING_APPROVAL:
        return [*deciding(say, facts), stop(say, facts, say("Withdraw"))]
    if job.state in (JobState.QUEUED, JobState.PROVISIONING):
        return [stop(say, facts, say("Stop"))]
    if job.state is JobState.RUNNING and job.stop_reason is None:
        longer = say("Extend") if facts.extendable else say("Continue from checkpoint")
        return [stop(say, facts, say("Stop")), button(longer, "extend" if facts.extendable else "continue", job.id)]
    if job.state in TERMINAL:
        again = [button(say("Run again"), "rerun", job.id)]
        if facts.can_go_on:
            again.append(button(say("Continue from checkpoint"), "continue", job.id))
        return again
    return []


def deciding(say: Catalogue, facts: JobFacts) -> list[Block]:
    """Return the lead's buttons."""
    return [
        button(say("Approve"), "approve", facts.job.id, style="primary"),
        button(say("Approve shorter…"), "approve_shorter", facts.job.id),
        button(say("Deny…"), "deny", facts.job.id),
    ]


def stop(say: Catalogue, facts: JobFacts, label: str) -> Block:
    """Return the button that ends a job, with the question that it asks first."""
    running = facts.job.state is JobState.RUNNING
    asks = (
        say("It saves a last checkpoint, then the machine is ended.")
        if running
        else say("No machine is rented for it, and what is held is given back.")
    )
    if facts.job.state is JobState.PROVISIONING:
        asks = say("The machine is ended; what it cost until then is charged.")
    dialog = confirm(say("Stop it?"), asks, say("Stop it"), say("Leave it"), danger=True)
    return button(label, "stop", facts.job.id, style="danger" if running else None, confirm=dialog)
