"""Forms that nobody described are read by what their numbers do when they come again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from tests.trainer.reading import fed, told
from trainer.detect import Detector
from trainer.progress import Progress
from trainer.wire import EventKind

FORMS: Mapping[str, tuple[str, list[tuple[int | None, dict[str, float]]]]] = {
    "a name nobody knows": (
        "Training begins\n[1] Improvement: 12.31, Time: 0.0012s\n[2] Improvement: 3.31, Time: 0.0011s\n"
        "[3] Improvement: 1.31, Time: 0.0013s",
        [(1, {"improvement": 12.31}), (2, {"improvement": 3.31}), (3, {"improvement": 1.31})],
    ),
    "a generation's table": (
        "gen\tnevals\tavg  \tstd    \tmin\tmax\n0  \t300   \t49.84\t5.1\t38\t63\n1  \t180   \t53.84\t4.1\t40\t65\n"
        "2  \t170   \t54.84\t4.0\t42\t66\n3  \t173   \t55.1\t4.0\t42\t67",
        [
            (0, {"avg": 49.84, "std": 5.1, "min": 38.0, "max": 63.0}),
            (1, {"avg": 53.84, "std": 4.1, "min": 40.0, "max": 65.0}),
            (2, {"avg": 54.84, "std": 4.0, "min": 42.0, "max": 66.0}),
            (3, {"avg": 55.1, "std": 4.0, "min": 42.0, "max": 67.0}),
        ],
    ),
    "Fortran's numbers": (
        "At iterate    0    f=  6.93147D-01    |proj g|=  1.2D-01\n\n"
        "At iterate    1    f=  5.93147D-01    |proj g|=  1.1D-01\n"
        "At iterate    2    f=  4.93147D-01    |proj g|=  1.0D-01",
        [
            (0, {"f": 0.693147, "proj_g_norm": 0.12}),
            (1, {"f": 0.593147, "proj_g_norm": 0.11}),
            (2, {"f": 0.493147, "proj_g_norm": 0.1}),
        ],
    ),
    "a count in brackets of their own": (
        "<10> LL/token: -8.51\n<20> LL/token: -8.1\n<30> LL/token: -8.05",
        [(10, {"ll_token": -8.51}), (20, {"ll_token": -8.1}), (30, {"ll_token": -8.05})],
    ),
    "a sentence": (
        "Cost after iteration 0: 0.693\nCost after iteration 100: 0.593\nCost after iteration 200: 0.493",
        [(0, {"cost": 0.693}), (100, {"cost": 0.593}), (200, {"cost": 0.493})],
    ),
    "names behind their numbers": (
        "  10 | 0.345 loss | 12.2 happiness\n  20 | 0.335 loss | 12.3 happiness\n  30 | 0.325 loss | 12.5 happiness",
        [
            (10, {"loss": 0.345, "happiness": 12.2}),
            (20, {"loss": 0.335, "happiness": 12.3}),
            (30, {"loss": 0.325, "happiness": 12.5}),
        ],
    ),
    "a bar of unknown names": (
        "tug: 3.5 pull: 0.1: 10%|█ | 1/10 [00:01<00:09, 1.00it/s]\n"
        "tug: 3.25 pull: 0.2: 20%|█ | 2/10 [00:02<00:08, 1.00it/s]\n"
        "tug: 3.125 pull: 0.3: 30%|█ | 3/10 [00:03<00:07, 1.00it/s]",
        [(1, {"tug": 3.5, "pull": 0.1}), (2, {"tug": 3.25, "pull": 0.2}), (3, {"tug": 3.125, "pull": 0.3})],
    ),
    "a bar of values in brackets": (
        "Gen. (+00.61) | Discrim. (+00.06): 10%|█ | 1/10 [00:01<00:09, 1.00s/it]\n"
        "Gen. (+00.69) | Discrim. (+00.02): 20%|█ | 2/10 [00:02<00:08, 1.00s/it]\n"
        "Gen. (+00.62) | Discrim. (-00.01): 30%|█ | 3/10 [00:03<00:07, 1.00s/it]",
        [(n, {"gen": gen, "discrim": d}) for n, gen, d in ((1, 0.61, 0.06), (2, 0.69, 0.02), (3, 0.62, -0.01))],
    ),
    "thousands with a comma, and a total": (
        "at 1,000/9,000 the gain is 2.5\nat 2,000/9,000 the gain is 3.5\nat 3,000/9,000 the gain is 3.75",
        [(1000, {"gain": 2.5}), (2000, {"gain": 3.5}), (3000, {"gain": 3.75})],
    ),
    "a table with a group of rules, words that count, and empty cells": (
        "n_gen  |  n_eval |   cv_avg   |   f_min\n======================\n"
        "    1  |     60  |   8.75     |       -\n    2  |    120  |   5.65     |       -\n"
        "    3  |    180  |   2.40     |       -\n    4  |    240  |   2.39     |  -0.679",
        [(1, {"cv": 8.75}), (2, {"cv": 5.65}), (3, {"cv": 2.4}), (4, {"cv": 2.39, "f_min": -0.679})],
    ),
    "counts with a fraction, under a heading that says so": (
        "ID     Step    Time |    avgR   stdR\n-1 4.00e+02       1 |  -18.27   14.5\n"
        "-1 1.60e+03       7 |  -16.08   11.9\n-1 2.80e+03      10 |  -21.68   16.8",
        [
            (400, {"avgr": -18.27, "stdr": 14.5}),
            (1600, {"avgr": -16.08, "stdr": 11.9}),
            (2800, {"avgr": -21.68, "stdr": 16.8}),
        ],
    ),
    "blocks that a count begins": (
        "\n".join(f"  iter : {n}\nmean_eval : {9 - n}.25\nworst : {n}.5\n" for n in range(1, 5)),
        [pair for n in range(1, 5) for pair in ((n, {"eval": 9.25 - n}), (n, {"worst": n + 0.5}))],
    ),
    "the best so far, where nothing else is told": (
        "Round: 1, Current best: 92.25, Runtime: 0.1 seconds\nRound: 2, Current best: 92.25, Runtime: 0.2 seconds\n"
        "Round: 3, Current best: 76.5, Runtime: 0.1 seconds",
        [(n, {"current_best": best}) for n, best in ((1, 92.25), (2, 92.25), (3, 76.5))],
    ),
    "a clock with letters, and no number yet": (
        "  runtime   i      f              |g|\n\n    00s00  0000   6.25e+01           nan\n"
        "    00s01  0001   6.00e+01   2.97e+02\n    01s10  0002   4.25e+01   4.48e+02",
        [(0, {"f": 62.5}), (1, {"f": 60.0, "g": 297.0}), (2, {"f": 42.5, "g": 448.0})],
    ),
    "a name nobody knows beside one that all know": (
        "step 10 | loss 0.5 | whimsy 0.25 | 3.5 s\nstep 20 | loss 0.4 | whimsy 0.35 | 3.6 s\n"
        "step 30 | loss 0.3 | whimsy 0.5 | 3.4 s",
        [(n, {"loss": loss, "whimsy": w}) for n, loss, w in ((10, 0.5, 0.25), (20, 0.4, 0.35), (30, 0.3, 0.5))],
    ),
    "an evaluation of outputs whose names begin with a number": (
        "\n".join(f"[{n}] avg_loss={n}.5\nEval: 16_h1={n}.25, 16_l2={n}.75" for n in range(3)),
        [
            pair
            for n in range(3)
            for pair in ((n, {"loss": n + 0.5}), (n, {"eval_16_h1": n + 0.25, "eval_16_l2": n + 0.75}))
        ],
    ),
    "a count that begins anew": (
        "\n".join(f"pass {n} fit {fit}" for n, fit in ((1, 0.5), (2, 0.625), (3, 0.75), (1, 0.8), (2, 0.9))),
        [(1, {"fit": 0.5}), (2, {"fit": 0.625}), (3, {"fit": 0.75}), (4, {"fit": 0.8}), (5, {"fit": 0.9})],
    ),
}  # fmt: skip

NONE = {
    "classes, not steps": "\n".join(f"class {n}: 0.{9 - n}" for n in range(6)),
    "weights": "\n".join(f"theta[{n}] = 0.{n}5" for n in range(6)),
    "a ping": "\n".join(f"64 bytes from 10.0.0.1: icmp_seq={n} ttl=64 time=0.04{n} ms" for n in range(1, 7)),
    "settings of a call": "PSO(epoch=25, pop_size=20, c1=2.05, c2=2.5)\nPSO(pop_size=20, epoch=25, c1=2.05)",
    "a download": "\n".join(f"Receiving:  {n}% ({10 * n}/1000), 1.{n}2 MiB | 2.{n}0 MiB/s" for n in range(1, 7)),
    "a film": "\n".join(f"frame=  {100 * n} fps= 25 q=28.{n} size=    {n}56kB speed=1.{n}x" for n in range(1, 7)),
    "dates": "\n".join(f"1.{n}\t\tMarch {n}, 2004" for n in range(1, 7)),
    "downloads": "\n".join(f"Get:{n} http://deb.example.org main thing{n} 1.{n}-1 [{n}.5 kB]" for n in range(1, 7)),
    "uneven counts": "\n".join(f"[{n}] gain 0.{n}" for n in (1, 2, 5, 3, 9, 4)),
    "nothing that changes": "\n".join(f"[{n}] gain 0.5" for n in range(1, 7)),
    "too far apart": "\n".join(f"[{n}] gain 0.{n}" + "\nwords" * 401 for n in range(1, 5)),
}  # fmt: skip


@pytest.mark.parametrize("name", FORMS)
def test_a_form_that_comes_again_is_read_from_its_first_line_on(name: str) -> None:
    lines, expected = FORMS[name]
    read = [(one.step, dict(one.values)) for one in told(lines.splitlines()) if one and one.values]
    assert read == expected


@pytest.mark.parametrize("name", NONE)
def test_what_merely_looks_alike_tells_nothing(name: str) -> None:
    assert not any(told(NONE[name].splitlines()))


def test_a_count_alone_says_how_far_it_is_and_what_follows_belongs_to_it() -> None:
    lines = [
        line for n in range(1, 7) for line in (f"Iteration No: {n} ended. All is well.", f"Value obtained: {n}.25")
    ]
    found = [one and (one.step, dict(one.values)) for one in told(lines)]
    assert found[8:] == [(5, {}), (5, {"value_obtained": 5.25}), (6, {}), (6, {"value_obtained": 6.25})]


def test_what_a_round_took_is_no_cost() -> None:
    found = told(f"Round [{n}] Time cost=0.{n}" for n in range(1, 7))
    assert [one and (one.step, dict(one.values)) for one in found] == [None, None, (3, {}), (4, {}), (5, {}), (6, {})]


def test_a_loggers_line_behind_a_bar_is_a_line_of_its_own() -> None:
    bar = "  5%|█  | {n}/200 [00:0{n}<00:09, 9.00it/s]"
    found = told([f"{bar.format(n=n)}INFO:root:TRAIN: loss=0.{n}" for n in (1, 2)] + [bar.format(n=3)])
    read = [one and (one.step, one.total, one.moved, dict(one.values)) for one in found]
    assert read == [(1, 200, True, {"loss": 0.1}), (2, 200, True, {"loss": 0.2}), (3, 200, True, {})]


def test_what_counts_by_its_words_is_believed_before_a_form() -> None:
    lines = [f"[{n}] gain 0.{n}" for n in range(1, 5)] + ["step 10: loss 0.5", "[5] gain 0.5", "step 20: loss 0.4"]
    assert [one and one.step for one in told(lines)] == [1, 2, 3, 4, 10, 10, 20]


def test_the_first_form_counts_and_another_tells_where_it_stood() -> None:
    lines = []
    for n in range(1, 8):
        lines += [f"round {10 * n} gain 0.{n}", f"look {n} width: 0.{n}5"]
    found = told(lines)
    assert [one.step for one in found if one and "gain" in one.values] == [10, 20, 30, 40, 50, 60, 70]
    assert [(one.step, one.moved) for one in found if one and "width" in one.values][-2:] == [(60, False), (70, False)]


def test_another_form_counts_once_the_first_is_silent() -> None:
    warming = [f"[{n}] warmth 0.{n}" for n in range(1, 5)]
    training = [f"at {100 * n} gain 0.{n % 7}" for n in range(1, 60)]
    last = told(warming + training)[-1]
    assert last and last.step == 5900


def test_believed_forms_outlive_a_flood_of_others() -> None:
    detector = Detector()
    for n in range(1, 4):
        detector.feed(f"[{n}] gain 0.{n}")
    for n in range(1_000):
        detector.feed("x" * (n + 1) + " 0.5 and 7")
    found = detector.feed("[4] gain 0.4")
    assert found and (found.step, dict(found.values)) == (4, {"gain": 0.4})


REPORT = """
              precision    recall  f1-score   support

           0       0.87      0.86      0.86       100
           1       0.77      0.76      0.75       100
           2       0.67      0.66      0.65       100
           3       0.57       nan       nan       100
