"""What lies ready before a machine is asked for: written once, read by links, gone when it is no longer needed."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import re
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from jobs.bootstrap import Bootstrap, SigningStore
from jobs.errors import Rejected, Unknown
from jobs.providers import LaunchOrder
from tests.aws.cloud import Cloud
from tests.aws.harness import open_bucket
from tests.aws.orders import launch_order
from tests.support.clock import START, FakeClock
from trainer.storage import FolderStore, S3Store, StoreFault

HOME = "0a1b2c3d-0000-4000-8000-000000000000"
SECRET = "hush-hush-9"


@pytest.fixture
def cloud() -> Iterator[Cloud]:
    with Cloud() as cloud:
        yield cloud


@pytest.fixture
def store(cloud: Cloud) -> S3Store:
    return open_bucket(cloud, cloud.bucket("team-files"))


@pytest.fixture
def agent(tmp_path: Path) -> Path:
    path = tmp_path / "trainer.pyz"
    path.write_bytes(b"#!/usr/bin/env python3\nprint('agent')\n")
    return path


@pytest.fixture
def order() -> LaunchOrder:
    ends = START + timedelta(hours=4)
    return launch_order(
        "s3://team-files/hg", home=HOME, job="k3vd9wq", deadline=ends, secrets={"WANDB_API_KEY": SECRET}
    )


def value(script: str, name: str) -> str:
    """Return what the script's head says of `name`."""
    found = re.search(rf"^{name}='?(.*?)'?$", script, re.MULTILINE)
    assert found is not None
    return found[1]


class Lender:
    """Lends numbered credentials and counts."""

    def __init__(self) -> None:
        self.lent = 0
        self.inputs: Sequence[str] = ()

    def __call__(self, job: str, attempt: int, deadline: datetime, inputs: Sequence[str]) -> dict[str, str]:
        self.lent += 1
        self.inputs = inputs
        return {"HOURGLASS_STORE_AWS_SECRET_ACCESS_KEY": f"hush-lent-{self.lent}"}


def scripts(
    store: SigningStore, agent: Path, clock: FakeClock | None = None, lender: Lender | None = None
) -> Bootstrap:
    """Return what makes boot scripts at START."""
    return Bootstrap(
        store=store, clock=clock or FakeClock(), archive=agent, credentials=lender or Lender(), notice="aws"
    )


def test_the_same_order_gives_the_same_script_hours_later_and_after_a_restart(
    store: S3Store, agent: Path, order: LaunchOrder
) -> None:
    clock, lender = FakeClock(), Lender()
    first = scripts(store, agent, clock, lender).script(order)
    clock.advance(hours=2)
    assert scripts(store, agent, clock, lender).script(order) == first
    assert lender.lent == 1


def test_another_rank_has_a_script_of_its_own(store: S3Store, agent: Path, order: LaunchOrder) -> None:
    boot = scripts(store, agent)
    assert boot.script(order) != boot.script(dataclasses.replace(order, rank=1))


def test_no_secret_and_no_credential_stands_in_the_script_and_both_in_the_bundle(
    store: S3Store, agent: Path, order: LaunchOrder
) -> None:
    script = scripts(store, agent).script(order)
    bundle = (store.get("launch/k3vd9wq/a1-r0/bundle") or b"").decode()
    env = base64.b64decode(value(bundle, "ENV_BASE64")).decode()
    for secret in (SECRET, "hush-lent-1"):
        assert secret not in script
        assert secret in env


def test_the_link_leads_to_the_bundle_that_the_script_has_the_digest_of(
    store: S3Store, agent: Path, order: LaunchOrder
) -> None:
    script = scripts(store, agent).script(order)
    with urllib.request.urlopen(value(script, "BUNDLE_URL"), timeout=10) as answer:  # noqa: S310  this computer's cloud
        bundle = answer.read()
    assert hashlib.sha256(bundle).hexdigest() == value(script, "BUNDLE_SHA256")


