"""Which part of the data a line is of, what a line counts beside its names, and what sums others up."""

from __future__ import annotations

import pytest

from tests.trainer.reading import fed, told

# One line each: where it says that the run stands, and what it measures.
LINES: dict[str, tuple[int | None, dict[str, float]]] = {
    # Parts behind a name or a number, in other languages, and carried on to what follows.
    "F1 on test = 0.73, acc on dev = 0.95": (None, {"test_f1": 0.73, "dev_acc": 0.95}),
    "Cost on training data: 54.5": (None, {"train_cost": 54.5}),
    "Accuracy on evaluation data: 0.75": (None, {"eval_accuracy": 0.75}),
    "it: 10 \t PER: 0.98 (valid) \t PER: 0.97 (test)": (10, {"val_per": 0.98, "test_per": 0.97}),
    "eval test: perplexity 17.5, time 1s": (None, {"test_perplexity": 17.5}),
    "polyak eval epoch: 3, loss: 0.5, accuracy: 92.5": (3, {"eval_loss": 0.5, "eval_accuracy": 92.5}),
    "Bayes Epoch 3: test NLL 1.5, acc 0.75": (3, {"test_nll": 1.5, "test_acc": 0.75}),
    "Epoch 2 验证: Accuracy: 0.75, F1: 0.5": (2, {"val_accuracy": 0.75, "val_f1": 0.5}),
    'json_log eval: {"epoch": 4, "loss": 2.5, "best_loss": 2.25}': (4, {"eval_loss": 2.5}),
    "Epoch 1  validation={'accuracy': 0.5, 'macro_f1': 0.25}": (1, {"val_accuracy": 0.5, "val_macro_f1": 0.25}),
    "TrainLoss: 2.5 mIoU: 0.25": (None, {"train_loss": 2.5, "miou": 0.25}),
    # What a number is of stands behind its name, or is written as a function.
    "step 3: Loss D Real: 0.5, Loss G: 1.5": (3, {"loss_d_real": 0.5, "loss_g": 1.5}),
    "step 3: PSNR: 14.5,Loss: 0.25, VGG Loss 0.003": (3, {"psnr": 14.5, "loss": 0.25, "vgg_loss": 0.003}),
    "step 3, Average Loss: 8.5, Average Regression Loss 2.25": (3, {"loss": 8.5, "regression_loss": 2.25}),
    "step 3, V MSE=0.25 P Acc=19.5% V Acc=40.5%": (3, {"v_mse": 0.25, "p_acc": 19.5, "v_acc": 40.5}),
    "300, cost average: 9.5": (300, {"cost": 9.5}),
    # Numbers with a unit, a sign of their own, or a share of answers.
    "Epoch 1: PSNR: 23.5dB SSIM: 0.83": (1, {"psnr": 23.5, "ssim": 0.83}),
    "Epoch 1 | Train PPL: 101.5 | Eval PPL: 68.5 * | 1.3m": (1, {"train_ppl": 101.5, "eval_ppl": 68.5}),
    "updates[    50] train loss[0.625] remaining[0:00:03]": (50, {"train_loss": 0.625}),
    "Epoch 0, Batch: 5, Loss: 2.25, acc::0.125": (5, {"loss": 2.25, "acc": 0.125}),
    "batch_id: 20, loss is: 0.875": (20, {"loss": 0.875}),
    "Test Accuracy (full test set): 120/200 = 60.5%": (None, {"test_accuracy": 60.5}),
    "Test Loss: 1.5\tCER: 34.5%\tWER: 59/120 (49.2%)": (None, {"test_loss": 1.5, "test_cer": 34.5, "test_wer": 49.2}),
    "EPOCH 0/3 VAL loss/acc : 1.5/42.5%": (0, {"val_loss": 1.5, "val_acc": 42.5}),
    "Hits @10: 0.375": (None, {"hits@10": 0.375}),
    # Counts: within an epoch named behind, of the whole run, of something done, of a colon.
    "Finished training it 5/40 of epoch 0, 10.1 ms/it, loss 0.5": (5, {"loss": 0.5}),
    "Ep. 1 : Up. 100 : Sen. 13,147 : Cost 8.75 * 328,696 @ 2,490 after 328,696": (100, {"cost": 8.75}),
    "data_epochs 0/10 | inner iter: 0/ 2 | global iter: 7/ 30| tot_loss: 6.5": (7, {"tot_loss": 6.5}),
    "[Epoch 1/4] [kimg 8/40] [D loss: 0.5] [G loss: 1.5]": (8, {"d_loss": 0.5, "g_loss": 1.5}),
    "train 3 updates (96 samples) time: 0:00:02.4 (39.75 fps) loss=5.5": (3, {"loss": 5.5}),
    "Cost after iteration# 100: 0.5": (100, {"cost": 0.5}),
    "Loss for epoch 4: 0.5": (4, {"loss": 0.5}),
    "energy_mae: 2.65e+01, loss: 1.13e+01, epoch: 1.00e-01, step: 1.00e+01": (10, {"energy_mae": 26.5, "loss": 11.3}),
    "Train 0, loss: 0.5, train acc: 0.25": (0, {"loss": 0.5, "train_acc": 0.25}),
    "Test 0, loss: 0.5, test acc: 0.25": (0, {"test_loss": 0.5, "test_acc": 0.25}),
    "576 ; loss 0.97 ; words/s 9403 ; accuracy train : 46.5": (576, {"loss": 0.97, "accuracy_train": 46.5}),
    "Training (10 / 48 Steps) (loss=2.25):  75%|| 9/12 [00:01<00:00,  9.91it/s]": (10, {"loss": 2.25}),
}


