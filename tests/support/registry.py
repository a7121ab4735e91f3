"""A container registry of this computer, the real one: what is pushed to it is pinned and pulled by digest.

It keeps its layers in the project's cache, as compressing gigabytes takes minutes: a second run pushes names only.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

import pytest

from tests.support import engine

STORAGE = Path(__file__).parents[2] / ".cache" / "engine" / "registry"
_PROGRAM = "docker-registry"
_LISTENING = re.compile(r"listening on (127\.0\.0\.1:\d+)")


class Registry:
    """Serves on a free port of 127.0.0.1, to which engines speak plain HTTP. Use it in a `with`."""

    def __init__(self) -> None:
        """Start it; skips the test by name where the program is not installed."""
        if shutil.which(_PROGRAM) is None:
            pytest.skip(f"there is no {_PROGRAM}: {engine.HOW}")
        self._folder = Path(tempfile.mkdtemp(prefix="registry-"))
        self._log = self._folder / "log"
        settings = {
            "version": 0.1,
            "log": {"accesslog": {"disabled": True}},
            "storage": {"filesystem": {"rootdirectory": str(STORAGE)}},
            "http": {"addr": "127.0.0.1:0"},
        }
        (self._folder / "config.yml").write_text(json.dumps(settings))  # JSON is YAML
        with self._log.open("wb") as log:
            self._program = subprocess.Popen(
                [_PROGRAM, "serve", str(self._folder / "config.yml")],
                env={"PATH": os.environ["PATH"]},  # a REGISTRY_… of somebody's would be read as a setting
                stdout=log,
                stderr=log,
            )
        self.address = self._listening()
        self._pushed: list[str] = []

    def __enter__(self) -> Registry:
        return self

    def __exit__(self, *_: object) -> None:
        for name in self._pushed:
            self.forget(name)
        self._program.terminate()
        self._program.wait(30)
        shutil.rmtree(self._folder)

    def push(self, image: str) -> str:
        """Put an image of the engine there; return its name there, by which the engine itself no longer knows it."""
        name = f"{self.address}/{image}"
        _docker("tag", image, name)
        self._pushed.append(name)
        _docker("push", "--quiet", name)
        self.forget(name)
        return name

    def forget(self, name: str) -> None:
        """Let the engine forget every name of that image at this registry; the layers stay, as the image does."""
        repository = name.rpartition(":")[0]
        known = _docker("images", "--digests", "--format", "{{.Repository}} {{.Tag}} {{.Digest}}", repository)
        for found, tag, digest in (line.split() for line in known.splitlines()):
            reference = f"{found}:{tag}" if tag != "<none>" else f"{found}@{digest}"
            _docker("rmi", "--force", reference)

    def _listening(self) -> str:
        give_up = time.monotonic() + 30
        while time.monotonic() < give_up:
            if told := _LISTENING.search(self._log.read_text()):
                return told[1]
            if self._program.poll() is not None:
                break
            time.sleep(0.05)
        self._program.kill()
        raise RuntimeError(f"{_PROGRAM} does not serve: {self._log.read_text()[-1000:]}")


def _docker(*words: str) -> str:
    # The first push compresses a gigabyte.
    done = subprocess.run(["docker", *words], capture_output=True, text=True, timeout=600, check=False)
    if done.returncode:
        raise RuntimeError(f"docker {' '.join(words)}: {done.stderr.strip()}")
    return done.stdout
