"""A bucket for data, as moto's server speaks S3."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import boto3
import pytest

from trainer.storage import Store, open_store

_KEY = {"AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": "example-secret", "AWS_REGION": "us-east-1"}


@pytest.fixture
def bucket() -> Iterator[Store]:
    """The store `s3://acme-data/team`."""
    from moto.server import ThreadedMotoServer  # every worker collects these tests, and one runs them

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    endpoint = f"http://{host}:{port}"
    boto3.client(
        "s3",
        endpoint_url=endpoint,
        region_name="us-east-1",
        aws_access_key_id=_KEY["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=_KEY["AWS_SECRET_ACCESS_KEY"],
    ).create_bucket(Bucket="acme-data")
    env = {f"HOURGLASS_STORE_{name}": value for name, value in {**_KEY, "AWS_ENDPOINT_URL": endpoint}.items()}
    yield open_store("s3://acme-data/team", env)
    server.stop()
