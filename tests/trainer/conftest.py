"""The archive is built once, the machine for each test anew."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest

from tests.trainer.rented import Rented
from tests.trainer.saving import Run
from trainer.archive import build

CREDENTIALS = {
    "HOURGLASS_STORE_AWS_ACCESS_KEY_ID": "AKIDEXAMPLE",
    "HOURGLASS_STORE_AWS_SECRET_ACCESS_KEY": "example-secret",
    "HOURGLASS_STORE_AWS_REGION": "us-east-1",
}


@pytest.fixture(scope="session")
def moto() -> Iterator[str]:
    """The address of moto's server."""
    from moto.server import ThreadedMotoServer  # every worker collects these tests, and one runs them

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def endpoint(moto: str) -> str:
    """An S3 with one bucket, `acme`: made for each test, since moto's books are the process's and others reset them."""
    boto3.client(
        "s3",
        endpoint_url=moto,
        region_name="us-east-1",
        aws_access_key_id=CREDENTIALS["HOURGLASS_STORE_AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=CREDENTIALS["HOURGLASS_STORE_AWS_SECRET_ACCESS_KEY"],
    ).create_bucket(Bucket="acme")
    return moto


@pytest.fixture(scope="session")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The agent as it goes to a machine."""
    return build(tmp_path_factory.mktemp("archive") / "trainer.pyz", with_s3=False)


@pytest.fixture
def rented(tmp_path: Path, archive: Path) -> Iterator[Rented]:
    """A machine that has its archive and no order yet."""
    machine = Rented(tmp_path, archive)
    yield machine
    machine.close()


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run(tmp_path)
