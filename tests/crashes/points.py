"""Every place at which the bot may be killed, by name: each transaction that it commits, each call of a provider.

The harness refuses to run what is not named here, and a walk through the source compares the table with the code,
so a new commit or a new verb is either killed at like the others or left out below, with the reason.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path


class Position(StrEnum):
    """Where at a point the process ends."""

    BEFORE = "before"  # the transaction is not begun; the call is not made
    BETWEEN = "between"  # all is sent but COMMIT; the call had its effect and nobody reads the answer
    AFTER = "after"  # it is committed; the answer is read


CALLS = frozenset(f"call {verb}" for verb in ("offers", "launch", "find", "list", "terminate", "extend", "metered"))

# Functions of the product with a `db.write()` in them.
COMMITS = frozenset(
    {
        "bot.notify.Notifier.fan_out",
        "jobs.adoption.Adoption._adopt",
        "jobs.conclusions.Conclusions._move",
        "jobs.controls.Controls._columns_back",
        "jobs.controls.Controls._commit",
        "jobs.enforcement.Enforcement._accepted",
        "jobs.enforcement.Enforcement._end",
        "jobs.enforcement.Enforcement._touch",
        "jobs.enforcement.Enforcement._turn",
        "jobs.enforcement.Enforcement.round",
        "jobs.follow.Follow._apply",
        "jobs.intake.Intake._put_off",
        "jobs.intake.Intake._refuse",
        "jobs.intake.Intake.work",
        "jobs.launches.Launches._calling",
        "jobs.launches.Launches.refused",
        "jobs.launches.Launches.stands",
        "jobs.overdue.Overdue.consider",
        "jobs.overdue.Overdue.locked_out",
        "jobs.overdue.Overdue.unreachable",
        "jobs.patience.Patience._wait",
        "jobs.search.Search._intend",
        "jobs.securing.Securing._fails",
        "jobs.securing.Securing.stands",
        "jobs.service.Service._each_awaiting",
        "jobs.service.Service._is_new",
        "jobs.service.Service._write_request",
        "jobs.service.Service.approve",
        "jobs.service.Service.begin_extension",
        "jobs.service.Service.cancel",
        "jobs.service.Service.deny",
        "jobs.service.Service.finish_extension",
        "jobs.service.Service.freeze",
        "jobs.service.Service.undo_extension",
        "jobs.settlements.Settlements.close",
        "jobs.settlements.Settlements.gone",
        "jobs.settlements.Settlements.never",
    }
)

SLACK = "a message's own row, beside a call of Slack's and no call of a provider's: tests/face kills it there"
TOLD = "a sentence for the thread, which the next pass writes again: tests/rentals tells it once"
SHOWN = "what the card says of a machine that boots: the next bot reads the same log from its beginning"
LIMITS = "a lead's settings: one row that no machine hangs on"
SAID = "how a job's lines are read: one row that no machine hangs on; its control file follows from it in the next pass"
UNKILLED = {
    "bot.actions.Actions._whisper": SLACK,
    "bot.answering.follow": SLACK,
    "bot.cards.Cards._post": SLACK,
    "bot.cards.Cards._settle": SLACK,
    "bot.events.Events._owe": SLACK,
    "bot.postbox.Postbox._settle": SLACK,
    "jobs.bootlog.Boots._show": SHOWN,
    "jobs.renewals.Renewals._tell": TOLD,
    "jobs.recover.recover": "an operator's command, one transaction, while no bot runs: typed again it changes nothing",
    "jobs.service.Service.add_team": LIMITS,
    "jobs.service.Service.describe": SAID,
    "jobs.service.Service.map_channel": LIMITS,
    "jobs.service.Service.set_budget": LIMITS,
    "jobs.service.Service.team_of": LIMITS,
}

POINTS = CALLS | COMMITS
ROOT = Path(__file__).resolve().parents[2]


def commits_in_the_source(root: Path = ROOT) -> set[str]:
    """Return every function of the product that opens a transaction to write in."""
    found: set[str] = set()
    for package in ("bot", "jobs"):
        for path in sorted((root / package).rglob("*.py")):
            module = ".".join(path.relative_to(root).with_suffix("").parts)
            found |= {f"{module}.{name}" for name in _writers(ast.parse(path.read_text(encoding="utf-8")), ())}
    return found


def calls_in_the_source(root: Path = ROOT) -> set[str]:
    """Return every verb of a provider that the control plane calls, beside the providers' own files."""
    found: set[str] = set()
    for path in sorted((root / "jobs").rglob("*.py")):
        if "providers" in path.relative_to(root).parts:
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and _is_provider(node.func.value):
                found.add(f"call {node.func.attr}")
    return found


def _is_provider(called: ast.expr) -> bool:
    """Tell a provider, by its name or taken out of those that are configured, from the mapping of them."""
    if isinstance(called, ast.Subscript):
        return ast.unparse(called.value).split(".")[-1].lstrip("_") == "providers"
    return ast.unparse(called).split(".")[-1].lstrip("_") in ("provider", "cloud")


def _writers(node: ast.AST, inside: tuple[str, ...]) -> Iterator[str]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.ClassDef | ast.FunctionDef):
            yield from _writers(child, (*inside, child.name))
        else:
            if isinstance(child, ast.Call) and isinstance(child.func, ast.Attribute) and _is_write(child.func):
                yield ".".join(inside)
            yield from _writers(child, inside)


def _is_write(called: ast.Attribute) -> bool:
    """Tell `self._db.write()` from the `write` of a file or of `milestones.Facts`."""
    return called.attr == "write" and ast.unparse(called.value).split(".")[-1].lstrip("_") == "db"
