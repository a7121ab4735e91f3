"""A bot on aws for the end-to-end stories: what is real in them and what stands in stands in `tests.e2e.test_aws`."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from bot.demo.proof import Loaded, fetch, load_checkpoint
from jobs.model import Job
from tests.aws.cloud import IMAGE, ROLE, SCHEDULER_ROLE, Cloud
from tests.aws.harness import Machines, engine_cloud, open_bucket
from tests.e2e.deployment import CHANNEL, Deployment
from tests.support import engine
from tests.support.metadata import Metadata
from tests.support.registry import Registry
from trainer.storage import S3Store

LIMIT = 300.0
TRAIN = (Path(__file__).parents[1] / "engine" / "train.py").read_text()
# The operator's own price for a machine without a GPU, as the engine here has none.
MICROS_PER_HOUR = 89_250
PRICES = {
    "offers": [
        {
            "provider": "aws",
            "name": "c7i.large",
            "region": "us-east-1",
            "gpu": "cpu",
            "memory_gb": 0,
            "gpus": 0,
            "dollars": "0.08925",
            "spot": False,
            "date": "2026-11-01",
            "source": "our contract",
        },
        {
            "provider": "aws",
            "name": "c7i.large",
            "region": "us-east-1",
            "gpu": "cpu",
            "memory_gb": 0,
            "gpus": 0,
            "dollars": "0.03",
            "spot": True,
            "date": "2026-11-01",
            "source": "our contract",
        },
    ]
}
DISK_GB, DISK_MICROS = 20, 110  # of the task file; a GB and hour
TASK = f"resources: {{disk: {DISK_GB}GB}}\ncheckpoints: {{path: out, upload_every: 2s, keep: 2}}\n"
LINK = re.compile(r"<(https?://[^|>]+X-Amz-Signature=[^|>]+)\|([^>]+)>")


@dataclass(frozen=True, kw_only=True)
class Ground:
    """A bot, its cloud and the machines there, and the registry with the image."""

    deployment: Deployment
    cloud: Cloud
    machines: Machines
    store: S3Store
    image: str  # by its tag, at the registry
    registry: Registry
    metadata: Metadata  # of every machine

    def train(self, name: str, command: str, *, image: str | None = None) -> Job:
        """Type the line that trains on aws for half an hour at the most."""
        sha = self.deployment.repository(name, {"train.py": TRAIN, ".hourglass.yml": TASK})
        line = f"{name}@{sha} gpu=cpu hours=0.5 provider=aws image={image or self.image} -- {command}"
        return self.deployment.train(line)

    def approve(self, job: Job) -> None:
        """Let the lead press Approve on the card."""
        assert self.deployment.press("lea", job, "approve").ok

    def seen(self, job: Job, *words: str) -> str:
        """Wait until the card says all of this; return what it says."""

        def look() -> str | None:
            card = self.deployment.card(job)
            said = f"{card['text']} {card['blocks']}"
            return said if all(word in said for word in words) else None

        return self.deployment.until(look, limit=LIMIT)

    def instance(self, job: Job) -> dict[str, Any]:
        """Return the job's only machine as the cloud's books have it."""
        (attempt,) = self.deployment.attempts(job)
        (found,) = (one for one in self.cloud.instances() if one["InstanceId"] == attempt.instance_id)
        return found

    def checkpoint(self, job: Job, out: Path) -> Loaded:
        """Press the thread's button for the files, fetch what its answer links, and load it."""
        deployment = self.deployment
        message = deployment.until(
            lambda: next((m for m in deployment.thread(job) if "'files'" in str(m.get("blocks"))), None)
        )
        before = len(deployment.people.ephemerals("ada", CHANNEL))
        assert deployment.people.press("ada", CHANNEL, message["ts"], "files").ok
        answer = deployment.until(lambda: deployment.people.ephemerals("ada", CHANNEL)[before:])[-1]
        (found,) = LINK.findall(json.dumps(answer["text"]))
        url, name = html.unescape(found[0]), found[1]
        assert name == "ckpt.pt"
        return load_checkpoint(fetch([url], out))


@contextmanager
def grounded(folder: Path, *, scheduled: bool = False) -> Iterator[Ground]:
    """Run a bot that rents on aws, with a budget of 300 dollars; `scheduled` has AWS's own timers behind machines."""
    engine.require(engine.TORCH)
    folder.mkdir(exist_ok=True)
    prices = folder / "prices.json"
    prices.write_text(json.dumps(PRICES))
    with (
        Registry() as registry,
        engine_cloud() as cloud,
        Metadata(str(urlsplit(cloud.endpoint).hostname)) as metadata,
        Machines(cloud) as machines,
        pytest.MonkeyPatch.context() as environment,
    ):
        for name, value in cloud.environment().items():
            environment.setenv(name, value)  # this process cleans up with the SDK's variables, as the bot's works
        uri = cloud.bucket("team-files")
        settings = {
            "HOURGLASS_STORE": uri,
            "HOURGLASS_PRICES": str(prices),
            "HOURGLASS_REGISTRIES": json.dumps({registry.address: f"http://{registry.address}"}),
            "HOURGLASS_AWS_JOB_ROLE": ROLE,
            "HOURGLASS_AWS_IMAGE": IMAGE,
            "HOURGLASS_SPOT_NOTICE": f"aws={metadata.address}",
        }
        if scheduled:
            cloud.with_schedules()
            settings |= {"HOURGLASS_AWS_SCHEDULER_ROLE": SCHEDULER_ROLE}
        image = registry.push(engine.TORCH)
        with Deployment(folder, provider="aws", settings=settings) as deployment:
            deployment.budget()
            store = open_bucket(cloud, uri)
            yield Ground(
                deployment=deployment,
                cloud=cloud,
                machines=machines,
                store=store,
                image=image,
                registry=registry,
                metadata=metadata,
            )
