"""The one file that goes to every machine: the agent as a zip that Python runs, the same bytes each time.

Built by the control plane out of the installed package. With S3 in it, it carries boto3 and a botocore that knows
S3 and STS only (1.4 MB instead of 15), so that an image needs Python 3.10 or newer and nothing else.
"""

from __future__ import annotations

import importlib.util
import io
import secrets
import zipfile
from collections.abc import Iterator
from pathlib import Path

_PACKAGES = ("boto3", "botocore", "s3transfer", "jmespath", "dateutil", "urllib3")
_MODULES = ("six",)
_BOTOCORE_DATA = (
    "botocore/data/s3/",
    "botocore/data/sts/",
    "botocore/data/endpoints.json",
    "botocore/data/partitions.json",
    "botocore/data/sdk-default-configuration.json",
    "botocore/data/_retry.json",
)
_MAIN = "import sys\nfrom trainer.entry import main\nsys.exit(main(sys.argv))\n"
# What packs it, what a team copies to train with, and what the bot reckons with: nothing that runs on the machine.
LEFT_OUT = frozenset(
    {"archive.py", "loop.py", "data.py", "checkpoint.py", "world.py", "model.py"}
    | {"memory.py", "architectures.py", "configs.py", "remedies.py"}
)
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the first date a zip can hold; a real one would change the bytes


def build(out: Path, with_s3: bool) -> Path:
    """Write the archive to `out`, atomically, and return it; `with_s3` where the store is `s3://…`."""
    contents = dict(_contents(with_s3))
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as packed:
        for name in sorted(contents):
            entry = zipfile.ZipInfo(name, _EPOCH)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o644 << 16
            packed.writestr(entry, contents[name], compresslevel=9)
    out.parent.mkdir(parents=True, exist_ok=True)
    temporary = out.with_name(f".{out.name}.{secrets.token_hex(6)}")
    temporary.write_bytes(b"#!/usr/bin/env python3\n" + buffer.getvalue())
    temporary.chmod(0o755)
    return temporary.replace(out)


def _contents(with_s3: bool) -> Iterator[tuple[str, bytes]]:
    yield "__main__.py", _MAIN.encode()
    package = Path(__file__).parent
    for path in package.glob("*.py"):
        if path.name not in LEFT_OUT:
            yield f"trainer/{path.name}", path.read_bytes()
    if with_s3:
        yield from _vendored()


def _vendored() -> Iterator[tuple[str, bytes]]:
    for name in _MODULES:
        yield f"vendor/{name}.py", _origin(name).read_bytes()
    for name in _PACKAGES:
        root = _origin(name).parent
        for path in root.rglob("*"):
            inner = path.relative_to(root.parent).as_posix()
            if path.is_file() and _wanted(inner):
                yield f"vendor/{inner}", path.read_bytes()


def _wanted(inner: str) -> bool:
    if inner.startswith("botocore/data/"):
        return inner.startswith(_BOTOCORE_DATA)
    # boto3's own data serves its resource interface; compiled parts fit one Python only.
    return "__pycache__" not in inner and not inner.startswith("boto3/data/") and not inner.endswith(".so")


def _origin(name: str) -> Path:
    spec = importlib.util.find_spec(name)
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError(f"{name} is not installed here; `pip install boto3` brings it.", name=name)
    return Path(spec.origin)