@pytest.mark.parametrize("line", LINES)
def test_a_line_is_read_with_its_part_and_its_count(line: str) -> None:
    step, values = LINES[line]
    found = fed(line)
    assert [(one.step, dict(one.values)) for one in found] == [(step, values)]


@pytest.mark.parametrize(
    "line",
    [
        "Val loss decrease from inf to 4.3679, saving to models-4.3679-375",
        "Validation loss decreased (0.5 --> 0.4).  Saving model ...",
        "test loss 2.45 is the best so far, saving model",
        "  ★ New best PSNR: 24.3 dB at epoch 1",
        "发现新的最佳模型 (F1: 0.7656)",
    ],
)
def test_what_is_better_than_before_was_told_before(line: str) -> None:
    assert fed(line) == []


def test_what_sums_an_epoch_up_is_a_series_of_its_own() -> None:
    found = fed("Epoch[1](4/4): Loss: 0.5", "Epoch 1 Complete: Avg. Loss: 0.75", "Epoch[2](1/4): Loss: 0.25")
    assert [(one.step, dict(one.values)) for one in found] == [
        (4, {"loss": 0.5}), (4, {"epoch_loss": 0.75}), (5, {"loss": 0.25}),
    ]  # fmt: skip
    twice = fed("step 3: loss 0.5", "Epoch 1 done, loss: 0.75", "Epoch 1 loss: 0.75", "epoch 2 loss 0.5 epoch_loss 0.5")
    assert [dict(one.values) for one in twice[1:]] == [{"epoch_loss": 0.75}, {"epoch_loss": 0.5}]


def test_an_answer_among_so_many_is_no_count() -> None:
    (found,) = fed("Training: Epoch=3 | Loss: 1.5 |  Acc: 45.5% (22728/50000)")
    assert (found.step, found.values["acc"]) == (3, 45.5)


@pytest.mark.parametrize(
    "heading",
    [
        "Epoch 3 took 6.1s",
        "Epoch 3 training complete",
        "Epoch 3 of 9 in 5.53 sec",
        "epoch 3, time: 0.14",
        "Epoch 3/9  (λ=0.020)",
        "Epoch: 3/9 @ 2026-09-20 07:39:49.379109",
        "batch i:3, episode_len:20",
        "Update 3 of 60 - Last 10 training episodes:",
        "The time elapse of epoch 003 is: 00: 00: 12",  # NCF
        "Time taken for epoch 3 is 12.5 sec",
        "Elapsed time for epoch 3: 1.0 minutes 12.1 seconds",
        "epoch 3 took 12 seconds",
    ],
)
def test_a_heading_says_where_the_run_stands_whatever_else_it_tells(heading: str) -> None:
    assert [(one.step, dict(one.values)) for one in fed(heading, "training loss: 0.5")] == [(3, {"train_loss": 0.5})]


