"""Lines as packages from PyPI print them, each of which was once misread."""

from __future__ import annotations

import pytest

from tests.trainer.reading import fed


def test_a_heading_behind_a_time_with_fractions_is_one() -> None:
    at = "2026-11-30 06:23:4"
    (train, val) = fed(f"{at}9.893801: Epoch 1", f"{at}9.9: train_loss 1.0134", f"{at}9.9: val_loss 0.7802")
    assert (train.step, val.step) == (1, 1)
    assert {**train.values, **val.values} == {"train_loss": 1.0134, "val_loss": 0.7802}


def test_a_process_behind_its_time_is_no_step() -> None:
    lines = [f"[2026-11-30 06:33:1{n},242][24714] Mean reward: {n}.5" for n in range(4)]
    assert [(one.step, dict(one.values)) for one in fed(*lines)] == [(None, {"reward": n + 0.5}) for n in range(4)]


def test_a_new_best_that_is_saved_is_no_news() -> None:
    assert [one.values for one in fed("step 3: reward=141.5", "Saving new best policy, reward=141.480!")] == [
        {"reward": 141.5}
    ]


def test_a_bar_of_as_many_epochs_as_it_names_counts_them() -> None:
    def bar(epoch: int, done: int) -> str:
        return f"Epoch {epoch}/15:  7%|▋  | {done}/15 [00:00<00:00, 26.11it/s, v_num=1, train_loss=90.{done}]"

    found = fed(bar(1, 0), bar(1, 1), bar(2, 1), bar(2, 2), bar(3, 2), bar(3, 3))
    assert [(one.step, one.total) for one in found] == [(n, 15) for n in (1, 1, 2, 2, 3, 3)]


def test_a_bar_of_as_many_batches_as_there_are_epochs_counts_batches() -> None:
    def bar(epoch: int, done: int) -> str:
        return f"Epoch {epoch}/15:  7%|▋  | {done}/15 [00:00<00:00, 26.11it/s, loss=0.{done}]"

    found = fed(bar(1, 5), bar(1, 15), bar(2, 5), bar(2, 15), bar(3, 1), bar(3, 2))
    assert [(one.step, one.total) for one in found] == [(n, 225) for n in (5, 15, 20, 30, 31, 32)]


def test_the_part_of_the_data_may_stand_in_brackets_of_a_bars_name() -> None:
    def bar(part: str) -> str:
        return f"1/3 * Epoch ({part}):  20%|██   | 4/20 [00:00<00:00, 375.19it/s, loss=4.031]"

    assert [dict(one.values) for one in fed(bar("train"), bar("valid"))] == [{"loss": 4.031}, {"val_loss": 4.031}]


def test_a_value_may_stand_before_its_name() -> None:
    (found,) = fed("\t0.9083\t = Validation score   (accuracy)")
    assert dict(found.values) == {"val_score": 0.9083}


def test_means_of_a_part_are_that_parts() -> None:
    (found,) = fed("step 3: loss 0.5 Mean Validation Dice: 0.29")
    assert dict(found.values) == {"loss": 0.5, "val_dice": 0.29}


def test_what_compilers_count_is_no_score() -> None:
    assert fed("I1130 06:05:40.494000 5889 torch/_subclasses/fake_tensor.py:3629]   cache_hits: 0") == []


def test_what_judges_before_the_training_is_not_where_it_stands() -> None:
    def line(part: str, n: int, total: int) -> str:
        return f"{part} |     {n}/{total}   | loss:    1.{n} | fps: 5583.1001 | acc:    0.0625"

    lines = [line("Valid", n, 4) for n in (1, 2, 3, 4)]
    for epoch in (1, 2):
        lines += [
            f"Epoch {epoch}/4",
            *(line("Train", n, 13) for n in (1, 2, 13)),
            *(line("Valid", n, 4) for n in (1, 4)),
        ]
    found = fed(*lines)
    assert [one.step for one in found if "val_loss" in one.values] == [None] * 4 + [13, 13, 26, 26]
    assert [one.step for one in found if "loss" in one.values] == [1, 2, 13, 14, 15, 26]


def test_a_record_of_an_evaluation_may_name_it_first() -> None:
    lines = ("epoch: 1 step: 20, loss is 0.5", "Eval result: epoch 1, metrics: {'Accuracy': 0.75, 'loss': 0.7}")
    found = fed(*lines, "epoch: 2 step: 5, loss is 0.25")
    assert [dict(one.values) for one in found] == [
        {"loss": 0.5},
        {"eval_accuracy": 0.75, "eval_loss": 0.7},
        {"loss": 0.25},
    ]
    (found,) = fed("eval after 0: {'loss/eval': 0.7}")
    assert dict(found.values) == {"loss_eval": 0.7}


def test_a_table_may_count_its_batches() -> None:
    rows = ["| batch | 40 |", "| epoch | 1 |", "| loss | 0.657 |", "----------"]
    assert [(one.step, dict(values.values)) for one in fed(*rows) for _, values in one.earlier] == [
        (40, {"loss": 0.657})
    ]


def test_a_count_on_a_line_of_its_own_is_of_the_lines_below_it_behind_a_place_in_the_source() -> None:
    place = "[INFO: train.py:  {}]: "  # sgan, and pycls, SlowFast and TimeSformer log like that
    found = fed(
        place.format(232) + "Starting epoch 3",
        place.format(277) + "t = 6 / 137",
        place.format(279) + "  [D] D_total_loss: 1.386",
        place.format(282) + "  [G] G_total_loss: 4.767",
        place.format(232) + "Starting epoch 4",
        place.format(232) + "Starting epoch 5",
        place.format(277) + "t = 11 / 137",
        place.format(279) + "  [D] D_total_loss: 1.386",
    )
    assert [(one.step, one.values) for one in found if one.values] == [
        (6, {"d_total_loss": 1.386}),
        (6, {"g_total_loss": 4.767}),
        (11, {"d_total_loss": 1.386}),
    ]


