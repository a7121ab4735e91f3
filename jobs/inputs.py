"""`inputs:` of a task file: what a job takes along, from where, and which prefixes its machine may read for it. Pure.

inputs:
  - {from: "imagenet@9f3c2ab8d01e77aa", to: data/imagenet}     what `hourglass data push` sent
  - {from: "s3://acme-data/coco", to: /data, name: coco}       a folder, or one object, of a bucket
inputs: {imagenet: "imagenet@9f3c2ab8d01e77aa"}                the same by names, found by $HOURGLASS_INPUT_IMAGENET
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import Final

import yaml

from jobs.errors import BadSpec
from jobs.strict_yaml import at, pairs, word
from trainer.wire import Input

MOST: Final = 8  # each widens the policy of the machine's credentials, which may have 2,048 characters

_NAME = re.compile(r"[a-z0-9][a-z0-9_]{0,39}")
_PUSHED = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}@[0-9a-f]{16}")
_UNPINNED = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}(@.*)?")
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_WIDENING = re.compile(r"[*?$\\\x00-\x1f\x7f\"]")  # what a policy would read as a pattern, and what no key needs
_KEYS: Final = ("from", "to", "name")
# Folders at the root of an image that are its own.
_SYSTEM: Final = frozenset(
    {"bin", "boot", "dev", "etc", "hourglass", "lib", "lib32", "lib64", "proc", "run", "sbin", "sys", "usr", "var"}
)


def read(node: yaml.Node) -> tuple[Input, ...]:
    """Return what `inputs:` says; raises `BadSpec` that names the line."""
    found = [_one(each, name) for each, name in _entries(node)]
    if len(found) > MOST:
        raise BadSpec(f"{at(node)}: {len(found)} inputs; a machine takes {MOST}. Push several folders as one.")
    names: set[str] = set()
    places: set[str] = set()
    for taken in found:
        if taken.name in names:
            raise BadSpec(f"{at(node)}: two inputs are called `{taken.name}`. Give one of them a `name`.")
        if taken.to is not None and taken.to in places:
            raise BadSpec(f"{at(node)}: two inputs go to `{taken.to}`. Name another place for one of them.")
        names.add(taken.name)
        places |= {taken.to} if taken.to is not None else set()
    return tuple(found)


def reads(inputs: Sequence[Input]) -> tuple[str, ...]:
    """Return what the machine may read for them: prefixes of the store, and `s3://bucket/prefix` of others."""
    found: dict[str, None] = {}
    for taken in inputs:
        if taken.source.startswith("s3://"):
            found[taken.source.rstrip("/")] = None
        else:
            name = taken.source.partition("@")[0]
            found |= {f"data/index/{name}": None, f"data/parts/{name}": None}
    return tuple(found)


def places(inputs: Sequence[Input]) -> Mapping[str, str]:
    """Return the places outside of the source where inputs are found, and their names."""
    return {taken.to: taken.name for taken in inputs if taken.to is not None and taken.to.startswith("/")}


def bucket_and_prefix(source: str) -> tuple[str, str]:
    """Return both parts of `s3://bucket/prefix`, the prefix without slashes at its ends."""
    bucket, _, prefix = source.removeprefix("s3://").partition("/")
    return bucket, prefix.strip("/")


def _entries(node: yaml.Node) -> list[tuple[yaml.Node, str | None]]:
    """Return each input's node, with the name that it stands under."""
    if isinstance(node, yaml.SequenceNode):
        return [(each, None) for each in node.value]
    if isinstance(node, yaml.MappingNode) and not any(key.value == "from" for key, _ in pairs(node, "`inputs`")):
        return [(value, key.value) for key, value in pairs(node, "`inputs`")]
    return [(node, None)]


def _one(node: yaml.Node, name: str | None) -> Input:
    said = {"from": word(node)} if isinstance(node, yaml.ScalarNode) else {}
    if not said:
        for key, value in pairs(node, "an input"):
            if key.value not in _KEYS:
                raise BadSpec(f"{at(key)}: `{key.value}` is not a key of an input. There are {', '.join(_KEYS)}.")
            said[key.value] = word(value)
    if not said.get("from"):
        raise BadSpec(f'{at(node)}: an input says where it comes from: `{{from: "s3://bucket/prefix", to: data}}`.')
    try:
        source = _source(said["from"])
        name = said.get("name") or name or _name_of(source)
        return Input(name=_checked(name), source=source, to=_place(said["to"]) if said.get("to") else None)
    except BadSpec as error:
        raise BadSpec(f"{at(node)}: {error}", fix=error.fix) from error


def _source(text: str) -> str:
    if text.startswith("s3://"):
        bucket, prefix = bucket_and_prefix(text)
        if not _BUCKET.fullmatch(bucket) or ".." in bucket:
            raise BadSpec(f"`{text}` names no bucket. Write `s3://bucket/prefix`.")
        if _WIDENING.search(prefix) or any(part in ("", ".", "..") for part in prefix.split("/") if prefix):
            raise BadSpec(f"`{text}`: a prefix is written out, without `*`, `?`, `$`, `..` or empty parts.")
        return f"s3://{bucket}/{prefix}" if prefix else f"s3://{bucket}"
    if _PUSHED.fullmatch(text):
        return text
    if _UNPINNED.fullmatch(text):
        name = text.partition("@")[0]
        raise BadSpec(f"`{text}` names no version. `hourglass data list` shows them; write `{name}@…`, 16 hex digits.")
    raise BadSpec(
        f"`{text}` is neither `s3://bucket/prefix` nor what `hourglass data push` printed, `name@version`. "
        "What lies elsewhere is fetched in `setup:`, or pushed once."
    )


def _name_of(source: str) -> str:
    last = source.removeprefix("s3://").rstrip("/").rpartition("/")[2].partition("@")[0]
    return re.sub(r"[^a-z0-9]+", "_", last.lower()).strip("_")[:40].strip("_")


def _checked(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise BadSpec(f"`{name}` cannot name an input: small letters, digits and `_`, at most 40, like `imagenet`.")
    return name


def _place(text: str) -> str:
    path = PurePosixPath(text)
    if path.is_absolute() and _SYSTEM & set(path.parts[1:2]):
        raise BadSpec(f"`to: {text}` belongs to the image. Choose a place like `/data`, or one inside the repository.")
    if path.is_absolute() and text != "//" and len(path.parts) > 1 and ".." not in path.parts and "\\" not in text:
        return str(path)
    if not path.is_absolute() and path.parts and ".." not in path.parts and "\\" not in text and text[0] != "~":
        return str(path)
    raise BadSpec(f"`to: {text}` must be a folder inside the repository, like `data`, or a place like `/data`.")
