"""What well-known trainers print where people set them up in other ways than their examples do."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.trainer.reading import fed
from trainer.declared import Declared
from trainer.detect import Detector
from trainer.series import FILE
from trainer.sources import Files

DETECTS = "      Epoch    GPU_mem   box_loss   cls_loss   dfl_loss  Instances       Size"
SEGMENTS = "      Epoch    GPU_mem   box_loss   seg_loss   cls_loss   dfl_loss  Instances       Size"
CLASSIFIES = "      Epoch    GPU_mem       loss  Instances       Size"
TRANSFORMS = "      Epoch    GPU_mem  giou_loss   cls_loss    l1_loss  Instances       Size"
JUDGES = "                 Class     Images  Instances      Box(P          R      mAP50  mAP50-95)"
BAR = "  25%|██▌       | 2/8 [00:01<00:03,  1.75it/s]"
SCORES = ("precision", "recall", "map50", "map50_95")
MASKS = tuple(f"mask_{name}" for name in SCORES)
CLASSES = ("top1_acc", "top5_acc")


def values(*lines: str) -> list[Mapping[str, float]]:
    return [detection.values for detection in fed(*lines)]


@pytest.mark.parametrize(
    ("header", "row", "names"),
    [
        (DETECTS, "        1/6      2.48G      1.155      2.895      1.242         34        640:", "box cls dfl"),
        (SEGMENTS, "        1/6         0G     0.2001      8.355     0.4365     0.1181   14    64:", "box seg cls dfl"),
        (TRANSFORMS, "        1/6         0G     0.2001      8.355     0.4365         14         64:", "giou cls l1"),
        (CLASSIFIES, "       1/6         0G      1.146         16         64:", ""),
    ],
)
def test_yolos_rows_are_read_by_their_header_whatever_the_task(header: str, row: str, names: str) -> None:
    (found,) = fed(header, row + BAR)
    assert [*found.values] == ([f"{name}_loss" for name in names.split()] or ["loss"])
    assert [*found.values.values()] == [float(cell) for cell in row.split()[2 : 2 + len(found.values)]]
    assert (found.step, found.total, found.moved) == (1, 6, True)


ALL = "                   all         12         24       0.98       0.87       0.91       0.64"


@pytest.mark.parametrize(
    ("header", "row", "names"),
    [
        (f"{JUDGES}:", ALL, SCORES),
        (f"{JUDGES}     Mask(P     R   mAP50  mAP50-95):", f"{ALL}   0.9  0.8  0.7  0.6", (*SCORES, *MASKS)),
        ("               classes   top1_acc   top5_acc:", "                   all      0.333          1", CLASSES),
    ],
)
def test_yolos_evaluations_are_read_by_their_header_whatever_the_task(
    header: str, row: str, names: tuple[str, ...]
) -> None:
    *_, found = fed(header + BAR, row)
    assert [*found.values] == [*names]
    assert [*found.values.values()] == [float(cell) for cell in row.split()[-len(names) :]]


def test_a_row_with_other_columns_than_the_header_is_not_read() -> None:
    assert values(SEGMENTS, "        1/6         0G     0.2001      8.355         14         64:" + BAR) in ([], [{}])
    assert fed(f"{JUDGES}:", "                   all      0.333          1") == []


def test_yolos_file_has_the_names_of_the_lines_for_masks_poses_and_classes(tmp_path: Path) -> None:
    columns = (
        "epoch,train/seg_loss,metrics/mAP50(B),metrics/mAP50-95(M),metrics/recall(P),metrics/accuracy_top1,val/loss"
    )
    (tmp_path / "results.csv").write_text(f"{columns}\n1,1.0,0.1,0.2,0.3,0.4,0.5\n")
    ((_, rows),) = Files(tmp_path).look()
    assert {"seg_loss", "map50", "mask_map50_95", "pose_recall", "top1_acc", "val_loss"} == set(rows[0].values)


def record(name: str, epoch: float) -> str:
    return f"{{'{name}': 0.5, 'epoch': {epoch}}}"


def steps(*lines: str) -> list[int | None]:
    return [detection.step for detection in fed(*lines)]


def test_records_without_a_bar_are_counted_so_that_an_evaluation_stands_beside_the_training() -> None:
    lines = [
        record("loss", 0.25),
        record("loss", 0.5),
        record("eval_loss", 0.5),
        record("loss", 0.75),
        record("loss", 1.0),
    ]
    assert steps(*lines) == [1, 2, 2, 3, 4]


def test_records_of_whole_epochs_stand_at_those() -> None:
    found = fed(record("loss", 1.0), record("eval_loss", 1.0), record("loss", 2.0))
    assert [(one.step, one.moved) for one in found] == [(1, True), (1, True), (2, True)]


def test_a_log_that_is_not_silenced_tells_the_steps_of_records_without_a_bar() -> None:
    told = ["  Num Epochs = 20", "[INFO|trainer.py:1792] 2026-11-02 10:00:00,085 >>   Total optimization steps = 400"]
    found = fed(*told, record("loss", 0.5), record("eval_loss", 1.0), "Accuracy: 0.71", record("loss", 20.0))
    assert [(one.step, one.total) for one in found] == [(10, 400), (20, 400), (20, None), (400, 400)]
    assert found[0].percent == 2.5


def test_where_steps_are_given_the_epochs_are_rounded_up_and_do_not_tell_how_many_an_epoch_has() -> None:
    told = [
        "max_steps is given, it will override num_train_epochs",
        "  Num Epochs = 2",
        "  Total optimization steps = 140",
    ]
    assert steps(*told, record("loss", 0.65), record("loss", 0.7)) == [1, 2]
    assert steps(*told, "  Num update steps per epoch = 100", record("loss", 0.65), record("loss", 0.7)) == [65, 70]


def test_a_stream_without_an_end_has_no_epochs_to_reckon_with() -> None:
    told = ["  Num Epochs = 9,223,372,036,854,775,807", "  Total optimization steps = 140"]
    assert steps(*told, record("loss", 0.1), record("loss", 0.2)) == [1, 2]


def test_a_state_that_came_with_a_checkpoint_tells_the_steps_of_what_follows() -> None:
    detector = Detector()
    detector.feed(record("loss", 0.5))
    detector.filed(FILE, 250, {"loss": 0.5}, epoch=0.5)
    found = detector.feed(record("loss", 0.75))
    assert found is not None
    assert (found.step, found.moved) == (375, True)


def test_a_bar_that_is_drawn_behind_a_record_tells_where_the_next_one_stands() -> None:
    bar = "{:3d}%|##        | {}/140 [00:00<00:00, 609.69it/s]"
    lines = [
        bar.format(0, 0),
        bar.format(46, 65),
        record("loss", 0.65),
        bar.format(46, 65),
        record("loss", 0.7),
        bar.format(50, 70),
    ]
    assert steps(*lines) == [0, 65, 65, 65, 70, 70]


@pytest.mark.parametrize("epoch", ["nan", "-1", "1e300"])
def test_an_epoch_that_is_none_places_nothing(epoch: str) -> None:
    assert {one.step for one in fed(record("loss", 0.5).replace("0.5}", f"{epoch}}}"))} <= {None}


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (
            "[7]\ttrain-auc:0.75282+0.00416\ttest-auc:0.71027+0.02192\ttest-logloss:0.62264+0.01133",
            {"train_auc": 0.75282, "test_auc": 0.71027, "test_logloss": 0.62264},
        ),
        ("[7]\tdtrain-aucpr:0.84\tholdout-error@0.7:0.67", {"dtrain_aucpr": 0.84, "holdout_error@0_7": 0.67}),
        ("[7]\tvalid_0's huber: 0.344\tvalid_0's l2: 0.8286", {"val_0_huber": 0.344, "val_0_l2": 0.8286}),
        (
            "[7]\tcv_agg's train auc: 0.82 + 0.0105\tcv_agg's valid auc: 0.77 + 0.0052",
            {"train_auc": 0.82, "val_auc": 0.77},
        ),
    ],
)
def test_a_round_of_boosting_is_read_whatever_its_measurements_are_called(line: str, expected: object) -> None:
    (found,) = fed(line)
    assert (found.step, found.values) == (7, expected)


def test_catboosts_further_sets_are_read() -> None:
    assert values("3:\tlearn: 0.34\ttest: 0.35\ttest1: 0.32\tbest: 0.32 (3)\ttotal: 6ms\tremaining: 85ms") == [
        {"learn": 0.34, "test": 0.35, "test1": 0.32}
    ]


def test_the_best_round_is_no_news_when_it_is_told_again() -> None:
    rounds = [f"[{n}]\ttrain's auc: 0.{n}1\tvalid's auc: 0.{n}2" for n in (1, 2)]
    assert steps(*rounds, "Early stopping, best iteration is:", rounds[0]) == [1, 2]


def test_an_evaluation_of_stable_baselines3_stands_at_the_step_that_it_names() -> None:
    (found,) = fed("Eval num_timesteps=600, episode_reward=114.00 +/- 24.78")
    assert (found.step, found.values) == (600, {"eval_episode_reward": 114.0})


def test_a_dict_that_somebody_prints_does_not_silence_the_bar_that_tells_the_loss() -> None:
    bar = " {}/25 ━━━━━━━━━━━━━━━━━━━━ 0s 22ms/step - loss: 0.0{} - mae: 0.34"
    lines = [bar.format(n, 9 - n) for n in (1, 2, 3)]
    told = values(*lines, "{'loss': 0.0958283394575119, 'compile_metrics': 0.38}", *(bar.format(n, 5) for n in (4, 5)))
    assert [one.get("loss") for one in told[-2:]] == [0.05, 0.05]


FAST = "Epoch 1/6 : |████------------------------------------| {} [{} 00:00<00:00{}]"


def test_fastprogress_shows_a_loss_without_a_name_in_the_bar_of_the_evaluation_too() -> None:
    found = fed(
        *(FAST.format("11.11%", f"{n}/18", " 0.8172") for n in (2, 18)), FAST.format("40.00%", "2/5", " 0.8172")
    )
    assert [(one.step, one.total, one.values) for one in found if one.values] == [
        (2, 108, {"loss": 0.8172}),
        (18, 108, {"loss": 0.8172}),
    ]


@pytest.mark.parametrize(
    "line",
    [
        "Better model found at epoch 1 with accuracy value: 0.8399999737739563.",
        "Epoch 3: val_loss improved from 0.61991 to 0.57513, saving model to best.keras",
        "[LightGBM] [Debug] init for col-wise cost 0.000005 seconds, init for row-wise cost 0.000184 seconds",
        '                "loss": 1.4300828337669373,',
        "30 Nov 13:20    INFO  best valid : OrderedDict([('recall@5', 0.4), ('recall@10', 0.5333)])",
    ],
)
def test_what_repeats_the_best_sums_up_or_tells_a_time_is_no_measurement(line: str) -> None:
    shown = "Epoch 1/9 - loss: 0.51 - val_loss: 0.61"
    assert [one.values for one in fed(shown, *[line] * 9)][1:] == []


SEVENTH = "     Epoch   gpu_mem       box       obj       cls     total    labels  img_size"


def test_the_rows_of_older_yolos_are_read_by_their_headers_too() -> None:
    (found,) = fed(SEVENTH, "       0/4        0G   0.06158  0.004595   0.02524   0.09142        37        96:" + BAR)
    assert found.values == {"box": 0.06158, "obj": 0.004595, "cls": 0.02524, "total": 0.09142}
    header = "               Class      Images      Labels           P           R      mAP@.5  mAP@.5:.95:" + BAR
    *_, found = fed(
        header, "                 all           8          17    0.000604      0.0333     8.5e-05     8.5e-06"
    )
    assert found.values == dict(zip(SCORES, (0.000604, 0.0333, 8.5e-05, 8.5e-06), strict=True))


COCO = " Average {} @[ IoU={:9} | area={:>6s} | maxDets={:>3} ] = {}"


@pytest.mark.parametrize(
    ("what", "iou", "area", "most", "name"),
    [
        ("Precision  (AP)", "0.50:0.95", "all", 100, "ap"),
        ("Precision  (AP)", "0.50", "all", 100, "ap50"),
        ("Precision  (AP)", "0.75", "all", 100, "ap75"),
        ("Precision  (AP)", "0.50:0.95", "small", 100, "ap_small"),
        ("Recall     (AR)", "0.50:0.95", "all", 10, "ar_10"),
        ("Recall     (AR)", "0.50:0.95", "large", 100, "ar_large"),
    ],
)
def test_each_line_of_a_coco_evaluation_is_a_series_of_its_own(
    what: str, iou: str, area: str, most: int, name: str
) -> None:
    assert values(COCO.format(what, iou, area, most, "0.312")) == [{name: 0.312}]
    assert values(COCO.format(what, iou, area, most, "-1.000")) == []  # nothing of that size was there


def test_detectron2s_line_of_numbers_has_its_names_in_the_line_before() -> None:
    before = "[11/02 13:32:32 d2.evaluation.testing]: copypaste: "
    names, numbers = "AP,AP50,APs", "41.9922,83.9844,8.3984"
    told = values(f"{before}Task: bbox", before + names, before + numbers)
    assert told == [{"eval_ap": 41.9922, "eval_ap50": 83.9844, "eval_aps": 8.3984}]
    assert all("eval_ap" not in one for one in values(before + names, before + "41.9,83.9"))  # of another length


def test_vits_names_the_step_in_a_line_of_its_own_below_how_much_of_an_epoch_is_done() -> None:
    losses = "INFO:mi-test:loss_disc=3.457, loss_gen=2.872, loss_mel=75.000, loss_kl=5.573"
    lines = ["INFO:mi-test:Training epoch: 1 [25%]", "INFO:mi-test:[2.31, 1.4e-05, 10, 9.99875e-05]", losses]
    assert steps(*lines, lines[0], "INFO:mi-test:[20, 9.99875e-05]", losses) == [10, 20]


def test_a_list_elsewhere_is_no_step() -> None:
    assert [one.step for one in fed("Shape: [20, 0.5]", "loss: 0.51")] == [None]


def test_torchtitans_validation_is_no_loss_of_the_training() -> None:
    line = "[titan] 2026-11-02 13:32:06,180 - root - INFO - validate step: 50  loss:  2.7942  memory: 47.30GiB(33.80%)"
    (found,) = fed(line)
    assert (found.step, found.values["val_loss"], "loss" in found.values) == (50, 2.7942, False)


def test_the_parts_of_an_evaluation_stand_behind_their_sum() -> None:
    told = values("Epoch 1", "Val loss:   69.57201", "l1: 0.715 kl: 6.886 loss: 69.572", "Train loss: 66.10050")
    assert told[1] == {"val_l1": 0.715, "val_kl": 6.886, "val_loss": 69.572}
    assert "val_loss" not in told[2]


@pytest.mark.parametrize(
    "line",
    [
        "Max EMA accuracy: 10.94%",
        "hyperparameters: lr0=0.01, lrf=0.01, warmup_bias_lr=0.1, box=0.05, obj=1.0, loss_ota=1.0",
    ],
)
def test_records_and_settings_are_no_measurements(line: str) -> None:
    assert values("Epoch 1/9 - loss: 0.51", line)[1:] == []


def test_thousands_are_steps_unless_a_finer_count_stands_beside_them() -> None:
    assert steps("step 12k | loss 2.31", "step 12.5K | loss 2.21") == [12_000, 12_500]
    assert steps("| Epoch: 1/2 (3/10) | Loss: 4.5121 | 3.2 steps/s | Step: 12k | ") == [3]


def test_mmengines_evaluations_are_read_whatever_they_measure_and_runs_by_iterations_too() -> None:
    line = "11/02 10:00:00 - mmengine - INFO - {}  lr: 9.9e-03  time: 0.2  "
    (trained,) = fed(line.format("Iter(train) [  100/160000]") + "loss: 2.3")
    assert (trained.step, trained.total, trained.values["loss"]) == (100, 160_000, 2.3)
    (judged,) = values(line.format("Epoch(val) [1][625/625]") + "coco/bbox_mAP: 0.3910  NME: 0.05")
    assert {"val_coco_bbox_map": 0.391, "val_nme": 0.05}.items() <= judged.items()
    assert "val_time" not in judged


def test_ms_swift_names_the_step_in_its_record() -> None:
    (found,) = fed(
        "{'loss': 1.23, 'token_acc': 0.71, 'epoch': 0.01, 'global_step/max_steps': '5/930', 'percentage': '0.54%'}"
    )
    assert (found.step, found.total) == (5, 930)


def test_a_batch_of_the_validation_is_told_from_one_of_the_training_behind_a_loggers_bracketed_prefix() -> None:
    prefix = "[11-02 10:00:00][flashy.solver][INFO] - "
    told = values(
        f"{prefix}Train | Epoch 1 | 100/2000 | 1.2 it/s | ce 6.12",
        f"{prefix}Valid | Epoch 1 | 10/20 | 1.2 it/s | ce 6.02",
    )
    assert told == [{"ce": 6.12}, {"val_ce": 6.02}]


def test_the_number_of_a_process_is_no_rank() -> None:
    assert values("Epoch: 0, Step: 10, Rank: 0, loss = 2.345") == [{"loss": 2.345}]
    assert values("Epoch: 3, mean rank: 41.5, mrr = 0.31")[0]["rank"] == 41.5


def test_chinese_words_are_read_unless_the_team_has_described_the_line_with_them() -> None:
    line = "第3轮 训练损失: 0.51 验证损失: 0.61 准确率: 81.2%"
    (found,) = fed(line)
    assert (found.step, found.values) == (3, {"train_loss": 0.51, "val_loss": 0.61, "accuracy": 81.2})
    detector = Detector(declared=Declared(["第{epoch}轮 训练损失: {loss}"]))
    described = detector.feed(line)
    assert described is not None
    assert (described.step, described.values, detector.described) == (3, {"loss": 0.51}, True)


def test_a_block_of_composers_tells_whatever_it_calls_a_metric() -> None:
    assert values("[batch=10/1000]:", "\t Train metrics/train/LanguagePerplexity: 1234.5")[1:] == [
        {"train_languageperplexity": 1234.5}
    ]


def test_a_batch_is_of_its_epoch_on_whichever_side_of_it_it_stands() -> None:
    (found,) = fed("Batch 10 of 100 | Epoch 2 of 5 | Loss 0.5123")
    assert (found.step, found.total) == (110, 500)


def test_a_line_that_coincides_with_an_evaluation_in_one_value_is_the_trainings_still() -> None:
    told = values("Epoch 1 val_loss: 0.20 val_acc: 0.9500", "Loss: 0.3811 Acc: 0.9500")
    assert told[1] == {"loss": 0.3811, "acc": 0.95}
    told = values("iter 100 val_loss 0.5 val_lr 0.001", "loss: 0.7 lr: 0.001")
    assert told[1] == {"loss": 0.7, "lr": 0.001}
    told = values("Epoch 1 val_loss: 0.512", "Epoch 2 loss: 0.512")
    assert told[1] == {"loss": 0.512}


def test_one_line_an_epoch_goes_on_from_the_epoch_before() -> None:
    line = "[h] 2026-11-02 10:00:00,123 (trainer:762) INFO: {}epoch:train:1-20batch: loss=99.1"
    assert steps(*map(line.format, (1, 2, 3))) == [20, 40, 60]


def test_a_trial_does_not_count_over_the_training_within_it() -> None:
    trial = "[I 2026-11-02 10:00:00,123] Trial 0 finished with value: 0.91 and parameters: {'x': 1}."
    assert steps(trial, "epoch 1 step 10/20 loss 0.6", "epoch 1 step 20/20 loss 0.3") == [0, 10, 20]


def test_masks_and_boxes_of_an_evaluation_are_apart() -> None:
    line = COCO.format("Precision  (AP)", "0.50:0.95", "all", 100, "0.312")
    assert values("IoU metric: bbox", line, "IoU metric: segm", line) == [{"ap": 0.312}, {"segm_ap": 0.312}]
    names, numbers = "copypaste: AP,AP50", "copypaste: 10.1,20.2"
    assert values("copypaste: Task: segm", names, numbers) == [{"eval_segm_ap": 10.1, "eval_segm_ap50": 20.2}]


def test_a_run_after_another_begins_its_records_anew() -> None:
    lines = [record("loss", epoch) for epoch in (0.5, 1.0, 1.5, 0.5, 1.0)]
    assert steps(*lines) == [1, 2, 3, 4, 5]
    begins = "***** Running training *****"
    told = [begins, "  Num Epochs = 4", "  Total optimization steps = 400"]
    assert steps("max_steps is given, it will override", begins, *lines[:2], *told, record("loss", 0.5)) == [1, 2, 50]


@pytest.mark.parametrize(
    "line",
    [
        "11/02 10:00:00 - mmengine - INFO - Epoch(val) [1][10/50]  eta: 0:00:10  time: 0.1  memory: 100",
        "11/02 10:00:00 - mmengine - INFO - Epoch(val) [1][50/50]  time: 0.1  data_time: 0.02  memory: 100",
        "[1] conv-2d: 3.0",
        "[2]\ttemperature-x:0.5\tfan-y:3",
    ],
)
def test_what_only_looks_like_a_trainers_line_measures_nothing(line: str) -> None:
    assert fed(line) == []


def test_a_step_of_verls_with_all_its_names_is_read() -> None:
    names = [f"actor/some_long_name_of_a_measurement_{n}/mean:0.{n}" for n in range(40)]
    (found,) = fed(" - ".join(["step:7", "critic/odd:tensor(0.5)", "critic/score/mean:np.float64(0.25)", *names]))
    assert (found.step, found.values["critic_score"]) == (7, 0.25)


@pytest.mark.parametrize(
    "line",
    [
        "step:1 - " + " - ".join(["a:b:c"] * 80) + " - x",
        "step:1 - a" + ":b" * 490 + " x",
        "{'loss': 1.0, 'global_step/max_steps': '" + "1" * 6_000 + "/2'}",
        "step 1 loss \ud800 0.5",
    ],
)
def test_a_line_that_is_made_to_hold_us_up_does_not(line: str) -> None:
    assert all(one.step in (None, 1) for one in fed(line, line, line))


def test_a_state_that_tells_no_place_tells_none() -> None:
    detector = Detector()
    detector.filed(FILE, 1, {"loss": 1.0}, epoch=1e-320)
    detector.filed(FILE, 10**400, {"loss": 1.0}, epoch=1.0)
    found = detector.feed(record("eval_loss", 0.5))
    assert found is not None
    assert found.step == 1


def test_catboosts_rounds_without_the_training_are_read() -> None:
    (found,) = fed("5:\ttest: 0.93\ttest1: 0.94\tbest: 0.94 (5)\ttotal: 54ms\tremaining: 1.75s")
    assert (found.step, found.values) == (5, {"test": 0.93, "test1": 0.94})


def test_keras_shows_measurements_whatever_they_are_called() -> None:
    assert values("1/8 ━━━━━━━━━━━━━━━━━━━━ 0s 62ms/step - loss: 1.5176 - top2: 0.4500") == [
        {"loss": 1.5176, "top2": 0.45}
    ]


def test_a_boosting_that_begins_after_another_stands_at_its_own_rounds() -> None:
    rounds = [f"[{n}]\tvalidation_0-rmse:2.{n}" for n in (0, 10, 20)]
    assert steps(*rounds, *(f"[{n}]\tvalidation_0-rmse:1.{n}" for n in (0, 1))) == [0, 10, 20, 0, 1]


def test_spacys_parts_are_read() -> None:
    header = "E    #       LOSS TOK2VEC  LOSS NER  ENTS_F  ENTS_P  ENTS_R  SCORE"
    (found,) = fed(header, "  2      20          2.94    944.40   97.26  100.00   94.67    0.97")
    assert {"loss_ner": 944.4, "ents_f": 97.26, "ents_r": 94.67}.items() <= found.values.items()


def test_the_trainings_mean_below_the_heading_of_an_evaluation_is_the_trainings() -> None:
    told = values("***** Running Evaluation *****", "{'train_runtime': 12.3, 'train_loss': 2.3, 'epoch': 3.0}")
    assert told == [{"train_loss": 2.3}]


def test_a_header_with_a_bar_behind_it_measures_nothing() -> None:
    assert values("               classes   top1_acc   top5_acc: 100% ━━━━━━━━━━━━ 2/2 51.0it/s 0.0s") == []


def test_a_value_is_not_called_by_the_name_of_the_next_one() -> None:
    lines = [
        f"Epoch {n}/9 ━━━━━━━━ 2/2 0:00:00 v_num: 0 train_loss:\n  0.{n}25 train_acc:\n  0.{n}5".split("\n")
        for n in (1, 2, 3)
    ]
    assert all("train_acc" not in one for told in lines for one in values(*told))


def test_sentence_transformers_say_on_what_they_judge() -> None:
    before = "2026-11-02 10:00:00 - "
    said = f"{before}EmbeddingSimilarityEvaluator: Evaluating the model on the sts-{{}} dataset:"
    line = f"{before}Cosine-Similarity :\tPearson: 0.5382\tSpearman: 0.4856"
    assert ["eval_cosine_similarity_pearson" in one for one in values(said.format("dev"), line)] == [True]
    assert ["test_cosine_similarity_pearson" in one for one in values(said.format("test"), line)] == [True]


def test_wenets_newer_lines_name_their_speed_before_their_batch() -> None:
    line = "2026-11-02 14:07:57,948 DEBUG {} | steps/sec 175.809| Batch 0/{} loss 3.89 loss_att 2.49 lr 8.8000e-04"
    (trained,) = fed(line.format("TRAIN", 10))
    assert (trained.step, trained.values["loss"]) == (10, 3.89)
    assert "val_loss" in values(line.format("CV", 10))[0]


def test_the_stages_of_speechbrain_are_told_apart() -> None:
    assert values("Stage.VALID loss: 7.37") == [{"val_loss": 7.37}]


def test_bars_below_the_heading_of_an_evaluation_are_of_it() -> None:
    told = values(
        "loss=0.0485 (0.0618), lr=0.002321: : 100% 16/16 [00:00<00:00, 187.65it/s]",
        "++> Evaluate at epoch 2 ...",
        "loss=0.0532 (0.0532): :   0% 0/4 [00:00<?, ?it/s]",
    )
    assert [set(one) for one in told if one] == [{"loss"}, {"eval_loss"}]


def test_a_table_that_counts_nothing_is_of_the_run_when_it_comes_again() -> None:
    table = ["+------+------+", "| IoU loss    | 0.0722 |", "| Loss        | 1.5417 |", "+------+------+"]
    assert fed(*table, "Epoch 1") == []
    earlier = [point for one in fed(*table, *table, "Epoch 1") for _, point in one.earlier]
    assert [dict(point.values) for point in earlier] == [{"iou_loss": 0.0722}, {"loss": 1.5417}]


def test_a_measurement_of_meta_learning_is_none_of_the_trainings() -> None:
    assert values("iteration 3: Meta Train Accuracy 0.55 Meta Valid Accuracy 0.45") == [
        {"meta_train_accuracy": 0.55, "meta_valid_accuracy": 0.45}
    ]


def test_a_callback_that_counts_epochs_from_zero_does_not_move_those_of_the_trainer() -> None:
    shown = "20/20 - 1s - 49ms/step - loss: 1.7816"
    lines = [
        "--- starting epoch 0 (lr=0.05)",
        "Epoch 1/16",
        shown,
        "--- starting epoch 1 (lr=0.05)",
        "Epoch 2/16",
        shown,
    ]
    assert steps(*lines) == [20, 40]
    assert steps("Epoch 0", shown, "Epoch 1", shown) == [20, 40]


def test_a_run_that_goes_on_is_not_at_its_beginning_because_its_bar_was_not_drawn_yet() -> None:
    detector = Detector(resumed=True)
    detector.feed("  0%|          | 0/72 [00:00<?, ?it/s]")
    found = detector.feed(record("loss", 0.5))
    assert found is not None
    assert found.step is None
    for line in ("***** Running training *****", "  Num Epochs = 3", "  Total optimization steps = 72"):
        detector.feed(line)
    found = detector.feed(record("loss", 0.75))
    assert found is not None
    assert found.step == 18
