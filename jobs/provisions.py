"""Before a machine is rented: is what the job takes along there, may it be read, does it fit on the disk?

What a rental would only find out after minutes of somebody's money is found out here. The machine looks again, because
the store may change meanwhile.
"""

from __future__ import annotations

from urllib.parse import unquote, urlsplit

from jobs.datakeys import TeamKeys
from jobs.errors import BadSource, BadSpec
from jobs.inputs import bucket_and_prefix
from jobs.values import JobSpec
from trainer import datasets
from trainer.datasets import BadDataset, Dataset
from trainer.sealed import Ring, SealError
from trainer.storage import Store
from trainer.wire import Input

_GB = 10**9


def check(spec: JobSpec, team: str, *, store: Store, store_uri: str, keys: TeamKeys) -> None:
    """Raise `BadSource` or `BadSpec` where the job could not begin with what it asks for; `StoreFault` passes."""
    if spec.checkpoint_encrypt:
        keys.sealing(team)
    known = 0
    for taken in spec.inputs:
        if taken.source.startswith("s3://"):
            _check_bucket(taken, store_uri)
        else:
            known += _pushed(taken, store, keys.of(team)).bytes
    if known > spec.disk_gb * _GB:
        raise BadSpec(
            f"The inputs have {known / _GB:,.0f} GB and the machine's disk {spec.disk_gb} GB, with the image on it. "
            f"Ask for more: `resources: {{disk: {int(known / _GB * 1.2) + 50}GB}}`."
        )


def _pushed(taken: Input, store: Store, ring: Ring) -> Dataset:
    name, version = datasets.named(taken.source)
    data = store.get(datasets.index_key(name, version), datasets.LARGEST_INDEX)
    if data is None:
        raise BadSource(
            f"The input `{taken.name}` is not in the store: there is no {taken.source}. `hourglass data list` shows "
            "what there is, and `hourglass data push` sends a folder."
        )
    try:
        return datasets.decode(data, ring, name=name, version=version)[0]
    except (BadDataset, SealError) as error:
        raise BadSource(f"The input `{taken.name}` cannot be used. {error}") from error


def _check_bucket(taken: Input, store_uri: str) -> None:
    parts = urlsplit(store_uri)
    if parts.scheme != "s3":
        raise BadSpec(
            f"The input `{taken.name}` lies in a bucket, and machines here have no credentials for any: the store is a "
            "folder. Send the data with `hourglass data push` and name what it prints."
        )
    bucket, prefix = bucket_and_prefix(taken.source)
    home = unquote(parts.path).strip("/")
    # Other jobs' files lie there, and for a moment what their machines boot with.
    if bucket == parts.netloc and _within(prefix, home) | _within(home, prefix):
        raise BadSpec(
            f"The input `{taken.name}` names the bot's own store, which no job may read as it likes. Name what "
            "`hourglass data push` sent by its `name@version`."
        )


def _within(inner: str, outer: str) -> bool:
    return not outer or inner == outer or inner.startswith(f"{outer}/")
