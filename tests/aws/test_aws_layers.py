"""The bot's own layers over aws, each alone: no schedule stands behind the machine, and nothing on it acts."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest

from jobs.providers import Instance, LaunchOrder, Offer
from jobs.providers.aws import Aws
from jobs.reaper import Reaper
from tests.aws.books import Scripts
from tests.aws.cloud import IMAGE, REGION
from tests.crashes.aws import OFFER, WIRE, AwsCloud
from tests.support.builders import a_spec
from tests.support.clock import FakeClock
from tests.support.world import HOME, World

Layer = Callable[[World, Aws, str], None]


class WithImage(Aws):
    """The provider as it is, for jobs whose image nobody has looked up."""

    def launch(self, offer: Offer, order: LaunchOrder) -> Instance:
        """Ask for a machine."""
        return super().launch(offer, dataclasses.replace(order, image="pytorch/pytorch@sha256:" + "0" * 64))


def by_its_trigger(world: World, aws: Aws, job_id: str) -> None:
    world.rentals.attend(job_id)


def by_the_pass(world: World, aws: Aws, job_id: str) -> None:
    world.rentals.enforce()


def by_the_reaper(world: World, aws: Aws, job_id: str) -> None:
    Reaper({"aws": aws}, world.clock, HOME).round()


@pytest.mark.parametrize("layer", [by_its_trigger, by_the_pass, by_the_reaper], ids=lambda one: one.__name__)
def test_the_bots_own_layers_each_end_a_machine_alone(tmp_path: Path, layer: Layer) -> None:
    clock = FakeClock()
    cloud = AwsCloud(clock)
    WIRE.answer = cloud._http
    aws = WithImage(home=HOME, regions=(REGION,), prices=(OFFER,), boot=Scripts(), clients=WIRE.client, image=IMAGE)
    world = World(tmp_path, aws, clock=clock)  # type: ignore[arg-type]  # what only the fake one has is not used here
    job_id, _ = world.running(a_spec(gpu=OFFER.gpu, minutes=60, providers=("aws",)))
    world.rentals.enforce()
    deadline = world.job(job_id).deadline
    assert deadline is not None and len(cloud.alive()) == 1

    # In steps that no clock which jumps would make, and by nobody's hand.
    while clock.now() < deadline:
        clock.advance(30)
    assert len(cloud.alive()) == 1, "nothing but the bot ends it here"
    clock.advance(60 if layer is by_the_reaper else 0)
    layer(world, aws, job_id)
    assert cloud.alive() == []
