"""A file in parts on a line that breaks: what arrived is not sent again, and other bytes never go on with it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from tests.trainer.conftest import CREDENTIALS
from trainer.parts import Parts

PART = 5 * 2**20  # S3 takes no smaller ones, but for the last
SIZE = 4 * PART + 12_345


class Line:
    """A client whose line breaks at one part."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self.sent: list[int] = []
        self.breaks_at = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    def upload_part(self, **asked: Any) -> Any:
        number = asked["PartNumber"]
        if number == self.breaks_at:
            raise ConnectionError("cut")
        self.sent.append(number)
        return self._client.upload_part(**asked)


@pytest.fixture
def line(endpoint: str) -> Line:
    return Line(
        boto3.client(
            "s3",
            endpoint_url=endpoint,
            region_name="us-east-1",
            aws_access_key_id=CREDENTIALS["HOURGLASS_STORE_AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=CREDENTIALS["HOURGLASS_STORE_AWS_SECRET_ACCESS_KEY"],
        )
    )


def code(error: Exception) -> str:
    return str(error.response["Error"]["Code"]) if isinstance(error, ClientError) else ""


def cut_at(line: Line, number: int, name: str, path: Path, digest: str = "one") -> Parts:
    parts = Parts(line, "acme", part=PART, parallel=1, code=code)
    line.breaks_at = number
    with pytest.raises(ConnectionError):
        parts.send(name, path, digest)
    line.breaks_at = 0
    return parts


def stored(line: Line, name: str) -> bytes:
    return bytes(line.get_object(Bucket="acme", Key=name)["Body"].read())


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "ckpt.pt"
    path.write_bytes(os.urandom(SIZE))
    return path


def test_after_a_cut_only_what_had_not_arrived_is_sent(line: Line, file: Path) -> None:
    parts = cut_at(line, 4, "cut", file)
    assert (line.sent, "Contents" in line.list_objects_v2(Bucket="acme", Prefix="cut")) == ([1, 2, 3], False)
    parts.send("cut", file, "one")
    assert line.sent == [1, 2, 3, 4, 5]
    assert stored(line, "cut") == file.read_bytes()


def test_other_bytes_under_the_same_name_begin_anew_and_leave_no_half(line: Line, file: Path) -> None:
    parts = cut_at(line, 3, "over", file)
    file.write_bytes(os.urandom(SIZE))
    parts.send("over", file, "two")
    assert line.sent == [1, 2, 1, 2, 3, 4, 5]
    assert stored(line, "over") == file.read_bytes()
    assert "Uploads" not in line.list_multipart_uploads(Bucket="acme", Prefix="over")


def test_what_is_not_gone_on_with_is_removed(line: Line, file: Path) -> None:
    parts = cut_at(line, 2, "given-up", file)
    assert len(line.list_multipart_uploads(Bucket="acme", Prefix="given-up")["Uploads"]) == 1
    parts.forget("given-up")
    parts.forget("given-up")
    assert "Uploads" not in line.list_multipart_uploads(Bucket="acme", Prefix="given-up")


def test_many_at_once_arrive_in_their_places(line: Line, file: Path) -> None:
    Parts(line, "acme", part=PART, parallel=4, code=code).send("many", file, "one")
    assert (sorted(line.sent), stored(line, "many") == file.read_bytes()) == ([1, 2, 3, 4, 5], True)