def test_a_part_with_its_number_heads_what_follows_whatever_epoch_that_names() -> None:
    logger = "[2026-11-30 16:27:21] __main__ INFO: "  # hysts/pytorch_image_classification
    lines = ["Val 0", "Epoch 0 loss 2.72 acc@1 0.16", "Elapsed 0.07", "Train 1 0"]
    lines += ["Epoch 1 Step 20/20 lr 0.1 loss 2.61 (3.23) acc@1 0.25 (0.14)", "Elapsed 0.58", "Val 1"]
    found = fed(*(f"{logger}{line}" for line in (*lines, "Epoch 1 loss 1.04 acc@1 0.08")))
    assert [(one.step, dict(one.values)) for one in found] == [
        (0, {"val_loss": 2.72, "val_acc@1": 0.16}),
        (20, {"lr": 0.1, "loss": 2.61, "acc@1": 0.25}),
        (20, {"val_loss": 1.04, "val_acc@1": 0.08}),
    ]


def test_a_table_below_the_heading_of_an_evaluation_is_the_evaluations() -> None:
    header, rows = "# Epoch batch         loss        f_mae", ("      0     1          1.5         18.5",)
    found = fed("training", header, *rows, "      0     2         1.25         16.5", "validation", header, *rows)
    assert [(one.step, dict(one.values)) for one in found] == [
        (1, {"loss": 1.5, "f_mae": 18.5}),
        (2, {"loss": 1.25, "f_mae": 16.5}),
        (2, {"val_loss": 1.5, "val_f_mae": 18.5}),
    ]


def test_a_table_parted_by_tabs_is_read_by_its_header() -> None:
    found = fed("Epoch\tTime(sec)\tLoss_train\tMAE_dev\tMAE_test", "1\t0.39\t140.5\t2.5\t3.25")
    assert [(one.step, dict(one.values)) for one in found] == [
        (1, {"loss_train": 140.5, "mae_dev": 2.5, "mae_test": 3.25})
    ]


def test_a_count_that_begins_anew_below_the_heading_of_an_evaluation_is_the_evaluations() -> None:
    found = fed(
        "Epoch 1 | Iter 1 | Average Loss 34.5",
        "Epoch 1 | Iter 9 | Average Loss 33.5",
        "Cross validation...",
        "Epoch 1 | Iter 1 | Average Loss 32.5",
        "Epoch 1 | Iter 5 | Average Loss 31.5",
        "Epoch 2 | Iter 1 | Average Loss 30.5",
    )
    assert [(one.step, dict(one.values)) for one in found] == [
        (1, {"loss": 34.5}), (9, {"loss": 33.5}),
        (9, {"val_loss": 32.5}), (9, {"val_loss": 31.5}),
        (10, {"loss": 30.5}),
    ]  # fmt: skip


def test_batches_that_no_epoch_stands_beside_are_counted_on_when_they_begin_anew() -> None:
    found = fed(*(f"Batch: {batch} KL: 8.5, loss: 3.5" for batch in (0, 1, 2, 0, 1)))
    assert [one.step for one in found] == [0, 1, 2, 3, 4]


def test_epochs_told_between_them_part_the_counts_of_iterations() -> None:
    lines = ("Iter: 000, Train Loss: 5.5", "Iter: 050, Train Loss: 5.4", "Epoch: 001, Train Loss: 5.3, Valid Loss: 4.5")
    found = fed(*lines, "Iter: 000, Train Loss: 4.5", "Iter: 050, Train Loss: 4.4")
    assert [one.step for one in found] == [0, 50, 50, 100, 150]


def test_a_bar_drawn_first_and_at_nothing_is_of_epochs() -> None:
    found = fed(
        "  0%|          | 0/3 [00:00<?, ?it/s]",
        "[Train][0] Loss: 1.5:  50%|█████     | 5/10 [00:01<00:01,  4.00it/s]",
        "[Train][0] Loss: 1.4: 100%|██████████| 10/10 [00:02<00:00,  4.00it/s]",
        " 33%|███▎      | 1/3 [00:02<00:05,  2.50s/it]",
        "[Train][0] Loss: 1.3:  10%|█         | 1/10 [00:00<00:02,  4.00it/s]",
    )
    assert [(one.step, one.total) for one in found if one.values] == [(5, 30), (10, 30), (11, 30)]


