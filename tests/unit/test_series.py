"""Which series is of an evaluation: one answer in `jobs`, and the agent's where it has one."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.series import is_evaluation
from trainer.names import is_of_evaluation, series_name

_HUMP = re.compile(r"[a-z][A-Z]")
WORDS = [
    "val", "valid", "validation", "eval", "evaluation", "test", "testing", "dev", "te", "va", "tr", "train", "training",
    "loss", "value", "interval", "device", "latest", "acc", "total", "epoch", "0", "ep", "rew", "mean", "metrics", "f1",
]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("val_loss", True),
        ("val/loss", True),
        ("Validation Loss", True),
        ("valid_ppl", True),
        ("eval_loss", True),
        ("eval/episode_reward", True),
        ("test_acc", True),
        ("TestLoss", True),
        ("dev_f1", True),
        ("evalLoss", True),
        ("validationLoss", True),
        ("EvaluationAccuracy", True),
        ("metrics/evalLoss", True),
        ("trainingLoss", False),
        ("va_loss", True),
        ("te_acc", True),
        ("loss_val", True),
        ("loss_te", True),
        ("acc-test", True),
        ("metrics/eval/Accuracy", True),
        ("loss/val/total", True),
        ("val_0_logloss", True),
        ("val_loss_dataloader_idx_1", True),
        ("loss", False),
        ("train_loss", False),
        ("loss_tr", False),
        ("value_loss", False),
        ("interval", False),
        ("function_value", False),
        ("latest_loss", False),
        ("device_loss", False),
        ("evaluated", False),
        ("contest_loss", False),
        ("vae_loss", False),
    ],
)
def test_the_agent_and_the_bot_agree_on_what_is_of_an_evaluation(name: str, expected: bool) -> None:
    series = series_name(name)
    assert is_of_evaluation(series) is expected
    assert is_evaluation(series) is expected
    assert is_evaluation(name) is expected or _HUMP.search(name)  # what never went through the agent's spelling


@pytest.mark.parametrize("name", ["logps/eval/chosen", "sts_test_pearson_cosine", "swa_te_loss", "dev2_loss", "test1"])
def test_of_a_whole_name_the_bot_also_takes_a_word_within_it(name: str) -> None:
    """The agent reads lines, where such a name alone does not say that the line is of an evaluation."""
    series = series_name(name)
    assert not is_of_evaluation(series)
    assert is_evaluation(series)


@given(st.lists(st.sampled_from(WORDS), min_size=1, max_size=5), st.sampled_from("_/ .-"))
def test_what_the_agent_takes_for_an_evaluations_the_bot_does_too(words: list[str], between: str) -> None:
    series = series_name(between.join(words))
    assert is_evaluation(series) or not is_of_evaluation(series)
