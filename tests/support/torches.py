"""torch for tests: looked for when a file is collected, loaded when the file's first test runs, in one worker.

Every worker collects every file, and each that loads torch pays seconds and hundreds of megabytes for it.
"""

from __future__ import annotations

from importlib.util import find_spec

import pytest

ONE_WORKER = pytest.mark.xdist_group("torch")


def require() -> None:
    """Skip the file by name where there is no torch; what needs it is imported in the file's `setup_module`."""
    if find_spec("torch") is None:
        pytest.skip("install it with: pip install torch==2.13.0", allow_module_level=True)
