"""Bare mirrors of other people's repositories, branches and tags only, one for each address.

A mirror is fetched under a lock, so that two jobs of one repository do not fetch it twice at a time; reading needs
none, because objects are never taken away while they are young. What git says when it fails becomes here what a
person can do about it.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import shutil
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from jobs.errors import BadSource
from jobs.git import Git, GitFailed, Limits, Trouble
from jobs.repository import FULL_SHA, Place

_LOCK_LOOK: Final = 0.1  # seconds between looks at a lock that somebody else holds
_EVERYTHING: Final = ("+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*")
# Another form of the same address may be the one that the host knows.
_TRY_ANOTHER: Final = (Trouble.NO_REPOSITORY, Trouble.REDIRECTED, Trouble.LOGIN)


@dataclass(frozen=True, kw_only=True)
class Mirror:
    """A repository's branches and tags on this computer."""

    path: Path
    url: str
    place: Place


class Mirrors:
    """Keeps the mirrors in one folder. Raises `BadSource`, in words for people."""

    def __init__(self, git: Git, folder: Path, limits: Limits) -> None:
        """Keep everything below `folder`, which need not be there yet."""
        self._git = git
        self._folder = folder
        self._limits = limits

    def fetched(self, place: Place) -> Mirror:
        """Return the mirror with what the host has now; the first address that answers counts."""
        failures: list[GitFailed] = []
        for url in place.urls:
            try:
                return self._fetch(place, url)
            except GitFailed as failed:
                failures.append(failed)
                if failed.trouble not in _TRY_ANOTHER:
                    break
        raise self.explained(failures[-1], place) from failures[-1]

    def holding(self, place: Place, sha: str) -> Mirror:
        """Return a mirror in which a branch or tag leads to `sha`, fetched only if it does not hold it yet."""
        for url in place.urls:
            mirror = Mirror(path=self._path(url), url=url, place=place)
            if (mirror.path / "HEAD").exists() and self.reached(mirror, sha):
                return mirror
        mirror = self.fetched(place)
        if not self.reached(mirror, sha):
            raise self.unreached(mirror, sha)
        return mirror

    def reached(self, mirror: Mirror, sha: str) -> bool:
        """Say whether `sha` is a commit that a branch or a tag leads to."""
        leading = ("for-each-ref", "--count=1", f"--contains={sha}", "refs/heads", "refs/tags")
        try:
            if self._git.run("cat-file", "-t", sha, at=mirror.path).strip() != b"commit":
                return False
            return bool(self._git.run(*leading, at=mirror.path).strip())
        except GitFailed:  # there is no such object
            return False

    def unreached(self, mirror: Mirror, sha: str) -> BadSource:
        """Return what to say of a sha, or the beginning of one, that no branch or tag leads to."""
        repo = mirror.place.repo
        if FULL_SHA.fullmatch(sha) and self._served(mirror, sha):
            return BadSource(
                f"No branch or tag of `{repo}` leads to the commit `{sha[:12]}`: the host serves it from a fork or a "
                f"pull request. Push it to a branch of `{repo}`, or name the repository that it belongs to."
            )
        return BadSource(
            f"`{repo}` has no commit `{sha[:12]}` on any branch or tag. Push it first, or name a branch: `{repo}@main`."
        )

    def explained(self, failed: GitFailed, place: Place) -> BadSource:
        """Return what a person can do about git's failure."""
        repo, url = place.repo, place.urls[0]
        host = urlsplit(url).hostname or url.removesuffix(".git").removesuffix(repo).rstrip("/:")
        return BadSource(
            {
                Trouble.NO_REPOSITORY: f"There is no repository `{repo}` at {host}. Check owner and name.",
                Trouble.LOGIN: f"`{repo}` at {host} does not exist, or is private and not open to this bot. Check the "
                "spelling, or ask the operator to add a token to HOURGLASS_GIT_TOKENS.",
                Trouble.UNREACHABLE: f"{host} did not answer, so `{repo}` could not be looked up. Nothing was rented: "
                "send the same line again in a few minutes.",
                Trouble.REDIRECTED: f"`{repo}` has moved to another address at {host}. Write its new name.",
                Trouble.TOO_SLOW: f"Fetching `{repo}` took longer than {self._limits.seconds:.0f} s and was given up. "
                "Try again; what is large belongs outside of the repository.",
                Trouble.TOO_LARGE: f"`{repo}` with its history is larger than {self._limits.mirror_bytes >> 20} MB. "
                "Keep data and weights outside of the repository.",
                Trouble.OTHER: f"`{repo}` could not be fetched from {host}. Git says: {failed.said}",
            }[failed.trouble]
        )

    def _fetch(self, place: Place, url: str) -> Mirror:
        mirror = Mirror(path=self._path(url), url=url, place=place)
        mirror.path.parent.mkdir(parents=True, exist_ok=True)
        with _locked(mirror.path.with_suffix(".lock"), self._limits.seconds):
            try:
                if not (mirror.path / "HEAD").exists():
                    mirror.path.mkdir(exist_ok=True)
                    self._git.run("init", "--quiet", "--bare", at=mirror.path)
                words = ("fetch", "--quiet", "--prune", "--no-tags", "--no-write-fetch-head", "--", url)
                self._git.run(*words, *_EVERYTHING, at=mirror.path, online=True)
            except GitFailed as failed:
                # An empty mirror is of no use, and half of a large one takes the space of a whole one.
                if failed.trouble is Trouble.TOO_LARGE or not any((mirror.path / "objects" / "pack").glob("*.pack")):
                    shutil.rmtree(mirror.path, ignore_errors=True)
                raise
        return mirror

    def _served(self, mirror: Mirror, sha: str) -> bool:
        """Say whether the host hands the commit out all the same; asked aside, so that the mirror stays clean."""
        with tempfile.TemporaryDirectory(dir=self._folder) as folder:
            aside = Path(folder)
            try:
                self._git.run("init", "--quiet", "--bare", at=aside)
                words = ("fetch", "--quiet", "--depth=1", "--filter=tree:0", "--no-tags", "--", mirror.url, sha)
                self._git.run(*words, at=aside, online=True)
                return self._git.run("cat-file", "-t", sha, at=aside).strip() == b"commit"
            except GitFailed:
                return False

    def _path(self, url: str) -> Path:
        return self._folder / f"{hashlib.sha256(url.encode()).hexdigest()[:24]}.git"


@contextlib.contextmanager
def _locked(path: Path, seconds: float) -> Iterator[None]:
    """Hold a lock among threads and processes; raises `GitFailed` when another keeps it longer than `seconds`."""
    until = time.monotonic() + seconds
    with path.open("w") as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > until:
                    raise GitFailed(Trouble.TOO_SLOW, "another fetch of it goes on") from None
                time.sleep(_LOCK_LOOK)
        yield
