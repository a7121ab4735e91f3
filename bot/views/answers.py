"""Answers to whoever typed or pressed: errors with the line to copy, lists, prices, logs, files, help."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from itertools import zip_longest
from typing import Any

from bot.catalogue import Catalogue
from bot.facts import JobFacts
from bot.logbook import Page
from bot.markup import Markup, code, dollars, escape, link, mention, output, pre, short, size, span, when
from bot.views import words
from bot.views.blocks import Block, Message, actions, button, context, section
from bot.views.card import title
from bot.views.replies import FileLink
from jobs.errors import BadRequest, HourglassError
from jobs.model import Checkpoint, Team
from jobs.offers import PriceRow

_QUOTED = re.compile(r"(`[^`]*`)")
_USER = re.compile(r"\b[UW][A-Z0-9]{5,14}\b")
_PATTERN = re.compile(r"[\\|^$\[\](){}]|\.[*+]")  # what a person writes who means a regular expression
LIST_MOST = 15
PRICES_MOST = 30
LOG_MOST = 2700  # characters of output in an answer


def people_named(text: str) -> Markup:
    """Return a sentence of ours as mrkdwn: user ids in it become mentions; what it quotes stays as it was typed."""
    pieces = _QUOTED.split(text)
    ours = [_USER.sub(lambda found: mention(found.group()), escape(piece)) for piece in pieces[::2]]
    quoted = [escape(piece) for piece in pieces[1::2]]
    return Markup("".join(piece for pair in zip_longest(ours, quoted, fillvalue="") for piece in pair))


def failure(say: Catalogue, error: HourglassError) -> Message:
    """Return an error as it is shown to the one who caused it; a corrected line stands ready to copy."""
    return refused(say, str(error), error.fix if isinstance(error, BadRequest) else None)


def refused(say: Catalogue, text: str, fix: object = None, who: Markup | None = None) -> Message:
    """Return why something came to nothing, and the line that would work."""
    told = say.retold(text)
    # Where all can read it, a repository's own words stand in it too, and nobody but the requester is called.
    line = people_named(told) if who is None else say("{who} {said}", who=who, said=escape(told))
    blocks: list[Block] = [section(line)]
    if fix:
        blocks += [context(say("Copy this:")), section(pre(str(fix)))]
        line = say("{line} Try: {fix}", line=line, fix=code(fix))
    return Message(text=line, blocks=blocks)


def not_written(say: Catalogue, command: str) -> Message:
    """Return that time ran out before anything was written."""
    line = say("I am too busy right now: nothing was written and nothing will start. Please type it again:")
    return Message(
        text=say("{line} {command}", line=line, command=code(command)), blocks=[section(line), section(pre(command))]
    )


def broken(say: Catalogue, incident: str) -> Message:
    """Return that something went wrong inside, with the id under which the log has it."""
    line = say(
        "Something went wrong inside Hourglass. The operator finds it in the log as {incident}.",
        incident=code(incident),
    )
    return Message(text=line, blocks=[section(line)])


def accepted(say: Catalogue, what: str, job_id: str, *, again: bool) -> Message:
    """Return that the request is written down."""
    told = (
        say("Already on it: {job} for {what}.", job=code(job_id), what=code(what))
        if again
        else say(
            "On it: {what}. Looking up the commit and the price; the card of {job} follows.",
            job=code(job_id),
            what=code(what),
        )
    )
    return Message(text=told, blocks=[section(told)])


def done(say: Catalogue, text: Markup) -> Message:
    """Return that something was done."""
    return Message(text=text, blocks=[section(text)])


def stopping(say: Catalogue, facts: JobFacts) -> Message:
    """Return what Stop has set going."""
    return done(
        say,
        say(
            "{job} ({title}): {standing}.",
            job=words.name(facts),
            title=title(say, facts),
            standing=words.standing(say, facts),
        ),
    )


def jobs(say: Catalogue, found: Sequence[JobFacts], team: str, *, mine: bool) -> Message:
    """Return a team's newest jobs, or one person's, one line each."""
    if not found:
        example = code("/train owner/repo@ref gpu=a100 hours=4")
        line = say("No jobs of {team} yet. {example} starts one.", team=team, example=example)
        if mine:
            line = say("You have no jobs here yet. {all} shows the team's.", all=code("/train list all"))
        return Message(text=line, blocks=[section(line)])
    head = say("*Your newest jobs*") if mine else say("*Newest jobs of {team}*", team=team)
    lines = [
        say(
            "{job}  *{title}*  ·  {standing}  ·  {who}  ·  {when}",
            job=words.name(facts),
            title=title(say, facts),
            standing=words.standing(say, facts),
            who=mention(facts.job.person),
            when=when(facts.job.created_at),
        )
        for facts in found[:LIST_MOST]
    ]
    return Message(text=Markup("\n".join([head, *lines])), blocks=[section(head), *(section(line) for line in lines)])


def prices(say: Catalogue, rows: Sequence[PriceRow], now: datetime) -> Message:
    """Return what could be rented, cheapest first."""
    if not rows:
        line = say("Nothing of that kind has a price. {all} shows everything.", all=code("/train gpus"))
        return Message(text=line, blocks=[section(line)])
    head = say("*GPUs, by the price of the whole machine for an hour*")
    lines = [f"  {'':<15}{say.plain('an hour'):>9}{say.plain('a GPU'):>9}"]
    for row in rows[:PRICES_MOST]:
        offer = row.offer
        gpu = f"{offer.gpus} × {offer.gpu} {offer.memory_gb}G"
        price, each = dollars(offer.micros_per_hour), dollars(row.micros_per_gpu)
        ready = "✓" if row.configured else " "
        read = _age(say, offer.priced_at, now)
        lines.append(f"{ready} {gpu:<15}{price:>9}{each:>9}  {offer.provider:<9}{read:<7}{_market(say, row)}".rstrip())
    small = say(
        "✓ can be rented here now. Behind each price stands when it was read; a rental is priced anew before it is "
        "held. Spot machines may be taken back; the percentage is what they save against the same machine on demand."
    )
    text = Markup("\n".join([head, *(escape(line) for line in lines), small]))
    return Message(text=text, blocks=[section(head), *_listing(lines), context(small)])


def _market(say: Catalogue, row: PriceRow) -> str:
    if not row.offer.spot:
        return ""
    return say.plain("spot") if row.saves is None else say.plain("spot, {saves} % off", saves=row.saves)


def _age(say: Catalogue, read: datetime, now: datetime) -> str:
    """Return how long ago a price was read; its date, where that is more than two days."""
    minutes = int((now - read) / timedelta(minutes=1))
    if minutes < 1:
        return say.plain("now")
    if minutes < 60:
        return say.plain("{n} min", n=minutes)
    return say.plain("{n} h", n=minutes // 60) if minutes < 48 * 60 else f"{read:%d %b}"


def _listing(lines: Sequence[str]) -> list[Block]:
    """Return lines of fixed width in as many code blocks as their length needs."""
    blocks, held = [], ""
    for line in lines:
        if len(held) + len(line) > LOG_MOST:
            blocks.append(section(pre(held)))
            held = ""
        held += ("\n" if held else "") + line
    return [*blocks, section(pre(held))] if held else blocks


def logs(
    say: Catalogue,
    facts: JobFacts,
    page: Page,
    grep: str | None,
    node: int = 1,
    *,
    whole: str | None = None,
    fetch: str = "",
) -> Message:
    """Return the newest lines of a job's output, those that hold `grep` where it is given.

    `whole` links to all of it; else a button makes a link out of `fetch`. Of several machines they are those of `node`,
    counted from 1, and the answer says how to see the others'.
    """
    others = [*_about_log(say, facts, page, grep, whole), *_other_logs(say, facts, node)]
    if fetch:
        others += actions(f"whole-{facts.job.id}", [button(say("The whole log"), "whole_log", fetch)])
    if not page.lines:
        told = _no_lines(say, facts, page, grep)
        return Message(text=told, blocks=[section(told), *others])
    shown: list[str] = []
    room = LOG_MOST
    for line in reversed(page.lines):
        cut = output(line, 240)
        room -= len(escape(cut)) + 1
        if room < 0:
            break
        shown.insert(0, cut)
    head = _log_head(say, facts, len(shown), grep)
    body = pre("\n".join(shown))
    return Message(text=Markup(f"{head}\n{body}"), blocks=[section(head), section(body), *others])


def _no_lines(say: Catalogue, facts: JobFacts, page: Page, grep: str | None) -> Markup:
    job = words.name(facts)
    if not grep or not page.looked:
        standing = words.standing(say, facts)
        if facts.ended:
            return say("{job} has said nothing: {standing}.", job=job, standing=standing)
        return say("{job} has said nothing yet: {standing}.", job=job, standing=standing)
    if page.whole:
        told = say("No line of {job} holds {grep}.", job=job, grep=code(grep))
    else:
        told = say(
            "No line in the newest {size} of {job} holds {grep}; what is older was not searched.",
            size=size(page.looked),
            job=job,
            grep=code(grep),
        )
    if _PATTERN.search(grep) is None:
        return told
    return Markup(f"{told} {say('It is looked for as it stands: it is no pattern.')}")


def _about_log(say: Catalogue, facts: JobFacts, page: Page, grep: str | None, whole: str | None) -> list[Block]:
    """Return what has to be known of the lines: whose they are, how far it was looked for them, where the rest is."""
    if page.attempt is None:
        return []
    told: list[Markup] = []
    newest = max((one.number for one in facts.attempts), default=page.attempt)
    if page.attempt < newest:
        older = (
            say("This is from attempt {older}. Attempt {newest} has no such line.", older=page.attempt, newest=newest)
            if grep
            else say(
                "This is from attempt {older}. Attempt {newest} has said nothing yet.",
                older=page.attempt,
                newest=newest,
            )
        )
        told.append(older)
    if not page.whole:
        told.append(say("Searched was the newest {size}; what is older was not.", size=size(page.looked)))
    if whole is not None:
        told.append(link(whole, say("The whole log")))
    return [context(Markup("  ".join(told)))] if told else []


def _other_logs(say: Catalogue, facts: JobFacts, node: int) -> list[Block]:
    nodes = facts.spec.nodes if facts.spec else 1
    if nodes == 1:
        return []
    command = code(f"/train logs {facts.job.id} node={node % nodes + 1}")
    return [
        context(say("Machine {node} of {nodes}. Another one's: {command}", node=node, nodes=nodes, command=command))
    ]


def _log_head(say: Catalogue, facts: JobFacts, count: int, grep: str | None) -> Markup:
    many = say.plural("{n} line", "{n} lines", count)
    if grep:
        return say("*Newest output of {job}* with {grep}, {many}", job=words.name(facts), grep=code(grep), many=many)
    return say("*Newest output of {job}*, {many}", job=words.name(facts), many=many)


def following(say: Catalogue, facts: JobFacts) -> Message:
    """Return that the newest lines stand in the job's thread from now on."""
    told = say("The newest lines of {job} stand in its thread until it ends.", job=words.name(facts))
    return Message(text=told, blocks=[section(told)])


