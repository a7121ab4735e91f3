"""What a newcomer meets first says in one line what to do."""

from __future__ import annotations

import importlib.util
import signal
import socket
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from bot.demo.stage import Plan, Stage
from bot.home import settled, writing
from jobs.errors import Misconfigured
from jobs.settings import load

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def bootstrap() -> ModuleType:
    spec = importlib.util.spec_from_file_location("bootstrap", ROOT / ".ci" / "bootstrap.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def everything(name: str) -> bool:
    return True


def nothing(name: str) -> bool:
    return False


@pytest.mark.parametrize(
    ("version", "has_module", "says"),
    [
        ((3, 10, 4), everything, "Python 3.10 .* 3.11 or newer"),
        ((3, 12, 0), nothing, "apt-get install python3.12-venv"),
    ],
)
def test_a_python_that_will_not_do_gets_one_line(
    bootstrap: ModuleType, version: tuple[int, ...], has_module: Callable[[str], bool], says: str
) -> None:
    with pytest.raises(SystemExit, match=says) as left:
        bootstrap.check_python(version, has_module)
    assert "\n" not in str(left.value)


def test_a_good_python_is_let_in(bootstrap: ModuleType) -> None:
    bootstrap.check_python((3, 11, 0), everything)


def test_the_bootstrap_can_be_read_by_a_python_that_is_too_old(bootstrap: ModuleType) -> None:
    import ast

    ast.parse((ROOT / ".ci" / "bootstrap.py").read_text(), feature_version=(3, 6))


def test_a_busy_port_says_how_to_choose_another(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        plan = Plan(folder=tmp_path, provider="practice", port=port)
        before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
        with pytest.raises(Misconfigured, match=f"Port {port} is taken.*--port"), Stage(plan):
            pass
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


def test_only_one_process_writes_a_sqlite_database(tmp_path: Path) -> None:
    settings = load({"HOURGLASS_STATE": str(tmp_path)})
    with writing(settings), pytest.raises(Misconfigured, match="its `serve` is running"), writing(settings):
        pass
    with writing(settings):
        pass


def test_a_home_is_made_once_and_kept(tmp_path: Path) -> None:
    settings = load({"HOURGLASS_STATE": str(tmp_path)})
    assert settled(settings).home == settled(settings).home is not None


def test_a_home_that_is_no_uuid_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="HOURGLASS_HOME"):
        settled(load({"HOURGLASS_STATE": str(tmp_path), "HOURGLASS_HOME": "staging"}))
