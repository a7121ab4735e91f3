"""What single lines do not say: where they belong, what comes before what, and what is no progress at all."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.trainer.reading import fed, told
from trainer.detect import Detection, Detector
from trainer.series import EVENT_FILE, FILE


@pytest.mark.parametrize("header", ["Epoch 4 of 10", "=== Epoch 4/10 ===", "Starting epoch 4", "INFO - [Epoch 4]"])
def test_a_line_that_names_an_epoch_alone_is_of_what_follows(header: str) -> None:
    assert [(one.step, dict(one.values)) for one in fed(header, "Training loss: 0.35")] == [(4, {"train_loss": 0.35})]


def test_a_table_of_commas_or_rules_is_read_by_its_header() -> None:
    for lines in (
        ("epoch,loss,val_loss", "1,0.35,0.45"),
        ("| epoch | loss | val_loss |", "|-------|------|----------|", "| 1 | 0.35 | 0.45 |"),
        ("│ Epoch │ Loss │ Val loss │", "│ 1 │ 0.35 │ 0.45 │"),
    ):
        assert [(one.step, dict(one.values)) for one in fed(*lines)] == [(1, {"loss": 0.35, "val_loss": 0.45})]


def test_columns_that_come_again_are_of_the_validation_and_a_bar_may_stand_in_their_place() -> None:
    found = fed(  # davda54/sam
        "┏━━━━━━━━━━━━━━┳━━━━━━━╸T╺╸R╺╸A╺╸I╺╸N╺━━━━━━━┳━━━━━━━╸S╺╸T╺╸A╺╸T╺╸S╺━━━━━━━┳━━━━━━━╸V╺╸A╺╸L╺╸I╺╸D╺━━━━━━━┓",
        "┃              ┃              ╷              ┃              ╷              ┃              ╷              ┃",
        "┃       epoch  ┃        loss  │    accuracy  ┃        l.r.  │     elapsed  ┃        loss  │    accuracy  ┃",
        "┠──────────────╂──────────────┼──────────────╂──────────────┼──────────────╂──────────────┼──────────────┨",
        "┃           0  ┃      1.7597  │      9.72 %  ┃   2.000e-02  │   00:01 min  ┠┈█████████▓┈┈┈┈┈┈┈┈┈┈┈┈┈┈┈┈┈┈┨",
        "┃           0  ┃      1.7709  │     10.50 %  ┃   2.000e-02  │   00:04 min  ┃      1.7847  │     10.00 %  ┃",
        "┃           1  ┃      1.7629  │     11.11 %  ┃   2.000e-02  │   00:01 min  ┠┈█████████▓┈┈┈┈┈┈┈┈┈┈┈┈┈┈┈┈┈┈┨",
    )
    assert [(one.step, dict(one.values)) for one in found] == [
        (0, {"loss": 1.7597, "accuracy": 9.72}),
        (0, {"loss": 1.7709, "accuracy": 10.5, "val_loss": 1.7847, "val_accuracy": 10.0}),
        (1, {"loss": 1.7629, "accuracy": 11.11}),
    ]
    (found,) = fed("epoch | loss  acc | loss  acc".replace("  ", " | "), "    1 | 0.5 | 0.6 | 0.7 | 0.8")
    assert found.values == {"loss": 0.5, "acc": 0.6, "val_loss": 0.7, "val_acc": 0.8}


def test_the_steps_of_an_evaluation_are_not_the_runs() -> None:
    found = fed(
        "Epoch: 1/4 Step: 6/6 loss: 1.10",
        "Epoch: 1/4 Step: 1/6 val_loss: 1.09",
        "Epoch: 2/4 Step: 1/6 loss: 1.05",
    )
    assert [(one.step, dict(one.values)) for one in found] == [
        (6, {"loss": 1.1}), (6, {"val_loss": 1.09}), (7, {"loss": 1.05}),
    ]  # fmt: skip


def test_what_a_bar_of_an_evaluation_shows_is_told_as_such() -> None:
    found = fed(
        "epoch 1: 100%|██| 5/5 [00:00<00:00,  7.08it/s, loss=0.698, metrics={'acc': 0.51}]",
        "valid:  50%|█ | 1/2 [00:00<00:00,  2.07it/s, loss=0.703, metrics={'acc': 0.5}]",
    )
    assert [(one.step, dict(one.values)) for one in found] == [
        (5, {"loss": 0.698, "acc": 0.51}), (5, {"val_loss": 0.703, "val_acc": 0.5}),
    ]  # fmt: skip


def test_a_bar_that_shows_its_loss_keeps_it_against_what_is_said_once_an_epoch() -> None:
    bars = [f"Epoch 1/2: {n}%|█| {n}/100 [00:01<00:01,  9.00it/s, loss=0.{n}]" for n in range(90, 100)]
    found = fed(
        *bars, "epoch=1 step=100 metrics={'loss': 0.5}", "Epoch 2/2: 1%|█| 1/100 [00:01<00:01,  9.0it/s, loss=0.4]"
    )
    assert (found[-1].step, dict(found[-1].values)) == (101, {"loss": 0.4})


def test_a_line_without_a_step_gets_it_from_the_bar_before_it() -> None:
    found = fed(
        " 12%|█▏        | 60/500 [00:30<03:40,  2.00it/s]",
        "{'loss': 1.2659, 'learning_rate': 8.2e-05, 'epoch': 0.34}",
    )
    assert [(one.step, dict(one.values).get("loss")) for one in found] == [(60, None), (60, 1.2659)]


def test_the_bar_of_an_evaluation_does_not_take_the_runs_place() -> None:
    found = fed(
        " 12%|█▏        | 60/500 [00:30<03:40,  2.00it/s]",
        " 50%|█████     | 400/800 [00:01<00:01, 400.00it/s]",
        "{'eval_loss': 0.5, 'epoch': 0.4}",
    )
    assert [one.step for one in found] == [60, 60]


def test_a_bar_that_starts_anew_with_each_epoch_goes_on() -> None:
    found = fed(*(f" 50%|█| {n}/100 [00:01<00:01,  9.00it/s]" for n in (50, 100, 1, 100, 1)))
    assert [one.step for one in found] == [50, 100, 101, 200, 201]


def test_a_bar_over_epochs_counts_the_one_within_it() -> None:
    found = fed(
        "Epochs:  10%|█         | 1/10 [00:30<04:30, 30.00s/it]",
        " 50%|█████     | 50/100 [00:15<00:15,  3.33it/s, loss=0.4]",
    )
    assert [(one.step, one.total) for one in found] == [(150, 1000)]


def test_the_source_for_machines_is_believed_before_the_one_for_people() -> None:
    found = fed(
        "step 10: loss 2.0",
        '{"step": 10, "loss": 2.0001}',
        "step 20: loss 1.5",
        '{"step": 20, "loss": 1.5001}',
    )
    assert [one.values["loss"] for one in found] == [2.0, 2.0001, 1.5001]


def test_what_the_script_says_itself_silences_what_is_read() -> None:
    detector = Detector()
    assert detector.report(5, 10, {"loss": 1.0}).percent == 50.0
    assert detector.feed("step 6/10: loss 0.9") is None


def test_epochs_of_keras_are_put_together_with_their_headers() -> None:
    found = fed("Epoch 2/5", "100/391 ━━━━ 5s 13ms/step - accuracy: 0.8116 - loss: 0.5423")
    assert [(one.step, one.total) for one in found] == [(491, 1955)]


def test_epochs_counted_from_zero_and_from_one_both_start_at_the_beginning() -> None:
    zero = fed("Epoch 0/10, Step 5/100, Loss: 0.5", "Epoch 1/10, Step 5/100, Loss: 0.5")
    one = fed("Epoch 1/10, Step 5/100, Loss: 0.5", "Epoch 2/10, Step 5/100, Loss: 0.5")
    assert [found.step for found in zero] == [found.step for found in one] == [5, 105]


def test_the_trace_of_an_error_is_no_progress_and_what_follows_is() -> None:
    found = fed(
        "Traceback (most recent call last):",
        '  File "train.py", line 3, in <module>',
        "    loss = 0.5",
        "ValueError: loss: 0.5",
        "step 3: loss 0.25",
    )
    assert [one.values["loss"] for one in found] == [0.25]


def test_a_block_of_lines_brings_the_values_of_its_first_lines_step() -> None:
    found = fed(
        "[epoch=2][batch=4/8]:",
        "\t Train time/batch: 11",
        "\t Train loss/train/total: 0.3499",
        "\t Train metrics/train/MulticlassAccuracy: 0.8750",
        "[Eval batch=4/4] Eval on eval data:",
        "\t Eval metrics/eval/MulticlassAccuracy: 0.8281",
        "step 3: loss 0.25",
    )
    assert [(one.step, dict(one.values)) for one in found] == [
        (12, {}),
        (12, {"train_loss": 0.3499}),
        (12, {"train_multiclassaccuracy": 0.875}),
        (12, {"eval_multiclassaccuracy": 0.8281}),
        (3, {"loss": 0.25}),
    ]


def test_a_table_of_names_and_values_is_placed_by_the_step_within_it() -> None:
    lines = [
        "---------------------------------",
        "| rollout/           |          |",
        "|    ep_rew_mean     | 22.5     |",
        "|    total_timesteps | 128      |",
        "| train/             |          |",
        "|    value_loss      | 112      |",
        "---------------------------------",
        "|    ep_rew_mean     | 30       |",
        "|    mse_q1          | 0.25     |",
        "|    total_timesteps | 1e+03    |",
        "---------------------------------",
    ]
    assert [one and (one.step, dict(one.values)) for one in told(lines)] == [
        *(None, None, (128, {"ep_rew": 22.5}), None, None, (128, {"value_loss": 112.0}), (128, {})),
        *((1000, {"ep_rew": 30.0}), (1000, {"mse_q1": 0.25}), None, (1000, {})),
    ]


def test_a_line_that_names_its_step_is_believed_before_a_bar_that_is_drawn_late() -> None:
    found = fed(
        "  6%|▌         | 46/800 [00:00<00:10, 70.65it/s]",
        "[TRAIN] Iter: 50 Loss: 0.25  PSNR: 23.5",
        "  7%|▋         | 54/800 [00:00<00:13, 54.94it/s]",
    )
    assert [(one.step, dict(one.values)) for one in found] == [(46, {}), (50, {"loss": 0.25, "psnr": 23.5}), (54, {})]


def test_bars_of_an_evaluation_move_nothing_though_only_what_they_describe_says_so() -> None:
    found = fed(
        "Train loss: 0.399:  92%|█████████▏| 24/26 [00:00<00:01, 19.34it/s]",
        "Train loss: 0.390: 100%|██████████| 26/26 [00:00<00:01, 19.34it/s]",
        "Test loss: 0.209:   0%|          | 0/9 [00:00<?, ?it/s]",
    )
    assert [(one.step, dict(one.values)) for one in found][1:] == [
        (26, {"train_loss": 0.39}),
        (26, {"test_loss": 0.209}),
    ]


def test_a_second_bar_below_one_header_is_of_an_evaluation() -> None:
    found = fed(
        "Epoch: 0",
        " [=====>...]  Step: 1s930ms | Tot: 0ms | Loss: 2.312 | Acc: 9.375% (12/128)      1/2 ",
        " [========>]  Step: 1ms | Tot: 1ms | Loss: 2.300 | Acc: 9.5% (25/256)      2/2 ",
        " [=======>.]  Step: 1ms | Tot: 0ms | Loss: 2.268 | Acc: 19.000% (19/100)      1/1 ",
        "Epoch: 1",
        " [=====>...]  Step: 2ms | Tot: 0ms | Loss: 2.212 | Acc: 10.375% (12/128)      1/2 ",
    )
    assert [(one.step, one.values.get("loss"), one.values.get("val_loss")) for one in found] == [
        (1, 2.312, None),
        (2, 2.3, None),
        (2, None, 2.268),
        (3, 2.212, None),
    ]


def test_a_sum_below_an_evaluation_is_of_its_part() -> None:
    logger = "[2026-11-29 22:50:36 swin_tiny](main.py 278): INFO "
    found = fed(
        f"{logger}Train: [0/300][20/40]\tloss 4.5 (4.9)",
        f"{logger}Test: [0/23]\tLoss 1.25 (1.25)\tAcc@1 93.75 (93.75)",
        f"{logger} * Acc@1 91.25 Acc@5 99.5",
        f"{logger}Max accuracy: 91.25%",
    )
    assert [(one.step, dict(one.values)) for one in found] == [
        (20, {"loss": 4.5}),
        (20, {"test_loss": 1.25, "test_acc@1": 93.75}),
        (20, {"test_acc@1": 91.25, "test_acc@5": 99.5}),
    ]


def test_epochs_in_brackets_are_counted_from_one_where_the_first_is_one() -> None:
    found = fed("Train: [1][40/41]\tloss 3.5 (4.2)", "Train: [2][5/41]\tloss 3.25 (3.8)")
    assert [one.step for one in found] == [40, 46]
    assert fed("Training Epoch: 1 [128/1736]\tLoss: 4.6")[0].step == 128


def test_a_line_of_counts_alone_says_where_the_next_one_belongs() -> None:
    found = fed(
        "Updates 10, num timesteps 1408, FPS 1243 ",
        " Last 5 training episodes: mean/median reward -16.5/-14.5, min/max reward -50.0/16.5",
    )
    values = {"reward": -16.5, "median_reward": -14.5, "min_reward": -50.0, "max_reward": 16.5}
    assert [(one.step, dict(one.values)) for one in found] == [(1408, values)]


def test_single_letters_count_where_nothing_else_does() -> None:
    row = "| train | F: {f} | S: {s} | L: 500 | R: {r} | FPS: 26.5 | T: 0:00:00"
    found = told(row.format(f=2000 * n, s=1000 * n, r=n + 0.5) for n in range(1, 5))
    assert [one and (one.step, dict(one.values)) for one in found] == [(2000 * n, {"r": n + 0.5}) for n in range(1, 5)]


def test_a_count_that_outgrows_its_epoch_goes_on_over_them() -> None:
    found = fed(
        "Epoch[1] Iteration[10/10] Loss: 0.82",
        "Epoch[2] Iteration[15/10] Loss: 0.39",
        "Validation Results - Epoch: 2  Avg accuracy: 0.91 Avg loss: 0.41",
    )
    assert [(one.step, dict(one.values)) for one in found] == [
        (10, {"loss": 0.82}),
        (15, {"loss": 0.39}),
        (15, {"val_accuracy": 0.91, "val_loss": 0.41}),
    ]


def test_a_row_is_read_by_the_header_above_it_and_a_table_that_counts_nothing_is_left_alone() -> None:
    found = fed(
        "  model  accuracy   loss",
        "      1      0.81   0.54",
        "  epoch  train_loss  valid_acc  dur",
        "  -----  ----------  ---------  ---",
        "      1      0.6931     0.5123  0.1",
        "      2      0.5931     nan     0.1",
    )
    assert [(one.step, one.epoch) for one in found] == [(1, 1.0), (2, 2.0)]
    assert dict(found[0].values) == {"train_loss": 0.6931, "val_acc": 0.5123}
    assert math.isnan(found[1].values["val_acc"])


def test_columns_of_two_words_and_a_number_sign_are_columns() -> None:
    found = fed(
        "      Iter       Train Loss   Remaining Time ",
        "         1           1.2987            0.17s",
        "E    #       LOSS TEXTCAT  CATS_SCORE  SCORE ",
        "---  ------  ------------  ----------  ------",
        " 12      50          0.68      100.00    1.00",
    )
    assert [(one.step, dict(one.values)) for one in found] == [
        (1, {"train_loss": 1.2987}),
        (50, {"loss_textcat": 0.68, "cats_score": 100.0, "score": 1.0}),
    ]


def test_an_epoch_on_a_line_of_its_own_counts_where_nothing_else_does() -> None:
    found = fed("-- Epoch 3", "Norm: 90.71, NNZs: 6, Bias: 0.096465, T: 900, Avg. loss: 0.427908")
    assert [(one.step, dict(one.values)) for one in found] == [(3, {"loss": 0.427908})]


def test_the_bar_of_an_evaluation_does_not_count_between_lines_that_name_their_step() -> None:
    found = fed(
        "epoch 1 - iter 20/20 - loss 0.39040188 - lr: 0.100000",
        "100%|██████████| 1/1 [00:00<00:00, 210.45it/s]",
        "2026-11-24 01:42:59,228 DEV : loss 0.0911 - f1-score (micro avg)  1.0",
        "epoch 2 - iter 10/20 - loss 0.06456061 - lr: 0.100000",
    )
    assert [(one.step, dict(one.values).get("dev_loss")) for one in found] == [(20, None), (20, 0.0911), (30, None)]


def test_a_bar_from_before_the_training_gives_way_to_lines_that_name_their_step() -> None:
    found = fed("100%|██████████| 80/80 [00:00<00:00, 210.45it/s]", "step 3: loss 0.25")
    assert [one.step for one in found] == [80, 3]


def test_a_record_that_tells_its_epoch_alone_is_placed_by_it_where_the_bar_stands_behind() -> None:
    found = fed(
        "  4%|▍         | 2/48 [00:00<00:02, 15.91it/s]",
        "{'loss': 4.1636, 'epoch': 0.17}",
        "{'loss': 4.1662, 'epoch': 0.33}",
        "  8%|▊         | 4/48 [00:00<00:02, 15.91it/s]",
    )
    assert [one.step for one in found] == [2, 2, 4, 4]


def test_a_slow_bar_is_believed_where_the_epochs_are_no_whole_number() -> None:
    found = fed(
        " 40%|████      | 400/1000 [10:00<15:00,  1.50s/it]",
        "{'loss': 4.1636, 'epoch': 1.0}",
    )
    assert [one.step for one in found] == [400, 400]


def test_the_last_evaluations_bar_does_not_take_the_runs_place_after_its_end() -> None:
    found = fed(
        " 50%|█████     | 24/48 [00:30<00:30,  2.00it/s]",
        "  0%|          | 0/3 [00:00<?, ?it/s]",
        "100%|██████████| 48/48 [01:00<00:00,  2.00it/s]",
        "100%|██████████| 3/3 [00:00<00:00, 195.32it/s]",
        "{'eval_loss': 4.07, 'epoch': 4.0}",
    )
    assert [one.step for one in found] == [24, 48, 48]


def test_an_outer_bar_that_is_drawn_late_does_not_set_the_inner_one_back() -> None:
    found = fed(
        "Epoch:   0%|          | 0/2 [00:00<?, ?it/s]",
        "Iteration: 100%|██████████| 6/6 [00:00<00:00, 892.19it/s]",
        "Iteration:  17%|█▋        | 1/6 [00:00<00:00, 877.29it/s]",
    )
    assert [one.step for one in found] == [6, 7]


def test_what_a_failed_test_shows_is_no_progress_and_what_follows_the_tests_is() -> None:
    found = fed(
        "============================= test session starts ==============================",
        "loss = 2.5",
        "=================================== FAILURES ===================================",
        "loss = 1.5",
        "========================= 2 failed, 1 passed in 0.12s ==========================",
        "loss = 0.5",
    )
    assert [dict(one.values) for one in found] == [{"loss": 0.5}]


def test_a_file_tells_only_what_the_lines_have_not_told() -> None:
    detector = Detector()
    detector.feed("step 20: train_loss 1.5")
    assert detector.filed(FILE, 10, {"train_loss": 2.0, "val_loss": 2.5}) == {"val_loss": 2.5}
    assert detector.filed(FILE, 20, {"train_loss": 1.5}) == {}
    assert detector.filed(FILE, 30, {"train_loss": 1.0}) == {"train_loss": 1.0}
    assert detector.feed("step 40: train_loss 0.5") == Detection(step=40, moved=True)
    assert detector.filed(EVENT_FILE, 40, {"train_loss": 0.5}) == {}


def test_a_step_on_a_line_of_its_own_is_of_what_follows() -> None:
    found = fed("STEP:  3", "loss: 0.5", "test loss: 0.4", "STEP:  4", "loss: 0.3")
    assert [(one.step, dict(one.values)) for one in found] == [
        (3, {"loss": 0.5}), (3, {"test_loss": 0.4}), (4, {"loss": 0.3}),
    ]  # fmt: skip


def test_below_the_heading_of_an_evaluation_values_and_counts_are_of_it() -> None:
    found = fed(
        "Epoch 1/3",
        "step 8/8 - loss: 0.6099",
        "Eval begin...",
        "step 2/2 - loss: 0.7183",
        "Epoch 2/3",
        "step 2/8 - loss: 0.5542",
        "Test Error:",
        " Accuracy: 81.2%, Avg loss: 0.41",
    )
    assert [(one.step, dict(one.values)) for one in found] == [
        (8, {"loss": 0.6099}),
        (8, {"eval_loss": 0.7183}),
        (10, {"loss": 0.5542}),
        (10, {"test_accuracy": 81.2, "test_loss": 0.41}),
    ]


def test_cells_are_read_by_the_column_that_they_stand_under() -> None:
    found = fed(
        "epoch       iteration   main/loss   validation/main/loss  main/accuracy",
        "1           100         0.5                               0.9",
        "1           200         [4.0e-01]   0.6                   0.91",
        "            Final       0.3         0.6                   0.92",
    )
    assert [(one.step, dict(one.values)) for one in found] == [
        (100, {"main_loss": 0.5, "main_accuracy": 0.9}),
        (200, {"main_loss": 0.4, "val_main_loss": 0.6, "main_accuracy": 0.91}),
        (200, {"main_loss": 0.3, "val_main_loss": 0.6, "main_accuracy": 0.92}),
    ]


def test_a_bar_tells_its_values_but_no_record_and_no_setting() -> None:
    bar = "  2%|▎         | 1/40 [00:01<01:16,  1.96s/it"
    found = fed(
        f"{bar}, init loss: 76.6811, avg. loss [21-40]: 68.5965]",
        f"| train_loss: 7.16e-01 | test_loss: 1.20e+00 | : {bar[:-3]}",  # as wide as the terminal
        "     perplexity=10, random_state=0, verbose=True)",
    )
    assert [(one.step, dict(one.values)) for one in found] == [
        (1, {"loss": 68.5965}),
        (1, {"train_loss": 0.716, "test_loss": 1.2}),
    ]


@given(st.text(max_size=300))
def test_no_line_breaks_it(line: str) -> None:
    Detector().feed(line)


@given(
    st.lists(
        st.sampled_from(
            ["loss", "step", "epoch", "lr", ":", "=", " ", "/", "3", "0.5", "nan", "{", "}", "'", "[", "%|"]
        ),
        max_size=60,
    )
)
def test_no_line_made_of_its_own_words_breaks_it(words: list[str]) -> None:
    Detector().feed("".join(words))


def test_numbers_that_are_none_are_understood() -> None:
    (found,) = fed("step 3: loss inf, grad_norm nan")
    assert found.values["loss"] == math.inf
    assert math.isnan(found.values["grad_norm"])
