"""Lines of one kind are read as the readers would read them, without asking those again.

They differ by their digits alone, and by how far a bar is drawn.
"""

from __future__ import annotations

import random
import re

import pytest

from tests.bench.detectors import recordings
from trainer import stencils
from trainer.detect import Detector
from trainer.kinds import Found, Kind, Kinds, by_readers

# The first lines teach what the last one is not.
TRAPS = {
    "a name has digits": """
        loss_1: 0.51 acc: 0.3
        loss_1: 0.52 acc: 0.4
        loss_1: 0.53 acc: 0.4
        loss_2: 0.54 acc: 0.4""",
    "a key has digits": """
        {'eval_loss': 0.11, 'recall top 1': 0.31, 'epoch': 1.0}
        {'eval_loss': 0.12, 'recall top 1': 0.32, 'epoch': 1.1}
        {'eval_loss': 0.13, 'recall top 5': 0.33, 'epoch': 1.2}""",
    "a key begins with a digit": """
        {'0_loss': 0.51, 'epoch': 1.0}
        {'0_loss': 0.52, 'epoch': 1.1}
        {'1_loss': 0.53, 'epoch': 1.2}""",
    "a name goes on with a digit": """
        epoch 7 Hits @1: 0.31 MRR: 0.25
        epoch 7 Hits @1: 0.32 MRR: 0.25
        epoch 7 Hits @3: 0.33 MRR: 0.25""",
    "a part has a number": """
        [3]\tfold 1's auc: 0.71
        [4]\tfold 1's auc: 0.72
        [5]\tfold 2's auc: 0.73""",
    "an epoch is no whole one beside a count": """
        {'loss': 0.51, 'iter': 10, 'epoch': 1.0}
        {'loss': 0.52, 'iter': 20, 'epoch': 2.0}
        {'loss': 0.53, 'iter': 30, 'epoch': 2.5}""",
    "a total is called in capitals": """
        Step 10 OF 24 loss 0.5
        Step 11 OF 24 loss 0.4
        Step 25 OF 24 loss 0.3""",
    "a line of an evaluation has its name in its digits": """
        Average Precision  (AP) @[ IoU=0.50      | area=   all | maxDets=100 ] = 0.311
        Average Precision  (AP) @[ IoU=0.50      | area=   all | maxDets=100 ] = 0.312
        Average Precision  (AP) @[ IoU=0.75      | area=   all | maxDets=100 ] = 0.213""",
    "a count is beyond its total": """
        [10/24] Loss: 0.51
        [11/24] Loss: 0.52
        [12/24] Loss: 0.53
        [25/24] Loss: 0.54""",
    "a total that was none is one": """
        step 50/39: loss 0.5
        step 60/39: loss 0.4
        step 30/39: loss 0.4""",
    "two numbers are the same at first": """
        step 1 loss 1.00 acc 0.30 (0.30)
        step 2 loss 0.90 acc 0.40 (0.40)
        step 3 loss 0.80 acc 0.50 (0.10)""",
    "the epoch is a part of a number": """
        Epoch: 5.00 [10/474 (5%)] Loss: 2.81
        Epoch: 6.00 [11/474 (6%)] Loss: 2.82
        Epoch: 0.00 [16/474 (7%)] Loss: 2.87""",
    "a bar names its own step": """
        Iteration 00012: mse = 0.01:   0%|     | 1/50 [00:01<00:09, 5.00it/s]
        Iteration 00013: mse = 0.02:   0%|     | 3/50 [00:01<00:09, 5.00it/s]
        Iteration 00088: mse = 0.01:   0%|     | 4/50 [00:01<00:09, 5.00it/s]""",
    "a bar moves no more": """
         10%|#   | 1/50 [00:01<00:09, 3.20it/s, loss=0.51]
         10%|#   | 2/50 [00:01<00:09, 4.10it/s, loss=0.52]
         10%|#   | 3/50 [00:01<00:09, 0.00it/s, loss=0.53]""",
    "a bar did not move": """
         10%|#   | 1/50 [00:01<00:09, 0.00it/s, loss=0.51]
         10%|#   | 2/50 [00:01<00:09, 0.00it/s, loss=0.52]
         10%|#   | 3/50 [00:01<00:09, 4.10it/s, loss=0.53]""",
    "a step took no time": """
        step 101 loss 2.51 0 ms
        step 102 loss 2.52 0 ms
        step 103 loss 2.53 4 ms""",
    "a record's number begins with 0": """
        {"step": 15, "loss": 0.5}
        {"step": 16, "loss": 0.4}
        {"step": 05, "loss": 0.3}""",
    "what measured nothing measures": """
        F2: 51.12% 9.89 KiB
        F2: 52.12% 9.89 KiB
        F2: 53.12% 9.89 KiB
        F1: 54.12% 9.89 KiB""",
}


