"""A team's month: capped, held, spent, free; by person and by job; and how to change it."""

from __future__ import annotations

from collections.abc import Sequence

from bot.catalogue import Catalogue
from bot.markup import Markup, bar, code, dollars, mention, span
from bot.verbs import BudgetField
from bot.views.blocks import Block, Message, context, fields, header, section
from jobs.ledger import Budget
from jobs.model import Team

_ROWS = 10


def month(say: Catalogue, team: Team, budget: Budget, leads: Sequence[str]) -> Message:
    """Return the team's month; without a budget, the line with which a lead sets one."""
    if budget.cap is None:
        return _unset(say, team, leads)
    total = budget.cap + budget.granted
    used = budget.held + budget.spent
    share = used / total if total > 0 else 1.0
    line = say(
        "{team}, {month}: {free} free of {total}; {held} held, {spent} spent.",
        team=team.name,
        month=budget.month,
        free=dollars(budget.free),
        total=dollars(total),
        held=dollars(budget.held),
        spent=dollars(budget.spent),
    )
    capped = dollars(budget.cap)
    if budget.granted:
        capped = say("{cap} and {granted} granted", cap=dollars(budget.cap), granted=dollars(budget.granted))
    blocks: list[Block] = [
        header(say.plain("Budget of {team}, {month}", team=team.name, month=budget.month)),
        section(Markup(f"{bar(min(1.0, share), 16)}  {say('{percent} % used', percent=round(share * 100))}")),
        fields(
            [
                (say("Capped"), capped),
                (say("Free"), dollars(budget.free)),
                (say("Held"), dollars(budget.held)),
                (say("Spent"), dollars(budget.spent)),
            ]
        ),
    ]
    blocks += _shares(say, budget)
    if team.frozen:
        blocks.append(section(say("❄️  New rentals are frozen. A lead types {line}.", line=code("/budget unfreeze"))))
    blocks.append(context(_rules(say, team, leads), _how(say)))
    return Message(text=line, blocks=blocks)


def _unset(say: Catalogue, team: Team, leads: Sequence[str]) -> Message:
    line = say(
        "{team} has no budget yet, so nothing can be rented. A lead types {line}: that much a month.",
        team=team.name,
        line=code("/budget cap 300"),
    )
    return Message(text=line, blocks=[section(line), context(_rules(say, team, leads))])


def _shares(say: Catalogue, budget: Budget) -> list[Block]:
    blocks: list[Block] = []
    if budget.by_person:
        lines = [say("{who}  {used}", who=mention(who), used=dollars(used)) for who, used in budget.by_person[:_ROWS]]
        blocks.append(section(Markup("\n".join([say("*By person*"), *lines]))))
    if budget.by_job:
        lines = [
            say("{job}  {charged} charged", job=code(job), charged=dollars(charged))
            if charged and not held
            else say("{job}  {held} held", job=code(job), held=dollars(held))
            for job, held, charged in budget.by_job[:_ROWS]
        ]
        blocks.append(section(Markup("\n".join([say("*By job*"), *lines]))))
    return blocks


def _rules(say: Catalogue, team: Team, leads: Sequence[str]) -> Markup:
    who = Markup(" ".join(mention(lead) for lead in leads)) if leads else say("nobody yet")
    return say(
        "Under {auto} starts without a lead  ·  longest job {longest}  ·  a person at most {share} %  ·  leads: {who}",
        auto=dollars(team.auto_approve),
        longest=span(team.longest_minutes),
        share=team.share_percent,
        who=who,
    )


def _how(say: Catalogue) -> Markup:
    lines = ("cap 300", "auto-approve 20", "longest 24h", "share 50", "leads @name", "freeze", "help")
    return say("Leads change it: {lines}", lines=Markup("  ".join(code(f"/budget {line}") for line in lines)))


def frozen(say: Catalogue, team: Team, by: str) -> Message:
    """Return that new rentals were stopped, or may start again."""
    who = mention(by)
    line = (
        say(
            "❄️  {who} froze new rentals of {team}. Machines that run go on to their deadlines.", who=who, team=team.name
        )
        if team.frozen
        else say("{who} lets {team} rent again.", who=who, team=team.name)
    )
    return Message(text=line, blocks=[section(line)])


def changed(say: Catalogue, team: Team, field: BudgetField, by: str) -> Message:
    """Return what a lead changed."""
    who = mention(by)
    match field:
        case BudgetField.CAP:
            line = say(
                "{who} set {team}'s budget to {cap} a month.", who=who, team=team.name, cap=dollars(team.cap or 0)
            )
        case BudgetField.AUTO_APPROVE:
            limit = dollars(team.auto_approve)
            line = say(
                "{who}: under {limit} a job of {team} starts without a lead.", who=who, team=team.name, limit=limit
            )
        case BudgetField.LONGEST_MINUTES:
            line = say(
                "{who}: {team}'s longest job is {longest}.", who=who, team=team.name, longest=span(team.longest_minutes)
            )
        case BudgetField.SHARE_PERCENT:
            line = say(
                "{who}: one person may use {share} % of {team}'s month.",
                who=who,
                team=team.name,
                share=team.share_percent,
            )
        case BudgetField.LEADS:
            named = Markup(" ".join(mention(lead) for lead in team.leads))
            line = say("{who}: {team} is led by {leads}.", who=who, team=team.name, leads=named)
        case BudgetField.ZONE:
            line = say("{who}: {team}'s months begin in {zone}.", who=who, team=team.name, zone=team.zone)
    return Message(text=line, blocks=[section(line)])