def test_a_loggers_name_may_stand_before_the_day_and_the_part_of_the_data_behind_both() -> None:
    logged = "[NanoDet][11-30 20:34:{}]INFO:{}| mem:0G| lr:1.00e-03| loss_qfl:0.{}| loss_bbox:0.2863|"
    found = fed(logged.format(34, "Train|Epoch2/16|Iter6(3/4)", 8), logged.format(35, "Val|Epoch2/16|Iter8(1/2)", 9))
    assert [(one.step, one.values.get("loss_qfl"), one.values.get("val_loss_qfl")) for one in found][1] == (
        6,
        None,
        0.9,
    )


def test_one_number_in_brackets_is_its_names_and_the_first_of_several_is_not() -> None:
    day = "2026-11-30 20:19:4{}: "  # nnU-Net's: one class, then two
    lines = (
        "Epoch 3",
        "Pseudo dice [np.float32(0.2019)]",
        "Pseudo dice [0.5, 0.6]",
        "Pseudo dice [np.float32(0.7), 1.0]",
    )
    found = fed(*(day.format(n) + line for n, line in enumerate(lines)), "Yayy! New best EMA pseudo Dice: 0.4124")
    assert [(one.step, one.values) for one in found] == [(3, {"pseudo_dice": 0.2019})]
    assert [one.values for one in fed("Test loss: [0.03, 0.98]")] == [{"test_loss": 0.03}]  # as Keras has them


def test_a_line_that_sums_an_epoch_up_stands_at_its_end_though_the_bar_was_drawn_at_its_beginning_alone() -> None:
    lines = [
        line
        for epoch in (1, 2, 3)  # ReChorus: a bar of an epoch that is gone before it is drawn again
        for line in (
            f"Epoch {epoch}  :   0%|          | 0/29 [00:00<?, ?it/s]",
            "Predict:   0%|          | 0/1 [00:00<?, ?it/s]",
            f"Epoch {epoch}     loss=0.66{epoch} [0.8 s]",
        )
    ]
    assert [(one.step, one.values) for one in fed(*lines) if one.values] == [
        (1, {"loss": 0.661}),  # of a bar of 29 epochs, for all that is known
        (58, {"loss": 0.662}),
        (87, {"loss": 0.663}),
    ]


@pytest.mark.parametrize(("bar", "first"), [("Epoch {}/4", 1), ("Epoch {}", 0)])
def test_such_a_line_is_read_so_whatever_epochs_are_counted_from(bar: str, first: int) -> None:
    lines = [
        line
        for epoch in range(first, first + 3)
        for line in (
            f"{bar.format(epoch)}:  60%|██████    | 6/10 [00:00<00:00, 7.1it/s]",
            f"Epoch {epoch}: loss 0.5{epoch}",
        )
    ]
    assert [one.step for one in fed(*lines) if one.values] == [10, 20, 30]


def test_a_bar_that_stands_at_the_epoch_that_it_names_counts_epochs_and_not_within_one() -> None:
    bar = "Epoch {}/10:  10%|█         | {}/10 [00:00<00:09, 1.1it/s]"
    lines = [line for n in range(4) for line in (bar.format(n + 1, n), f"Epoch {n + 1}/10: loss 0.5{n}")]
    assert [one.step for one in fed(*lines) if one.values] == [1, 2, 3, 4]


def test_lightnings_bar_of_unknown_length_counts_its_batches_over_the_epochs() -> None:
    bar = "Epoch {}: |          | {}/? [00:00<00:00, 94.08it/s, v_num=0, train_loss=2.{}{}5]"
    found = fed(*(bar.format(epoch, batch, epoch, batch) for epoch in range(4) for batch in range(5)))
    counted = [one.step for one in found if one.moved]
    assert counted[:8] == [1, 2, 3, 4, 5, 6, 7, 8]
    assert (counted, found[-1].step) == (list(range(1, 17)), 16)
    bare = fed(*(f"Epoch 0: |          | {batch}/? [00:00<00:00, 94.08it/s, v_num=0]" for batch in range(4)))
    assert [(one.step, dict(one.values)) for one in bare] == [(1, {}), (2, {}), (3, {})]
    assert fed("Validation DataLoader 0: |          | 3/? [00:00<00:00, 94.08it/s]") == []


def test_the_rows_of_a_data_frame_have_a_number_before_them_that_is_no_column() -> None:
    found = fed(
        "   epoch  train_loss  valid_loss  accuracy   time",
        "0      0    0.707240    0.689444     0.625  00:00",
        "1      1    0.692530    0.659891     0.625  00:00",
    )
    assert [(one.step, dict(one.values)) for one in found] == [
        (0, {"train_loss": 0.70724, "val_loss": 0.689444, "accuracy": 0.625}),
        (1, {"train_loss": 0.69253, "val_loss": 0.659891, "accuracy": 0.625}),
    ]


def test_a_table_whose_columns_say_what_is_the_validations_is_of_the_run_though_a_test_stands_above_it() -> None:
    found = fed("Epoch 1/2 - loss: 2.5", "Test results:", "epoch,loss,val_loss", "0,5.57,4.25")
    assert dict(found[-1].values) == {"loss": 5.57, "val_loss": 4.25}
