"""What the operator's settings make of the aws provider, and what stops the start."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from jobs.clock import SystemClock
from jobs.errors import Misconfigured
from jobs.providers import Guarantee
from jobs.providers.aws import Aws
from jobs.providers.registry import Parts, connect
from jobs.settings import load
from tests.aws.cloud import IMAGE, REGION, ROLE, Cloud
from tests.aws.harness import open_bucket, prices
from tests.support.builders import a_need, an_offer

SETTINGS = {
    "HOURGLASS_PROVIDERS": "aws",
    "HOURGLASS_STORE": "s3://team-files/hg",
    "HOURGLASS_AWS_JOB_ROLE": ROLE,
    "HOURGLASS_AWS_REGIONS": "us-west-2,us-east-1",
}


def parts(tmp_path: Path, environment: dict[str, str]) -> Parts:
    """Return what the composition root hands over under these settings."""
    return Parts(
        settings=load({"HOURGLASS_STATE": str(tmp_path), **environment}),
        home="6f1f7d5c-0000-4000-8000-000000000001",
        clock=SystemClock(),
        archive=tmp_path / "trainer.pyz",
        practice_price=lambda need: an_offer(),
        catalogue=lambda name: prices() if name == "aws" else (),
    )


def test_the_settings_regions_and_the_catalogues_prices_make_the_offers(tmp_path: Path) -> None:
    aws = connect(parts(tmp_path, SETTINGS))["aws"]
    assert isinstance(aws, Aws)
    assert [offer.region for offer in aws.offers(a_need(gpu="cpu", count=0))] == ["us-west-2", "us-east-1", "us-east-1"]
    assert (aws.traits.guarantee, aws.traits.bills) == (Guarantee.ON_BOX, True)


LAUNCH_AND_LIST = """
import os
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from jobs.providers.registry import connect
from tests.aws.harness import prices
from tests.aws.orders import launch_order
from tests.aws.test_aws_start import parts
made = parts(Path(sys.argv[1]), dict(os.environ))
made.archive.write_bytes(b"the agent")
aws = connect(made)["aws"]
ends = datetime.now(UTC) + timedelta(hours=1)
order = launch_order(made.settings.store_uri(), home=made.home, job="k3vd9wq", deadline=ends)
launched = aws.launch(prices()[1], order)
assert [one.id for one in aws.list()] == [launched.id]
print(launched.id)
"""


def test_a_process_finds_the_cloud_by_the_sdks_own_variables_and_launches_there(tmp_path: Path) -> None:
    with Cloud() as cloud:
        uri = cloud.bucket("team-files")
        ours = SETTINGS | {"HOURGLASS_STORE": uri, "HOURGLASS_AWS_IMAGE": IMAGE, "HOURGLASS_AWS_REGIONS": REGION}
        done = subprocess.run(
            [sys.executable, "-c", LAUNCH_AND_LIST, str(tmp_path)],
            env={"PATH": os.defpath, **cloud.environment(), **ours},
            cwd=Path(__file__).parents[2],
            capture_output=True,
            text=True,
            timeout=90,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert [one["InstanceId"] for one in cloud.instances()] == [done.stdout.strip()]
        kept = sorted(open_bucket(cloud, uri).keys(""))
        assert [key.partition("/")[0] for key in kept] == ["launch", "launch", "launch", "trainer"]


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("HOURGLASS_AWS_JOB_ROLE", "", "Set HOURGLASS_AWS_JOB_ROLE"),
        ("HOURGLASS_AWS_JOB_ROLE", "my-role", "which is no role"),
        ("HOURGLASS_STORE", "", "Set HOURGLASS_STORE to s3://"),
        ("HOURGLASS_STORE", "file:///srv/store", "Set HOURGLASS_STORE to s3://"),
    ],
)
def test_what_cannot_work_stops_the_start_and_names_the_setting(
    tmp_path: Path, name: str, value: str, sentence: str
) -> None:
    with pytest.raises(Misconfigured, match=sentence):
        connect(parts(tmp_path, SETTINGS | {name: value}))
