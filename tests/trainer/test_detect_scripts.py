"""Lines of research scripts, one after another: which count is the run's, what is an evaluation's, what is no news."""

from __future__ import annotations

import math

import pytest

from tests.trainer.reading import fed, told
from trainer.detect import Detector
from trainer.progress import Progress


def test_a_count_before_its_epoch_goes_on_over_the_epochs() -> None:
    lines = [f"\titers: {n}, epoch: {epoch} | loss: 0.5" for epoch in (1, 2) for n in (100, 200)]
    assert [one.step for one in fed(*lines)] == [100, 200, 300, 400]
    records = [f"{{'epoch': {epoch}, 'iter': {n}, 'loss': 9.5}}" for epoch in (0, 1) for n in (0, 10)]
    assert [one.step for one in fed(*records)] == [0, 10, 20, 30]


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ((0, 4, 8, 12), (0, 4), [0, 4, 8, 12, 16, 20]),  # ronghuaiyang/arcface-pytorch
        ((0, 100, 200, 230), (0, 100), [0, 100, 200, 230, 231, 331]),  # and the last one
        ((100, 200), (100, 200), [100, 200, 300, 400]),
        ((0, 1, 2), (0, 1), [0, 1, 2, 3, 4]),
        ((0,), (0,), [0, 1]),
        ((0, 10, 20, 0), (0, 10), [0, 10, 20, 0, 30, 40]),  # codertimo/BERT-pytorch's test counts in between
    ],
)
def test_an_epoch_of_unknown_length_goes_on_behind_its_last_line(
    first: tuple[int, ...], second: tuple[int, ...], expected: list[int]
) -> None:
    lines = [
        f"train epoch {epoch} iter {n} loss 17.5 acc 0.5" for epoch, one in enumerate((first, second)) for n in one
    ]
    assert [one.step for one in fed(*lines)] == expected


def test_what_stands_below_a_count_in_brackets_belongs_to_it() -> None:
    logger = "2026-11-29 23:04:56.383\tnode-a1:0\tolmo.train:979\tINFO\t"
    lines = []
    for n in (10, 20, 30, 40):
        lines += [f"{logger}[step={n}/240,epoch=0]", f"    optim/grad=1.{n}", f"    train/CrossEntropyLoss=9.{n}"]
    found = [one for one in told(lines) if one and "train_crossentropyloss" in one.values]
    assert [(one.step, one.values["train_crossentropyloss"]) for one in found] == [
        (10, 9.1), (20, 9.2), (30, 9.3), (40, 9.4)
    ]  # fmt: skip


def test_a_bar_of_an_evaluation_between_two_of_the_training_counts_nothing() -> None:
    bar = "{done}|██| {n}/{of} [00:01<00:00,  8.77batch/s{more}]"
    train = [
        bar.format(done=" 50%", n=5, of=10, more=", loss=2.5"),
        bar.format(done="100%", n=10, of=10, more=", loss=2.4"),
    ]
    judge = [bar.format(done="100%", n=60, of=60, more="")]
    found = fed(*train, *judge, *train, *judge, *train)
    assert [one.step for one in found if one.values] == [5, 10, 15, 20, 25, 30]


def test_the_sum_of_an_evaluation_is_told_whichever_line_told_its_batches() -> None:
    found = fed(
        "Train | Epoch 1 | 40/40 | 9.5 it/sec | Loss 0.25",
        "Valid | Epoch 1 | 8/8 | 9.5 it/sec | Loss 0.30",
        "Valid Summary | End of Epoch 1 | Time 0.14s | Valid Loss 0.22",
        "---------------------------",
        "| eval_loss    | 3.35     |",
        "| eval_nll_q1  | 2.26     |",
        "---------------------------",
    )
    values = {name: value for one in found for name, value in one.values.items()}
    assert values == {"loss": 0.25, "val_loss": 0.22}
    assert [(one.step, dict(one.values)) for _, one in found[-1].earlier] == [
        (40, {"eval_loss": 3.35}),
        (40, {"eval_nll_q1": 2.26}),
    ]


def test_what_stands_below_a_heading_of_the_best_was_told_before() -> None:
    found = fed("step 200: train loss 0.15, test loss 0.14", "", "Best model at step 200:", "  test loss: 1.40e-01")
    assert [dict(one.values) for one in found] == [{"train_loss": 0.15, "test_loss": 0.14}]