def tail(say: Catalogue, facts: JobFacts, page: Page) -> Message:
    """Return the newest lines as they stand in the thread, with when they were read."""
    told = logs(say, facts, page, None)
    note = say("These were its last.") if facts.ended else say("As of {when}; it follows.", when=when(facts.now))
    return Message(text=told.text, blocks=[*told.blocks, context(note)])


def checkpoints(say: Catalogue, facts: JobFacts, files: Mapping[str, Sequence[FileLink]]) -> Message:
    """Return a job's whole checkpoints, newest first, each with its files or the button that makes their links."""
    if not facts.checkpoints:
        told = say("{job} has no whole checkpoint yet.", job=words.name(facts))
        return Message(text=told, blocks=[section(told)])
    blocks: list[Block] = [
        section(say("*Checkpoints of {job}*, {title}", job=words.name(facts), title=title(say, facts)))
    ]
    lines: list[Markup] = []
    for saved in reversed(facts.checkpoints[-10:]):
        lines.append(_checkpoint_line(say, saved))
        linked = [link(one.url, one.name) for one in files.get(saved.name, ())[:8] if one.url]
        if linked:
            lines[-1] = Markup(f"{lines[-1]}\n{'   '.join(linked)}")
        blocks.append(section(lines[-1]))
        if not linked:
            blocks += actions(
                f"files-{facts.job.id}-{saved.id}", [button(say("Links"), "files", f"{facts.job.id} {saved.name}")]
            )
    return Message(text=Markup("\n".join(lines)), blocks=blocks)


