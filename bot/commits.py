"""Commits as the face reads them: what a git host is asked for an answer, not for a rental."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Final, Protocol

from jobs.errors import BadSource
from jobs.values import Source

AT_ONCE: Final = 3  # a fetch takes minutes at worst, and the threads that wait for it also answer everybody else


class Commits(Protocol):
    """Who reads commits (`jobs.source.SourceResolver`)."""

    def resolve(self, repo: str, ref: str) -> Source:
        """Return the commit that `ref` names now; raises `BadSource`."""

    def read(self, source: Source, paths: Sequence[str]) -> Mapping[str, str]:
        """Return those of `paths` that are small text files at the commit; raises `BadSource`."""


class FewAtOnce:
    """Reads commits, a few at a time: whoever comes while all are taken is told so at once."""

    def __init__(self, commits: Commits, *, most: int = AT_ONCE) -> None:
        self._commits = commits
        self._free = threading.BoundedSemaphore(most)

    def resolve(self, repo: str, ref: str) -> Source:
        """Return the commit; raises `BadSource`."""
        with self._turn(repo):
            return self._commits.resolve(repo, ref)

    def read(self, source: Source, paths: Sequence[str]) -> Mapping[str, str]:
        """Return texts of the commit; raises `BadSource`."""
        with self._turn(source.repo):
            return self._commits.read(source, paths)

    @contextmanager
    def _turn(self, repo: str) -> Iterator[None]:
        if not self._free.acquire(blocking=False):
            raise BadSource(f"I am reading several repositories already. Ask about `{repo}` again in a minute.")
        try:
            yield
        finally:
            self._free.release()