def test_the_bundle_brings_the_agent_and_is_discarded_by_its_own_link(
    store: S3Store, agent: Path, order: LaunchOrder
) -> None:
    script = scripts(store, agent).script(order)
    bundle = (store.get("launch/k3vd9wq/a1-r0/bundle") or b"").decode()
    with urllib.request.urlopen(value(bundle, "TRAINER_URL"), timeout=10) as answer:  # noqa: S310  as above
        assert answer.read() == agent.read_bytes()
    assert value(script, "TRAINER_SHA256") == hashlib.sha256(agent.read_bytes()).hexdigest()
    discard = urllib.request.Request(value(bundle, "DISCARD_URL"), method="DELETE")  # noqa: S310  as above
    urllib.request.urlopen(discard, timeout=10).close()  # noqa: S310  as above
    assert store.get("launch/k3vd9wq/a1-r0/bundle") is None


def test_the_agents_first_word_is_looked_for_and_may_be_said_in_its_place(
    store: S3Store, agent: Path, order: LaunchOrder
) -> None:
    scripts(store, agent).script(order)
    bundle = (store.get("launch/k3vd9wq/a1-r0/bundle") or b"").decode()
    look = urllib.request.Request(value(bundle, "SPOKEN_URL"), method="HEAD")  # noqa: S310  as above
    with pytest.raises(urllib.error.HTTPError, match="404"):
        urllib.request.urlopen(look, timeout=10)  # noqa: S310  as above
    text = {"Content-Type": "text/plain; charset=utf-8"}
    say = urllib.request.Request(value(bundle, "OUTCOME_URL"), data=b"{}", method="PUT", headers=text)  # noqa: S310
    urllib.request.urlopen(say, timeout=10).close()  # noqa: S310  as above
    assert store.get("jobs/k3vd9wq/a1/events/00000001.jsonl") == b"{}"
    urllib.request.urlopen(look, timeout=10).close()  # noqa: S310  as above


def test_links_last_a_little_longer_than_the_rental(store: S3Store, agent: Path, order: LaunchOrder) -> None:
    script = scripts(store, agent).script(order)
    lasts = parse_qs(urlsplit(value(script, "BUNDLE_URL")).query)["X-Amz-Expires"]
    assert (lasts, value(script, "LIFETIME")) == ([str((4 * 60 + 15) * 60)], str(4 * 3600))


def test_links_of_a_long_rental_last_as_long_as_s3_signs_for(store: S3Store, agent: Path, order: LaunchOrder) -> None:
    long = dataclasses.replace(order, deadline=START + timedelta(days=10))
    script = scripts(store, agent).script(long)
    assert parse_qs(urlsplit(value(script, "BUNDLE_URL")).query)["X-Amz-Expires"] == [str(7 * 86400)]


def test_the_agent_is_stored_once_for_all_machines(store: S3Store, agent: Path, order: LaunchOrder) -> None:
    for rank in range(2):
        boot = scripts(store, agent)
        boot.script(dataclasses.replace(order, rank=rank))
    sha256 = hashlib.sha256(agent.read_bytes()).hexdigest()
    assert list(store.keys("trainer")) == [f"trainer/{sha256}.pyz"]


def test_forgetting_removes_script_and_bundle_and_doing_it_again_is_no_error(
    store: S3Store, agent: Path, order: LaunchOrder
) -> None:
    boot = scripts(store, agent)
    boot.script(order)
    boot.forget("k3vd9wq", 1, 0)
    boot.forget("k3vd9wq", 1, 0)
    assert list(store.keys("launch")) == []


def test_a_deadline_that_has_passed_or_a_missing_image_is_refused(
    store: S3Store, agent: Path, order: LaunchOrder
) -> None:
    boot = scripts(store, agent)
    for bad in (dataclasses.replace(order, deadline=START), dataclasses.replace(order, image=None)):
        with pytest.raises(Rejected, match="needs an image to run and a deadline"):
            boot.script(bad)
    assert list(store.keys("launch")) == []


class BrokenStore(FolderStore):
    """A store that fails at every turn."""

    def get(self, key: str, most: int = -1) -> bytes | None:
        raise StoreFault("Could not read: disk on fire.")

    def delete(self, key: str) -> None:
        raise StoreFault("Could not remove: disk on fire.")

    def sign(self, verb: str, key: str, expires: int) -> str:
        raise StoreFault("Could not sign: disk on fire.")


def test_a_store_that_does_not_answer_is_unknown_and_does_not_stop_the_forgetting(
    tmp_path: Path, agent: Path, order: LaunchOrder
) -> None:
    boot = scripts(BrokenStore(tmp_path), agent)
    with pytest.raises(Unknown, match="disk on fire"):
        boot.script(order)
    boot.forget("k3vd9wq", 1, 0)
