"""What names of files say: which belong together, and which take whose place."""

from __future__ import annotations

from pathlib import Path

import pytest

from trainer import naming
from trainer.filenames import main, moment, roles


@pytest.mark.parametrize(
    ("names", "alike"),
    [
        # Parts of one save …
        (["model_000100.pt", "meta_000100.json", "optim_000100_rank0.pt", "optim_000100_rank1.pt"], True),
        (["1_net_G_A.pth", "1_net_D_B.pth"], True),
        (["G_4000.pth", "D_4000.pth"], True),
        (["model.pt", "optimizer.pt", "scheduler.pt"], True),
        (["best_G.pth", "best_D.pth"], True),
        (["ft-model-00001-of-00002.safetensors", "ft-model-00002-of-00002.safetensors"], True),
        (["ckpt-1.index", "ckpt-1.data-00000-of-00001"], True),
        (["model_fold0.pt", "optim_fold0.pt"], True),
        (["model.pth.tar", "model.pt"], True),
        (["model000100.pt", "ema_0.9999_000100.pt", "ema_0.99_000100.pt", "opt000100.pt"], True),  # guided-diffusion's
        # … and saves of their own.
        (["best.pt", "last.pt"], False),
        (["checkpoint.pth.tar", "model_best.pth.tar"], False),
        (["epoch=3-step=400.ckpt", "last.ckpt"], False),
        (["step_100.pt", "step_200.pt"], False),
        (["epoch=3-val_loss=0.21.ckpt", "epoch=3-val_loss=0.2.ckpt"], False),
        (["latest_net_G.pth", "1_net_G.pth"], False),
        (["ema_0.9999_000100.pt", "ema_0.9999_000200.pt"], False),
    ],
)
def test_names_say_what_was_saved_together(names: list[str], alike: bool) -> None:
    assert (len({moment(name) for name in names}) == 1) is alike


@pytest.mark.parametrize(
    "names",
    [
        ["step_1.pt", "step_2.pt"],
        ["checkpoint-500", "checkpoint-1000"],
        ["epoch=3-val_loss=0.21.ckpt", "epoch=12-val_loss=0.2.ckpt"],
        ["model_000100.pt", "model_000200.pt"],
        ["optim_000100_rank0.pt", "optim_000200_rank0.pt"],
        ["G_1000.pth", "G_2000.pth"],
        ["model_19.pt", "model_20.pt", "model_21.pt"],
        ["best_0.91.pt", "best_0.93.pt"],
        ["weights.19-0.32.h5", "weights.21-0.30.h5"],
        ["model_2026-11-30_10.pt", "model_2026-11-30_11.pt"],
        ["out/100/model.pt", "out/200/model.pt"],
        ["model000100.pt", "model000200.pt"],
    ],
)
def test_what_follows_one_another_takes_its_place(names: list[str]) -> None:
    assert len(set(roles(names).values())) == 1


@pytest.mark.parametrize(
    "names",
    [
        ["best.pt", "last.pt"],
        ["fold_0.pt", "fold_1.pt", "fold_2.pt"],
        ["model_fold3_epoch_9.pt", "model_fold4_epoch_9.pt"],
        ["model_0.pt", "model_1.pt", "model_2.pt", "model_3.pt", "model_4.pt"],
        ["resnet50.pt", "resnet101.pt"],
        ["resnet_50.pt", "resnet_101.pt"],
        ["model1024.pt", "model2048.pt"],
        ["model_lr_0.1.pt", "model_lr_0.01.pt"],
        ["hidden_1024.pt", "hidden_2048.pt"],
        ["optim_000100_rank0.pt", "optim_000100_rank1.pt"],
        ["shard-00001-of-00002.pt", "shard-00002-of-00002.pt"],
        ["seed_1234/last.pt", "seed_1235/last.pt"],
        ["2026-11-30/last.pt", "2026-12-01/last.pt"],
        ["0/last.pt", "1/last.pt"],
    ],
)
def test_what_may_be_a_result_of_its_own_takes_nobody_s_place(names: list[str]) -> None:
    assert len(set(roles(names).values())) == len(names)


def test_a_name_that_was_written_over_follows_nothing_but_itself() -> None:
    names = ["model_30.pt", "model_40.pt"]
    assert len(set(roles(names).values())) == 1
    assert roles(names, apart=["model_30.pt"]) == {"model_30.pt": "model_30.pt", "model_40.pt": "model_#.pt"}


@pytest.mark.parametrize(
    ("names", "file"),
    [
        (["ckpt.pt"], "ckpt.pt"),
        (["state.dat"], "state.dat"),
        (["ckpt.pt", "losses.npy"], "ckpt.pt"),
        (["last.ckpt", "ema.ckpt"], "last.ckpt"),
        (["model_0004999.pth", "last_checkpoint"], "model_0004999.pth"),
        (["step_7.pt", "step_7.json"], "step_7.pt"),
        (["model.pt", "optimizer.pt"], None),
        (["model_000100.pt", "optim_000100_rank0.pt", "meta_000100.json"], None),
        (["c-5/model.safetensors", "c-5/config.json"], None),
        (["c-5/model.safetensors", "c-5/notes.md"], None),
        (["c-5/weights.pt", "c-5/trainer_state.json"], None),
        ([], None),
    ],
)
def test_the_file_that_a_script_is_given_is_one_that_says_so(names: list[str], file: str | None) -> None:
    assert main(names) == file


@pytest.mark.parametrize(
    ("name", "step"),
    [
        ("checkpoint-500", 500), ("epoch=3-step=400.ckpt", 400), ("model_000400.pt", 400), ("ckpt_step_7.pt", 7),
        ("state_step005100.pt", 5100), ("iter_0000100", 100), ("global_step200", 200), ("ckpt.pt", None),
        ("model-01.keras", None), ("model-0012.h5", None), ("model_step_40.keras", 40), ("model_012.pt", None),
        ("model_12.pt", 12), ("best.pt", None), ("model2.pt", None), ("epoch_3.pt", None), ("step" + "9" * 40, None),
    ],
)  # fmt: skip
def test_a_step_is_read_out_of_a_name(name: str, step: int | None) -> None:
    assert naming.step_in(name) == step


@pytest.mark.parametrize(
    ("path", "step", "taken", "name"),
    [
        ("ckpt.pt", 400, (), "step-000400"),
        ("ckpt.pt", 400, ("step-000400",), "step-000400-2"),
        ("ckpt.pt", None, (), "ckpt-1"),
        ("ckpt.pt", None, ("ckpt-1", "ckpt-2"), "ckpt-3"),
        ("best.pt", 400, (), "best-000400"),
        ("best.pt", None, (), "best"),
        ("best.pt", None, ("best",), "best-2"),
        ("checkpoint-500", 500, (), "step-000500"),
        ("epoch=3-step=400.ckpt", 400, (), "step-000400"),
        ("a b/../ü$(id)\n.pt", 1, (), "id-000001"),
        ("...", None, (), "ckpt-1"),
        ("x" * 300 + ".pt", None, (), "x" * 48),
    ],
)
def test_a_name_is_safe_and_new(path: str, step: int | None, taken: tuple[str, ...], name: str) -> None:
    assert naming.name_of(Path(path), step, dict.fromkeys(taken)) == name