"""


def test_a_report_by_class_counts_nothing_and_alarms_nobody() -> None:
    lines = [line for n in (1, 2, 3) for line in (f"Epoch {n}/3: train_loss 0.{n}5, val_f1 0.8", *REPORT.splitlines())]
    found = [one for one in told(lines) if one]
    assert [(one.step, one.total) for one in found if "train_loss" in one.values] == [(1, 3), (2, 3), (3, 3)]
    assert all(value == value for one in found for value in one.values.values())
    frame = ["    lr  loss  accuracy", *(f"{n}  0.{n}  0.05  {'NaN' if n > 2 else 0.5}" for n in range(5))]
    assert not any(one and one.values for one in told(frame))


def test_a_known_outcome_that_becomes_nan_is_told_and_an_unknown_one_is_not() -> None:
    lines = [f"At iterate {n} f= {f} |proj g|= 0.5 cost= {cost}" for n, f, cost in ((1, 0.5, 0.5), (2, 0.25, 0.25))]
    lines += ["At iterate 3 f= 0.125 |proj g|= 0.5 cost= 0.125", "At iterate 4 f= nan |proj g|= nan cost= nan"]
    last = told(lines)[-1]
    assert last and (last.step, set(last.values)) == (4, {"cost"})


def test_an_endless_total_and_a_unit_behind_a_space_are_no_measurement() -> None:
    lines = [f"at {n}/inf the gain is 1.{n}, fwd 0.12{n} s, alloc 12.{n} GB, kept 3.{n} GiB" for n in range(1, 5)]
    found = [one for one in told(lines) if one]
    assert [(one.step, one.total, dict(one.values)) for one in found] == [
        (n, None, {"gain": float(f"1.{n}")}) for n in range(1, 5)
    ]


def test_epochs_are_believed_before_a_form_that_counts_something_else() -> None:
    lines = [f"[{n}] whimsy 0.1{n}" for n in range(1, 5)]
    lines += [line for n in (1, 2, 3) for line in (f"Epoch {n}/3: train_loss 0.{n}5", *lines[:4])]
    epochs = [(one.step, one.total) for one in told(lines) if one and "train_loss" in one.values]
    assert epochs == [(1, 3), (2, 3), (3, 3)]


def test_a_made_up_flood_of_names_is_told_as_far_as_series_go() -> None:
    events: list[Mapping[str, Any]] = []
    clock = iter(range(10**9))
    progress = Progress(
        tell=lambda kind, data: events.append(data) if kind is EventKind.METRIC else None,
        clock=lambda: float(next(clock)),
        wall=lambda: 5.0,
    )
    for n in range(300):
        name = "".join(chr(97 + int(digit)) for digit in f"{n:04}")
        for step in range(3):
            progress.line(f"[{n + 10 * step}] {name}: 0.{step + 1}")
    progress.flush()
    assert len({name for data in events for name in data["values"]}) == 200


HOSTILE = {
    "bars": "%|" * 300 + "s]" * 200,
    "bars and loggers": "%|" + "s]INFO " * 140,
    "words": "1_" * 100 + "x" * 50 + "! " + "1.5 ! " * 20,
    "digits": "{step 10: loss 0.5 x.y z.z " + "7" * 900,
    "dots": "a." * 190,
}


@pytest.mark.parametrize("name", HOSTILE)
def test_lines_made_to_cost_are_read_and_tell_nothing_new(name: str) -> None:
    detector = Detector()
    for n in range(20):
        detector.feed(HOSTILE[name] + str(n))
    found = detector.feed("step 10: loss 0.5")
    assert found and (found.step, dict(found.values)) == (10, {"loss": 0.5})


def test_what_the_first_lines_said_is_told_and_the_pace_is_not_measured_by_it() -> None:
    events: list[tuple[EventKind, Mapping[str, Any]]] = []
    progress = Progress(tell=lambda kind, data: events.append((kind, data)), clock=lambda: 5.0, wall=lambda: 5.0)
    for n in range(1, 4):
        progress.line(f"[{n}] gain 0.{n}")
    progress.flush()
    points = [(data["step"], data["values"]) for kind, data in events if kind is EventKind.METRIC]
    assert points == [(1, {"gain": 0.1}), (2, {"gain": 0.2}), (3, {"gain": 0.3})]
    assert [data["step"] for kind, data in events if kind is EventKind.PROGRESS] == [3]


def test_a_step_with_its_rate_says_where_what_follows_stands_though_its_losses_have_no_names() -> None:
    lines = [f"[{n:6d},  0.000{n}751]     0.0{n},     0.5351,     0.8744,     3.11{n}, " for n in (35, 40, 45, 50)]
    found = fed(*lines, "Validation loss: 8.382209")  # princeton-vl/RAFT
    assert (found[-1].step, dict(found[-1].values)) == (50, {"val_loss": 8.382209})
