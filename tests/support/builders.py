"""Records with sensible values, of which a test names only what its story is about."""

from __future__ import annotations

import dataclasses
import itertools
from datetime import timedelta
from typing import Any

from jobs.lifecycle import AttemptState, JobState
from jobs.model import Attempt, Job, Team
from jobs.providers import Guarantee, Need, Offer, Traits
from jobs.records import dump
from jobs.values import DOLLAR, JobSpec, Request, Source, SpotPolicy
from tests.support.clock import START

SHA = "3f9c2ab15d0e4c6b8a7f1e2d3c4b5a6978879695"

_deliveries = itertools.count(1)


def a_team(**changes: Any) -> Team:
    """Return a team with $300 a month and the default limits; not in any database."""
    fields: dict[str, Any] = {"id": "vision", "name": "vision", "cap": 300 * DOLLAR, "created_at": START}
    return Team(**(fields | changes))


def a_request(**changes: Any) -> Request:
    """Return `/train acme/vit@3f9c2ab gpu=a100 hours=4` by U1ADA in C1TRAIN, under a delivery of its own."""
    request = Request(
        delivery=f"delivery-{next(_deliveries)}",
        channel="C1TRAIN",
        person="U1ADA",
        repo="acme/vit",
        ref="3f9c2ab",
        overrides={"gpu": "a100", "hours": "4"},
        text="acme/vit@3f9c2ab gpu=a100 hours=4",
    )
    return dataclasses.replace(request, **changes)


def a_source(**changes: Any) -> Source:
    """Return acme/vit at a commit, without a task file."""
    source = Source(url="https://git.example/acme/vit", repo="acme/vit", sha=SHA, subject="Train a ViT", task_file=None)
    return dataclasses.replace(source, **changes)


def a_spec(**changes: Any) -> JobSpec:
    """Return one A100 for four hours, running `python train.py`."""
    spec = JobSpec(
        gpu="a100",
        gpu_memory_gb=None,
        gpus=1,
        nodes=1,
        minutes=240.0,
        image=None,
        registry_auth=None,
        setup=(),
        commands=("python train.py",),
        argv=(),
        env={},
        secrets=(),
        disk_gb=100,
        shm_gb=8,
        providers=(),
        spot=SpotPolicy.ON_DEMAND,
        max_price=None,
        max_cost=None,
        retry_on=(),
        checkpoint_path="out",
        checkpoint_every=600.0,
        checkpoint_keep=3,
        min_gpu_utilization=None,
        utilization_window=None,
    )
    return dataclasses.replace(spec, **changes)


def a_need(**changes: Any) -> Need:
    """Return the need of one on-demand A100."""
    return dataclasses.replace(Need(gpu="a100", memory_gb=None, count=1, spot=False, disk_gb=100), **changes)


def an_offer(**changes: Any) -> Offer:
    """Return an A100 at $2 an hour from the provider `cloud`."""
    offer = Offer(
        provider="cloud",
        name="gpu-1x-a100",
        region="here-1",
        gpu="a100",
        memory_gb=40,
        gpus=1,
        micros_per_hour=2 * DOLLAR,
        spot=False,
        priced_at=START,
    )
    return dataclasses.replace(offer, **changes)


def some_traits(**changes: Any) -> Traits:
    """Return a billing provider that ends machines itself, bills by the second and needs no start-up time."""
    traits = Traits(
        name="cloud",
        guarantee=Guarantee.NATIVE,
        hard_lag=timedelta(0),
        startup=timedelta(0),
        granule=timedelta(seconds=1),
        minimum=timedelta(minutes=1),
        bills=True,
        extendable=True,
        idempotent=True,
        runs_images=False,
    )
    return dataclasses.replace(traits, **changes)


def a_job(**changes: Any) -> Job:
    """Return a running job with four hours, on its first attempt; not in any database."""
    fields: dict[str, Any] = {
        "id": "job0001",
        "delivery": "delivery-job0001",
        "team_id": "vision",
        "channel": "C1TRAIN",
        "person": "U1ADA",
        "request": dump(a_request()),
        "state": JobState.RUNNING,
        "created_at": START,
        "attempt": 1,
        "deadline": START + timedelta(hours=4),
    }
    return Job(**(fields | changes))


def an_attempt(**changes: Any) -> Attempt:
    """Return the first attempt of `a_job`, up since `START`; not in any database."""
    fields: dict[str, Any] = {
        "id": 1,
        "job_id": "job0001",
        "number": 1,
        "launch_key": "hg-a1",
        "state": AttemptState.UP,
        "provider": "cloud",
        "offer": dump(an_offer()),
        "micros_per_hour": 2 * DOLLAR,
        "deadline": START + timedelta(hours=4),
        "intent_at": START,
        "called_at": START,
        "launched_at": START,
        "instance_id": "i-1",
    }
    return Attempt(**(fields | changes))
