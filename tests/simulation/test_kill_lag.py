"""The kill lags hold in the short run, and a layer that is taken away is missed."""

from __future__ import annotations

import dataclasses
from datetime import timedelta

import pytest

from tests.promises import kill_lag
from tests.promises.figure import Scale
from tests.simulation.layers import DEAD_BOT
from tests.simulation.lives import abandoned


@pytest.mark.promises
def test_every_kill_lag_is_kept() -> None:
    assert [promise for promise in kill_lag.measure(Scale(full=False, seed=3)) if not promise.held] == []


# What people are promised, written down a second time: a provider may not promise itself more time.
PROMISED = {
    "practice": 30,
    "docker": 30,
    "aws timer": 60,
    "aws schedule": 120,
    "gcp": 60,
    "alibaba": 60,
    "vast": 120,
    "lambda": 0,
}


def test_what_is_held_for_a_late_end_is_what_is_promised_of_each_cloud() -> None:
    assert {ground.name: ground.traits.hard_lag.total_seconds() for ground in DEAD_BOT} == PROMISED
    assert {ground.name: (ground.promised or timedelta(0)).total_seconds() for ground in DEAD_BOT} == PROMISED


def test_a_machine_whose_own_timer_is_switched_off_outlives_its_deadline() -> None:
    docker = next(ground for ground in DEAD_BOT if ground.name == "docker")
    kept = abandoned("a", docker)
    assert kept is not None and kept.late is not None and kept.late <= docker.traits.hard_lag.total_seconds()
    lost = abandoned("a", dataclasses.replace(docker, timer=None))
    assert lost is not None and lost.late is None


def test_a_layer_that_is_slower_than_it_says_is_seen() -> None:
    gcp = next(ground for ground in DEAD_BOT if ground.name == "gcp")
    assert gcp.native is not None
    slow = dataclasses.replace(gcp, native=dataclasses.replace(gcp.native, lag=(61.0, 70.0)))
    found = abandoned("a", slow)
    assert found is not None and found.late is not None
    assert timedelta(seconds=found.late) > gcp.traits.hard_lag
