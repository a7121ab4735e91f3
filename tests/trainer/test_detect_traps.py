"""Lines that look like what they are not: each was misread once."""

from __future__ import annotations

import pytest

from tests.trainer.reading import fed, told


def bar(count: int, total: int, name: str = "", **values: float) -> str:
    """Return a bar as tqdm draws it."""
    shown = "".join(f", {series}={value}" for series, value in values.items())
    drawn = f"{100 * count // total:3d}%|███▎      | {count}/{total} [00:01<00:02,  8.00it/s{shown}]"
    return f"{name}: {drawn}" if name else drawn


@pytest.mark.parametrize(
    "line",
    [
        'Resumed from checkpoint {"step": 500, "loss": 2.5}',
        'Best so far: {"step": 10, "loss": 0.5}',
        'args {"lr": 0.001, "bce": 1.0, "loss": 0.5}',
        'config: {"lr": 0.001, "loss": 0.5}',
    ],
)
def test_a_record_behind_words_is_not_the_runs(line: str) -> None:
    found = fed("step 3 loss 0.5", line, "step 4 loss 0.25")
    assert [(one.step, one.values["loss"]) for one in found if "loss" in one.values] == [(3, 0.5), (4, 0.25)]


def test_a_main_bar_that_is_drawn_late_is_no_bar_of_epochs() -> None:
    found = fed(bar(0, 30), bar(0, 100), bar(60, 100), "{'eval_loss': 0.5, 'epoch': 0.33}", bar(12, 30), bar(30, 30))
    assert [one.step for one in found if one.moved][-2:] == [12, 30]


def test_epochs_of_unequal_length_are_no_evaluations() -> None:
    found = fed(*(bar(count, n, loss=0.5) for n in (100, 98, 101) for count in (1, n)))
    assert {*found[0].values}.union(*(one.values for one in found)) == {"loss"}
    assert [one.step for one in found] == [1, 100, 101, 198, 199, 299]


def test_a_bar_that_is_called_otherwise_goes_on() -> None:
    found = fed(bar(20, 100, "warmup", loss=1.0), bar(30, 100, "cosine", loss=0.5), bar(40, 100, "cosine", loss=0.25))
    assert [one.step for one in found] == [20, 30, 40]


def test_a_bar_of_epochs_that_measures_counts_while_there_is_no_other() -> None:
    assert [(one.step, one.total) for one in fed(bar(5, 10, "Epoch", loss=0.5))] == [(5, 10)]


@pytest.mark.parametrize("name", ["Saving checkpoint 1/5 steps", "Sampling loop 30/50 steps"])
def test_steps_of_something_else_are_not_the_runs(name: str) -> None:
    found = fed(bar(3, 100, loss=0.5), bar(4, 100, name), bar(5, 100, loss=0.25))
    assert [one.step for one in found if one.values] == [3, 5]


def test_a_longer_second_bar_of_an_epoch_is_of_an_evaluation() -> None:
    found = fed(
        bar(20, 20, "Epoch 1/3", loss=0.5), bar(50, 50, "Epoch 1/3", loss=1.5), bar(10, 20, "Epoch 2/3", loss=0.25)
    )
    assert [(one.step, dict(one.values)) for one in found] == [
        (20, {"loss": 0.5}), (20, {"val_loss": 1.5}), (30, {"loss": 0.25}),
    ]  # fmt: skip


def test_an_epoch_that_is_better_than_before_is_told() -> None:
    first, second = fed(
        "Epoch 1/3 train_loss 0.5 val_loss 0.75", "Epoch 2/3 train_loss 0.25 val_loss 0.5 (improved from 0.75)"
    )
    assert (first.step, second.step) == (1, 2)
    assert second.values == {"train_loss": 0.25, "val_loss": 0.5}


def test_the_training_goes_on_after_what_came_of_an_evaluation() -> None:
    lines = ("iter 100 loss 0.5", "iter 200 loss 0.4", "Evaluating...", "test loss: 0.6 acc: 0.5", "iter 100 loss 0.3")
    assert [one.values.get("loss") for one in fed(*lines)] == [0.5, 0.4, None, 0.3]


@pytest.mark.parametrize("word", ["| patience 0/5 |", "node 1/2", "worker 2/4", "fold 1/5,"])
def test_a_fraction_of_something_else_is_no_count_within_an_epoch(word: str) -> None:
    assert [one.step for one in fed(*(f"Epoch {n} {word} loss 0.5" for n in (1, 2, 3)))] == [1, 2, 3]


@pytest.mark.parametrize(
    ("line", "name"),
    [
        ("Epoch 1 finished. Train loss: 0.5", "train_loss"),
        ("Epoch 1 done. Val loss: 0.5", "val_loss"),
        ("iter 5 time 0.35 secs loss: 0.5", "loss"),
        ("iter 5 speed 351.5 tok loss: 0.5", "loss"),
        ("step 30 dev=cuda:0 loss: 0.5", "loss"),
        ("step 20 | saved to /data/test/run | loss 0.5", "loss"),
        ("run: my-test step 70 loss 0.5", "loss"),
        ("step 10 (eval every 100): loss 0.5", "loss"),
        ("validate step: 10  loss:  0.5", "val_loss"),
        ("evaluate step 10 loss 0.5", "eval_loss"),
        ("Step 10 validate loss: 0.5", "val_loss"),
    ],
)
def test_a_name_holds_no_ends_of_sentences_units_or_places(line: str, name: str) -> None:
    (found,) = fed(line)
    assert dict(found.values) == {name: 0.5}


@pytest.mark.parametrize("line", ["Collecting wer==0.5", "Requirement already satisfied: cer==1.2 in x", "wer==0.5"])
def test_versions_measure_nothing(line: str) -> None:
    assert fed(line) == []


def test_an_evaluation_below_the_heading_of_an_epoch_comes_after_its_end() -> None:
    found = fed(
        "Epoch 2/2",
        "100/100 ━━━━━━━━━━ 5s 13ms/step - accuracy: 0.75 - loss: 0.5",
        "20/20 ━━━━━━━━━━ 1s 13ms/step - accuracy: 0.5 - loss: 0.75",
    )
    assert {one.step for one in found} == {200}


@pytest.mark.parametrize(
    "lines",
    [
        ("step: 1.0e+999 loss: 0.5",),
        ("Epoch " + "9" * 320 + " loss 0.5",),
        ("step " + "9" * 320 + "/" + "9" * 321 + " loss 0.5",),
        (bar(10, 30), "{'loss': 1.0, 'epoch': nan}"),
        ('{"a":' * 1_500 + "1" + "}" * 1_500,),
        (" 12%|█|  60/500 [00:30<03::40,  2.00it/s]",),
        (" 12%|█|  60/500 [00:30<03:40,  2.0.0it/s]",),
        ("1:\tlearn: 0.65\ttotal: 1ms\tremaining: 1.2.3s",),
        ("step 1 loss: " + "9" * 980 + "x",),
    ],
)
def test_what_is_made_to_be_misread_ends_nothing(lines: tuple[str, ...]) -> None:
    assert len(told([*lines, "step 3 loss 0.25"])) == len(lines) + 1


def test_a_run_goes_on_after_hostile_lines() -> None:
    hostile = ("step: 1.0e+999 loss: 0.5", "Epoch " + "9" * 320 + " loss 0.5", "0/0 loss: nan", "step -3 loss 0.5")
    *_, last = fed(*hostile, "step 3 loss 0.25")
    assert last.values["loss"] == 0.25