def test_a_second_bar_of_an_epoch_is_of_an_evaluation() -> None:
    found = fed(
        "Epoch 1/4: 100%|██████████| 16/16 [00:03<00:00,  4.40it/s, loss=2.5]",
        "Epoch 1/4:  25%|██▌       | 1/4 [00:00<00:00,  4.72it/s, loss=1.5]",
        "Epoch 2/4:   6%|▋         | 1/16 [00:00<00:03,  4.40it/s, loss=2.25]",
    )
    assert [(one.step, dict(one.values)) for one in found] == [
        (16, {"loss": 2.5}), (16, {"val_loss": 1.5}), (17, {"loss": 2.25}),
    ]  # fmt: skip


def test_a_bar_of_other_words_is_of_what_is_done_within_a_step() -> None:
    found = fed(
        "Round:  17%|█▋        | 1/6 [00:01<00:07,  1.49s/it]",
        "Grads:   0%|          | 0/6 [00:00<?, ?it/s]",
        "Grads:  50%|█████     | 3/6 [00:00<00:00,  7.16it/s]",
        "At round 1 accuracy: 0.5",
        "Round:  33%|███▎      | 2/6 [00:02<00:05,  1.49s/it]",
        "At round 2 accuracy: 0.75",
    )
    assert [(one.step, dict(one.values)) for one in found if one.values] == [
        (1, {"accuracy": 0.5}),
        (2, {"accuracy": 0.75}),
    ]


def test_a_bar_without_an_end_lets_go_of_the_line_behind_it() -> None:
    found = fed(
        "0it [00:00, ?it/s]Epoch: [0][0/24]\tLoss 6.5 (6.5)",
        "8it [00:02,  3.89it/s]Epoch: [0][8/24]\tLoss 5.5 (6.0)",
        "0it [00:00, ?it/s]Epoch: [1][0/24]\tLoss 4.5 (4.5)",
    )
    assert [(one.step, one.values["loss"]) for one in found] == [(0, 6.5), (8, 5.5), (24, 4.5)]


def test_what_an_evaluation_calls_by_names_that_nobody_knows_is_of_its_part() -> None:
    lines = (f"Dev: time: 9.64s; acc: 0.9{n}, p: 0.4{n}, r: 0.3{n}, f: 0.2{n}" for n in (1, 2, 3))
    _, *found = told(["step 3: loss 0.5", *lines])
    assert found[2] is not None and found[2].values == {"dev_acc": 0.93, "dev_p": 0.43, "dev_r": 0.33, "dev_f": 0.23}
    assert found[0] is not None and found[0].values["dev_p"] == 0.41


def test_the_best_of_each_generation_is_told_where_nothing_else_is() -> None:
    found = told(line for n in range(5) for line in (f"Generation:  {n}", f"Best network fitness:  0.{n}5"))
    assert [(one.step, *one.values.values()) for one in found if one] == [(n, float(f"0.{n}5")) for n in range(5)]


def test_a_bar_that_names_how_many_epochs_there_are_may_count_from_none() -> None:
    found = fed(
        "epoch: 0/4:  25%|██▌       | 16/64 [00:00<00:00, 79.79it/s, loss=0.5]",
        "epoch: 1/4:  25%|██▌       | 16/64 [00:00<00:00, 79.79it/s, loss=0.25]",
    )
    assert [one.step for one in found] == [16, 80]


def test_a_bar_of_the_training_of_another_length_is_no_evaluation() -> None:
    found = fed(
        "Training Net: 100%|██████████| 12/12 [00:00<00:00, 58.23it/s, Loss_pi=2.5]",
        "Training Net:  25%|██▌       | 6/24 [00:00<00:00, 58.23it/s, Loss_pi=1.5]",
        "Training Net: 100%|██████████| 24/24 [00:00<00:00, 58.23it/s, Loss_pi=1.25]",
    )
    assert [dict(one.values) for one in found] == [{"loss_pi": 2.5}, {"loss_pi": 1.5}, {"loss_pi": 1.25}]


