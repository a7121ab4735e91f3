"""A command that does nothing any more: told once, with nothing ended, and never on a failed look."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from tests.trainer.fakes import HandClock
from tests.trainer.rented import JOB, Rented, until
from tests.trainer.test_idle import smi
from trainer import fetch
from trainer.gpu import parse_loads
from trainer.silence import Silence
from trainer.sources import written
from trainer.spinning import Load
from trainer.watches import Watches
from trainer.wire import GpuNeed


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


def spinner(
    clock: HandClock, *looks: Sequence[Load] | None, moved: float | None = None, idle_ends: bool = False
) -> Silence:
    """Return who listens for ten minutes beside GPUs that show `looks`, the last of them for ever."""
    left = list(looks)

    def loads() -> Sequence[Load] | None:
        return left.pop(0) if len(left) > 1 else left[0]

    def busy() -> Sequence[int] | None:
        return None if left[0] is None else [load.busy for load in left[0]]

    return Silence(
        600.0, probe=busy, clock=clock, told=lambda text: None, loads=loads, moved=lambda _: moved, idle_ends=idle_ends
    )


def looked(listens: Silence, clock: HandClock, seconds: float) -> list[tuple[float, str]]:
    """Look every ten seconds for so long; return what was told and when."""
    told, began = [], clock.now
    while clock.now - began < seconds:
        clock.now += 10.0
        if text := listens.look():
            told.append((clock.now - began, text))
    return told


SPINS, IDLES, WORKS = (
    Load(busy=100, memory=0, power=0.18), Load(busy=0, memory=0, power=0.15), Load(busy=99, memory=37, power=0.8)
)  # fmt: skip
AS_SEEN = (
    "No line and no checkpoint for 10 min, and {} busy all the time without working"
    " (memory touched in 0 % of it at most, 18 % of its power drawn), as where ranks wait for each other: it may hang."
)


@pytest.mark.parametrize(
    ("gpus", "who"), [([SPINS], "the GPU is"), ([SPINS] * 8, "8 GPUs are"), ([SPINS] * 7 + [IDLES], "7 GPUs are")]
)
def test_gpus_that_only_wait_for_each_other_are_no_sign(gpus: Sequence[Load], who: str) -> None:
    clock = HandClock()
    assert looked(spinner(clock, gpus), clock, 605.0)[0] == (600.0, AS_SEEN.format(who))


@pytest.mark.parametrize(
    "gpus",
    [
        [WORKS], [SPINS, WORKS], None,
        [Load(busy=100, memory=2, power=0.18)],  # reads its memory
        [Load(busy=100, memory=0, power=0.7)],  # computes
        [Load(busy=100, memory=0, power=None)],  # does not tell
        [Load(busy=60, memory=0, power=0.18)],  # comes and goes
    ],
)  # fmt: skip
def test_what_may_be_work_is_a_sign_although_little_is_seen_of_it(gpus: Sequence[Load] | None) -> None:
    clock = HandClock()
    assert looked(spinner(clock, gpus), clock, 3_000.0) == []


@pytest.mark.parametrize("sign", [[WORKS], None])
def test_one_look_at_work_and_the_silence_begins_anew(sign: Sequence[Load] | None) -> None:
    clock = HandClock()
    looks = [*[[SPINS]] * 30, sign, [SPINS]]
    assert looked(spinner(clock, *looks), clock, 1_000.0)[0][0] == 310.0 + 600.0 - 10.0


def test_a_line_in_between_is_a_sign_for_gpus_that_spin_too() -> None:
    clock = HandClock()
    listens = spinner(clock, [SPINS])
    assert looked(listens, clock, 590.0) == []
    listens.heard()
    assert looked(listens, clock, 605.0)[0][0] == 600.0


def test_a_file_that_is_written_is_a_sign() -> None:
    clock = HandClock()
    assert looked(spinner(clock, [SPINS], moved=0.0), clock, 3_000.0) == []
    assert looked(spinner(clock, [IDLES], moved=0.0), clock, 3_000.0) == []


@pytest.mark.parametrize("gpu", [SPINS, IDLES])
def test_the_silence_begins_when_the_last_file_was_written_and_not_when_that_is_seen(gpu: Load) -> None:
    clock = HandClock()
    at = clock.now + 25.0
    listens = spinner(clock, [gpu])
    listens._moved = lambda seconds: clock.now - at if at > clock.now - seconds else None
    assert looked(listens, clock, 700.0)[0][0] == 630.0


def test_where_an_idle_gpu_ends_the_rental_only_one_that_spins_is_told_of() -> None:
    clock = HandClock()
    assert looked(spinner(clock, [IDLES], idle_ends=True), clock, 700.0) == []
    assert looked(spinner(clock, [SPINS], idle_ends=True), clock, 700.0) != []


def test_files_that_were_written_since_are_found(tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "train.txt").write_text("step 1")
    os.utime(tmp_path / "logs" / "train.txt", (1_000.0, 1_000.0))
    (tmp_path / "wandb").mkdir()
    (tmp_path / "wandb" / "system.json").write_text("{}")  # written whatever the training does
    (tmp_path / "notes.txt").write_text("begun")
    os.utime(tmp_path / "notes.txt", (999.5, 999.5))
    assert written(tmp_path, 999.0, until=1_000.0) == 1_000.0
    assert written(tmp_path, 1_000.0, until=2_000.0) is None
    assert written(tmp_path, 900.0, until=999.0) is None  # a time of its own, that lies ahead for ever


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("100, 0, 100.00, 400.00\n98, 45, 380, 400\n", [(100, 0, 0.25), (98, 45, 0.95)]),
        ("100, 0, [N/A], 400.00", [(100, 0, None)]),
        ("100, 0, 71.20, [Not Supported]", [(100, 0, None)]),
        ("[N/A], [N/A], 71.20, 400.00", None),
        ("", None),
    ],
)
def test_what_a_driver_says_of_its_gpus(answer: str, expected: list[tuple[int, int, float | None]] | None) -> None:
    loads = parse_loads(answer)
    assert expected == (loads and [(one.busy, one.memory, one.power) for one in loads])


def test_a_machine_whose_gpus_spin_says_so_and_goes_on(rented: Rented, tmp_path: Path) -> None:
    seen = tmp_path / "tools"
    path = smi(seen, "case $1 in *memory*) echo 100, 0, 70, 400;; *) echo 100;; esac")
    rented.order(
        {},
        commands=["while [ ! -e go ]; do sleep 0.05; done"],
        gpu=GpuNeed(name="a100", count=1, memory_gb=80, required=True),
        hang_timeout=1.0,
    )
    rented.start(PATH=path)
    until(lambda: "hung" in rented.notices())
    (rented.scratch / "source" / "go").touch()
    assert rented.wait() == 0
    assert "busy all the time without working" in rented.notices()["hung"]


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


@pytest.mark.parametrize(("rank", "gpus", "listens"), [(0, 0, True), (1, 0, False), (1, 1, True)])
def test_a_machine_beside_the_first_whose_script_prints_nothing_is_judged_by_its_gpu_alone(
    rented: Rented, tmp_path: Path, rank: int, gpus: int, listens: bool
) -> None:
    need = GpuNeed(name="a100" if gpus else "cpu", count=gpus, memory_gb=None, required=bool(gpus))
    rented.order({}, commands=["true"], nodes=2, hang_timeout=600.0, gpu=need)
    order = replace(fetch.order(rented.store, JOB, 1, 0), rank=rank)
    before = set(threading.enumerate())
    watches = Watches(order, tmp_path, filed=lambda at, rows: None, idle=lambda told: None, hung=lambda told: None)
    assert ("silence" in {thread.name for thread in {*threading.enumerate()} - before}) is listens
    watches.close()
