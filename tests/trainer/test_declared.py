"""`progress:` in the task file: templates, and what a run tells whose lines are described."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.taskfile import parse_task_file
from trainer.declared import Declared
from trainer.detect import Detection, Detector
from trainer.templates import parse


def read(templates: str | list[str], *lines: str, resumed: bool = False) -> list[Detection | None]:
    templates = [templates] if isinstance(templates, str) else templates
    detector = Detector(resumed=resumed, declared=Declared(templates))
    return [detector.feed(line) for line in lines]


def points(found: list[Detection | None]) -> list[tuple[int | None, dict[str, float]]]:
    return [(one.step, dict(one.values)) for one in found if one]


# ---------------------------------------------------------------- templates


@pytest.mark.parametrize(
    ("template", "line", "numbers"),
    [
        ("step {step} L {loss}", "step 10 L 0.5", {"step": "10", "loss": "0.5"}),
        ("step {step} L {loss}", "[12:01] step    10 L   0.5, 3 ms", {"step": "10", "loss": "0.5"}),
        ("[{step}/{steps}] L={loss}", "[  3/100] L= -1.5e-3", {"step": "3", "steps": "100", "loss": "-1.5e-3"}),
        ("it {step} {} L={loss}", "it 10, 33 of cat L=2", {"step": "10", "loss": "2"}),
        ("it {step} {} L={loss}", "it 10 L=2", {"step": "10", "loss": "2"}),
        ("L {loss} A {valid/Acc}", "L nan A 81.2%", {"loss": "nan", "valid_acc": "81.2"}),
        ("seen {step} L {loss}", "seen 1,250,000 L 1,024.5", {"step": "1,250,000", "loss": "1,024.5"}),
        ("{step},{loss},{acc}", "10,0.5,0.625", {"step": "10", "loss": "0.5", "acc": "0.625"}),
        ("{step} {loss}", "  10\t0.5 ", {"step": "10", "loss": "0.5"}),
        ("{{{loss}}}", "{0.5}", {"loss": "0.5"}),
        ("step {step}, loss {loss}", "step 1,000, loss 0.4", {"step": "1,000", "loss": "0.4"}),
        ("frames: {step}. L {loss}", "frames: 10752. L 1.", {"step": "10752", "loss": "1"}),
        ("step {step}, {loss}", "step 999, 0.4", {"step": "999", "loss": "0.4"}),
        ("损失 {loss}", "轮 3 损失 0.5", {"loss": "0.5"}),
        ("step {step}", "step 10.5", {"step": "10.5"}),  # and is no count then
    ],
)
def test_a_template_finds_its_numbers(template: str, line: str, numbers: dict[str, str]) -> None:
    assert parse(template).find(" ".join(line.split())) == numbers


@pytest.mark.parametrize(
    ("template", "line"),
    [
        ("step {step} L {loss}", "step 10 of 20"),
        ("step {step} L {loss}", "step 1.2.3 L 0.5"),
        ("{step} {loss}", "10"),
        ("{step} {loss}", "iteration 10 0.5"),  # without a word of its own it is the whole line
        ("{step} {loss}", "10 0.5 s"),
        ("L {loss}", "L none"),
        ("L {loss}", "L 0,534"),  # a comma for a point
        ("L {loss}", "L 0,53"),
        ("L {loss}", "L 1,0000"),
        ("Loss {loss}", "loss 0.5"),
    ],
)
def test_another_line_is_left_alone(template: str, line: str) -> None:
    assert parse(template).find(line) is None


@pytest.mark.parametrize(
    ("template", "said"),
    [
        ("step {step loss", "a brace in `step {step loss` has no other"),
        ("step step} loss", "has no other"),
        ("{step}{loss}", "`{loss}` in `{step}{loss}` stands directly behind another number"),
        ("loss {my loss}", "`{my loss}` in `loss {my loss}` is no name"),
        ("loss {3}", "is no name"),
        ("", "`` says nothing"),
        ("{} :: {}", "`{} :: {}` says nothing"),
        ("L {loss} M {loss}", "`{loss}` stands twice"),
        ("{step} {batch} {loss}", "has both `{step}`, from the run's start, and `{batch}`"),
        ("x" * 401, "longer than 400 characters"),
        (" ".join(f"{{a{n}}}" for n in range(25)), "more than 24 numbers"),
    ],
)
def test_a_template_that_says_nothing_is_refused_in_words(template: str, said: str) -> None:
    with pytest.raises(ValueError, match=re.escape(said)):
        parse(template)


@given(st.text(alphabet="ab {}/:,.0123-", max_size=60), st.text(alphabet="ab {}/:,.0123-", max_size=200))
def test_whatever_is_written_is_read_or_refused(template: str, line: str) -> None:
    try:
        declared = Declared([template])
    except ValueError as error:
        assert str(error)
    else:
        Detector(declared=declared).feed(line)


# ---------------------------------------------------------------- a run


def test_a_line_that_nobody_knows_is_read_from_the_first_one() -> None:
    assert points(read("@{step}/{steps} :: A {gain} B {drift}", "@20/400 :: A 0.532 B -3")) == [
        (20, {"gain": 0.532, "drift": -3.0})
    ]
    (found,) = read("@{step}/{steps} :: A {gain}", "@100/400 :: A 0.5")
    assert found is not None
    assert (found.moved, found.total, found.percent) == (True, 400, 25.0)


def test_a_batch_counts_on_over_epochs() -> None:
    both = "ep {epoch}/{epochs} b {batch}/{batches} L {loss}"
    lines = ["ep 1/3 b 5/10 L 3", "ep 1/3 b 10/10 L 2", "ep 2/3 b 5/10 L 1"]
    found = read(both, *lines)
    assert [(one.step, one.total) for one in found if one] == [(5, 30), (10, 30), (15, 30)]

    apart = ["== epoch {epoch} of {epochs} ==", "b {batch}/{batches} L {loss}"]
    lines = ["== epoch 0 of 3 ==", "b 5/10 L 3", "== epoch 1 of 3 ==", "b 5/10 L 1"]
    assert [(step, values) for step, values in points(read(apart, *lines)) if values] == [
        (5, {"loss": 3.0}),
        (15, {"loss": 1.0}),
    ]


def test_an_epoch_begins_where_the_last_one_ended_however_long_it_was() -> None:
    lines = ["ep 1 b 10/10 L 2", "ep 2 b 1/8 L 1", "ep 2 b 8/8 L 1", "ep 3 b 1/10 L 1", "ep 5 b 1/10 L 1"]
    assert [step for step, _ in points(read("ep {epoch} b {batch}/{batches} L {loss}", *lines))] == [10, 11, 18, 19, 41]


def test_epochs_count_where_nothing_finer_is_described() -> None:
    assert points(read("E{epoch} {loss}", "E1 3.5", "E2 2.5")) == [(1, {"loss": 3.5}), (2, {"loss": 2.5})]
    templates = ["E{epoch} b{batch}/{batches} {loss}", "E{epoch} done: {val_loss}"]
    lines = ["E0 b5/10 3.5", "E0 done: 3.1", "E1 b5/10 2.5"]
    assert points(read(templates, *lines)) == [(5, {"loss": 3.5}), (5, {"val_loss": 3.1}), (15, {"loss": 2.5})]


def test_what_is_described_stands_before_what_is_guessed() -> None:
    lines = ["step 1: loss 9.0", "@20 L 0.5 (loss 7)", "step 2: loss 8.0, acc: 0.75"]
    # The series and the count are the template's from its first line on; what it does not name is still read.
    assert points(read("@{step} L {loss}", *lines)) == [(1, {"loss": 9.0}), (20, {"loss": 0.5}), (20, {"acc": 0.75})]


def test_a_description_that_fits_no_line_changes_nothing() -> None:
    assert points(read("zzz {step} L {loss}", "step 1: loss 9.0")) == [(1, {"loss": 9.0})]


def test_a_description_without_a_name_is_of_lines_to_be_left_alone() -> None:
    lines = ["step 1: loss 9.0", "summary: step 1: loss 9.0", "step 2: loss 8.0"]
    assert points(read("summary: {}", *lines)) == [(1, {"loss": 9.0}), (2, {"loss": 8.0})]


def test_how_many_there_are_may_be_said_once() -> None:
    templates = ["--max-updates {steps}", "U={step} L {loss}"]
    (found,) = [one for one in read(templates, "run --max-updates 200", "U=50 L 0.5") if one]
    assert (found.step, found.total, found.percent) == (50, 200, 25.0)
    templates = ["epochs: {epochs}", "e{epoch} b{batch}/{batches} L {loss}"]
    (found,) = [one for one in read(templates, "epochs: 4", "e1 b5/10 L 0.5") if one]
    assert (found.step, found.total) == (5, 40)


def test_a_batch_of_an_epoch_that_nobody_names_begins_anew_where_it_falls() -> None:
    lines = ["b 5/10 L 3", "b 10/10 L 2", "Epoch 1 elapsed: 3.2 s", "b 5/10 L 1"]
    assert [step for step, values in points(read("b {batch}/{batches} L {loss}", *lines)) if values] == [5, 10, 15]
    assert [step for step, _ in points(read("b {batch} L {loss}", "b 5 L 3", "b 9 L 2", "b 4 L 1"))] == [5, 9, 13]


def test_no_total_is_told_that_the_run_has_left_behind() -> None:
    (found,) = read("{step} of {steps}: {loss}", "24 of 8: 0.5")
    assert found is not None
    assert (found.step, found.total, found.percent) == (24, None, None)


def test_names_are_taken_as_they_are_given_below_any_heading() -> None:
    lines = ["Validation:", "L 0.5"]
    assert points(read("L {loss}", *lines)) == [(None, {"loss": 0.5})]


def test_without_a_count_a_line_stands_where_the_run_is() -> None:
    lines = ["step 10: loss 9.0", "judge gave 0.75"]
    assert points(read("judge gave {verdict}", *lines)) == [(10, {"loss": 9.0}), (10, {"verdict": 0.75})]


def test_an_epoch_may_be_named_behind_its_batches() -> None:
    templates = ["step {batch}/{batches} loss {loss}", "epoch {epoch}/{epochs} val {val_loss}"]
    one = ["step 1/4 loss 1", "step 4/4 loss 1"]
    lines = [*one, "epoch 1/3 val 2", *one, "epoch 2/3 val 2", *one, "epoch 3/3 val 2"]
    found = [one for one in read(templates, *lines) if one]
    assert [one.step for one in found if "loss" in one.values] == [1, 4, 5, 8, 9, 12]
    assert [(one.step, one.moved) for one in found if "val_loss" in one.values] == [(4, False), (8, False), (12, False)]
    assert found[-2].total == 12


def test_an_evaluation_in_the_same_words_does_not_shorten_an_epoch() -> None:
    lines = ["it 100/100 loss 1 ep 1", "val it 20/20 loss 2 ep 1", "it 1/100 loss 1 ep 2"]
    assert [step for step, _ in points(read("it {batch}/{batches} loss {loss} ep {epoch}", *lines))][::2] == [100, 101]


def test_a_batch_that_is_counted_from_0_loses_no_step() -> None:
    lines = [f"epoch {epoch} batch {batch} loss 1" for epoch in (0, 1, 2) for batch in (0, 1, 2)]
    assert [step for step, _ in points(read("epoch {epoch} batch {batch} loss {loss}", *lines))] == [*range(9)]


def test_an_epoch_is_no_step_where_steps_are_described() -> None:
    templates = ["Epoch {epoch}/{epochs}", "step {step} loss {loss}"]
    assert points(read(templates, "Epoch 50/100", "step 4900 loss 0.5")) == [(4900, {"loss": 0.5})]


def test_a_line_is_described_as_it_is_printed() -> None:
    assert points(read("Q<{q}> D(x): {dx}", "Loss_Q<8.5> D(x): 0.86")) == [(None, {"q": 8.5, "dx": 0.86})]
    assert points(read("[{step}]: zl {zl}", "[8]: zl 0.86")) == [(8, {"zl": 0.86})]  # and no rank
    assert Declared(["D(x): {dx}"]).templates[0].text == "D(x): {dx}"


def test_what_a_script_reports_by_itself_counts_before_it() -> None:
    detector = Detector(declared=Declared(["@{step} L {loss} M {m}"]))
    detector.report(100, None, {"loss": 1.0})
    found = detector.feed("@3 L 0.5 M 2")
    assert found is not None
    assert (found.step, found.moved, found.values) == (100, False, {"m": 2.0})


def test_bars_do_not_count_beside_a_described_count() -> None:
    bar = " 50%|█████     | 5/10 [00:01<00:01,  5.00it/s, loss=0.4]"
    found = read("@{step} L {val_loss}", bar, "@3 L 0.5", bar)
    assert points(found) == [(5, {"loss": 0.4}), (3, {"val_loss": 0.5}), (3, {"loss": 0.4})]
    assert [one.moved for one in found if one] == [True, True, False]


def test_numbers_that_no_run_has_are_no_count() -> None:
    assert read("@{step} L {a}", "@2.5 L 0.5", "@-3 L 0.5", "@nan L 0.5", "@1e40 L 0.5") == [None] * 4
    # And they do not keep others from counting.
    assert points(read("ts {step} L {loss}", "ts 1764488254000000000 L 0.5", "step 5/10: acc 0.5"))[-1][0] == 5
    assert points(read("b {batch} L {loss}", "b 1e20 L 1", "b 1 L 0.5", "b 2 L 0.25"))[-2:] == [
        (1, {"loss": 0.5}),
        (2, {"loss": 0.25}),
    ]


def test_only_the_first_rank_is_read() -> None:
    assert points(read("@{step} L {loss}", "[rank1]: @3 L 9", "[rank0]: @3 L 0.5")) == [(3, {"loss": 0.5})]


def test_the_lines_that_the_docs_describe_are_read() -> None:
    page = (Path(__file__).parents[2] / "docs" / "detectors.md").read_text()
    found = re.search(r"```yaml\n(progress:.*?)```", page, re.DOTALL)
    assert found
    lines = ["{'total': 40, 'seed': 1}", "ep 1/2 it 5/20 :: L 0.5 A 81%", "summary: loss: 0.1", "judge gave 0.75"]
    read_ = points(read(list(parse_task_file(found[1]).progress), *lines))
    assert read_ == [(5, {"loss": 0.5, "val_acc": 81.0}), (5, {"verdict": 0.75})]
