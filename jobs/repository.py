"""How people name a commit, `acme/vit@3f9c2ab`, and which addresses that may mean. Pure: nothing is asked.

Only what lies under one of the operator's prefixes is ever fetched. `owner/repo` lies under the first; a whole
address (`https://…`, `git@host:owner/repo`, `host/owner/repo`) must lie under one of them. Nothing that begins
with `-` and nothing that climbs (`..`) gets past here, so no word of a person's can become an option or a way out.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from jobs.errors import BadSource

FULL_SHA = re.compile(r"[0-9a-f]{40}")
SHORT_SHA = re.compile(r"[0-9a-f]{7,39}")
LONGEST_REF: Final = 255

_SEGMENT = re.compile(r"~?[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}")
_REF = re.compile(r"[A-Za-z0-9_.+@#=%,/-]+")
_SCP = re.compile(r"(?P<user>[A-Za-z0-9_][A-Za-z0-9_.-]*)@(?P<host>[A-Za-z0-9.-]+):(?P<path>[^/].*)")
_URL = re.compile(r"(?P<scheme>[a-z][a-z0-9+]*)://(?P<host>[^/]*)/(?P<path>.*)", re.IGNORECASE)
# What a browser's address bar adds: /tree/main, /commit/<sha>, GitLab's /-/tree/main.
_BROWSED = re.compile(r"(?P<repo>.+?)(?:/-)?/(?:tree|commit|commits)/(?P<ref>[^?#]+)")


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a repository lies."""

    repo: str  # as shown: "acme/vit"
    urls: Sequence[str]  # to be tried in this order; without credentials


def split_reference(word: str) -> tuple[str, str | None]:
    """Cut `acme/vit@main`, or a whole address with `@main`, into repository and ref; None where no ref is said.

    Raises `BadSource` where either part cannot be one.
    """
    prefix, rest = _prefix(word)
    path, at, ref = rest.partition("@")
    if prefix and not at and (browsed := _BROWSED.fullmatch(path)):
        path, at, ref = browsed["repo"], "@", browsed["ref"]
    path = path.rstrip("/")
    _check_path(word, path)
    return prefix + path, check_ref(ref) if at else None


def check_ref(ref: str) -> str:
    """Return `ref` if it can name a branch, a tag or a commit; raises `BadSource`."""
    if ref.startswith("-"):
        raise BadSource(f"`{ref}` cannot be a ref: it begins with `-`. Write a branch, a tag or a sha after the `@`.")
    parts = ref.split("/")
    if (
        not _REF.fullmatch(ref)
        or len(ref) > LONGEST_REF
        or ref == "@"
        or ".." in ref
        or any(not part or part.startswith(".") or part.endswith((".", ".lock")) for part in parts)
    ):
        shown = ref if len(ref) <= 60 else f"{ref[:59]}…"
        raise BadSource(f"`{shown}` cannot be a branch, a tag or a sha. Write one after the `@`, like `@main`.")
    return ref


def locate(repo: str, hosts: Sequence[str]) -> Place:
    """Return where `repo` lies under the operator's prefixes `hosts`; raises `BadSource` where it does not."""
    prefix, path = _prefix(repo)
    path = path.rstrip("/").removesuffix(".git")
    _check_path(repo, path)
    roots = [host if host.endswith(("/", ":")) else f"{host}/" for host in hosts]
    if not prefix:
        if path.count("/") >= 2 and "." in path.split("/")[0]:  # host/owner/repo, as browsers show it
            return locate(f"https://{path}", hosts)
        return _place(path, roots[0])
    for address in (prefix + path, *_over_https(prefix, path)):
        for root in roots:
            if address.startswith(root) and len(address) > len(root):
                return _place(address[len(root) :], root)
    allowed = ", ".join(f"`{root}`" for root in roots)
    raise BadSource(f"`{repo}` is not on a host that is used here ({allowed}). Ask the operator to add it.")


def relative(base: str, address: str) -> str:
    """Return a submodule's address in full: `../lib.git` is meant from its parent's `base`."""
    if not address.startswith(("./", "../")):
        return address
    prefix, path = _prefix(base)
    parts = path.rstrip("/").split("/")
    for step in address.split("/"):
        if step == "..":
            if not parts:
                raise BadSource(f"The submodule address `{address}` climbs out of its host.")
            parts.pop()
        elif step not in ("", "."):
            parts.append(step)
    return prefix + "/".join(parts)


def _prefix(word: str) -> tuple[str, str]:
    """Return the address's part before its path, host in lower case, and the path; no prefix for `owner/repo`."""
    if match := _URL.fullmatch(word):
        user, at, host = match["host"].rpartition("@")
        if at and (match["scheme"].lower() != "ssh" or ":" in user):
            raise BadSource("An address with a name or password in it is not used. Leave out what is before the `@`.")
        return f"{match['scheme'].lower()}://{user}{at}{host.lower()}/", match["path"]
    if match := _SCP.fullmatch(word):
        return f"{match['user']}@{match['host'].lower()}:", match["path"]
    return "", word


def _check_path(word: str, path: str) -> None:
    parts = path.split("/")
    if path.startswith("-"):
        raise BadSource(f"`{path}` cannot be a repository: it begins with `-`. Write `owner/repo@ref`.")
    if len(parts) < 2 or len(path) > 300 or not all(_SEGMENT.fullmatch(part) and ".." not in part for part in parts):
        shown = word if len(word) <= 60 else f"{word[:59]}…"
        raise BadSource(f"`{shown}` is not a repository. Write `owner/repo@ref`, like `acme/vit@main`.")


def _place(path: str, root: str) -> Place:
    if root.startswith("file:"):
        return Place(repo=path, urls=[root + path])
    # Some hosts answer the short form with a redirect, which is not followed; some know no other.
    return Place(repo=path, urls=[f"{root}{path}.git", root + path])


def _over_https(prefix: str, path: str) -> list[str]:
    """Return the https form of an ssh address: submodules are often written that way."""
    if match := re.fullmatch(r"(?:ssh://)?[\w.-]+@([\w.-]+)(?::|/)", prefix):
        return [f"https://{match[1]}/{path}"]
    return []
