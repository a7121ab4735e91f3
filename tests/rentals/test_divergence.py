"""When a loss has gone wrong: what trainers really printed is no alarm, what really went wrong is one."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.divergence import Alarm, Watches, bounds, is_gradient, is_loss
from tests.bench.detectors import CORPUS, lines_of
from tests.trainer.reading import told

RECORDED: Mapping[str, Sequence[float]] = {
    name: [float(value) for value in values]
    for name, values in json.loads(Path(__file__).with_name("losses.json").read_text()).items()
}
FELL = [10.9, 8.0, 6.0, 5.0, 4.0, 3.5, 3.2, 3.1, *(3.0 + at % 3 / 10 for at in range(30))]


def alarms(points: Iterable[tuple[int | None, Mapping[str, float]]]) -> list[Alarm]:
    """Return what is told of a run's values, line by line, as they come."""
    watches, known, found = Watches(), set[str](), list[Alarm | None]()
    for step, values in points:
        known |= set(values)
        watches.know(known)
        for name, value in values.items():
            odd = "" if math.isfinite(value) else "nan" if math.isnan(value) else "inf"
            found.append(watches.take(name, step, None if odd else value, odd))
    return [alarm for alarm in found if alarm is not None]


def first(points: Iterable[tuple[int | None, Mapping[str, float]]]) -> tuple[str, str] | None:
    return next(((alarm.code, alarm.text) for alarm in alarms(points)), None)


def of(values: Iterable[float], name: str = "loss", **beside: float) -> list[tuple[int | None, Mapping[str, float]]]:
    return [(step, {name: value, **beside}) for step, value in enumerate(values)]


def test_no_recording_of_a_trainer_is_an_alarm() -> None:
    paths = sorted(CORPUS.glob("*/*.txt"))
    assert len(paths) >= 599
    found = {}
    for path in paths:
        if told_wrong := alarms((one.step, one.values) for one in told(lines_of(path)) if one):
            found[path.stem] = told_wrong[0].text
    assert found == {}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("healthy", None),
        ("lr 0.05 at step 120", ("diverged", "loss is 20.26; it had been down to 2.553 and began with 5.385.")),
        ("lr 0.3 at step 120, clipped", ("diverged", "loss is 184.5; it had been down to 2.545 and began with 5.385.")),
        ("lr 0.1 from the start", ("diverged", "loss is 201.5; it began with 5.385.")),
        ("SGD, lr 3 at step 120", ("diverged", "loss is 1.849e+16; it had been down to 2.709 and began with 5.385.")),
        ("SGD, lr 5 from the start", ("nan", "loss is NaN at step 4.")),
    ],
)
def test_a_small_gpt_is_told_of_when_its_learning_rate_ruins_it(name: str, expected: tuple[str, str] | None) -> None:
    assert first(of(RECORDED[name])) == expected


@pytest.mark.parametrize("name", ["loss", "val_loss", "loss_cls", "train/d_loss_fake", "total_loss", "train_logloss"])
@pytest.mark.parametrize(("value", "word"), [(math.nan, "NaN"), (math.inf, "infinite")])
def test_any_loss_that_is_no_number_is_told_at_once(name: str, value: float, word: str) -> None:
    assert first(of([1.0, value], name, other_loss=1.0)) == ("nan", f"{name} is {word} at step 1.")


def test_beside_rewards_a_loss_may_begin_with_nan_but_not_stay_so() -> None:
    assert first(of([math.nan, math.nan, 2.0, 1.0], r=1.0)) is None
    assert first(of([math.nan] * 4, r=1.0)) is None
    assert first(of([math.nan] * 5, r=1.0)) == ("nan", "loss is NaN at step 4.")
    assert first(of([math.nan], "cls_loss", loss=1.0)) is None  # nor a part of it: of no boxes there is no mean
    assert first(of([math.nan])) == ("nan", "loss is NaN at step 0.")


def test_a_gradient_that_overflows_now_and_then_is_no_alarm_one_that_stays_so_is() -> None:
    some = [math.inf] * 9 + [1.0, math.nan, math.inf, 2.0] * 20
    assert first(of(some, "grad_norm", loss=1.5)) is None
    expected = ("nan", "grad_norm is infinite again and again, now at step 9.")
    assert first(of([math.inf] * 10, "grad_norm", loss=1.5)) == expected


