"""`python -m tests.mutation`: mutate the files that decide about money, states, people and ends; print the scores.

    pip install mutmut==3.8.1
    python -m tests.mutation [ledger lifecycle policy reaper clockwatch] [--workers 2]

Each file is mutated in a copy below build/mutation and tried against the fast tests that are about it. mutmut changes
functions only, so the life cycle's two tables, which are no functions, are mutated here: each arrow is left out, and
each is led to every other state. What survives is listed; docs/mutation.md says why it may.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tests.mutation import arrows

ROOT = Path(__file__).parents[2]
COPIED = ("bot", "docs", "jobs", "tests", "trainer", "pyproject.toml")
MONEY = tuple(f"tests/money/test_{name}.py" for name in ("ledger", "ledger_edges", "budgets"))
TESTS = {
    "ledger": MONEY,
    "lifecycle": ("tests/money/test_lifecycle.py",),
    "policy": ("tests/money/test_policy.py", "tests/money/test_policy_edges.py"),
    "reaper": ("tests/unit/test_reaper.py", "tests/unit/test_reaper_words.py"),
    "clockwatch": ("tests/unit/test_clockwatch.py",),
}
KILLED = ("killed", "timeout", "segfault", "caught by type check")  # a mutant that never ends was noticed, too


def main() -> int:
    """Mutate what was asked for; 1 where a score is under 90 %."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutation", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("files", nargs="*", default=list(TESTS), help=f"out of: {', '.join(TESTS)}")
    parser.add_argument("--workers", type=int, default=1)
    asked = parser.parse_args()
    table = Table(box=None, title="Mutants", title_justify="left")
    for column in ("file", "mutants", "killed", "survived", "score"):
        table.add_column(column, justify="right" if column != "file" else "left")
    scores = []
    for name in asked.files:
        found = _mutated(name, asked.workers)
        if name == "lifecycle":
            found |= arrows.tried()
        killed = sum(status in KILLED for status in found.values())
        scores.append(killed / len(found))
        table.add_row(f"jobs/{name}.py", str(len(found)), str(killed), str(len(found) - killed), f"{scores[-1]:.1%}")
        for mutant, status in found.items():
            if status not in KILLED:
                Console(stderr=True).print(f"{status}: {mutant}", highlight=False)
    Console().print(table)
    return 0 if min(scores) >= 0.9 else 1


def _mutated(name: str, workers: int) -> dict[str, str]:
    """Return what became of each mutant of a file."""
    copy = ROOT / "build" / "mutation" / name
    shutil.rmtree(copy, ignore_errors=True)
    copy.mkdir(parents=True)
    for each in COPIED:
        source = ROOT / each
        if source.is_dir():
            shutil.copytree(source, copy / each, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, copy)
    with (copy / "pyproject.toml").open("a") as file:
        file.write(_configured(name))
    # Children of the run import this copy's modules, whatever else is installed.
    environment = {**os.environ, "PYTHONPATH": "."}
    mutmut = [sys.executable, "-m", "mutmut"]
    with (copy / "mutmut.log").open("w") as log:
        run = [*mutmut, "run", "--max-children", str(workers)]
        subprocess.run(run, cwd=copy, env=environment, stdout=log, stderr=subprocess.STDOUT, check=False)
    told = subprocess.run(
        [*mutmut, "results", "--all", "true"], cwd=copy, env=environment, capture_output=True, text=True, check=True
    )
    lines = (line.strip().rpartition(": ") for line in told.stdout.splitlines() if ": " in line)
    found = {mutant: status for mutant, _, status in lines}
    (copy / "found.json").write_text(json.dumps(found, indent=1))
    Console(stderr=True).print(f"{name}: {dict(Counter(found.values()))}", highlight=False)
    if not found:
        raise SystemExit(f"mutmut made nothing of {name}; see {copy / 'mutmut.log'}.")
    return found


def _configured(name: str) -> str:
    tests = [test for test in TESTS[name] if (ROOT / test).exists()]
    options = ["-p", "tests.mutation.quick", "-p", "no:randomly", "-p", "no:xdist", "-p", "no:cacheprovider"]
    return "\n".join(
        (
            "\n[tool.mutmut]",
            'source_paths = ["jobs"]',
            f'only_mutate = ["jobs/{name}.py"]',
            'also_copy = ["bot", "trainer", "docs"]',
            f"pytest_add_cli_args = {json.dumps(options)}",
            f"pytest_add_cli_args_test_selection = {json.dumps(tests)}",
            "track_dependencies = false\n",
        )
    )


if __name__ == "__main__":
    sys.exit(main())