def same(found: Found, expected: Found) -> bool:
    """Return whether two findings are alike, NaN among them; what only might be named is asked of few lines."""
    return repr(found.row) == repr(expected.row) and (
        found.reading == expected.reading or "nan" in repr(expected.reading)
    )


def varied(line: str, chance: random.Random, held: float) -> str:
    """Return a line of the same kind: its numbers have other digits, but for a part of them, `held`."""
    return re.sub(
        r"\d+",
        lambda found: (
            found.group() if chance.random() < held else "".join(chance.choice("0123456789") for _ in found.group())
        ),
        line,
    )


@pytest.mark.parametrize("printed", TRAPS.values(), ids=TRAPS.keys())
def test_what_the_first_lines_of_a_kind_teach_is_not_believed_of_others(printed: str) -> None:
    kinds, lines = Kinds(), [line.strip() for line in printed.strip().splitlines()]
    assert [kinds.of(line).read(line)[:2] for line in lines] == [by_readers(line)[:2] for line in lines]


def test_every_line_of_the_recordings_is_read_as_its_readers_read_it() -> None:
    for lines in recordings():
        kinds = Kinds()
        for line in filter(None, map(str.strip, lines)):
            assert same(kinds.of(line).read(line), by_readers(line)), line


def test_lines_with_other_digits_are_read_as_their_readers_read_them() -> None:
    chance = random.Random(5)
    kinds = {stencils.kind(text): text for lines in recordings() for line in lines if (text := line.strip())}
    for text in list(kinds.values())[::9]:
        kind = Kind()
        alike = varied(text, chance, chance.random())  # what is the same by chance at first is not believed to stay so
        for line in (text, alike, alike, *(varied(text, chance, 0.4) for _ in range(10))):
            assert same(kind.read(line), by_readers(line)), line


FORMS = {
    "a name has digits": "[00{n}] head{of}_gain: 0.{n}3, head{of}_drift: 1.{n}7",
    "a name goes on with a digit": "epoch {n} loss: 0.{n}9 purity@{of}: 1.{n}7",
}


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS.keys())
def test_a_form_that_comes_again_keeps_its_names_apart(form: str) -> None:
    detector = Detector()
    found = [detector.feed(form.format(n=n, of=1 + n % 2)) for n in range(1, 9)]
    for n, detection in enumerate(found, 1):
        others = [name for name in (detection.values if detection else ()) if str(2 - n % 2) in name]
        assert others == [], (n, detection)


@pytest.mark.parametrize(
    "form",
    [
        "iter {}: loss 2.{}, time 135.20ms, mfu 41.23%",
        "{{'loss': 1.2{}, 'grad_norm': 1.22, 'epoch': 0.3{}}}",
        "Epoch 3:  45%|####  | 9{}/200 [00:12<00:15,  7.3{}it/s, v_num=0, train_loss=0.412]",
        "Epoch: [3][ 15{}/1251]\tTime  0.3 ( 1.2)\tLoss 5.1{}e+00 (6.9e+00)\tAcc@1   0.39 (  0.5)",
        "2026-11-02 10:00:0{} worker 2 fetched its part in 0.{}s",
        "Checking the cache of {} files in {} folders",
    ],
)
def test_readers_are_asked_about_two_lines_of_a_kind(form: str) -> None:
    asked: list[str] = []

    def read(text: str) -> Found:
        asked.append(text)
        return by_readers(text)

    kind = Kind(read)
    lines = [form.format(n, n + 1) for n in range(1, 9)]
    assert [kind.read(line)[:2] for line in lines] == [by_readers(line)[:2] for line in lines]
    assert asked == lines[:2]


@pytest.mark.parametrize("filled", ["█", "#"])
def test_a_bar_that_is_drawn_further_is_of_the_same_kind(filled: str) -> None:
    asked: list[str] = []

    def explain(text: str, found: Found) -> Found:
        asked.append(text)
        return found

    kinds = Kinds(explain)
    lines = [f"{n}0%|{filled * n:10}| {n}0/99 [00:01<00:09, 3.1{n}it/s, loss=0.5{n}]" for n in range(1, 9)]
    assert [kinds.of(line).read(line)[:2] for line in lines] == [by_readers(line)[:2] for line in lines]
    assert asked == lines[:2]


def test_where_two_numbers_may_be_meant_the_readers_are_asked_until_one_is_left() -> None:
    asked: list[str] = []

    def read(text: str) -> Found:
        asked.append(text)
        return by_readers(text)

    kind = Kind(read)
    lines = [f"step {n} loss 0.5{n} (0.5{n if n < 3 else 0})" for n in range(1, 9)]
    assert [kind.read(line)[:2] for line in lines] == [by_readers(line)[:2] for line in lines]
    assert asked == lines[:3]
