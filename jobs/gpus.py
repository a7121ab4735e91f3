"""The GPUs that have a price here: their names, how else people write them, and how many are meant.

A catalogue name is lower case and says nothing of memory: `a100` is any A100, `a100-80gb` asks for the larger
one. dstack's `A100:80GB:1` and SkyPilot's `{A100: 1}` read as the same three facts.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from types import MappingProxyType
from typing import Final

from jobs.errors import BadSpec

CPU: Final = "cpu"
MOST_GPUS: Final = 16  # in one machine

# Gigabytes of one GPU, each size that is sold, smallest first.
MEMORY_GB: Final[Mapping[str, tuple[int, ...]]] = MappingProxyType(
    {
        "t4": (16,),
        "a10": (24,),
        "a10g": (24,),
        "l4": (24,),
        "rtx3090": (24,),
        "rtx4090": (24,),
        "l40s": (48,),
        "a100": (40, 80),
        "h100": (80,),
        "h200": (141,),
    }
)
GPU_NAMES: Final = tuple(MEMORY_GB)

_ALIASES: Final[Mapping[str, str]] = MappingProxyType(
    {"3090": "rtx3090", "4090": "rtx4090", "geforcertx3090": "rtx3090", "geforcertx4090": "rtx4090", "none": CPU}
)
# Nothing here is sold, and the letters alone would lead people to the wrong neighbour.
_INSTEAD: Final[Mapping[str, str]] = MappingProxyType(
    {
        "v100": "a100",
        "p100": "t4",
        "k80": "t4",
        "l40": "l40s",
        "a6000": "a100",
        "rtx6000": "a100",
        "a5000": "a10",
        "b200": "h200",
        "b300": "h200",
        "gh200": "h100",
        "h20": "h100",
        "h800": "h100",
        "a800": "a100",
        "mi300x": "h200",
    }
)
_DIGITS = str.maketrans("oil", "011")  # what a hurried eye takes for them: `a1oo`
_MAKER = re.compile(r"^(?:nvidia|tesla)[-_ ]?")
_FORM = re.compile(r"(?:sxm[2-6]?|pcie|nvl|hbm[23]e?)$")
_MEMORY = re.compile(r"(\d{1,4})(?:gb|gib|g)", re.ASCII)
_COUNT = re.compile(r"\d{1,3}", re.ASCII)
_LEADING_COUNT = re.compile(r"^(\d{1,2})[x×](?=[a-z])", re.ASCII)


@dataclass(frozen=True, kw_only=True)
class Gpu:
    """What was asked for: `str()` of it is the shortest way to write it, and reads back as the same."""

    name: str  # of `GPU_NAMES`, or "cpu"
    memory_gb: int | None  # of one; None takes any
    count: int  # in one machine; 0 only for "cpu"

    def __str__(self) -> str:
        """Return `a100`, `a100-80gb` or `a100-80gb:2`."""
        memory = "" if self.memory_gb is None else f"-{self.memory_gb}gb"
        return f"{self.name}{memory}" + (f":{self.count}" if self.count > 1 else "")


def parse_gpu(text: str) -> Gpu:
    """Read `a100`, `a100-80gb:2`, `A100:80GB:1`, `cpu`; raises `BadSpec` with the nearest name there is."""
    word = text.strip().lower()
    lead = _LEADING_COUNT.match(word)
    first, *rest = word.removeprefix(lead[0] if lead else "").split(":")
    name, memory = _name_and_memory(text, first)
    count = int(lead[1]) if lead else None
    for part in rest:
        size, number = _MEMORY.fullmatch(part), _COUNT.fullmatch(part)
        if size and memory is None:
            memory = int(size[1])
        elif number and count is None:
            count = int(part)
        else:
            raise BadSpec(f"`{part}` in `{text}` is neither memory nor a number. Write it as `{name}:2`.")
    return _checked(text, name, memory, 1 if count is None else count)


def nearest(name: str) -> str | None:
    """Return the catalogue name that was probably meant, or None when nothing is near."""
    first = name.strip().lower().split(":")[0]
    word = _bare(re.sub(r"[-_ ]\d+(?:gb|gib|g)?$", "", first))
    if word in _INSTEAD:
        return _INSTEAD[word]
    if (read := word[:1] + word[1:].translate(_DIGITS)) in GPU_NAMES:
        return read
    close = get_close_matches(word, [*GPU_NAMES, *_ALIASES, CPU], n=1, cutoff=0.5)
    return _ALIASES.get(close[0], close[0]) if close else None


def _name_and_memory(text: str, word: str) -> tuple[str, int | None]:
    parts = [part for part in re.split(r"[-_ ]", _MAKER.sub("", word)) if part]
    memory = None
    if len(parts) > 1 and (size := _MEMORY.fullmatch(parts[-1])):
        memory = int(size[1])
        parts.pop()
    if len(parts) > 1 and _FORM.fullmatch(parts[-1]):
        parts.pop()
    name = "".join(parts)
    name = _ALIASES.get(name, name)
    if name not in MEMORY_GB and name != CPU:
        near = nearest(text)
        hint = f"Did you mean `{near}`? " if near else ""
        raise BadSpec(f"No price is known for the GPU `{word}`. {hint}There are {', '.join(GPU_NAMES)} and cpu.")
    return name, memory


def _checked(text: str, name: str, memory: int | None, count: int) -> Gpu:
    if name == CPU:
        if memory is not None or count > 1:
            raise BadSpec(f"`{text}`: a machine without a GPU is just `cpu`.")
        return Gpu(name=CPU, memory_gb=None, count=0)
    if memory is not None and memory not in MEMORY_GB[name]:
        sizes = " or ".join(f"`{name}-{size}gb`" for size in MEMORY_GB[name])
        raise BadSpec(f"`{text}`: there is no {name} with {memory} GB. Write {sizes}.")
    if not 1 <= count <= MOST_GPUS:
        raise BadSpec(f"`{text}`: one machine has from 1 to {MOST_GPUS} GPUs. Write it as `{name}:2`.")
    return Gpu(name=name, memory_gb=memory, count=count)


def _bare(word: str) -> str:
    return re.sub(r"[-_ ]", "", _FORM.sub("", _MAKER.sub("", word)))
