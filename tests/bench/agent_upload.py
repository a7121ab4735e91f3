"""An upload beside `aws s3 cp`: the same file, the same endpoint, in turns, each a process from its start to its end.

Ours hashes the file first, as the agent does: the manifest says its sha256. What `aws` does beside sending is its own.
"""

from __future__ import annotations

import logging
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import boto3
from moto.server import ThreadedMotoServer

from tests.bench.figures import Figure

ROUNDS = 5
LIMIT = 600.0
BUCKET = "hourglass-bench"
_OURS = """
import os, sys
from pathlib import Path
from trainer.fetch import sha256
from trainer.storage import open_store
path = Path(sys.argv[1])
open_store(sys.argv[2], os.environ).put_file("ours", path, sha256(path))
"""


def figures(*, aws: Path | None, endpoint: str | None, size: int) -> list[Figure]:
    """Send a file of `size` bytes with either, `ROUNDS` times in turns; the ratio of the medians.

    `endpoint` is an S3 that the environment has credentials for; moto's server stands in without one.
    """
    name = f"upload of {size >> 20} MB against `aws s3 cp`"
    program = aws or (Path(found) if (found := shutil.which("aws")) else None)
    if program is None or not program.is_file():
        why = f"no {program or 'aws'} here: pip install awscli, somewhere, and ARGS='--aws PATH'"
        return [Figure(name=name, value=None, unit="×", goal=0.8, at_least=True, note=why)]
    with tempfile.TemporaryDirectory() as folder, _served(endpoint) as env:
        file = Path(folder) / "checkpoint.pt"
        with file.open("wb") as out:
            for _ in range(size >> 20):
                out.write(os.urandom(1 << 20))
        store = f"s3://{BUCKET}/bench"
        address = env["AWS_ENDPOINT_URL"]
        theirs: list[str | Path] = [
            program,
            "s3",
            "cp",
            file,
            f"{store}/theirs",
            "--endpoint-url",
            address,
            "--only-show-errors",
        ]
        ours: list[str | Path] = [sys.executable, "-c", _OURS, file, store]
        times = [(_seconds(ours, env), _seconds(theirs, env)) for _ in range(ROUNDS)]
    mine, other = (statistics.median(column) for column in zip(*times, strict=True))
    note = (
        f"{mine:.1f} s with the hash of it, aws {other:.1f} s; median of {ROUNDS}; {endpoint or 'moto on this machine'}"
    )
    return [Figure(name=name, value=other / mine, unit="×", goal=0.8, at_least=True, note=note)]


def _seconds(command: Sequence[str | Path], env: Mapping[str, str]) -> float:
    began = time.monotonic()
    subprocess.run(command, env=env, check=True, timeout=LIMIT, stdout=subprocess.DEVNULL)
    return time.monotonic() - began


@contextmanager
def _served(endpoint: str | None) -> Iterator[Mapping[str, str]]:
    """Yield the environment of a client, with the bucket there."""
    if endpoint is not None:
        env = {**os.environ, "AWS_ENDPOINT_URL": endpoint}
        _bucket(endpoint, {})
        yield env
        return
    logging.getLogger("werkzeug").setLevel(logging.ERROR)  # a line a request
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        keys = {"AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": "example-secret"}
        env = {**os.environ, **keys, "AWS_DEFAULT_REGION": "us-east-1", "AWS_ENDPOINT_URL": f"http://{host}:{port}"}
        _bucket(
            env["AWS_ENDPOINT_URL"], {"aws_access_key_id": "AKIDEXAMPLE", "aws_secret_access_key": "example-secret"}
        )
        yield env
    finally:
        server.stop()


def _bucket(endpoint: str, keys: Mapping[str, str]) -> None:
    client = boto3.client("s3", endpoint_url=endpoint, region_name="us-east-1", **keys)
    if BUCKET not in [bucket["Name"] for bucket in client.list_buckets()["Buckets"]]:
        client.create_bucket(Bucket=BUCKET)
