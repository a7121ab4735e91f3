"""What every test shares: where engines, browsers and an S3 were promised, going without is a failure.

Tests that need one skip by name and say how to get it. With HOURGLASS_REQUIRE_ENGINES in the environment such a
skip is a failure, of one test as of a whole file: a gate must not pass because its engine did not start.
"""

from __future__ import annotations

import gc
import os
import signal
from collections.abc import Generator

import pytest

REQUIRED = bool(os.environ.get("HOURGLASS_REQUIRE_ENGINES"))
# Groups that keep a worker busy for minutes: each begins at once.
LONGEST = ("demo", "practice stories", "engine", "engine aws")
# Who asks for these starts moto in its process, which loads seconds' worth of books at its first answer.
MOTO = {"moto", "bucket"}


def pytest_configure() -> None:
    """Take Ctrl-C as a terminal's programs do: what is started in the background inherits that it is ignored."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(wrapper=True)  # around the hooks that read the groups and that shuffle
def pytest_collection_modifyitems(items: list[pytest.Item]) -> Generator[None, None, None]:
    """Give the engine's tests to one worker, where their file names no group of its own: they share its disk.

    So are those of Amazon's cloud, for the time that moto takes to load. What takes long comes first, so that no
    worker begins it when the others are done.
    """
    for item in items:
        if not item.get_closest_marker("xdist_group") and (group := _group(item)):
            item.add_marker(pytest.mark.xdist_group(group))
    yield
    items.sort(key=_turn)


def _group(item: pytest.Item) -> str | None:
    if item.get_closest_marker("engine"):
        return "engine"
    wants_moto = item.path.parent.name == "aws" or MOTO & set(getattr(item, "fixturenames", ()))
    return "moto" if wants_moto else None


def _turn(item: pytest.Item) -> int:
    group = item.get_closest_marker("xdist_group")
    if group and group.args[0] in LONGEST:
        return 0
    return 1 if group or item.get_closest_marker("slow") else 2


def pytest_collection_finish() -> None:
    """Let the garbage collector leave alone what collecting made: it is much, and stays to the end."""
    gc.collect()
    gc.freeze()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Make a failure of a skip that only a missing engine, browser or S3 explains."""
    report = yield
    needs = [name for name in ("engine", "browser", "s3") if item.get_closest_marker(name)]
    promised = REQUIRED and call.excinfo is not None and not _not_promised(call.excinfo.value)
    if needs and promised and report.skipped and not hasattr(report, "wasxfail"):
        _fail(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Make a failure of a file that skips itself: what its tests import was promised too."""
    report = yield
    if REQUIRED and report.skipped:
        _fail(report)
    return report


def _not_promised(error: BaseException) -> bool:
    # A provider's suite skips what its provider does not claim to do; no engine would change that.
    return "does not promise" in str(error)


def _fail(report: pytest.TestReport | pytest.CollectReport) -> None:
    reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    report.outcome = "failed"
    report.longrepr = f"{reason}\nHOURGLASS_REQUIRE_ENGINES is set, so this is no skip but a failure."
