"""The house's walls: imports run one way, SDKs stay in the file that wraps them, nobody goes round in circles."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROOMS = ("bot", "jobs", "trainer")

# What a package may import of ours; a name covers what lies below it.
MAY_IMPORT = {
    "bot": ("bot", "jobs", "trainer.wire", "trainer.storage", "trainer.archive"),
    "jobs": ("jobs", "trainer.wire", "trainer.storage", "trainer.archive"),
    "trainer": ("trainer",),
}
PROVIDERS_MAY_IMPORT = ("jobs.providers", "jobs.model", "jobs.errors", "jobs.clock", "trainer.wire")
PURE = {
    "jobs.lifecycle": ("jobs.errors",),
    "jobs.policy": ("jobs.errors", "jobs.model", "jobs.lifecycle", "jobs.providers", "trainer.wire"),
    "jobs.spec": ("jobs.errors", "jobs.model", "jobs.offers"),
    "jobs.orders": ("jobs.errors", "jobs.model", "jobs.policy", "jobs.records", "jobs.providers", "trainer.wire"),
    "jobs.boot": ("jobs.errors", "jobs.model", "jobs.providers", "trainer.wire"),
    "bot.parse": ("jobs.errors", "jobs.model", "bot"),
}
SDKS = {
    "boto3": ("jobs.providers.aws", "jobs.credentials", "trainer.storage"),
    "docker": ("jobs.providers.docker",),
    "apscheduler": ("jobs.scheduler",),
    "slack_bolt": ("bot",),
    "slack_sdk": ("bot",),
    "matplotlib": ("bot.plots",),
    "torch": (),
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


@pytest.mark.parametrize("name", MODULES)
def test_imports_run_one_way(name: str) -> None:
    allowed = MAY_IMPORT[name.split(".")[0]]
    assert {other for other in ours(name) if not below(other, allowed)} == set()


@pytest.mark.parametrize("name", [name for name in MODULES if name.startswith("jobs.providers.")])
def test_a_provider_knows_the_protocol_the_model_and_the_errors(name: str) -> None:
    assert {other for other in ours(name) if not below(other, PROVIDERS_MAY_IMPORT)} == set()


@pytest.mark.parametrize("name", PURE)
def test_pure_modules_stay_pure(name: str) -> None:
    if name not in MODULES:
        pytest.fail(f"{name} has moved: move its wall in this test too")
    assert {other for other in ours(name) if not below(other, PURE[name])} == set()


@pytest.mark.parametrize("sdk", SDKS)
def test_an_sdk_stays_in_the_file_that_wraps_it(sdk: str) -> None:
    users = {name for name in MODULES if any(other.split(".")[0] == sdk for other in imports(name))}
    assert {name for name in users if not below(name, SDKS[sdk])} == set()


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
