"""Where engines, browsers and an S3 were promised, a test that skips for want of one fails."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SKIPS = """
import pytest

@pytest.mark.engine
def test_engine():
    pytest.skip("no container engine answers")

@pytest.fixture
def browser():
    pytest.skip("install chromium")

@pytest.mark.browser
def test_browser(browser):
    pass

@pytest.mark.s3
def test_s3():
    pytest.skip("there is no radosgw")

@pytest.mark.engine
def test_not_claimed():
    pytest.skip("docker does not promise it")

def test_plain():
    pytest.skip("another reason")
"""
WHOLE_FILE = "import pytest\npytest.skip('torch is not here', allow_module_level=True)\n"


def outcomes(folder: Path, source: str, *, required: bool) -> str:
    """Run `source` as a test file with the project's own hooks; return pytest's short summary."""
    (folder / "test_it.py").write_text(source)
    (folder / "pytest.ini").write_text("[pytest]\nmarkers =\n    engine\n    browser\n    s3\n")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST")}
    environment |= {"PYTHONPATH": str(ROOT), "HOURGLASS_REQUIRE_ENGINES": "1" if required else ""}
    environment |= {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}  # no plugin has a part in this
    told = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "tests.conftest", "-p", "no:cacheprovider", "-rsfE", "test_it.py"],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    return told.stdout


def test_without_the_promise_all_of_them_skip(tmp_path: Path) -> None:
    assert "5 skipped" in outcomes(tmp_path, SKIPS, required=False)


def test_with_the_promise_what_an_engine_a_browser_or_an_s3_would_mend_fails(tmp_path: Path) -> None:
    told = outcomes(tmp_path, SKIPS, required=True)
    assert "FAILED test_it.py::test_engine" in told
    assert "no container engine answers" in told
    assert "there is no radosgw" in told
    assert "test_it.py::test_browser" in told.split("short test summary")[1]
    assert "2 skipped" in told


@pytest.mark.parametrize(("required", "word"), [(False, "1 skipped"), (True, "torch is not here")])
def test_a_file_that_skips_itself_fails_only_under_the_promise(tmp_path: Path, required: bool, word: str) -> None:
    told = outcomes(tmp_path, WHOLE_FILE, required=required)
    assert word in told
    assert ("1 error" in told) == required
