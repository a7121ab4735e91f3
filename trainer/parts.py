"""A large file on its way to S3 in parts, gone on with after a cut.

What arrived is remembered with the mark that S3 gave it, for as long as the process lives: a line that breaks in the
middle of gigabytes costs the parts that were in the air. S3 shows nothing of it until the last part is there.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

_MOST_PARTS = 10_000  # S3's own limit
_GONE = "NoSuchUpload"


class GaveWay(Exception):
    """Something more urgent is to be sent; what arrived of this is kept."""


@dataclass(kw_only=True)
class Begun:
    """One file that is not yet whole in the store."""

    upload: str  # S3's name for it
    digest: str  # of the bytes that are being sent: others begin anew
    part: int  # bytes of each but the last
    arrived: dict[int, dict[str, Any]] = field(default_factory=dict)  # by number, from 1


class Parts:
    """Sends files to one bucket in parts; used from one thread at a time."""

    def __init__(self, client: Any, bucket: str, *, part: int, parallel: int, code: Callable[[Exception], str]) -> None:
        """`code` tells what S3 calls an error of the SDK's."""
        self._client = client
        self._bucket = bucket
        self._part = part
        self._parallel = parallel
        self._code = code
        # As the SDK's own transfers ask for it; a store that knows no checksums is told of by the SDK's setting.
        asked = client.meta.config.request_checksum_calculation == "when_supported"
        self._checked = {"ChecksumAlgorithm": "CRC32"} if asked else {}
        self._begun: dict[str, Begun] = {}

    def send(self, name: str, path: Path, digest: str, stop: Callable[[], bool] | None = None) -> None:
        """Store the file under `name`; after an error, the same `digest` goes on where that one stopped.

        `stop` is asked before each part, from several threads; raises `GaveWay` when it says so.
        """
        begun = self._begun.get(name)
        if begun is None or begun.digest != digest:
            self.forget(name)
            begun = self._begin(name, path.stat().st_size, digest)
        try:
            self._send_missing(name, path, begun, stop)
            parts = [{"PartNumber": number, **mark} for number, mark in sorted(begun.arrived.items())]
            self._client.complete_multipart_upload(
                Bucket=self._bucket, Key=name, UploadId=begun.upload, MultipartUpload={"Parts": parts}
            )
        except Exception as error:
            if self._code(error) == _GONE:  # somebody cleared the bucket of halves: the next try begins anew
                del self._begun[name]
            raise
        del self._begun[name]

    def forget(self, name: str) -> None:
        """Let S3 remove what arrived of a file that is not gone on with; that it cannot be asked is no error."""
        begun = self._begun.pop(name, None)
        if begun is not None:
            with suppress(Exception):
                self._client.abort_multipart_upload(Bucket=self._bucket, Key=name, UploadId=begun.upload)

    def _begin(self, name: str, size: int, digest: str) -> Begun:
        answer = self._client.create_multipart_upload(Bucket=self._bucket, Key=name, **self._checked)
        part = max(self._part, -(-size // _MOST_PARTS))
        begun = self._begun[name] = Begun(upload=answer["UploadId"], digest=digest, part=part)
        return begun

    def _send_missing(self, name: str, path: Path, begun: Begun, stop: Callable[[], bool] | None) -> None:
        """Send what has not arrived; after the first error no further part is begun, and it is raised."""
        count = -(-path.stat().st_size // begun.part)
        failed = threading.Event()

        def one(number: int) -> None:
            if failed.is_set():
                return
            try:
                if stop is not None and stop():
                    raise GaveWay
                begun.arrived[number] = self._send_one(name, path, begun, number)
            except BaseException:
                failed.set()
                raise

        with ThreadPoolExecutor(min(self._parallel, count), thread_name_prefix="parts") as pool:
            missing = [number for number in range(1, count + 1) if number not in begun.arrived]
            waited = [pool.submit(one, number) for number in missing]
        for future in waited:
            future.result()

    def _send_one(self, name: str, path: Path, begun: Begun, number: int) -> dict[str, Any]:
        from s3transfer.utils import ReadFileChunk

        start = (number - 1) * begun.part
        with ReadFileChunk.from_filename(str(path), start_byte=start, chunk_size=begun.part) as body:
            answer = self._client.upload_part(
                Bucket=self._bucket,
                Key=name,
                UploadId=begun.upload,
                PartNumber=number,
                Body=body,
                **self._checked,
            )
        # The checksums that S3 counted have to be said again in the end.
        return {key: value for key, value in answer.items() if key in ("ETag", "ChecksumCRC32")}
