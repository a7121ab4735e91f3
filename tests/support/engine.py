"""The container engine of this machine, for tests that want a real one."""

from __future__ import annotations

import functools
import subprocess
from collections.abc import Sequence

import pytest

PYTHON = "hourglass-test/python:bookworm"
TORCH = "hourglass-test/torch:cpu"
HOW = "run `sudo .ci/engine.sh` to get an engine and the test images"


@functools.cache
def missing(image: str) -> str | None:
    """Return why tests with this image cannot run here, and how to change that; None when they can."""
    if _docker("info") is None:
        return f"no container engine answers `docker info`: {HOW}"
    if _docker("image", "inspect", image) is None:
        return f"the engine has no {image}: {HOW}"
    return None


def require(image: str) -> None:
    """Skip the test by name where the engine or the image is missing; `tests/conftest.py` may make that a failure."""
    if (why := missing(image)) is not None:
        pytest.skip(why)


def containers(home: str, *, ended: bool = False) -> Sequence[str]:
    """Return the ids of the home's containers, as the engine's own command line lists them."""
    listed = _docker(
        "ps", "--quiet", "--no-trunc", f"--filter=label=hourglass.home={home}", *(["--all"] if ended else [])
    )
    assert listed is not None, "docker ps failed"
    return listed.split()


def _docker(*words: str) -> str | None:
    try:
        asked = subprocess.run(["docker", *words], capture_output=True, text=True, timeout=60, check=False)
    except (FileNotFoundError, subprocess.TimeoutExpired):
        return None
    return asked.stdout if asked.returncode == 0 else None


def volumes(prefix: str) -> Sequence[str]:
    """Return the names of the engine's volumes that begin so."""
    return [name for name in (_docker("volume", "ls", "--quiet") or "").split() if name.startswith(prefix)]


def remove_volumes(names: Sequence[str]) -> None:
    """Remove volumes that nothing uses any more."""
    assert _docker("volume", "rm", *names) is not None, "docker volume rm failed"


def networks(home: str) -> Sequence[str]:
    """Return the ids of the networks that the home's attempts of several machines have."""
    return (_docker("network", "ls", "--quiet", f"--filter=label=hourglass.home={home}") or "").split()