def test_an_epoch_that_its_bar_has_not_shown_yet_is_where_the_run_stands() -> None:
    found = fed(
        "  2%|▏         | 1/60 [00:00<00:01, 46.58it/s]",
        "Epoch 3, Total loss 0.5, iteration time 0.004",
        "  7%|▋         | 4/60 [00:00<00:00, 97.56it/s]",
        "Epoch 6, Total loss 0.25, iteration time 0.013",
    )
    assert [one.step for one in found if one.values] == [3, 6]


def test_a_bar_that_is_drawn_once_tells_less_than_the_headings_of_epochs() -> None:
    empty = "  - (Training)   :   0%|          | 0/4 [00:00<?, ?it/s]"
    lines = [
        line for n in (1, 2) for line in (f"[ Epoch {n} ]", empty, f"  - (Training)    accuracy:  0.{n}5, RMSE:  3.5")
    ]
    assert [(one.step, one.values["accuracy"]) for one in fed(*lines) if one.values] == [(1, 0.15), (2, 0.25)]


def test_the_most_so_far_is_no_measurement() -> None:
    assert fed("step 3: loss 0.5", "  - [Info] Maximum accuracy:  0.25, Minimum RMSE:  3.5")[1:] == []


def test_what_the_bar_of_an_evaluation_shows_is_of_its_part() -> None:
    lines = (f"Val: N@1 0.0{n}, N@5 0.1{n}:  25%|██▌       | {n}/4 [00:00<00:00, 2.36it/s]" for n in (1, 2, 3))
    *_, last = fed("step 3: loss 0.5", *lines)
    assert last.values == {"val_n@1": 0.03, "val_n@5": 0.13}


@pytest.mark.parametrize(
    ("header", "row"),
    [
        ("      d1,  abs_rel,   sq_rel,     rmse", "   0.422,    0.469,    4.934,    7.125"),  # Depth-Anything-V2
        (
            "   abs_rel |   sq_rel |     rmse |       a1 | ",
            "&   0.469  &   4.934  &   7.125  &   0.422  \\\\",
        ),  # monodepth2
    ],
)
def test_a_row_of_results_is_read_by_the_names_above_it(header: str, row: str) -> None:
    found = fed("Iter: 9/12, LR: 0.0000432, Loss: 0.454", "=" * 40, header, row, row)
    told = {"val_abs_rel": 0.469, "val_sq_rel": 4.934, "val_rmse": 7.125}
    assert [(one.step, {k: v for k, v in one.values.items() if k in told}) for one in found[1:]] == [(9, told)]


def test_a_record_over_an_evaluations_bar_is_that_ones() -> None:
    """BERT-pytorch's trainer, which many have copied: `data_iter.write(str(post_fix))` while its bar is drawn."""
    record = "{'epoch': 0, 'iter': 0, 'avg_loss': 7.5, 'avg_acc': 37.5, 'loss': 7.25}"
    lines = [
        "EP_train:0:   0%|| 0/40 [00:00<?, ?it/s]",
        "                                        ",
        record,
        "EP_train:0: 100%|| 40/40 [00:00<00:00, 91.55it/s]",
        "EP_test:0:   0%|| 0/8 [00:00<?, ?it/s]",
        "                                      ",
        record,
        "EP_test:0: 100%|| 8/8 [00:00<00:00, 77.88it/s]",
        "EP0_test, avg_loss= 7.875 total_acc= 48.5",
    ]
    assert [set(one.values) for one in fed(*lines) if one.values] == [
        {"loss", "acc"},
        {"test_loss", "test_acc"},
        {"test_loss", "test_total_acc"},
    ]