def test_what_a_bar_describes_is_of_the_step_that_it_names() -> None:
    bar = "Iteration 000{n}: train_psnr = 14.38 mse = 0.01:   6%|▋         | {drawn}/900 [00:00<00:01, 569.81it/s]"
    found = fed(*(bar.format(n=n, drawn=drawn) for n, drawn in ((10, 0), (50, 58), (60, 58))))
    assert [(one.step, one.total) for one in found] == [(10, 900), (50, 900), (60, 900)]


def test_a_count_that_outgrows_the_bar_beside_it_is_the_runs() -> None:
    lines = [f"iteration {n} : loss : 1.{n}, loss_ce: 1.8" for n in range(9, 16)]
    found = fed(
        *lines[:2],
        " 17%|███     | 2/12 [00:00<00:00, 12.60it/s]",
        *lines[2:4],
        f"25%|██ | 3/12 [00:00<00:00, 2.60it/s]{lines[4]}",
    )
    assert [one.step for one in found if one.values] == [9, 10, 11, 12, 13]


def test_a_bar_that_names_the_epoch_and_goes_on_with_the_next_counts_epochs() -> None:
    bar = "Epoch {epoch}:   7%|▋         | {n}/30 [00:00<00:01, 17.32it/s, train_loss=0.5]"
    found = fed(*(bar.format(epoch=epoch, n=max(0, epoch - 1)) for epoch in range(9)))
    assert [(one.step, one.total) for one in found[4:]] == [(epoch, 30) for epoch in range(4, 9)]


def test_epochs_of_a_train_epoch_line_may_be_counted_from_zero() -> None:
    assert [
        one.step
        for one in fed("Train Epoch: 0 [  64/2688 (2%)] Loss: 9.6", "Train Epoch: 1 [ 384/2688 (14%)] Loss: 9.2")
    ] == [64, 3072]


def test_a_bar_that_describes_epoch_and_step_is_placed_by_them() -> None:
    bar = "Train Epoch: {epoch}/   4. Iter:    {n}/  20. Loss: 2.37. Mask: 0.00. :   0%|     | 0/20 [00:00<?, ?it/s]"
    found = fed(bar.format(epoch=1, n=1), bar.format(epoch=2, n=3))
    assert [(one.step, one.total) for one in found] == [(1, 80), (23, 80)]


