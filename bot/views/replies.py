"""What is said in a job's thread, at milestones only: the first plot, checkpoints, trouble, the warning, the end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from bot.catalogue import Catalogue
from bot.facts import JobFacts
from bot.markup import Markup, code, dollars, escape, link, mention, number, pre, short, size, span, when
from bot.views import words
from bot.views.blocks import Block, Message, actions, button, context, section
from bot.views.card import money, stop
from bot.views.lines import change
from jobs.model import Checkpoint
from jobs.saves import is_proven, to_go_on_from

_FILES = 8  # of one checkpoint, linked by name; the rest is counted


@dataclass(frozen=True, kw_only=True)
class FileLink:
    """A checkpoint's file and where to fetch it; without a URL, a button makes one."""

    name: str
    bytes: int
    url: str | None


def ended(
    say: Catalogue,
    facts: JobFacts,
    people: Sequence[str],
    checkpoint: Checkpoint | None,
    files: Sequence[FileLink],
    advice: Sequence[Block] = (),
    whole: str | None = None,
) -> Message:
    """Return the end: who is told, how it went, what it cost so far, and the newest whole checkpoint's files.

    `whole` is a link to all that the command printed, where there can be one.
    """
    if not any(attempt.launched_at for attempt in facts.attempts):
        return _never_ran(say, facts, people, advice)
    parts = words.progress(say, facts)[-1:] if facts.job.loss is not None else words.progress(say, facts)
    settled = facts.job.charged  # what was held does not matter any more
    parts.append(say("{cost} charged", cost=dollars(settled)) if settled else money(say, facts))
    if checkpoint is None:
        path = facts.spec.checkpoint_path if facts.spec else ""
        parts.append(say("no checkpoint in {path}", path=code(path)) if path else say("no checkpoint"))
    elif checkpoint.step is None:
        parts.append(say("checkpoint {name}", name=short(checkpoint.name, 60)))
    else:
        parts.append(say("checkpoint step {step}", step=checkpoint.step))
    who = Markup(" ".join(mention(person) for person in people))
    line = say("{who} {ended}: {facts}", who=who, ended=words.ending(say, facts), facts=Markup(", ".join(parts)))
    blocks: list[Block] = [section(line)]
    blocks += [*_explanation(say, facts, whole), *advice]
    if checkpoint is not None:
        blocks += _files(say, facts, checkpoint, files)
    return Message(text=line, blocks=blocks)


def _never_ran(say: Catalogue, facts: JobFacts, people: Sequence[str], advice: Sequence[Block]) -> Message:
    who = Markup(" ".join(mention(person) for person in people))
    line = say("{who} {ended}. Nothing was charged.", who=who, ended=words.standing(say, facts))
    return Message(text=line, blocks=[section(line), *_explanation(say, facts), *advice])


def _explanation(say: Catalogue, facts: JobFacts, whole: str | None = None) -> list[Block]:
    reason = str((facts.job.outcome or {}).get("reason", ""))
    error = escape(short(facts.job.error, 600))  # of hidden letters nothing is left, and an empty block is refused
    blocks = [section(error)] if error else []
    said = words.tail(facts)
    if said and reason not in ("finished", "stopped", "deadline"):
        blocks.append(section(pre(said[-2500:])))
        more = say("The last lines it said. More of them: {command}.", command=code(f"/train logs {facts.job.id}"))
        blocks.append(context(more if whole is None else Markup(f"{more} {link(whole, say('The whole log'))}")))
    return blocks


def _files(say: Catalogue, facts: JobFacts, checkpoint: Checkpoint, files: Sequence[FileLink]) -> list[Block]:
    linked = [Markup(f"{link(one.url, one.name)} ({size(one.bytes)})") for one in files[:_FILES] if one.url is not None]
    if linked:
        more = len(files) - len(linked)
        if more > 0:
            linked.append(say.plural("and {n} more file", "and {n} more files", more))
        return [section(Markup("📦  " + "   ".join(linked)))]
    label = say("Files of {name} ({size})", name=short(checkpoint.name, 40), size=size(checkpoint.bytes))
    return actions(f"files-{facts.job.id}", [button(label, "files", f"{facts.job.id} {checkpoint.name}")])


