"""Lines that are described while a job runs: its machine is told, later attempts are, and what was misread goes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from jobs import db, descriptions
from jobs.errors import BadRequest, NotAllowed, TooLate
from jobs.lifecycle import JobState
from jobs.policy import Person
from jobs.taskfile import MOST_TEMPLATES
from tests.support.world import World
from trainer import wire

ADA, TAM, LEA = Person(id="U1ADA", lead=False), Person(id="U2TAM", lead=False), Person(id="U3LEA", lead=True)
SAID = ["E{epoch} q <{loss}>"]


def describe(world: World, job_id: str, said: Sequence[str], by: Person = ADA) -> None:
    with world.db.write() as tx:
        descriptions.describe(tx, job_id, by, said, world.clock.now())


def asked_of(world: World, job_id: str) -> wire.Control:
    data = world.store.get(wire.control_key(job_id, 1))
    assert data is not None
    return wire.from_json(wire.Control, data)


def points(world: World, job_id: str) -> dict[str, list[tuple[int, float | None]]]:
    with world.db.read() as tx:
        found = db.metrics(tx, job_id)
    return {series: [(point.step, point.value) for point in line] for series, line in found.items()}


def metric(step: int, **values: float) -> dict[str, Any]:
    return {"t": 0.0, "kind": "metric", "data": {"step": step, "values": values}}


def test_the_machine_is_told_with_the_next_pass_and_the_deadline_and_stop_are_told_as_ever(tmp_path: Path) -> None:
    world = World(tmp_path)
    job_id, _ = world.running()
    world.tick()
    assert asked_of(world, job_id).progress is None
    describe(world, job_id, SAID)
    world.tick()
    first = asked_of(world, job_id)
    assert (first.progress, first.stop) == (SAID, None)
    assert abs(first.deadline - world.job(job_id).deadline.timestamp()) < 0.01  # type: ignore[union-attr]
    world.tick()
    assert asked_of(world, job_id) == first
    describe(world, job_id, [])
    world.stop(job_id)
    world.tick()
    assert (asked_of(world, job_id).progress, asked_of(world, job_id).stop) == ([], wire.Reason.STOPPED)
    assert asked_of(world, job_id).seq > first.seq


def test_what_was_told_of_a_series_before_goes_and_its_new_points_stay(tmp_path: Path) -> None:
    world = World(tmp_path)
    job_id, agent = world.running()
    agent.writes([metric(step, loss=2.0, acc=0.5) for step in (100, 200, 300)])
    world.follow.round()
    anew = {"t": 0.0, "kind": "anew", "data": {"series": ["loss", 7, ""]}}
    agent.writes([metric(400, loss=2.0), anew, metric(4, loss=1.5, acc=0.6)])
    agent.writes([metric(5, loss=1.25)])
    world.follow.round()
    assert points(world, job_id) == {"acc": [(100, 0.5), (200, 0.5), (300, 0.5)], "loss": [(4, 1.5), (5, 1.25)]}
    world.restart()
    agent.says("anew", series="loss")  # no list of names: nothing
    agent.writes([metric(6, loss=1.0)])
    world.follow.round()
    assert points(world, job_id)["loss"] == [(4, 1.5), (5, 1.25), (6, 1.0)]


def test_a_picture_of_what_was_misread_is_followed_by_another_one(tmp_path: Path) -> None:
    world = World(tmp_path)
    job_id, agent = world.running()
    agent.writes([metric(step, loss=2.0) for step in range(100, 110)])
    world.follow.round()
    assert len(world.notes(job_id, "first_plot")) == 1
    world.clock.advance(60)
    agent.writes([{"t": 0.0, "kind": "anew", "data": {"series": ["loss"]}}, metric(1, loss=1.5)])
    world.follow.round()
    world.restart()
    agent.writes([metric(step, loss=1.5) for step in range(2, 12)])
    world.follow.round()
    assert len(world.notes(job_id, "first_plot")) == 2


@pytest.mark.parametrize(
    ("said", "by", "error"),
    [
        (["E{epoch q"], ADA, BadRequest),
        ([f"a{number} {{loss}}" for number in range(MOST_TEMPLATES + 1)], ADA, BadRequest),
        (SAID, TAM, NotAllowed),
    ],
)
def test_what_cannot_be_read_and_whoever_has_no_part_in_it_changes_nothing(
    tmp_path: Path, said: Sequence[str], by: Person, error: type[Exception]
) -> None:
    world = World(tmp_path)
    job_id, _ = world.running()
    with pytest.raises(error):
        describe(world, job_id, said, by)
    assert world.job(job_id).request["overrides"].get("progress") is None


def test_a_lead_may_and_nobody_may_once_it_ends(tmp_path: Path) -> None:
    world = World(tmp_path)
    job_id, agent = world.running()
    describe(world, job_id, SAID, LEA)
    agent.ends()
    world.tick()
    assert world.job(job_id).state is JobState.SUCCEEDED
    with pytest.raises(TooLate, match="finished"):
        describe(world, job_id, [])
