"""A large file in parts: what gives way to something more urgent goes on where it stopped."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from trainer.parts import GaveWay, Parts

PART = 1_000


class Bucket:
    """What S3's client does with a file in parts, one upload at a time."""

    def __init__(self) -> None:
        self.meta = SimpleNamespace(config=SimpleNamespace(request_checksum_calculation="when_required"))
        self.parts: list[int] = []
        self.objects: dict[str, int] = {}

    def create_multipart_upload(self, **asked: Any) -> dict[str, Any]:
        """Begin one."""
        return {"UploadId": "u"}

    def upload_part(self, *, PartNumber: int, Body: Any, **asked: Any) -> dict[str, Any]:
        """Take a part."""
        self.parts.append(PartNumber)
        return {"ETag": f"{PartNumber}:{len(Body.read())}"}

    def complete_multipart_upload(self, *, Key: str, MultipartUpload: Any, **asked: Any) -> None:
        """Make them one object."""
        self.objects[Key] = sum(int(part["ETag"].partition(":")[2]) for part in MultipartUpload["Parts"])


def test_a_file_that_gives_way_goes_on_with_the_parts_that_arrived(tmp_path: Path) -> None:
    path, bucket = tmp_path / "ckpt.pt", Bucket()
    path.write_bytes(b"x" * (4 * PART + 1))
    parts = Parts(bucket, "b", part=PART, parallel=1, code=lambda error: "")
    with pytest.raises(GaveWay):
        parts.send("ckpt.pt", path, "its digest", lambda: len(bucket.parts) == 2)
    assert (bucket.parts, bucket.objects) == ([1, 2], {})
    parts.send("ckpt.pt", path, "its digest", lambda: False)
    assert (bucket.parts, bucket.objects) == ([1, 2, 3, 4, 5], {"ckpt.pt": 4 * PART + 1})
