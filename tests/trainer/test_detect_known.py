"""What well-known trainers print where people set them up in other ways than their examples do."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from tests.trainer.reading import fed
from trainer.declared import Declared
from trainer.detect import Detector


def values(*lines: str) -> list[Mapping[str, float]]:
    return [detection.values for detection in fed(*lines)]


def steps(*lines: str) -> list[int | None]:
    return [detection.step for detection in fed(*lines)]


FAST = "Epoch 1/6 : |████------------------------------------| {} [{} 00:00<00:00{}]"


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


def test_a_table_between_rules_is_read_as_one_with_bars_is() -> None:
    rule = "----------------------------------  -------------"
    table = [rule, *(f"{name:36}{value}" for name, value in (("epoch", 3), ("trainer/QF1 Loss", 5.25))), rule]
    (found,) = fed(*table)
    assert [dict(one.values) for _, one in found.earlier] == [{"trainer_qf1_loss": 5.25}]
    assert fed("trainer/QF1 Loss                    5.25") == []


@pytest.mark.parametrize(
    ("line", "step", "total", "expected"),
    [
        ('json_stats: {"_type": "train_iter", "epoch": "2/5", "iter": "5/20", "loss": 2.5}', 25, 100, {"loss": 2.5}),
        ('json_stats: {"_type": "train_epoch", "epoch": "2/5", "loss": 2.5}', 2, 5, {"loss": 2.5}),
        ('json_stats: {"_type": "test_epoch", "epoch": "2/5", "top1_err": 87.5}', None, None, {"test_top1_err": 87.5}),
    ],
)
def test_a_record_may_count_as_five_of_twenty(line: str, step: int, total: int, expected: Mapping[str, float]) -> None:
    (found,) = fed(line)
    assert (found.step, found.total, found.values) == (step, total, expected)


def test_an_evaluation_of_as_many_batches_as_the_trainings_is_told_from_it_below_its_heading() -> None:
    batches = [f"Epoch: [1][{n}/3] Loss 1.5 (1.5)" for n in (1, 2, 3)]
    found = fed(
        "train at epoch 1",
        *batches,
        "validation at epoch 1",
        *batches,
        "train at epoch 2",
        batches[0].replace("[1]", "[2]", 1),
    )
    assert [(one.step, *one.values) for one in found] == [
        (1, "loss"), (2, "loss"), (3, "loss"), (3, "val_loss"), (3, "val_loss"), (3, "val_loss"), (4, "loss"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "prefix",
    [
        "DeepSdf - DEBUG - ",
        "[11.30.26|16:22:16] \t",
        "2026-11-30 16:35:41,900 [MainThread] INFO UNetTrainer - ",
        "2026-11-30 16:35:41,900 [Thread-2] INFO ",
    ],
)
def test_what_more_loggers_put_before_a_line_is_no_part_of_it(prefix: str) -> None:
    (found,) = fed(f"{prefix}step 3: val_loss: 0.5")
    assert (found.step, found.values) == (3, {"val_loss": 0.5})
    assert fed(f"{prefix}Epoch 2", f"{prefix}mean loss: 0.5")[0].step == 2


def test_a_name_behind_a_level_is_no_logger_where_it_measures_or_says_of_what() -> None:
    assert [one.values for one in fed("INFO: Loss - 0.5")] == [{"loss": 0.5}]
    found = fed("10:00:00 INFO Train - loss: 0.7 acc: 0.6", "10:00:00 INFO Validation - loss: 0.5 acc: 0.5")
    assert found[1].values == {"val_loss": 0.5, "val_acc": 0.5}


def test_a_rule_below_a_heading_and_one_that_ends_a_table_begin_none() -> None:
    rule = "----------  -------"
    for before in (("metric      value", rule), (rule, "mode        train", "epoch       3", rule)):
        (found,) = fed("step 3: acc 0.5", *before, "elapsed loss 3.5")[1:]
        assert found.values == {"loss": 3.5}
    assert fed(rule, "a" + " " * 60_000 + "x") == []
