"""The house's walls: imports run one way, SDKs stay in the file that wraps them, nobody goes round in circles."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path

import pytest

pytestmark = pytest.mark.xdist_group("layers")  # every file is read once

ROOT = Path(__file__).parents[2]
ROOMS = ("bot", "jobs", "trainer")

# The trainer's archive is packed where everything is built, and nowhere else.
PACKS_THE_TRAINER = "bot.machines"
# Reads a log as a machine would, at a terminal.
READS_LOGS = "bot.progress"
TRIES_DESCRIPTIONS = "bot.describing"
# What the machine and the bot have in common: words, files and their names, and what is not to be seen.
BOTH_SIDES = (
    "trainer.wire", "trainer.storage", "trainer.masking", "trainer.datasets", "trainer.sealed", "trainer.templates",
    "trainer.filenames",
)  # fmt: skip
# What the bot counts with before anything is rented.
WILL_IT_FIT = ("trainer.memory", "trainer.architectures", "trainer.configs", "trainer.remedies")
# What a package may import of ours; a name covers what lies below it.
MAY_IMPORT = {
    "bot": ("bot", "jobs", *BOTH_SIDES, *WILL_IT_FIT),
    "jobs": ("jobs", *BOTH_SIDES),
    "trainer": ("trainer",),
}
PROVIDERS_MAY_IMPORT = ("jobs.providers", "jobs.values", "jobs.errors", "jobs.clock", "trainer.wire")
# Decides over values alone: may lean on what is as pure as itself, and on the words that everybody shares.
PURE = (
    "jobs.bills", "jobs.boot", "jobs.cadence", "jobs.curves", "jobs.divergence", "jobs.endings", "jobs.environment",
    "jobs.gpus", "jobs.image_names", "jobs.inputs",
    "jobs.lifecycle", "jobs.orders", "jobs.policy", "jobs.quantities", "jobs.repository", "jobs.resuming",
    "jobs.series", "jobs.shortage", "jobs.spec", "jobs.strict_yaml", "jobs.taskfile", "jobs.telemetry",
    "bot.arguments", "bot.clues", "bot.correction", "bot.normalise", "bot.parse", "bot.parse_budget",
    "bot.parse_estimate", "bot.run_line", "bot.verbs", "bot.words", *WILL_IT_FIT,
    "trainer.templates",
)  # fmt: skip
SHARED_WORDS = ("jobs.errors", "jobs.model", "jobs.values", "jobs.records", "trainer.wire")
# Where an SDK may be imported: a module, or every file whose name begins so (a provider's files share its name).
SDKS = {
    "boto3": ("jobs.providers.aws", "jobs.credentials", "trainer"),
    "cryptography": ("trainer.aes",),
    "docker": ("jobs.providers.docker", "jobs.providers.registry"),
    "apscheduler": ("jobs.scheduler",),
    "slack_bolt": ("bot.",),
    "slack_sdk": ("bot.",),
    "matplotlib": ("bot.draw",),
    "prometheus_client": ("bot.metrics",),
    # The reference training loop, which a team copies; the agent imports none of it.
    "torch": ("trainer.loop", "trainer.data", "trainer.checkpoint", "trainer.model", "trainer.world"),
}


def modules() -> dict[str, Path]:
    found = {}
    for room in ROOMS:
        for path in sorted((ROOT / room).rglob("*.py")):
            if "chargpt" in path.parts or "versions" in path.parts:
                continue  # the demo's repository is a team's code; migrations are history
            name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
            found[name.removesuffix(".__init__")] = path
    return found


MODULES = modules()
# The registry is where providers meet the settings; it wraps no SDK.
PROVIDERS = [name for name in MODULES if name.startswith("jobs.providers.") and not name.endswith(".registry")]


@cache
def imports(name: str, *, at_run_time: bool = False) -> set[str]:
    """Every module that `name` imports, wherever in the file; `at_run_time` leaves out what only types need."""
    tree = ast.parse(MODULES[name].read_text())
    found: set[str] = set()
    skipped: set[ast.AST] = set()
    for node in ast.walk(tree):
        if at_run_time and isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            skipped.update(ast.walk(node))
        if node in skipped:
            continue
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            package = name.split(".")[: -node.level] if node.level else []
            base = ".".join([*package, node.module] if node.module else package)
            for alias in node.names:
                full = f"{base}.{alias.name}"
                found.add(full if full in MODULES else base)
    return found


def below(name: str, allowed: tuple[str, ...]) -> bool:
    return any(name == root or name.startswith(root + ".") for root in allowed)


def ours(name: str) -> set[str]:
    return {other for other in imports(name) if other.split(".")[0] in ROOMS}


def through_walls(names: Iterable[str], allowed: Callable[[str], tuple[str, ...]]) -> set[tuple[str, str]]:
    """Return who imports what of ours that it may not."""
    return {(name, other) for name in names for other in ours(name) if not below(other, allowed(name))}


def test_imports_run_one_way() -> None:
    also = {
        PACKS_THE_TRAINER: ("trainer.archive",),
        TRIES_DESCRIPTIONS: ("trainer.declared", "trainer.unread"),
        READS_LOGS: ("trainer.declared", "trainer.detect", "trainer.output", "trainer.printed", "trainer.unread"),
    }

    def allowed(name: str) -> tuple[str, ...]:
        return MAY_IMPORT[name.split(".")[0]] + also.get(name, ())

    assert through_walls(MODULES, allowed) == set()


def test_a_provider_knows_the_protocol_the_values_and_the_errors() -> None:
    assert through_walls(PROVIDERS, lambda _: PROVIDERS_MAY_IMPORT) == set()


def test_pure_modules_stay_pure() -> None:
    assert set(PURE) - set(MODULES) == set(), "moved: move its wall in this test too"
    through = through_walls(PURE, lambda _: (*PURE, *SHARED_WORDS))
    # The protocol's records are as good as words; what lies below it is not.
    assert {(name, other) for name, other in through if other != "jobs.providers"} == set()


def test_an_sdk_stays_in_the_file_that_wraps_it() -> None:
    users = {(sdk, name) for name in MODULES for other in imports(name) if (sdk := other.split(".")[0]) in SDKS}
    assert {(sdk, name) for sdk, name in users if not name.startswith(SDKS[sdk])} == set()


def test_nobody_goes_round_in_circles() -> None:
    graph = {
        name: {other for other in imports(name, at_run_time=True) if other in MODULES and other != name}
        for name in MODULES
    }
    done: set[str] = set()

    def walk(name: str, path: tuple[str, ...]) -> None:
        assert name not in path, " -> ".join([*path[path.index(name) :], name])
        if name in done:
            return
        for other in graph[name]:
            walk(other, (*path, name))
        done.add(name)

    for name in graph:
        walk(name, ())


def test_no_drawer_for_odds_and_ends() -> None:
    odd = {"utils", "helpers", "common", "manager", "misc"}
    assert {name for name in MODULES if odd & set(name.split("."))} == set()
