"""Where records stand that name an epoch and no step: those of transformers without its bar, and of runs that go on."""

from __future__ import annotations

import pytest

from tests.trainer.reading import fed, told
from trainer.detect import Detector
from trainer.series import FILE


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


def test_a_run_after_another_begins_its_records_anew() -> None:
    lines = [record("loss", epoch) for epoch in (0.5, 1.0, 1.5, 0.5, 1.0)]
    assert steps(*lines) == [1, 2, 3, 4, 5]
    begins = "***** Running training *****"
    told = [begins, "  Num Epochs = 4", "  Total optimization steps = 400"]
    assert steps("max_steps is given, it will override", begins, *lines[:2], *told, record("loss", 0.5)) == [1, 2, 50]


def test_a_state_that_tells_no_place_tells_none() -> None:
    detector = Detector()
    detector.filed(FILE, 1, {"loss": 1.0}, epoch=1e-320)
    detector.filed(FILE, 10**400, {"loss": 1.0}, epoch=1.0)
    found = detector.feed(record("eval_loss", 0.5))
    assert found is not None
    assert found.step == 1


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


def test_a_dict_that_is_printed_over_several_lines_is_read_where_it_comes_again() -> None:
    """DouZero's and torchbeast's: `"After %i frames: ... Stats:\\n%s", pprint.pformat(stats)`."""
    lines = [
        line
        for frames, loss in ((400, 1.75), (10_840, 1.5), (112_000, 1.25))
        for line in (
            f"After {frames} (L:1600 U:1600 D:8000) frames: @ 78.3 fps (avg@ 78.3 fps) (L:31.3 U:31.3 D:15.7) Stats:",
            f"{{'loss_landlord': {loss},",
            " 'episode_returns': (0.5,",
            "                     0.25),",
            " 'learner_queue_size': 3,",
            f" 'mean_episode_return_up': -{loss}}}",
        )
    ]
    assert [(one.step, dict(one.values)) for one in told(lines) if one] == [
        (400, {"loss_landlord": 1.75}),
        (10_840, {"loss_landlord": 1.5}),
        (10_840, {"episode_return_up": -1.5}),
        (112_000, {"loss_landlord": 1.25}),
        (112_000, {"episode_return_up": -1.25}),
    ]


def test_settings_that_are_printed_so_are_no_series() -> None:
    settings = ["{'lr': 0.001,", " 'dropout': 0.5,", " 'momentum': 0.9}"]
    assert [one for one in told([*settings, "step 1: loss 0.5", *settings]) if one and "loss" not in one.values] == []


def test_what_stands_before_a_dict_of_measurements_is_told_with_it() -> None:
    found = fed(
        "Step [5/60] (Epoch: 1), Loss: 1.4549, Metrics: {'SequenceAccuracy': tensor(0.)}",  # NX-AI/xlstm
        "Validation[validation] Loss: 1.3089, Metrics: {'SequenceAccuracy': tensor(0.2500)}",
    )
    assert [(one.step, one.values) for one in found] == [
        (5, {"loss": 1.4549, "sequenceaccuracy": 0.0}),
        (5, {"val_loss": 1.3089, "val_sequenceaccuracy": 0.25}),
    ]


def test_a_dict_of_an_evaluation_needs_no_name_that_others_are_judged_by() -> None:
    line = "[NanoDet][11-30 20:34:59]INFO:Val_metrics: {'mAP': np.float64(0.2523), 'AP_50': 0.608, 'AP_m': -1.0}"
    assert [one.values for one in fed(line)] == [{"val_map": 0.2523, "val_ap_50": 0.608, "val_ap_m": -1.0}]
