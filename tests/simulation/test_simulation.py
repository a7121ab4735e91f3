"""A seed replays byte for byte, its promises hold, and a ledger or a bot that is wrong is caught."""

from __future__ import annotations

import dataclasses

import pytest

from jobs.values import DOLLAR
from tests.promises import simulation
from tests.promises.figure import Scale
from tests.simulation.agents import Temper
from tests.simulation.machine import Machine
from tests.simulation.oracle import Violation
from tests.simulation.run import grounds, play, prices
from tests.simulation.traffic import Habits
from tests.simulation.weather import Menu
from tests.simulation.world import Cast, World

BUSY = Habits(every=1200.0, hours=(0.25,), bad=0.0, denied=0.0, extended=0.0, stopped=0.0)
CALM = Cast(grounds=grounds()[:1], prices=prices(), menu=Menu(), cap=2000 * DOLLAR)

# Ledgers that keep their months in step with their rows, and are wrong all the same.
MUTANTS = {
    "charges twice what was billed": (
        "AFTER INSERT ON entry WHEN NEW.kind = 'CHARGE' BEGIN "
        "UPDATE entry SET micros = 2 * micros WHERE id = NEW.id; "
        "UPDATE period SET spent = spent + NEW.micros WHERE id = NEW.period_id; END"
    ),
    "keeps what it should give back": (
        "AFTER INSERT ON entry WHEN NEW.kind = 'RELEASE' BEGIN "
        "DELETE FROM entry WHERE id = NEW.id; "
        "UPDATE period SET held = held + NEW.micros WHERE id = NEW.period_id; END"
    ),
    "holds half of the worst case": (
        "AFTER INSERT ON entry WHEN NEW.kind = 'HOLD' BEGIN "
        "UPDATE entry SET micros = micros / 2 WHERE id = NEW.id; "
        "UPDATE period SET held = held - NEW.micros + NEW.micros / 2 WHERE id = NEW.period_id; END"
    ),
    "spends what it does not write": (
        "AFTER INSERT ON entry WHEN NEW.kind = 'CHARGE' BEGIN "
        "UPDATE period SET spent = spent + 1 WHERE id = NEW.period_id; END"
    ),
}


@pytest.mark.promises
def test_a_seed_replays_byte_for_byte_and_another_one_does_not() -> None:
    first, again, other = (play(seed, days=3, most=50) for seed in ("replay", "replay", "another"))
    assert first.fingerprint == again.fingerprint != other.fingerprint
    assert first == again


@pytest.mark.promises
def test_every_promise_but_the_speed_of_a_busy_machine_is_kept() -> None:
    found = simulation.measure(Scale(full=False, seed=2))
    assert [promise for promise in found if not promise.held and promise.name != "simulation speed"] == []


@pytest.mark.promises
@pytest.mark.parametrize("mutant", MUTANTS)
def test_the_oracle_catches_a_ledger_that(mutant: str) -> None:
    def mutate(world: World) -> None:
        guards = world.rows.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall()
        for (name,) in guards:  # the table's own guard against changes would be the first to notice
            world.rows.execute(f"DROP TRIGGER {name}")
        world.rows.execute(f"CREATE TEMP TRIGGER mutant {MUTANTS[mutant]}")

    with pytest.raises(Violation, match=r"expected|charged|closed|the books say"):
        play("mutant", days=1, casting=CALM, habits=BUSY, prepare=mutate, most=300)


@pytest.mark.promises
def test_the_same_history_without_a_mutant_is_in_order() -> None:
    played = play("mutant", days=1, casting=CALM, habits=BUSY, most=100)
    assert played.tally.closed > 0


def test_the_oracle_catches_a_bot_that_ends_nothing() -> None:
    def mutate(world: World) -> None:
        for cloud in world.clouds:
            cloud.end = lambda machine: None  # type: ignore[method-assign]  # the mutant: nobody asks for an end

    alone = dataclasses.replace(CALM, grounds=(dataclasses.replace(grounds()[0], native=None),))
    stubborn = dataclasses.replace(alone, temper=Temper(early=0, failing=0, off=0))
    with pytest.raises(Violation, match="past its deadline"):
        play("mutant", days=1, casting=stubborn, habits=BUSY, prepare=mutate, most=400)


def test_the_oracle_catches_a_bot_that_ends_what_is_at_work() -> None:
    def mutate(world: World) -> None:
        cloud = world.clouds[0]
        made = cloud.launched

        def launched(machine: Machine) -> None:
            made(machine)
            world.after(60.0, "the mutant", lambda: cloud.end(machine))

        cloud.launched = launched

    with pytest.raises(Violation, match="before its deadline"):
        play("mutant", days=1, casting=CALM, habits=BUSY, prepare=mutate, most=100)