def test_a_count_beside_an_epoch_that_goes_on_over_epochs_is_the_runs() -> None:
    line = "Epoch:{epoch}/6 || Iter: {n}/168 || Loc: 3.1182 loss: 4.9374"
    found = fed(*(line.format(epoch=1 + (n - 1) // 28, n=n) for n in range(1, 60)))
    assert [one.step for one in found] == [*range(1, 60)]


def test_what_counts_between_lines_that_name_their_step_counts() -> None:
    counted = [f"{n} | loss 4.1{n} | lr 0.0" for n in range(3)]
    found = fed("step 0: train loss 4.2, val loss 4.1", *counted, "step 2: train loss 4.0")
    assert [one.step for one in found] == [0, 0, 1, 2, 2]


BAR = "{percent}%|██| {n}/{of} [00:01<00:00,  8.77it/s{more}]"


def test_the_bar_that_measures_is_the_runs_wherever_an_evaluation_stands() -> None:
    judge, train = [BAR.format(percent=100, n=5, of=5, more="")], [BAR.format(percent=100, n=500, of=500, more="")]
    found = fed(*judge, *train, *judge, BAR.format(percent=50, n=250, of=500, more=", loss=2.3"))
    assert [one.step for one in found if one.values] == [750]
    loading = BAR.format(percent=100, n=10, of=10, more="")
    assert [one.step for one in fed("Epoch 1/3", loading, BAR.format(percent=1, n=1, of=500, more=", loss=2.3"))] == [
        10,
        1,
    ]


def test_tables_end_where_a_name_comes_again_or_nothing_more_does() -> None:
    lines = [row for step in (10, 20) for row in ("| loss | 0.5 |", "|:-----|----:|", f"| step | {step} |")]
    assert [one and one.step for one in told(lines)] == [10, None, None, 10, None, None]
    detector = Detector()
    for text in ("[default0]:| loss | nan |", "[default0]:| step | 30 |"):
        assert detector.feed(text) is None
    ended = detector.end()
    assert ended
    assert ended.moved
    assert [(one.step, math.isnan(one.values["loss"])) for _, one in ended.earlier] == [(30, True)]


def test_a_table_of_settings_tells_nothing() -> None:
    assert fed("| steps | 10000 |", "| label_smoothing | 0.1 |", "| gae_lambda | 0.95 |", "done") == []


def test_what_counts_below_a_heading_of_the_best_is_told() -> None:
    found = fed("step 1: loss 0.5", "Best model saved:", "step 2: loss nan", "step 3: loss 0.4")
    assert [one.step for one in found] == [1, 2, 3]


def test_an_evaluations_steps_move_no_bar() -> None:
    found = fed(BAR.format(percent=50, n=501, of=1000, more=", loss=2.3"), "Eval step 3/8 | loss 0.4")
    assert [one.step for one in found] == [501, 501]
    found = fed(*(f"Round 50: {BAR.format(percent=n, n=n, of=100, more=', loss=2.3')}" for n in (10, 60)))
    assert [one.step for one in found] == [10, 60]


def test_a_series_name_holds_no_number_of_its_own() -> None:
    found = fed(*(f"img_0000{n}.png predicted loss: 0.{n}" for n in range(1, 5)))
    assert {name for one in found for name in one.values} == {"loss"}


def test_a_training_line_with_a_bullet_is_the_trainings() -> None:
    found = fed("Epoch 1", "* Train loss: 0.5", "* Val loss: 0.6", "Epoch 2", "* Train loss: 0.4")
    assert [dict(one.values) for one in found][-1] == {"train_loss": 0.4}


@pytest.mark.parametrize(("resumed", "steps"), [(True, [1252, 2503]), (False, [1, 1252])])
def test_a_first_epoch_of_one_is_the_second_of_a_run_that_goes_on_alone(resumed: bool, steps: list[int]) -> None:
    detector = Detector(resumed=resumed)
    found = [detector.feed(f"Epoch: [{epoch}][   1/1251]\tLoss 5.1 (6.9)") for epoch in (1, 2)]
    assert [one and one.step for one in found] == steps


def test_an_evaluation_in_a_record_adds_nothing_to_the_steps() -> None:
    records = [
        f'{{"mode": "{mode}", "epoch": {epoch}, "iter": {n}, "loss": 0.5}}'
        for epoch in (1, 2)
        for mode, n in (("train", 50), ("train", 100), ("val", 30))
    ]
    assert [(one.step, *one.values) for one in fed(*records) if "loss" in one.values] == [
        (50, "loss"), (100, "loss"), (150, "loss"), (200, "loss")
    ]  # fmt: skip


@pytest.mark.parametrize("text", ["[default0]:", "[rank0]: ", "[0]:", "step " + "9" * 900 + " loss 0.5"])
def test_a_line_of_nothing_but_a_rank_or_a_number_without_end_is_left_alone(text: str) -> None:
    watched: list[object] = []
    progress = Progress(tell=lambda kind, data: watched.append(data))
    progress.line(text)
    progress.line("step 5: loss 0.5")
    progress.flush()
    assert watched


def test_an_evaluation_is_told_by_a_second_line_once_and_not_beside_a_record() -> None:
    record = '{"step": 100, "loss": 1.0, "val_loss": 0.51234}'
    found = fed(record, "step 100: loss 1.00, val loss 0.51", "Validation loss: 0.5")
    assert [one.values["val_loss"] for one in found if "val_loss" in one.values] == [0.51234]


def test_a_record_of_the_best_is_no_news_however_often_it_comes() -> None:
    best = "Best Instance Accuracy: 0.{n}5, Class Accuracy: 0.{n}"
    lines = [line for n in range(1, 7) for line in (f"step {n}: acc 0.{n}", best.format(n=n))]
    assert {name for one in fed(*lines) for name in one.values} == {"acc"}


def test_a_table_that_comes_again_counts_though_it_measures_nothing() -> None:
    found = fed(
        *(row for step in (64, 128, 192) for row in ("| fps | 516 |", f"| total_timesteps | {step} |", "-----"))
    )
    assert [(one.step, one.moved) for one in found] == [(128, True), (192, True)]


def test_a_mean_below_the_batches_is_told_of_the_epoch() -> None:
    lines = ["Training epoch: 0", "\tIter 0 Done. | loss: 3.2 | lr: 0.1", "\tIter 2 Done. | loss: 2.2 | lr: 0.1"]
    found = fed(*lines, "\tmean_loss: 2.7461", "Done.")  # yysijie/st-gcn
    assert (found[-1].step, dict(found[-1].values)) == (2, {"epoch_loss": 2.7461})


def test_an_epoch_of_all_epochs_in_a_heading_is_no_batch() -> None:
    lines: list[str] = []  # yanx27/Pointnet_Pointnet2_pytorch
    for epoch in (1, 2):
        lines.append(f"Epoch {epoch} ({epoch}/8):")
        lines += [f"{n}0%|█| {n}/10 [00:00<00:01,  6.23it/s]" for n in (0, 4, 10)]
        lines.append(f"Train Instance Accuracy: 0.{epoch}")
        lines += [f"{n}%|█| {n}/4 [00:00<00:01,  6.23it/s]" for n in (0, 4)]
        lines.append(f"Test Instance Accuracy: 0.{epoch}, Class Accuracy: 0.15")
    assert [one.step for one in fed(*lines) if one.values] == [10, 10, 20, 20]


def test_a_fast_bar_that_is_gone_before_it_shows_its_end_had_come_to_it() -> None:
    lines = ["train:   0%|          | 0/8 [00:00<?, ?it/s]"]  # yinboc/liif
    lines += ["train:  75%|███████▌  | 6/8 [00:00<00:00, 56.56it/s]", "val:   0%|          | 0/2 [00:00<?, ?it/s]"]
    found = [
        fed(*lines * epoch, f"epoch {epoch}/30, train: loss=0.3228, val: psnr=14.7460, 0.2s")[-1] for epoch in (1, 2)
    ]
    assert [(one.step, dict(one.values)) for one in found] == [
        (8, {"train_loss": 0.3228, "val_psnr": 14.746}),
        (16, {"train_loss": 0.3228, "val_psnr": 14.746}),
    ]


@pytest.mark.parametrize(
    ("line", "step", "expected"),
    [
        # graykode/xlnet-Pytorch, and other people's own
        ("Number of Epoch: 0001 in 0003 Step cost = 18.637598", 3, {"cost": 18.637598}),
        ("train 5 epoch loss: 0.312  acc: 0.831 ", 5, {"loss": 0.312, "acc": 0.831}),
        ("7 epoch Loss: 0.31, accuracy: 0.83", 7, {"loss": 0.31, "accuracy": 0.83}),
        ("400 steps Loss: 0.31", 400, {"loss": 0.31}),
        ("4 Epoch loss -> 0.31, Accuracy -> 83.1%", 4, {"loss": 0.31, "accuracy": 83.1}),
        ("Epoch 3 step loss: 0.31", 3, {"step_loss": 0.31}),
        ("Epoch: 3 epoch loss: 0.31", 3, {"epoch_loss": 0.31}),
        ("mean 100 episode reward: 3.1", None, {"episode_reward": 3.1}),
    ],
)
def test_the_word_for_a_count_may_stand_behind_it(line: str, step: int | None, expected: object) -> None:
    (found,) = fed(line)
    assert (found.step, found.values) == (step, expected)


def test_settings_that_say_what_is_used_measure_nothing() -> None:
    settings = (">>> use_bleu: 1", ">>> use_ppl: 0", "compute_rouge: 1", "use_self_bleu: 1")  # TextGAN-PyTorch's
    assert [dict(one.values) for one in fed("step 1: loss 0.5", *settings)] == [{"loss": 0.5}]


@pytest.mark.parametrize(
    "heading", ["*Best Performance*", "=== BEST RESULT ===", "----- Best results -----"]
)  # SELFRec's
def test_what_stands_below_a_heading_of_the_best_between_signs_is_no_news(heading: str) -> None:
    lines = ("Epoch: 2, Recall: 0.8, NDCG: 0.5426", heading, "Epoch: 1, Recall: 0.9, NDCG: 0.6021", "")
    assert [one.step for one in fed(*lines, "Epoch: 3, Recall: 0.8, NDCG: 0.5426")] == [2, 3]


def test_a_new_best_between_signs_heads_nothing() -> None:
    lines = (
        "=== New best model of dice! ===",
        "Epoch: 2, loss: 0.5",
        "--- Best performance on dev set, evaluating ---",
    )
    assert [one.step for one in fed("Epoch: 1, loss: 0.6", *lines, "Epoch: 3, loss: 0.4")] == [1, 2, 3]