def test_a_part_of_the_loss_that_is_0_says_nothing_of_the_gradient() -> None:
    assert first([(step, {"loss": 2.0, "aux_loss": 0.0, "grad_norm": math.nan}) for step in range(9)]) is None


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([*FELL, 90.0, 3.1, 3.0, 3.1], None),
        ([*FELL, 40.0, 60.0, 50.0], "loss is 50; it had been down to 3.1 and began with 10.9."),
        ([*FELL, *(7.5 + at % 4 / 10 for at in range(20))],
         "loss has stayed above 7.5 for 20 values; it had been down to 3.1 and began with 10.9."),
        ([*FELL, *(4.5 + at % 4 / 10 for at in range(40))], None),
        ([*FELL, *FELL, *FELL], None),
        ([-1.0, -3.0, -5.0, -8.0, -9.0, -10.0, -10.1, -10.0, -10.2, -10.1, 30.0, 50.0, 70.0],
         "loss is 70; it had been down to -10.1 and began with -1."),
        ([0.0, 0.7, 1.4, 2.0, 3.0, 4.0, 5.0, 6.0, 6.5, 7.0, 7.3, 7.5], None),
    ],
    ids=["a spike", "an explosion", "half is lost", "a little is lost", "folds", "below zero", "from nothing"],
)  # fmt: skip
def test_a_loss_is_measured_by_what_it_was_like(values: list[float], expected: str | None) -> None:
    assert first(of(values)) == (("diverged", expected) if expected else None)


def test_a_bar_that_is_drawn_again_makes_no_level_and_no_explosion() -> None:
    assert first(of([value for value in FELL[:12] for _ in range(5)] + [40.0] * 30)) is None


def test_a_part_may_rise_further_than_the_whole() -> None:
    rose = [*(0.2 + at % 3 / 100 for at in range(20)), 0.9, 1.0, 1.1, 1.0, 1.1]
    assert first([(at, {"box_loss": value, "cls_loss": 1.0}) for at, value in enumerate(rose)]) is None
    assert first(of(rose)) == ("diverged", "loss is 1.1; it had been down to 0.21 and began with 0.2.")
    far = [*rose, 30.0, 40.0, 50.0]
    assert first([(at, {"box_loss": value, "cls_loss": 1.0}) for at, value in enumerate(far)]) == (
        "diverged", "box_loss is 50; it had been down to 0.21 and began with 0.2.",
    )  # fmt: skip


def test_a_loss_beside_rewards_has_a_parts_bounds_and_an_evaluation_beside_a_training_has_none() -> None:
    assert bounds(["loss", "ep_rew"]) == {"loss": 10.0}
    assert bounds(["loss", "val_loss", "kl_loss"]) == {"loss": 1.0, "val_loss": None, "kl_loss": 10.0}
    assert bounds(["nll_loss", "lr"]) == {"nll_loss": 1.0}
    assert bounds(["val_loss"]) == {"val_loss": 10.0}


def test_which_series_are_watched() -> None:
    names = ["loss", "value_loss", "train/loss", "best_val_loss", "loss_scale", "lossless", "lr", "accuracy"]
    assert [name for name in names if is_loss(name)] == ["loss", "value_loss", "train/loss", "lossless"]
    assert [name for name in ("grad_norm", "gnorm", "actor/grad_norm", "norm", "layer_norm") if is_gradient(name)] == [
        "grad_norm", "gnorm", "actor/grad_norm",
    ]  # fmt: skip


@given(st.lists(st.floats(), max_size=60))
def test_no_numbers_break_the_watching(values: list[float]) -> None:
    alarms(of(values))


@given(st.floats(0.1, 10), st.lists(st.floats(-1, 1), min_size=40, max_size=200))
def test_noise_around_a_level_is_never_an_alarm(level: float, noise: list[float]) -> None:
    assert alarms(of([level * (1 + 0.3 * one) for one in noise])) == []
