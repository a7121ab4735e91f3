"""`/budget`: what it asks for, and what to copy where it is wrong."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.parse_budget import parse_budget
from bot.verbs import BudgetCommand, BudgetField, Freeze, HelpBudget, SetBudget, ShowBudget
from jobs.errors import BadRequest


@pytest.mark.parametrize(
    ("text", "command"),
    [
        ("", ShowBudget()),
        ("/budget", ShowBudget()),
        ("show", ShowBudget()),
        ("help", HelpBudget()),
        ("cap 300", SetBudget(field=BudgetField.CAP, value=300_000_000)),
        ("Cap $300.50", SetBudget(field=BudgetField.CAP, value=300_500_000)),
        ("/budget cap 0", SetBudget(field=BudgetField.CAP, value=0)),
        ("auto-approve 20", SetBudget(field=BudgetField.AUTO_APPROVE, value=20_000_000)),
        ("longest 24h", SetBudget(field=BudgetField.LONGEST_MINUTES, value=1440)),
        ("share 50%", SetBudget(field=BudgetField.SHARE_PERCENT, value=50)),
        ("leads <@U1ADA|ada> <@U2BOB>, <@U1ADA>", SetBudget(field=BudgetField.LEADS, value=("U1ADA", "U2BOB"))),
        ("leads @ada @bob.b", SetBudget(field=BudgetField.LEADS, value=("@ada", "@bob.b"))),
        ("approvers <@U1ADA>", SetBudget(field=BudgetField.LEADS, value=("U1ADA",))),
        ("leads @ada @bob.smith", SetBudget(field=BudgetField.LEADS, value=("@ada", "@bob.smith"))),
        ("zone europe/berlin", SetBudget(field=BudgetField.ZONE, value="Europe/Berlin")),
        ("zone America/New York", SetBudget(field=BudgetField.ZONE, value="America/New_York")),
        ("freeze", Freeze(on=True)),
        ("unfreeze", Freeze(on=False)),
        ("cap　３００", SetBudget(field=BudgetField.CAP, value=300_000_000)),
    ],
)
def test_what_a_line_asks_for(text: str, command: BudgetCommand) -> None:
    assert parse_budget(text) == command


@pytest.mark.parametrize(
    ("typed", "quoted", "copy"),
    [
        ("cpa 300", "`cpa` is nothing that a budget has; did you mean `cap`?", "cap 300"),
        ("300", "`300` of what?", "cap 300"),
        ("cap", "`cap` to what?", "cap 300"),
        ("cap=300", "with a space", "cap 300"),
        ("cap 1,000", "`1,000` is not an amount", "cap 1000"),
        ("cap -5", "`-5` is not an amount", "cap 300"),
        ("cap 1e9", "`1e9` is not an amount", "cap 300"),
        ("cap 300 400", "`400` is too much", "cap 300"),
        ("auto 20", "did you mean `auto-approve`?", "auto-approve 20"),
        ("longest forever", "`forever` is not a length of time", "longest 24h"),
        ("longest 24 h", "as one word: `24h`", "longest 24h"),
        ("share 0", "from 1 to 100", "share 50"),
        ("share 150", "from 1 to 100", "share 50"),
        ("leads ada", "`ada` is not somebody whom Slack named", None),
        ("leads <!channel>", "`@channel` is not somebody", None),
        ("leads", "`leads` to what?", None),
        ("zone Berlin", "did you mean `Europe/Berlin`?", "zone Europe/Berlin"),
        ("zone Europe/Berln", "did you mean `Europe/Berlin`?", "zone Europe/Berlin"),
        ("zone qqqqq", "is not a time zone", "zone Europe/Berlin"),
        ("freeze now", "`now` is too much", "freeze"),
        ("frobnicate", "`frobnicate` is nothing that a budget has", "show"),
        ("cap 300 -- x", "takes no command", None),
    ],
)
def test_a_mistake_is_quoted_and_the_line_to_copy_is_given(typed: str, quoted: str, copy: str | None) -> None:
    with pytest.raises(BadRequest) as caught:
        parse_budget(typed)

    assert quoted in str(caught.value)
    assert caught.value.fix == (None if copy is None else f"/budget {copy}")


@given(st.text(max_size=40))
def test_any_line_is_understood_or_refused_and_every_fix_is_understood(text: str) -> None:
    try:
        parse_budget(text)
    except BadRequest as error:
        if error.fix is not None:
            parse_budget(error.fix)
