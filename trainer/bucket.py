"""A store in a bucket of S3, or of what speaks it.

The SDK is imported only when one is opened: a machine whose store is a folder needs none of it.
"""

from __future__ import annotations

import contextlib
import re
import secrets
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from trainer.lent import Lent
from trainer.parts import Parts
from trainer.store import BLOCK, Listed, StoreFault, StoreRefusal, checked
from trainer.wire import ENV_STORE_PREFIX

# A part small enough to be sent again on a bad line, and that a checkpoint of some hundred megabytes has several: one
# connection does not fill a line. Where 10,000 of them are not enough, the SDK takes larger ones.
_PART = 16 * 1024 * 1024
# As many as the AWS command line sends at once. Each holds some megabytes, and the agent shares the machine's memory.
_PARALLEL = 10
_COPIED = 64 * 1024 * 1024  # bytes that S3 copies within itself in one request, which it has to answer in a minute
_QUEUED = 64  # pieces of 256 KB that may wait for the disk; of the SDK's own thousand the agent would grow
# What S3 answers where the same question gets the same answer.
_FINAL = frozenset(
    {
        "403",
        "404",
        "412",
        "AccessDenied",
        "AllAccessDisabled",
        "ExpiredToken",
        "InvalidAccessKeyId",
        "InvalidBucketName",
    }
    | {"InvalidObjectState", "InvalidToken", "NoSuchBucket", "NoSuchKey", "NotFound", "PreconditionFailed"}
    | {"SignatureDoesNotMatch"}
)