def _checkpoint_line(say: Catalogue, saved: Checkpoint) -> Markup:
    sized, at = size(saved.bytes), when(saved.at)
    if saved.step is None:
        return say("📦  *{name}*  ·  {size}  ·  {at}", name=short(saved.name, 60), size=sized, at=at)
    return say("📦  *step {step}*  ·  {size}  ·  {at}", step=f"{saved.step:,}", size=sized, at=at)


def links(say: Catalogue, name: str, files: Sequence[FileLink], until: datetime) -> Message:
    """Return fresh links to a checkpoint's files."""
    lines = [Markup(f"• {link(one.url, one.name)} ({size(one.bytes)})") for one in files[:30] if one.url]
    head = say("*Files of {name}*, until {until}", name=short(name, 60), until=when(until))
    text = Markup("\n".join([head, *lines]))
    return Message(text=text, blocks=[section(text)])


def alert(say: Catalogue, team: Team, data: Mapping[str, Any]) -> Message:
    """Return a lead's alert that the month's budget is used to so many percent."""
    used = int(data.get("held", 0)) + int(data.get("spent", 0))
    line = say(
        "{percent} % of {team}'s budget for {month} is held or spent: {used} of {total}. {how}",
        percent=data.get("percent", "?"),
        team=team.name,
        month=data.get("month", ""),
        used=dollars(used),
        total=dollars(int(data.get("cap", 0)) + int(data.get("granted", 0))),
        how=say("See {command}.", command=code("/budget")),
    )
    return Message(text=line, blocks=[section(Markup(f"💰  {line}"))])


def extended(say: Catalogue, facts: JobFacts) -> Message:
    """Return the new deadline."""
    deadline = facts.job.deadline
    ends = (
        say("it ends {when} now", when=when(deadline))
        if deadline
        else say("it runs {span} now", span=span(facts.spec.minutes if facts.spec else 0))
    )
    return done(
        say, say("{job}: {ends}, {hold} held.", job=words.name(facts), ends=ends, hold=dollars(facts.job.hold, up=True))
    )
