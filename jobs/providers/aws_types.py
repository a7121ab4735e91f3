"""The machines with GPUs that are rented at Amazon, and what is in them.

A type's GPUs never change, so they stand here instead of being asked for; prices and zones are asked for. Whole
machines: nobody rents an eighth of a p5.48xlarge.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final


@dataclass(frozen=True, kw_only=True)
class Type:
    """A type of machine; `gpu` as offers name it."""

    gpu: str
    memory_gb: int  # of one GPU
    gpus: int


def _sizes(family: str, gpu: str, memory_gb: int, gpus: Mapping[int, str]) -> Iterator[tuple[str, Type]]:
    for count, sizes in gpus.items():
        for size in sizes.split():
            yield f"{family}.{size}", Type(gpu=gpu, memory_gb=memory_gb, gpus=count)


_SINGLE = "xlarge 2xlarge 4xlarge 8xlarge 16xlarge"
_EIGHTS: Mapping[int, str] = MappingProxyType({1: _SINGLE, 4: "12xlarge 24xlarge", 8: "48xlarge"})

TYPES: Final[Mapping[str, Type]] = MappingProxyType(
    dict(
        [
            *_sizes("g4dn", "t4", 16, {1: _SINGLE, 4: "12xlarge", 8: "metal"}),
            *_sizes("g5", "a10g", 24, _EIGHTS),
            *_sizes("g6", "l4", 24, _EIGHTS),
            *_sizes("g6e", "l40s", 48, _EIGHTS),
            *_sizes("p4d", "a100", 40, {8: "24xlarge"}),
            *_sizes("p4de", "a100", 80, {8: "24xlarge"}),
            *_sizes("p5", "h100", 80, {1: "4xlarge", 8: "48xlarge"}),
            *_sizes("p5en", "h200", 141, {8: "48xlarge"}),
        ]
    )
)
