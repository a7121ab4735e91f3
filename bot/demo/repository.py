"""The demo's git host: a folder with one real repository, `acme/chargpt`, made from files in this package."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from jobs.errors import Misconfigured

NAME = "acme/chargpt"
# A fixed author and date give the same commit on every machine, so that its id can be printed and pasted.
_IDENTITY = {
    "GIT_AUTHOR_NAME": "Ada Reyes",
    "GIT_AUTHOR_EMAIL": "ada@acme.example",
    "GIT_COMMITTER_NAME": "Ada Reyes",
    "GIT_COMMITTER_EMAIL": "ada@acme.example",
    "GIT_AUTHOR_DATE": "2026-11-02T09:00:00+00:00",
    "GIT_COMMITTER_DATE": "2026-11-02T09:00:00+00:00",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
}


@dataclass(frozen=True, kw_only=True)
class GitHost:
    """A folder that serves repositories over `file://`."""

    prefix: str  # what `owner/repo` is appended to
    sha: str  # of the one commit of `acme/chargpt`


def make(folder: Path) -> GitHost:
    """Write the repository under `folder`, anew each time; raises `Misconfigured` without git."""
    if shutil.which("git") is None:
        raise Misconfigured("git is not installed, and the demo needs it. On Debian and Ubuntu: apt-get install git")
    repository = folder / NAME
    shutil.rmtree(repository, ignore_errors=True)
    repository.mkdir(parents=True)
    with resources.as_file(resources.files("bot.demo") / "chargpt") as files:
        shutil.copytree(files, repository, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__", "out"))
    _git(repository, "init", "--quiet", "--initial-branch=main")
    _git(repository, "add", "--all")
    _git(repository, "commit", "--quiet", "--message=Train a small character GPT on Python's own library")
    return GitHost(prefix=f"{folder.absolute().as_uri()}/", sha=_git(repository, "rev-parse", "HEAD").strip())


def _git(repository: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["git", "-C", str(repository), *arguments],
        env={**os.environ, **_IDENTITY},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise Misconfigured(f"git {arguments[0]} failed for the demo's repository: {done.stderr.strip()}")
    return done.stdout