def checkpoint_saved(say: Catalogue, facts: JobFacts, saved: Checkpoint) -> Message:
    """Return the news of a whole checkpoint."""
    sized = size(saved.bytes)
    line = (
        say("Checkpoint {name} is safe ({size}).", name=short(saved.name, 60), size=sized)
        if saved.step is None
        else say("Checkpoint at step {step} is safe ({size}).", step=f"{saved.step:,}", size=sized)
    )
    return Message(text=line, blocks=[context(Markup(f"📦  {line}"))])


def warning(say: Catalogue, facts: JobFacts, costs: Mapping[int, str]) -> Message:
    """Return the warning that the end comes near; `costs` is what 30, 60 and 120 more minutes would hold."""
    deadline = facts.job.deadline or facts.now
    left = span(max(deadline - facts.now, deadline - deadline))
    line = say(
        "{who} {left} left: it saves and stops {when}.", who=mention(facts.job.person), left=left, when=when(deadline)
    )
    return Message(text=line, blocks=[section(Markup(f"⏰  {line}")), *longer(say, facts, costs)])


def warned(say: Catalogue, facts: JobFacts) -> Message:
    """Return what a warning says once nothing can be made longer any more."""
    line = say("{who} was told here that the end came near. It has ended.", who=mention(facts.job.person))
    return Message(text=line, blocks=[section(Markup(f"⏰  {line}"))])


def longer(say: Catalogue, facts: JobFacts, costs: Mapping[int, str]) -> list[Block]:
    """Return the row of buttons that make a rental longer, or the one that continues it elsewhere."""
    job = facts.job.id
    if not facts.extendable:
        return actions(f"longer-{job}", [button(say("Continue from checkpoint"), "continue", job)])
    buttons = [
        button(say("+{span} ({cost})", span=span(minutes), cost=cost), f"extend_{minutes}", job)
        for minutes, cost in costs.items()
    ]
    return actions(f"longer-{job}", buttons)


def trouble(
    say: Catalogue, facts: JobFacts, people: Sequence[str], data: Mapping[str, Any], *, burning: bool = False
) -> Message:
    """Return the start of trouble, with the people who are to know, and Stop where each further minute is wasted."""
    who = Markup(" ".join(mention(person) for person in people))
    told = short(str(data.get("text") or data.get("code") or ""), 500)
    if machine := data.get("machine"):  # one of several
        line = say(
            "{who} trouble with machine {machine} of {job}: {told}",
            who=who,
            machine=machine,
            job=words.name(facts),
            told=told,
        )
    else:
        line = say("{who} trouble with {job}: {told}", who=who, job=words.name(facts), told=told)
    blocks: list[Block] = [section(Markup(f"⚠️  {line}"))]
    if burning:
        blocks += actions(f"burning-{facts.job.id}", [stop(say, facts, say("Stop"))])
    return Message(text=line, blocks=blocks)


def hint(say: Catalogue, facts: JobFacts, data: Mapping[str, Any]) -> Message:
    """Return what would make the next run better; nobody is called for it."""
    line = say("{job}: {told}", job=words.name(facts), told=short(str(data.get("text", "")), 700))
    described = facts.spec.progress if facts.spec else ()
    suggested = str(data.get("template") or "")
    more = change(say, facts, suggested) if suggested and suggested not in described else []
    return Message(text=line, blocks=[section(Markup(f"💡  {line}")), *more])


def no_machine(
    say: Catalogue, facts: JobFacts, people: Sequence[str], data: Mapping[str, Any], other: Sequence[Block]
) -> Message:
    """Return that there is no machine yet and why, and what `other` there is; when the next try is, the card says."""
    who = Markup(" ".join(mention(person) for person in people))
    line = say(
        "{who} there is no machine for {job} yet, and it waits for one. {why}",
        who=who,
        job=words.name(facts),
        why=short(str(data.get("text", "")), 500),
    )
    return Message(text=line, blocks=[section(line), *other])