class S3Store:
    """A store in a bucket of S3 or of what speaks it (the endpoint is the SDK's own `AWS_ENDPOINT_URL`)."""

    def __init__(
        self, bucket: str, prefix: str = "", *, env: Mapping[str, str] | None = None, lent: Lent | None = None
    ) -> None:
        """Open `bucket` with what was `lent`, else what `env` calls `HOURGLASS_STORE_AWS_…`, else the SDK's own."""
        import boto3
        from boto3.exceptions import Boto3Error
        from boto3.s3.transfer import TransferConfig
        from botocore.config import Config
        from botocore.exceptions import BotoCoreError, ClientError

        def named(name: str) -> str | None:
            return (env or {}).get(f"{ENV_STORE_PREFIX}{name}") or None

        self.bucket = bucket
        self.lent = lent or Lent.in_env(env or {})
        self._prefix = f"{prefix.strip('/')}/" if prefix.strip("/") else ""
        self._refusals: tuple[type[Exception], ...] = (ClientError,)
        self._faults: tuple[type[Exception], ...] = (BotoCoreError, ClientError, Boto3Error, OSError)
        self._transfer = TransferConfig(
            multipart_threshold=_PART, multipart_chunksize=_PART, max_concurrency=_PARALLEL, max_io_queue=_QUEUED
        )
        self._copying = TransferConfig(
            multipart_threshold=_COPIED, multipart_chunksize=_COPIED, max_concurrency=_PARALLEL
        )
        try:
            session: Any = boto3 if self.lent is None else self.lent.session()
            self._client: Any = session.client(
                "s3",
                region_name=named("AWS_REGION"),
                endpoint_url=named("AWS_ENDPOINT_URL"),
                config=Config(
                    signature_version="s3v4",  # the old style of signing is refused in newer regions
                    connect_timeout=10,
                    read_timeout=60,
                    max_pool_connections=_PARALLEL + 4,
                    retries={"mode": "standard", "total_max_attempts": 4},
                ),
            )
        except (BotoCoreError, ValueError) as error:
            raise StoreFault(f"Could not open s3://{bucket}: {error}") from error
        self._parts = Parts(self._client, bucket, part=_PART, parallel=_PARALLEL, code=self.code)

    def _name(self, key: str) -> str:
        return self._prefix + checked(key)

    @contextlib.contextmanager
    def _asking(self, what: str, key: str) -> Iterator[None]:
        try:
            yield
        except self._faults as error:
            kind = StoreRefusal if self.code(error) in _FINAL else StoreFault
            raise kind(f"Could not {what} s3://{self.bucket}/{self._prefix}{key}: {error}") from error

    @staticmethod
    def code(error: Exception) -> str:
        """Return what S3 calls an error of the SDK's, "" where S3 did not answer."""
        answer = getattr(error, "response", None) or {}  # a line that was closed has one, and it is None
        return str(answer.get("Error", {}).get("Code", ""))

    def _absent(self, error: Exception) -> bool:
        return self.code(error) in ("404", "NoSuchKey", "NotFound")

    def put(self, key: str, data: bytes) -> None:
        """Store `data` in one request."""
        name = self._name(key)
        with self._asking("write", key):
            self._client.put_object(Bucket=self.bucket, Key=name, Body=data)

    def put_file(self, key: str, path: Path, digest: str = "", stop: Callable[[], bool] | None = None) -> None:
        """Store the file, in parts when it is large; parts that arrived of the same bytes are not sent again."""
        name = self._name(key)
        with self._asking("write", key):
            if digest and path.stat().st_size > _PART:
                self._parts.send(name, path, digest, stop)
            else:
                self._client.upload_file(str(path), self.bucket, name, Config=self._transfer)

    def forget(self, key: str) -> None:
        """Let S3 remove the parts of a file that was cut off and is not gone on with."""
        self._parts.forget(self._name(key))

    def get(self, key: str, most: int = -1) -> bytes | None:
        """Return the object's (first) bytes, or None."""
        name = self._name(key)
        with self._asking("read", key):
            try:
                body: bytes = self._client.get_object(Bucket=self.bucket, Key=name)["Body"].read(
                    None if most < 0 else most
                )
            except self._refusals as error:
                if self._absent(error):
                    return None
                raise
        return body

    def get_file(self, key: str, path: Path) -> bool:
        """Download the object beside `path` and rename it; return False when there is none."""
        name = self._name(key)
        temporary = path.with_name(f".{path.name}.{secrets.token_hex(6)}")
        try:
            with self._asking("read", key):
                path.parent.mkdir(parents=True, exist_ok=True)
                try:
                    self._client.download_file(self.bucket, name, str(temporary), Config=self._transfer)
                except self._refusals as error:
                    if self._absent(error):
                        return False
                    raise
                temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
        return True

    def copy(self, key: str, target: str) -> bool:
        """Let S3 copy the object within the bucket; where it refuses to, the bytes come by this computer's disk."""
        source, name = {"Bucket": self.bucket, "Key": self._name(key)}, self._name(target)
        with self._asking("copy", key):
            try:
                self._client.copy(source, self.bucket, name, Config=self._copying)
            except self._refusals as error:
                if self._absent(error):
                    return False
            else:
                return True
        with tempfile.TemporaryDirectory(prefix="hourglass-copy-") as folder:
            local = Path(folder) / "object"
            if not self.get_file(key, local):
                return False
            self.put_file(target, local)
        return True

    def blocks(self, key: str, *, start: int = 0, length: int | None = None, etag: str = "") -> Iterator[bytes]:
        """Yield the object's bytes; a whole one is checked against the checksum that S3 keeps of it."""
        which: dict[str, str] = {"IfMatch": etag} if etag else {}
        if start or length is not None:
            which["Range"] = f"bytes={start}-{'' if length is None else start + length - 1}"
        name = self._name(key)
        with self._asking("read", key):
            yield from self._client.get_object(Bucket=self.bucket, Key=name, **which)["Body"].iter_chunks(BLOCK)

    def listed(self) -> Iterator[Listed]:
        """Yield every object of the store with its size and mark, sorted by key."""
        pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=self._prefix)
        with self._asking("list", ""):
            for page in pages:
                for entry in page.get("Contents", ()):
                    yield Listed(str(entry["Key"])[len(self._prefix) :], int(entry["Size"]), str(entry["ETag"]))

    def head(self, key: str) -> Listed | None:
        """Return the object as a listing would show it, or None."""
        name = self._name(key)
        with self._asking("look at", key):
            try:
                answer = self._client.head_object(Bucket=self.bucket, Key=name)
            except self._refusals as error:
                if self._absent(error):
                    return None
                raise
        return Listed(key, int(answer["ContentLength"]), str(answer["ETag"]))

    def size(self, key: str) -> int | None:
        """Return the object's size, or None."""
        found = self.head(key)
        return None if found is None else found.size

    def keys(self, prefix: str) -> Iterator[str]:
        """Yield the keys under `prefix`, in S3's own order, which is sorted."""
        folder = f"{checked(prefix.rstrip('/'))}/" if prefix else ""
        pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=self._prefix + folder)
        with self._asking("list", prefix):
            for page in pages:
                for entry in page.get("Contents", ()):
                    yield str(entry["Key"])[len(self._prefix) :]

    def delete(self, key: str) -> None:
        """Remove the object; S3 itself answers the same when there is none."""
        name = self._name(key)
        with self._asking("remove", key):
            self._client.delete_object(Bucket=self.bucket, Key=name)

    def link(self, key: str, expires: int) -> str:
        """Return a signed link under which a browser saves the object as a file, for `expires` seconds.

        S3 allows 7 days at most, and the link dies earlier with a session's credentials.
        """
        name = self._name(key)
        saved_as = re.sub(r"[^A-Za-z0-9._-]", "_", name.rpartition("/")[2])
        disposition = f"attachment; filename=\"{saved_as}\"; filename*=UTF-8''{quote(name.rpartition('/')[2])}"
        with self._asking("sign a link to", key):
            return str(
                self._client.generate_presigned_url(
                    "get_object",
                    Params={"Bucket": self.bucket, "Key": name, "ResponseContentDisposition": disposition},
                    ExpiresIn=expires,
                )
            )

    def sign(self, verb: str, key: str, expires: int) -> str:
        """Return a URL good for one `verb` (GET, HEAD, PUT or DELETE) on one object, for `expires` seconds.

        It is for a machine that has no credentials yet; it dies as `link` does.
        """
        name = self._name(key)
        operations = {"GET": "get_object", "HEAD": "head_object", "PUT": "put_object", "DELETE": "delete_object"}
        with self._asking("sign a link to", key):
            return str(
                self._client.generate_presigned_url(
                    operations[verb], Params={"Bucket": self.bucket, "Key": name}, ExpiresIn=expires
                )
            )
