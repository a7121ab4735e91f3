"""Real repositories on this disk, made with git itself; a folder of them is a host."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Repository:
    """A working copy under a host's folder, which is also what the host serves."""

    path: Path
    environment: Mapping[str, str] = field(repr=False)

    def git(self, *words: str) -> str:
        """Return what git said."""
        done = subprocess.run(
            ["git", *words], cwd=self.path, env=dict(self.environment), check=True, capture_output=True, text=True
        )
        return done.stdout.strip()

    def commit(self, files: Mapping[str, str | bytes], message: str = "Change") -> str:
        """Write the files, commit everything, and return the sha."""
        for name, content in files.items():
            path = self.path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content.encode() if isinstance(content, str) else content)
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "-m", message)
        return self.git("rev-parse", "HEAD")


@dataclass(frozen=True, kw_only=True)
class Host:
    """A folder of repositories."""

    root: Path
    home: Path

    @property
    def prefix(self) -> str:
        """Return the address under which the repositories lie."""
        return f"{self.root.as_uri()}/"

    def repository(self, name: str) -> Repository:
        """Return a new repository with the branch `main` and nothing in it."""
        path = self.root / name
        path.mkdir(parents=True)
        repository = Repository(path=path, environment=self._environment())
        repository.git("init", "--quiet", "--initial-branch=main")
        return repository

    def _environment(self) -> dict[str, str]:
        who = {f"GIT_{role}_{what}": value for role in ("AUTHOR", "COMMITTER") for what, value in _WHO.items()}
        return {"PATH": os.environ["PATH"], "HOME": str(self.home), "GIT_CONFIG_NOSYSTEM": "1", **who, **_FILES_ALLOWED}


_WHO = {"NAME": "Ada", "EMAIL": "ada@example.com", "DATE": "2026-11-01T12:00:00+00:00"}
_FILES_ALLOWED = {"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "protocol.file.allow", "GIT_CONFIG_VALUE_0": "always"}