def reclaimed(say: Catalogue, facts: JobFacts) -> Message:
    """Return that the provider took the machine back, and from where the job goes on."""
    newest = next(filter(is_proven, to_go_on_from(facts.checkpoints)), None)
    if newest is None and facts.inherits:
        line = say("The provider took the machine back. It goes on from where it began, with the same deadline.")
    elif newest is None:
        line = say(
            "The provider took the machine back. No checkpoint was safe: it starts anew, with the same deadline."
        )
    elif newest.step is None:
        line = say("The provider took the machine back. It goes on from the last checkpoint, with the same deadline.")
    else:
        line = say(
            "The provider took the machine back. It goes on from step {step}, with the same deadline.",
            step=f"{newest.step:,}",
        )
    return Message(text=say("{job}: {line}", job=words.name(facts), line=line), blocks=[section(Markup(f"↩️  {line}"))])


def extended(say: Catalogue, facts: JobFacts, by: str) -> Message:
    """Return that the deadline moved."""
    line = say(
        "{by} extended it: it ends {when} now, {hold} held.",
        by=mention(by),
        when=when(facts.job.deadline or facts.now),
        hold=dollars(facts.job.hold, up=True),
    )
    return Message(text=line, blocks=[context(Markup(f"⏱️  {line}"))])


def overdue(say: Catalogue, facts: JobFacts, leads: Sequence[str], data: Mapping[str, Any]) -> Message:
    """Return the alarm: a machine is alive past its deadline."""
    who = Markup(" ".join(mention(lead) for lead in leads)) if leads else say("Leads")
    machine = code(f"{data.get('provider', '')} {data.get('instance', '')}".strip())
    line = say(
        "{who} {machine} of {job} is alive {minutes} min past its deadline. I go on ending it; please look too.",
        who=who,
        machine=machine,
        job=words.name(facts),
        minutes=f"{float(data.get('minutes', 0)):.0f}",
    )
    return Message(text=line, blocks=[section(Markup(f"🚨  {line}"))])


def at_last(say: Catalogue, facts: JobFacts, leads: Sequence[str], data: Mapping[str, Any]) -> Message:
    """Return the end of the alarm: the machine is confirmed gone."""
    ended = datetime.fromtimestamp(float(data["billed_until"]), UTC)
    late = max(timedelta(0), ended - (facts.job.deadline or ended))
    line = say(
        "{who} the machine of {job} at {provider} is confirmed gone, {minutes} min past its deadline.",
        who=Markup(" ".join(mention(lead) for lead in leads)) if leads else say("Leads"),
        job=words.name(facts),
        provider=code(str(data.get("provider", ""))),
        minutes=f"{late.total_seconds() / 60:.0f}",
    )
    return Message(text=line, blocks=[section(Markup(f"✅  {line}"))])


def overrun(say: Catalogue, facts: JobFacts, leads: Sequence[str], micros: int) -> Message:
    """Return that a job cost more than was held for it."""
    who = Markup(" ".join(mention(lead) for lead in leads)) if leads else say("Leads")
    line = say(
        "{who} {job} cost {over} more than was held for it.",
        who=who,
        job=words.name(facts),
        over=dollars(micros, up=True),
    )
    return Message(text=line, blocks=[section(Markup(f"🚨  {line}"))])


def plot_caption(say: Catalogue, facts: JobFacts, loss: float | None, step: int | None) -> Markup:
    """Return what stands over a plot."""
    if loss is None or step is None:
        return say("Loss of {title}", title=facts.title)
    reached = f"{step:,}" if not facts.job.total else f"{step:,} / {facts.job.total:,}"
    return say("Loss {loss} at step {step}", loss=number(loss), step=reached)


def plot_failed(say: Catalogue, facts: JobFacts, loss: float | None, step: int | None) -> Message:
    """Return a plot in words, where the picture could not be made or uploaded."""
    line = say(
        "{caption}. (The plot could not be shown; the training is not affected.)",
        caption=plot_caption(say, facts, loss, step),
    )
    return Message(text=line, blocks=[context(line)])


def unreachable(say: Catalogue, facts: JobFacts, channel: Markup, message: Message) -> Message:
    """Return a message that could not be said where it belongs, for its person's eyes."""
    line = say("I could not post this in {channel}; `/invite` me there.", channel=channel)
    return Message(text=Markup(f"{message.text}\n{line}"), blocks=[*message.blocks, context(line)])
