"""What a person calls a commit, a branch, a tag, a whole sha or the beginning of one, -> the full sha."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Final

from jobs.errors import BadSource
from jobs.git import Git, GitFailed
from jobs.mirrors import Mirror, Mirrors
from jobs.repository import FULL_SHA, SHORT_SHA

_LISTED: Final = 5  # names in an answer, so that it stays one that is read


class Commits:
    """Finds commits in mirrors that have just been fetched; `GitFailed` leaves here only for a broken mirror."""

    def __init__(self, git: Git, mirrors: Mirrors) -> None:
        """Look into the mirrors of `mirrors`."""
        self._git = git
        self._mirrors = mirrors

    def find(self, mirror: Mirror, ref: str) -> str:
        """Return the full sha of `ref`, which a branch or a tag leads to; raises `BadSource`."""
        if FULL_SHA.fullmatch(ref.lower()):
            sha = ref.lower()
            if not self._mirrors.reached(mirror, sha):
                raise self._mirrors.unreached(mirror, sha)
            return sha
        named = self._names(mirror)
        spellings = (ref,) if ref.startswith("refs/") else (f"refs/heads/{ref}", f"refs/tags/{ref}", f"refs/{ref}")
        found = {name: self._peeled(mirror, name) for name in spellings if name in named}
        if len(set(found.values())) > 1:
            repo = mirror.place.repo
            hows = " or ".join(f"`{repo}@{name.removeprefix('refs/')}`" for name in found)
            raise BadSource(f"`{ref}` is both a branch and a tag of `{repo}`. Say which: {hows}.")
        if found:
            return next(iter(found.values()))
        if SHORT_SHA.fullmatch(ref.lower()):
            return self._lengthened(mirror, ref.lower())
        raise _unknown(mirror, ref, named)

    def _names(self, mirror: Mirror) -> list[str]:
        listing = self._git.run("for-each-ref", "--format=%(refname)", "refs/heads", "refs/tags", at=mirror.path)
        # Not by lines as Python has them: a name may hold what ends one elsewhere (U+2028).
        return listing.decode("utf-8", "replace").split("\n")[:-1]

    def _peeled(self, mirror: Mirror, name: str) -> str:
        words = ("rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}")
        try:
            return self._git.run(*words, at=mirror.path).decode().strip()
        except GitFailed as failed:
            tag = name.removeprefix("refs/tags/")
            raise BadSource(
                f"The tag `{tag}` of `{mirror.place.repo}` names no commit. Write a branch or a sha."
            ) from failed

    def _lengthened(self, mirror: Mirror, short: str) -> str:
        listing = self._git.run("rev-parse", f"--disambiguate={short}", at=mirror.path)
        names = [sha for sha in listing.decode().split() if self._mirrors.reached(mirror, sha)]
        if len(names) > 1:
            raise BadSource(f"`{short}` begins {len(names)} commits: {_some(names)}. Write more of it.")
        if not names:
            raise self._mirrors.unreached(mirror, short)
        return names[0]


def _unknown(mirror: Mirror, ref: str, named: Iterable[str]) -> BadSource:
    repo = mirror.place.repo
    plain: Mapping[str, str] = {name.split("/", 2)[2]: name for name in named}
    branches = [name for name, full in plain.items() if full.startswith("refs/heads/")]
    there = f"Its branches: {_some(branches)}." if branches else "It has no branches yet: push one."
    near = get_close_matches(ref, list(plain), n=1)
    if near:
        said = f"`{repo}` has no branch or tag `{ref}`; did you mean `{repo}@{near[0]}`? {there}"
        return BadSource(said, nearest=near[0])
    return BadSource(f"`{repo}` has no branch, tag or commit `{ref}`. {there} A sha needs at least 7 digits.")


def _some(names: list[str]) -> str:
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    return ", ".join(f"`{name}`" for name in names[:_LISTED]) + more
