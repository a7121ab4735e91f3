"""Many machines are heard together: one commit for their chunks, none spoiled by another, nothing forgotten."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event

from jobs import db
from tests.support.builders import a_spec
from tests.support.world import Agent, World

SPEC = a_spec(minutes=600)


def speaking(world: World, count: int) -> list[Agent]:
    """Let so many jobs run, each with an agent that has spoken."""
    return [world.running(SPEC)[1] for _ in range(count)]


def losses(world: World, agent: Agent) -> list[float | None]:
    with world.db.read() as tx:
        return [point.value for point in db.metrics(tx, agent.job_id).get("loss", [])]


def test_chunks_of_several_machines_share_a_commit(tmp_path: Path) -> None:
    world = World(tmp_path)
    agents = speaking(world, 5)
    for agent in agents:
        agent.says("metric", step=1, values={"loss": 2.0})
        agent.says("metric", step=2, values={"loss": 1.0})
    commits: list[object] = []
    event.listen(world.db.engine, "commit", commits.append)
    assert world.follow.round() == 10
    assert len(commits) == 2  # the first chunk of each, then the second
    assert [losses(world, agent) for agent in agents] == [[2.0, 1.0]] * 5


def test_a_chunk_that_cannot_be_written_spoils_none_of_those_it_shares_a_commit_with(tmp_path: Path) -> None:
    world = World(tmp_path)
    first, poisoned, last = speaking(world, 3)
    with world.db.write() as tx:
        tx.connection().exec_driver_sql(
            "CREATE TEMP TRIGGER poison BEFORE UPDATE OF loss ON job WHEN NEW.loss = 13 "
            "BEGIN SELECT RAISE(ABORT, 'cannot be written'); END"
        )
    for agent, loss in ((first, 2.0), (poisoned, 13.0), (last, 3.0)):
        agent.says("metric", step=1, values={"loss": loss})
    poisoned.says("metric", step=2, values={"loss": 4.0})
    world.follow.round()
    assert [losses(world, agent) for agent in (first, poisoned, last)] == [[2.0], [4.0], [3.0]]
    assert [world.attempts(agent.job_id)[0].cursor for agent in (first, poisoned, last)] == [2, 3, 2]


@pytest.mark.parametrize("opening", [1.0, None])
def test_what_is_remembered_of_curves_is_what_their_points_say(tmp_path: Path, opening: float | None) -> None:
    told = []
    for forgetful in (False, True):
        world = World(tmp_path / str(forgetful))
        (agent,) = speaking(world, 1)
        for events in _a_long_story(world, opening):
            agent.writes(events)
            world.clock.advance(40)
            if forgetful:
                world.restart()
            world.follow.round()
        with world.db.read() as tx:
            curves = {
                name: [(point.step, point.value, point.odd) for point in points]
                for name, points in db.metrics(tx, agent.job_id).items()
            }
        notes = [(note.kind, note.at, note.data) for note in world.notes(agent.job_id)]
        told.append((curves, notes, world.job(agent.job_id).loss))
    assert told[0] == told[1]
    kinds = [kind for kind, _, _ in told[0][1]]
    assert (kinds.count("first_plot"), kinds.count("plot"), "trouble" in kinds) == (1, 1, True)
    assert len(told[0][0]["loss"]) <= 2_000


def _a_long_story(world: World, opening: float | None) -> list[list[dict[str, Any]]]:
    """Return chunks: a curve that opens, one without steps, one long enough to be thinned, one that leaves for good."""

    def point(step: int | None, **values: float | str | None) -> dict[str, Any]:
        return {"t": world.now().timestamp(), "kind": "metric", "data": {"step": step, "values": values}}

    first = "nan" if opening is None else opening
    return [
        [{"t": 0.0, "kind": "progress", "data": {"step": 0, "total": 5000}}, point(0, loss=first)],
        [point(step, loss=1.0 + step / 1e4) for step in range(1, 4)],
        [point(None, loss=0.9, grad=2.0), point(None, loss=0.8)],
        [point(step, loss=0.5, val_loss=0.7) for step in range(10, 2400)],
        [{"t": 0.0, "kind": "progress", "data": {"step": 2500, "total": 5000}}, point(2500, loss=0.4)],
        [point(step, loss=0.3) for step in range(2501, 4100, 3)],
        [point(step, loss=99.0 + step / 100) for step in range(5000, 5040)],
    ]