def test_shapes_head_nothing_and_a_time_without_seconds_stands_before_a_line() -> None:
    time = "2026-11-30 19:48: "  # AGCRN and what was made of it
    lines = [
        "Train:  (877, 12, 12, 1) (877, 12, 12, 1)",
        "Test:  (277, 12, 12, 1) (277, 12, 12, 1)",
        f"{time}Train Epoch 1: 5/13 Loss: 198.795975",
        f"{time}**********Train Epoch 1: averaged Loss: 199.382789, tf_ratio: 1.000000",
        f"{time}**********Val Epoch 1: average Loss: 199.278046",
    ]
    assert [dict(one.values) for one in fed(*lines)] == [
        {"loss": 198.795975}, {"epoch_loss": 199.382789}, {"val_loss": 199.278046}
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("line", "values"),
    [
        ("epoch: 3, accuracy of the mnist_m dataset: 0.416667", {"mnist_m_accuracy": 0.416667}),  # fungtion/DANN
        ("Epoch 3, loss on the validation set: 0.5123", {"val_loss": 0.5123}),
    ],
)
def test_a_measurement_of_some_data_has_its_name(line: str, values: dict[str, float]) -> None:
    (found,) = fed(line)
    assert found.values == values


def test_a_count_of_as_many_as_a_bar_goes_to_is_ahead_of_it() -> None:
    bars = [f"  4%|▍         | {n}/200 [00:00<00:12, 15.85it/s]" for n in (7, 9)]
    lines = [*bars, "[10/300] Loss_D: 2.4451 Loss_G: 3.2898", "[10/200] Loss_D: 2.4451 Loss_G: 3.2898", "loss_a: 1.5"]
    assert [one.step for one in fed(*lines) if one.values] == [9, 10, 10]  # carpedm20/DiscoGAN-pytorch


def test_the_bar_of_an_evaluation_tells_what_else_it_shows_and_the_line_that_sums_it_up_as_well() -> None:
    lines = []
    for epoch in (1, 2, 3):
        bar = f"{epoch}/5 * Epoch ({{}}): 100%|██████████| {{}} [00:00<00:00, 163.61it/s, accuracy01={{}}, loss={{}}]"
        lines += [bar.format("train", f"{n}/12", f"0.5{epoch}", f"1.2{epoch}") for n in (0, 6, 12)]
        lines += [bar.format("valid", "3/3", f"0.4{epoch}", f"1.3{epoch}")]
        lines += [f"valid ({epoch}/5) accuracy01: 0.6{epoch} | loss: 1.1{epoch} | lr: 0.002"]
    found = [dict(one.values) for one in told(lines) if one]  # catalyst's quick start
    assert [one["val_loss"] for one in found if "val_loss" in one] == [1.31, 1.11, 1.32, 1.12, 1.33, 1.13]
    assert [one["val_accuracy01"] for one in found if "val_accuracy01" in one] == [0.41, 0.42, 0.43, 0.63]


@pytest.mark.parametrize(
    ("line", "values"),
    [
        ("test loss, test acc: [0.0812, 0.9752]", {"test_loss": 0.0812, "test_acc": 0.9752}),  # Keras' guides
        ("Epoch 3 loss, acc: 0.5123 0.9123", {"loss": 0.5123, "acc": 0.9123}),
        ("Epoch: 3 train_loss, val_loss: (0.5, 0.6)", {"train_loss": 0.5, "val_loss": 0.6}),
        ("*** Fold MSE, RMSE, MAE:  0.1 0.2 0.3", {"mse": 0.1, "rmse": 0.2, "mae": 0.3}),
        ("Epoch 3, batch 5, loss: 0.5 0.6", {"loss": 0.5}),  # of one name
    ],
)
def test_names_in_a_row_before_numbers_in_a_row_have_one_each(line: str, values: dict[str, float]) -> None:
    (found,) = fed(line)
    assert found.values == values


@pytest.mark.parametrize(
    "line",
    [
        "Epoch 1 | Iter 6 | Average Loss 3.418 | Current Loss 3.461322 | 14.7 ms/batch",  # kaituoxu/Conv-TasNet
        "Epoch 1, Iter 6, Average loss: 3.4180, Current loss: 3.461322, Accuracy: 0.5",
        "Epoch 1, Iter 6, Current loss: 3.461322, Average loss: 3.4180, Accuracy: 0.5",
    ],
)
def test_the_present_value_is_told_before_its_average(line: str) -> None:
    (found,) = fed(line)
    assert found.values["loss"] == 3.461322
