"""Value types to JSON columns and back."""

from __future__ import annotations

from typing import Any, TypeVar

from pydantic import TypeAdapter

from jobs.providers import Offer
from jobs.values import JobSpec, Request, Source

Record = TypeVar("Record", Request, JobSpec, Source, Offer)

_ADAPTERS: dict[type, TypeAdapter[Any]] = {kind: TypeAdapter(kind) for kind in (Request, JobSpec, Source, Offer)}


def dump(record: Request | JobSpec | Source | Offer) -> dict[str, Any]:
    """Return the record as plain JSON values."""
    plain: dict[str, Any] = _ADAPTERS[type(record)].dump_python(record, mode="json")
    return plain


def parse(kind: type[Record], plain: dict[str, Any]) -> Record:
    """Return the record that `dump` made plain; raises `pydantic.ValidationError` on anything else."""
    record: Record = _ADAPTERS[kind].validate_python(plain)
    return record
