"""A container image's name in its parts, as engines read it. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from jobs.errors import BadImage

DEFAULT_REGISTRY: Final = "docker.io"

_NAME = re.compile(r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*")
_HOST = re.compile(r"(?:localhost|[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+|[A-Za-z0-9-]+(?=:))(?::\d{1,5})?")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_TAGGED = re.compile(r"(?:^|[-_.])(?:cuda|cu)[-_]?(\d{2})\.?(\d)(?=$|[^\d])")


@dataclass(frozen=True, kw_only=True)
class Reference:
    """An image's name in its parts; `str()` of it is the full name."""

    registry: str
    repository: str  # "library/python" for "python"
    tag: str | None
    digest: str | None

    @property
    def name(self) -> str:
        """Return registry and repository, as engines take them."""
        return f"{self.registry}/{self.repository}"

    def __str__(self) -> str:
        """Return the whole name with its digest, or else its tag."""
        return f"{self.name}@{self.digest}" if self.digest else f"{self.name}:{self.tag}"


def parse_reference(image: str) -> Reference:
    """Read an image's name as engines do; raises `BadImage`."""
    name, at, digest = image.partition("@")
    first, slash, rest = name.partition("/")
    registry, path = (first, rest) if slash and _HOST.fullmatch(first) else (DEFAULT_REGISTRY, name)
    repository, colon, tag = path.partition(":")
    if registry == DEFAULT_REGISTRY and "/" not in repository:
        repository = f"library/{repository}"
    if (
        len(image) > 400
        or not _NAME.fullmatch(repository)
        or (colon and not _TAG.fullmatch(tag))
        or (at and not _DIGEST.fullmatch(digest))
    ):
        shown = image if len(image) <= 80 else f"{image[:79]}…"
        raise BadImage(
            f"`{shown}` is not the name of an image. Write it as `pytorch/pytorch:2.13.0-cuda12.8-cudnn9-runtime`."
        )
    return Reference(
        registry=registry, repository=repository, tag=tag or (None if at else "latest"), digest=digest or None
    )


def mirrored(image: str, mirrors: Mapping[str, str]) -> str:
    """Return the image's name at its registry's mirror, "" where it has none.

    Of a pinned image alone: its digest says that the copy is the same, whoever serves it.
    """
    try:
        reference = parse_reference(image)
    except BadImage:
        return ""
    mirror = mirrors.get(reference.registry)
    return f"{mirror.rstrip('/')}/{reference.repository}@{reference.digest}" if mirror and reference.digest else ""


def cuda_named(image: str) -> str | None:
    """Return the CUDA version that an image's name speaks of; None where it says none, or is only an id."""
    try:
        return cuda_of_tag(parse_reference(image))
    except BadImage:
        return None


def cuda_of_tag(reference: Reference) -> str | None:
    """Return the CUDA version that the tag speaks of: `2.13.0-cuda12.8-…` is 12.8, `cu130` is 13.0."""
    match = _TAGGED.search(reference.tag or "")
    return f"{match[1]}.{match[2]}" if match else None
