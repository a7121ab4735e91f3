"""The harness that kills the bot: its table is whole, it refuses what the table does not name, and a few histories."""

from __future__ import annotations

import inspect
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import structlog

from jobs.engine import connect
from jobs.providers import Meter, Provider
from tests.crashes.campaign import Goal, Tally, campaign
from tests.crashes.fate import Death, Fate, MortalDatabase, Unregistered
from tests.crashes.mutants import MUTANTS
from tests.crashes.points import CALLS, COMMITS, UNKILLED, Position, calls_in_the_source, commits_in_the_source
from tests.promises import crashes
from tests.promises.figure import Scale


@pytest.fixture(autouse=True)
def logs_as_before() -> Iterator[None]:
    """A bot of these tests hears its own log; the other tests' goes where it went."""
    before = structlog.get_config()
    yield
    structlog.configure(**before)


def test_every_commit_of_the_product_is_killed_at_or_left_out_for_a_reason() -> None:
    written = commits_in_the_source()
    named = COMMITS | set(UNKILLED)
    assert written - named == set(), "name it in tests/crashes/points.py: killed at, or why it is not"
    assert named - written == set(), "it is in tests/crashes/points.py, and no longer in the code"
    assert not COMMITS & set(UNKILLED)


def test_a_commit_in_a_function_within_a_function_is_found(tmp_path: Path) -> None:
    source = "class A:\n  def f(self):\n    def g():\n      with self._db.write() as tx: ...\n    file.write(1)"
    (tmp_path / "jobs").mkdir()
    (tmp_path / "jobs" / "new.py").write_text(source)
    assert commits_in_the_source(tmp_path) == {"jobs.new.A.f.g"}


def test_every_verb_of_a_provider_that_the_product_calls_is_killed_at() -> None:
    asked = [*vars(Provider).items(), *vars(Meter).items()]
    verbs = {f"call {name}" for name, value in asked if inspect.isfunction(value) and name[0] != "_"}
    assert verbs == CALLS, "a new verb has a driver in tests/crashes/cloud.py and is killed at"
    assert calls_in_the_source() == CALLS


def test_a_call_of_another_verb_is_found(tmp_path: Path) -> None:
    (tmp_path / "jobs" / "providers").mkdir(parents=True)
    (tmp_path / "jobs" / "providers" / "own.py").write_text("self.provider.inner()")
    (tmp_path / "jobs" / "new.py").write_text(
        "provider.reboot(x)\nself._ports.providers[name].launch(x)\nproviders.get(name)\nself._provider.list()"
    )
    assert calls_in_the_source(tmp_path) == {"call reboot", "call launch", "call list"}


def test_a_commit_that_the_table_does_not_name_is_refused() -> None:
    database = MortalDatabase(connect("sqlite://"), Fate())
    with pytest.raises(Unregistered, match=r"test_crashes\.test_a_commit_that_the_table"), database.write():
        pass


def test_a_call_that_the_table_does_not_name_is_refused() -> None:
    with pytest.raises(Unregistered, match="call reboot"):
        Fate().point("call reboot", Position.BEFORE)


def status_of(act: Callable[[], object]) -> int:
    """Return how a process ends that does this."""
    pid = os.fork()
    if pid == 0:
        act()
        os._exit(0)
    return os.waitpid(pid, 0)[1]


def test_a_death_is_a_kill_that_nobody_catches_at_the_very_passing(tmp_path: Path) -> None:
    fate = Fate(death=Death(point="call find", nth=2, position=Position.BETWEEN))

    def live() -> None:
        for _ in range(2):
            for position in Position:
                fate.point("call find", position)
                (tmp_path / "passed").open("a").write(f"{position} ")

    status = status_of(live)
    assert (os.WIFSIGNALED(status), os.WTERMSIG(status)) == (True, signal.SIGKILL)
    assert (tmp_path / "passed").read_text().split() == ["before", "between", "after", "before"]


def test_what_was_not_committed_when_the_process_was_killed_is_not_there(tmp_path: Path) -> None:
    engine = connect(f"sqlite:///{tmp_path / 'rows.db'}")
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE t (x)")
    engine.dispose()

    def written(position: Position) -> list[int]:
        def write() -> None:
            name = "jobs.settlements.Settlements.gone"
            database = MortalDatabase(engine, Fate(death=Death(point=name, nth=1, position=position)))
            with database._write(name, 1.0) as tx:
                tx.connection().exec_driver_sql("INSERT INTO t VALUES (1)")

        assert os.WIFSIGNALED(status_of(write))
        with engine.connect() as connection:
            rows = connection.exec_driver_sql("SELECT x FROM t").scalars().all()
        engine.dispose()
        return list(rows)

    assert [written(position) for position in Position] == [[], [], [1]]


def test_a_few_histories_each_with_a_death() -> None:
    few = Goal(seed=3, histories=6, kills=0, weathers=0, only=("launch refused", "no such commit", "denied"))
    tally = campaign(few, shares=1)
    assert tally.broken == []
    assert tally.histories >= few.histories


@pytest.mark.promises
@pytest.mark.timeout(900)
def test_no_point_at_which_the_bot_is_killed_leaks_or_doubles_a_machine_and_every_broken_rule_is_caught() -> None:
    promises = crashes.measure(Scale(full=False, seed=1))
    assert [promise for promise in promises if not promise.held] == []
    kept, caught = promises
    assert kept.counts["histories"] >= crashes.FEW_HISTORIES
    assert caught.counts["with a fault"] > 0


def test_a_figure_that_was_not_reached_is_not_kept() -> None:
    scale = Scale(full=False, seed=1)
    assert not crashes._kept(Tally(), scale, crashes.FEW_HISTORIES, crashes.FEW_KILLS).held
    assert not crashes._caught(Tally(), scale).held
    caught = {mutant.name: [4, 1, 0] for mutant in MUTANTS}
    assert crashes._caught(Tally(mutants=caught), scale).held
    assert not crashes._caught(Tally(mutants={**caught, MUTANTS[0].name: [4, 4, 1]}), scale).held
