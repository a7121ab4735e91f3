"""`owner/repo@ref` -> the full sha that will run, and that commit as an archive.

A commit counts only if a branch or a tag of that repository leads to it. Hosts also serve the commits of forks
and pull requests under the parent's name, and what anybody may push there must not run with the team's money; so
only branches and tags are mirrored, and what is merely served is refused with that explanation.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from pydantic import SecretStr

from jobs import archive
from jobs.archive import Entry, Mode
from jobs.commits import Commits
from jobs.errors import BadSource
from jobs.git import Git, GitFailed, Limits
from jobs.mirrors import Mirror, Mirrors
from jobs.repository import check_ref, locate, relative
from jobs.strict_yaml import LARGEST
from jobs.values import Source

__all__ = ["Limits", "SourceResolver"]

TASK_FILES: Final = (".hourglass.yml", ".hourglass.yaml")
_LONGEST_SUBJECT: Final = 200
_PLAIN: Final = (Mode.FILE, Mode.GROUP_FILE, Mode.PROGRAM)


@dataclass
class _Inventory:
    """The files of a commit and its submodules, as they are found."""

    files: list[Entry] = field(default_factory=list)
    modules: int = 0


class SourceResolver:
    """Finds commits and packs them. Holds the operator's tokens; nothing that leaves here does."""

    def __init__(
        self,
        *,
        git_hosts: Sequence[str],
        git_tokens: Mapping[str, SecretStr],
        cache_dir: Path,
        limits: Limits | None = None,
    ) -> None:
        """Mirror under `cache_dir`; `git_hosts` are the prefixes of what may be fetched, the first the default."""
        cache = cache_dir.absolute()
        self._hosts = tuple(git_hosts)
        self._limits = limits or Limits()
        self._git = Git(home=cache / "home", hosts=git_hosts, tokens=git_tokens, limits=self._limits)
        self._mirrors = Mirrors(self._git, cache / "mirrors", self._limits)
        self._commits = Commits(self._git, self._mirrors)

    def resolve(self, repo: str, ref: str) -> Source:
        """Return the commit that `ref` names now, checked to be one that `pack` can carry.

        Asks the host. Raises `BadSource` that says what to type instead.
        """
        place = locate(repo, self._hosts)
        check_ref(ref)
        mirror = self._mirrors.fetched(place)
        try:
            sha = self._commits.find(mirror, ref)
            files = self._files(mirror, sha)
            subject = self._git.run("log", "-1", "--format=%s", sha, "--", at=mirror.path).decode("utf-8", "replace")
            task_file = self._task_file(files, place.repo)
        except GitFailed as failed:
            raise self._mirrors.explained(failed, place) from failed
        plain = "".join(letter if letter.isprintable() else " " for letter in subject).strip()
        return Source(url=mirror.url, repo=place.repo, sha=sha, subject=plain[:_LONGEST_SUBJECT], task_file=task_file)

    def read(self, source: Source, paths: Sequence[str]) -> Mapping[str, str]:
        """Return those of `paths` that are small text files at the commit, by path; the others are left out.

        Asks the host only for what is not mirrored. Raises `BadSource`.
        """
        asked = [path for path in paths if path and not path.startswith(("/", "-")) and ".." not in path.split("/")]
        if not asked:
            return {}
        place = locate(source.url, self._hosts)
        mirror = self._mirrors.holding(place, source.sha)
        try:
            words = ("ls-tree", "-r", "-l", "-z", "--full-tree", source.sha, "--", *asked)
            found = archive.parse_tree(self._git.run(*words, at=mirror.path), mirror=mirror.path)
            with self._git.objects() as objects:
                texts = {
                    entry.path: objects.read(entry.mirror, entry.sha)
                    for entry in found
                    if entry.path in asked and entry.mode in _PLAIN and entry.size <= LARGEST
                }
        except GitFailed as failed:
            raise self._mirrors.explained(failed, place) from failed
        return {path: text.decode("utf-8", "replace") for path, text in texts.items()}

    def pack(self, source: Source, out: Path) -> str:
        """Write exactly the commit, submodules included, to `out` as tar.gz; return its sha256.

        The same commit makes the same bytes. Asks the host only for what is not mirrored. Raises `BadSource`.
        """
        place = locate(source.url, self._hosts)
        mirror = self._mirrors.holding(place, source.sha)
        try:
            files = self._files(mirror, source.sha)
            at = int(self._git.run("log", "-1", "--format=%ct", source.sha, "--", at=mirror.path))
            with self._git.objects() as objects:
                return archive.write(files, lambda entry: objects.read(entry.mirror, entry.sha), out, at=at)
        except GitFailed as failed:
            raise self._mirrors.explained(failed, place) from failed

    def _files(self, mirror: Mirror, sha: str) -> list[Entry]:
        """Return every file of the commit and its submodules, checked; raises `BadSource` by the file's name."""
        inventory = _Inventory()
        self._take(inventory, mirror, sha, under="")
        files, repo = inventory.files, mirror.place.repo
        if len(files) > self._limits.files:
            raise BadSource(f"`{repo}` holds {len(files)} files; {self._limits.files} are carried.")
        size = sum(entry.size for entry in files)
        if size > self._limits.tree_bytes:
            raise BadSource(
                f"`{repo}` is {size >> 20} MB at this commit; {self._limits.tree_bytes >> 20} MB are carried. Keep "
                "data and weights outside of the repository."
            )
        links: dict[str, str] = {}
        with self._git.objects() as objects:
            for entry in files:
                if entry.mode is Mode.LINK:
                    links[entry.path] = objects.read(entry.mirror, entry.sha).decode("utf-8", "surrogateescape")
                elif entry.size < archive.LFS_LARGEST:
                    archive.check_pointer(entry, objects.read(entry.mirror, entry.sha))
        archive.check_links(links)
        return files

    def _take(self, inventory: _Inventory, mirror: Mirror, sha: str, *, under: str) -> None:
        listing = self._git.run("ls-tree", "-r", "-l", "-z", "--full-tree", sha, at=mirror.path)
        entries = archive.parse_tree(listing, mirror=mirror.path)
        addresses: Mapping[str, str] | None = None
        for entry in entries:
            path = f"{under}{entry.path}"
            if entry.mode is not Mode.MODULE:
                inventory.files.append(archive.moved(entry, path))
                continue
            inventory.modules += 1
            if inventory.modules > self._limits.modules:
                raise BadSource(f"`{mirror.place.repo}` has more than {self._limits.modules} submodules. Remove some.")
            if addresses is None:
                addresses = self._module_addresses(mirror, entries)
            module = self._module(mirror, path, addresses.get(entry.path), entry.sha)
            self._take(inventory, module, entry.sha, under=f"{path}/")

    def _module(self, parent: Mirror, path: str, address: str | None, sha: str) -> Mirror:
        name = archive.shown(path)
        if address is None:
            raise BadSource(f"The submodule `{name}` has no address in `.gitmodules`. Add it, or remove the submodule.")
        try:
            return self._mirrors.holding(locate(relative(parent.url, address), self._hosts), sha)
        except BadSource as error:
            raise BadSource(f"The submodule `{name}`: {error}") from error

    def _module_addresses(self, mirror: Mirror, entries: Sequence[Entry]) -> dict[str, str]:
        """Return what `.gitmodules` says at the commit, as path: address; empty where there is no such file."""
        blobs = [entry.sha for entry in entries if entry.path == ".gitmodules" and entry.mode is not Mode.LINK]
        if not blobs:
            return {}
        try:
            listing = self._git.run("config", "--null", "--list", f"--blob={blobs[0]}", at=mirror.path)
        except GitFailed as failed:
            raise BadSource(f"`.gitmodules` in `{mirror.place.repo}` cannot be read: {failed.said}") from failed
        facts: dict[str, dict[str, str]] = {}
        for record in listing.decode("utf-8", "replace").split("\0"):
            key, _, value = record.partition("\n")
            section, _, name = key.rpartition(".")
            facts.setdefault(section, {})[name] = value
        return {fact["path"]: fact["url"] for fact in facts.values() if "path" in fact and "url" in fact}

    def _task_file(self, files: Sequence[Entry], repo: str) -> str | None:
        found = [entry for entry in files if entry.path in TASK_FILES]
        if not found:
            return None
        if len(found) > 1:
            raise BadSource(f"`{repo}` has both `{TASK_FILES[0]}` and `{TASK_FILES[1]}`. Keep one.")
        entry = found[0]
        if entry.mode is Mode.LINK:
            raise BadSource(f"`{entry.path}` in `{repo}` is a link. Commit the file itself.")
        if entry.size > LARGEST:
            raise BadSource(f"`{entry.path}` in `{repo}` is larger than {LARGEST >> 10} KB. It is for settings.")
        with self._git.objects() as objects:
            content = objects.read(entry.mirror, entry.sha)
        try:
            return content.decode("utf-8")
        except UnicodeDecodeError as error:
            raise BadSource(f"`{entry.path}` in `{repo}` is not UTF-8 text. Save it as such.") from error
