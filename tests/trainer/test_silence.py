"""A command that does nothing any more: told once, with nothing ended, and never on a failed look."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from tests.trainer.fakes import HandClock
from tests.trainer.rented import Rented, until
from trainer.silence import Silence


def silence(clock: HandClock, *looks: Sequence[int] | None) -> Silence:
    """Return who listens for ten minutes; the GPU shows `looks` one after another, and none stands for no GPU."""
    left = list(looks)
    return Silence(600.0, probe=(lambda: left.pop(0)) if looks else None, clock=clock, told=lambda text: None)


def test_nothing_for_so_long_is_told_and_a_sign_begins_anew() -> None:
    clock = HandClock()
    listens = silence(clock)
    clock.now += 599.0
    assert listens.look() is None
    listens.heard()
    clock.now += 599.0
    assert listens.look() is None
    clock.now += 1.0
    assert listens.look() == "No line and no checkpoint for 10 min: it may hang."


@pytest.mark.parametrize("busy", [[1], [0, 97], None])
def test_a_gpu_that_works_or_cannot_be_asked_is_a_sign(busy: Sequence[int] | None) -> None:
    clock = HandClock()
    listens = silence(clock, busy, [0, 0])
    clock.now += 600.0
    assert listens.look() is None
    clock.now += 599.0
    assert listens.look() is None
    clock.now += 1.0
    assert listens.look() == "No line and no checkpoint for 10 min, and the GPU idle: it may hang."


def test_a_silent_machine_says_so_and_goes_on(rented: Rented) -> None:
    rented.order({}, commands=["echo step 1: loss 2.0", "while [ ! -e go ]; do sleep 0.05; done"], hang_timeout=0.6)
    rented.start()
    until(lambda: "hung" in rented.notices())
    (rented.scratch / "source" / "go").touch()
    assert rented.wait() == 0
    assert rented.notices() == {"hung": "No line and no checkpoint for 0.01 min: it may hang."}


def test_one_that_speaks_is_left_alone(rented: Rented) -> None:
    rented.order({}, commands=["for i in 1 2 3 4 5 6 7 8; do echo $i; sleep 0.1; done"], hang_timeout=0.6)
    assert rented.run() == 0
    assert rented.notices() == {}
