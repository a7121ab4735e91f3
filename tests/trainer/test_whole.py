"""A checkpoint is whole or it is not; half of one is never taken for one."""

from __future__ import annotations

import errno
import json
import os
import pickle
import struct
import tracemalloc
import zipfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainer import units
from trainer.filenames import WEIGHTS
from trainer.whole import State, file_state, folder_state, put_in_place


def zipped(path: Path, size: int = 5_000) -> bytes:
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as out:
        out.writestr("archive/data.pkl", b"x" * 100)
        out.writestr("archive/data/0", os.urandom(size))
    return path.read_bytes()


def safetensors(path: Path, size: int = 64) -> bytes:
    header = json.dumps({"__metadata__": {}, "w": {"dtype": "F32", "shape": [4], "data_offsets": [0, size]}}).encode()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(struct.pack("<Q", len(header)) + header + b"\0" * size)
    return path.read_bytes()


def hdf5(path: Path) -> bytes:
    """A file as the library closes it: the first block names the end."""
    start = b"\x89HDF\r\n\x1a\n" + bytes([0, 0, 0, 0, 0, 8, 8, 0, 4, 0, 16, 0, 0, 0, 0, 0])
    path.write_bytes(start + struct.pack("<QQQQ", 0, 2**64 - 1, 4_096, 2**64 - 1) + bytes(4_096 - len(start) - 32))
    return path.read_bytes()


def numpy_array(path: Path) -> bytes:
    header = b"{'descr': '<f8', 'fortran_order': False, 'shape': (30, 4), }"
    path.write_bytes(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + bytes(30 * 4 * 8))
    return path.read_bytes()


WHOLE_FORMATS = [("a.pt", zipped), ("a.ckpt", zipped), ("a.safetensors", safetensors)]
WHOLE_FORMATS += [("a.h5", hdf5), ("a.keras", hdf5), ("a.npy", numpy_array)]


@pytest.mark.parametrize(("name", "make"), WHOLE_FORMATS)
def test_every_truncation_is_seen(tmp_path: Path, name: str, make: object) -> None:
    path = tmp_path / name
    data = make(path)  # type: ignore[operator]  # one of the two functions above
    assert file_state(path) is State.WHOLE
    for length in {0, 1, 4, 8, 30, len(data) // 3, len(data) // 2, len(data) - 23, len(data) - 1}:
        path.write_bytes(data[:length])
        assert file_state(path) in (State.BROKEN, State.UNKNOWN), length
        assert length < 8 or file_state(path) is State.BROKEN, length


@pytest.mark.parametrize("zip64", [False, True])
def test_the_end_of_a_zip_within_a_zip_is_not_its_own(tmp_path: Path, zip64: bool) -> None:
    """Stable-Baselines puts three of torch's files into one archive, each of them a zip that is whole."""
    inner = zipped(tmp_path / "inner.pt", size=30_000)
    if zip64:
        torch_like = struct.pack("<4sQ2H2L4Q", b"PK\6\6", 44, 45, 45, 0, 0, 2, 2, 0, 0)
        at = inner.rfind(b"PK\5\6")
        inner = inner[:at] + torch_like + struct.pack("<4sLQL", b"PK\6\7", 0, at, 1) + inner[at:]
    path = tmp_path / "ppo_1000_steps.zip"
    with zipfile.ZipFile(path, "w") as out:
        for name in ("policy.pth", "policy.optimizer.pth"):
            out.writestr(name, inner)
    data = path.read_bytes()
    assert file_state(path) is State.WHOLE
    ends = [data.find(b"PK\5\6") + 22, data.find(b"PK\5\6") + 10_000, data.rfind(b"PK\5\6") - 1]
    for length in ends:
        path.write_bytes(data[:length])
        assert file_state(path) is State.BROKEN, length


def test_a_zip64_and_a_zip_with_a_comment_are_whole(tmp_path: Path) -> None:
    data = zipped(tmp_path / "a.pt")
    at = data.rfind(b"PK\5\6")
    end64 = struct.pack("<4sQ2H2L4Q", b"PK\6\6", 44, 45, 45, 0, 0, 2, 2, 0, 0)
    (tmp_path / "b.pt").write_bytes(data[:at] + end64 + struct.pack("<4sLQL", b"PK\6\7", 0, at, 1) + data[at:])
    with zipfile.ZipFile(tmp_path / "a.pt", "a") as out:
        out.comment = b"of the best"
    assert [file_state(tmp_path / name) for name in ("a.pt", "b.pt")] == [State.WHOLE] * 2


def test_a_pickle_ends_with_its_last_word(tmp_path: Path) -> None:
    data = pickle.dumps({"weights": list(range(10_000))})
    for name in ("a.pkl", "a.pickle", "a.joblib"):
        (tmp_path / name).write_bytes(data)
        assert file_state(tmp_path / name) is State.UNKNOWN
        (tmp_path / name).write_bytes(data[: len(data) // 2] + b"x")
        assert file_state(tmp_path / name) is State.BROKEN


def test_torch_of_old_has_bytes_behind_its_pickles(tmp_path: Path) -> None:
    (tmp_path / "a.pkl").write_bytes(b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.and then the weights")
    assert file_state(tmp_path / "a.pkl") is State.UNKNOWN


@pytest.mark.parametrize(
    "header", [b"{'descr': '|O', 'shape': (1,)}", b"{'descr': [('a', '<f4')], 'shape': (3,)}", b"("]
)
def test_an_array_of_no_plain_kind_is_unknown(tmp_path: Path, header: bytes) -> None:
    (tmp_path / "a.npy").write_bytes(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + b"data")
    assert file_state(tmp_path / "a.npy") is State.UNKNOWN


def test_an_hdf5_file_that_is_still_open_is_longer_than_it_says(tmp_path: Path) -> None:
    (tmp_path / "a.h5").write_bytes(hdf5(tmp_path / "a.h5") + b"more")
    assert file_state(tmp_path / "a.h5") is State.UNKNOWN


def test_of_a_large_record_only_the_end_is_read(tmp_path: Path) -> None:
    path = tmp_path / "tokenizer.json"
    data = b'{"vocab": [' + b'"word", ' * 600_000 + b'"last"]}\n'
    path.write_bytes(data)
    tracemalloc.start()
    try:
        assert file_state(path) is State.WHOLE
        assert tracemalloc.get_traced_memory()[1] < 100_000
    finally:
        tracemalloc.stop()
    path.write_bytes(data[:-20])
    assert file_state(path) is State.BROKEN


@given(st.binary(max_size=200))
def test_no_header_breaks_the_reading_of_safetensors(data: bytes) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.safetensors"
        path.write_bytes(data)
        assert file_state(path) in (State.BROKEN, State.WHOLE)


def test_a_safetensors_file_with_a_tail_is_none(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    path.write_bytes(safetensors(path) + b"more")
    assert file_state(path) is State.BROKEN


def test_what_has_no_end_to_look_for_is_unknown(tmp_path: Path) -> None:
    (tmp_path / "old.pt").write_bytes(b"\x80\x02}q\x00.")
    assert file_state(tmp_path / "old.pt") is State.UNKNOWN
    assert file_state(tmp_path / "gone.pt") is State.BROKEN


def hf_folder(folder: Path) -> list[Path]:
    safetensors(folder / "model.safetensors")
    zipped(folder / "optimizer.pt")
    (folder / "config.json").write_text("{}")
    (folder / "merges.txt").touch()
    (folder / "trainer_state.json").write_text('{"global_step": 500}')
    return sorted(folder.iterdir())


def test_a_trainers_folder_is_whole_when_its_state_is_there_and_every_file_is_whole(tmp_path: Path) -> None:
    files = hf_folder(tmp_path / "checkpoint-500")
    folder = tmp_path / "checkpoint-500"
    assert folder_state(folder, files) is State.WHOLE
    without_state = [path for path in files if path.name != "trainer_state.json"]
    assert folder_state(folder, without_state) is State.UNKNOWN
    (folder / "checkpoint-is-incomplete.txt").write_text("")
    assert folder_state(folder, sorted(folder.iterdir())) is State.BROKEN
    (folder / "checkpoint-is-incomplete.txt").unlink()
    (folder / "optimizer.pt").write_bytes((folder / "optimizer.pt").read_bytes()[:-10])
    assert folder_state(folder, files) is State.BROKEN


def test_a_sharded_model_needs_every_shard(tmp_path: Path) -> None:
    names = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"]
    for name in names:
        safetensors(tmp_path / name)
    index = {"weight_map": {"a": names[0], "b": names[1]}}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    files = sorted(tmp_path.iterdir())
    assert folder_state(tmp_path, files) is State.UNKNOWN
    assert folder_state(tmp_path, [path for path in files if path.name != names[1]]) is State.BROKEN


def test_a_distributed_checkpoint_is_whole_with_its_index(tmp_path: Path) -> None:
    (tmp_path / "__0_0.distcp").write_bytes(b"data")
    assert folder_state(tmp_path, sorted(tmp_path.iterdir())) is State.BROKEN
    (tmp_path / ".metadata").write_bytes(b"index")
    assert folder_state(tmp_path, sorted(tmp_path.iterdir())) is State.WHOLE


def found(root: Path) -> list[tuple[str, int]]:
    return sorted((unit.path.relative_to(root).as_posix(), len(unit.files)) for unit in units.find(root))


def test_the_layouts_of_the_known_trainers_are_found(tmp_path: Path) -> None:
    hf_folder(tmp_path / "checkpoint-500")
    zipped(tmp_path / "lightning_logs" / "version_0" / "checkpoints" / "epoch=3-step=400.ckpt")
    zipped(tmp_path / "runs" / "train" / "weights" / "last.pt")
    zipped(tmp_path / "global_step100" / "mp_rank_00_model_states.pt")
    zipped(tmp_path / "global_step200" / "mp_rank_00_model_states.pt")
    (tmp_path / "latest").write_text("global_step200")
    (tmp_path / "notes.txt").write_text("no checkpoint")
    zipped(tmp_path / "ckpt.pt.tmp")
    assert found(tmp_path) == [
        ("checkpoint-500", 5),
        ("global_step200", 2),
        ("lightning_logs/version_0/checkpoints/epoch=3-step=400.ckpt", 1),
        ("runs/train/weights/last.pt", 1),
    ]


def made(root: Path, *names: str, at: float = 1_000.0) -> None:
    """Write these files, all at one time."""
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix in WEIGHTS:
            zipped(path, size=50)
        else:
            path.write_text("{}" if path.suffix == ".json" else "x")
        os.utime(path, (at, at))


@pytest.mark.parametrize(
    ("files", "checkpoints"),
    [
        # nanochat: three files and more of one step
        (
            ["model_000100.pt", "meta_000100.json", "optim_000100_rank0.pt", "optim_000100_rank1.pt"],
            [("model_000100.pt", 4)],
        ),
        (["model.pt", "optimizer.pt", "scheduler.pt", "metrics.json"], [("model.pt", 3)]),
        (["best.pt", "last.pt", "epoch_3.pt"], [("best.pt", 1), ("epoch_3.pt", 1), ("last.pt", 1)]),
        (["1_net_G.pth", "1_net_D.pth", "2_net_G.pth", "2_net_D.pth"], [("1_net_D.pth", 2), ("2_net_D.pth", 2)]),
        (["m-00001-of-00002.pt", "m-00002-of-00002.pt", "last.pt"], [("last.pt", 1), ("m-00001-of-00002.pt", 2)]),
        # diffusers, also where checkpoints of its training lie beside the pipeline
        (
            [
                "model_index.json", "unet/config.json", "unet/diffusion_pytorch_model.safetensors", "vae/config.json",
                "vae/diffusion_pytorch_model.safetensors", "scheduler/scheduler_config.json", "tokenizer/vocab.json",
                "checkpoint-500/optimizer.bin", "logs/events.out.tfevents.1",
            ],
            [(".", 7), ("checkpoint-500", 1)],
        ),
        (["unet/config.json", "unet/diffusion_pytorch_model.safetensors"], [("unet", 2)]),
        # sentence-transformers
        (["model.safetensors", "config.json", "modules.json", "1_Pooling/config.json"], [(".", 4)]),
        # A Trainer whose last model comes into the folder of its checkpoints
        (
            [
                "run1/checkpoint-10/model.safetensors", "run1/checkpoint-20/model.safetensors", "run1/config.json",
                "run1/model.safetensors", "run1/best.pt",
            ],
            [("run1", 2), ("run1/best.pt", 1), ("run1/checkpoint-10", 1), ("run1/checkpoint-20", 1)],
        ),
        # Accelerate under a name of the script's own
        (["s/model.safetensors", "s/optimizer.bin", "s/random_states_0.pkl", "s/random_states_1.pkl"], [("s", 4)]),
        # DeepSpeed: a tag of any name is one checkpoint
        (["best/mp_rank_00_model_states.pt", "best/zero_pp_rank_0_mp_rank_00_optim_states.pt"], [("best", 2)]),
        # torch's distributed checkpoints, Orbax, TensorFlow
        (["last/__0_0.distcp", "last/__1_0.distcp", "last/.metadata"], [("last", 3)]),
        (["last/__0_0.distcp", "last/__1_0.distcp"], [("last", 2)]),
        (["100/_CHECKPOINT_METADATA", "100/default/manifest.ocdbt"], [("100", 2)]),
        (["export/saved_model.pb", "export/variables/variables.index"], [("export", 2)]),
        (["ckpt-1.index", "ckpt-1.data-00000-of-00001"], [("ckpt-1.data-00000-of-00001", 2)]),
        (["iter_0000100/mp_rank_00/model_optim_rng.pt"], [("iter_0000100", 1)]),
        # one setting of several, each with its checkpoints
        (["step_1/ckpt_5/w.pt", "step_1/ckpt_9/w.pt"], [("step_1/ckpt_5", 1), ("step_1/ckpt_9", 1)]),
        # Hydra's folders, and Lightning's in them
        (
            ["2026-11-30/12-00-00/lightning_logs/version_0/checkpoints/epoch=1-step=10.ckpt"],
            [("2026-11-30/12-00-00/lightning_logs/version_0/checkpoints/epoch=1-step=10.ckpt", 1)],
        ),
        (["checkpoint_100", "model.pdparams", "model.pdopt"], [("checkpoint_100", 1), ("model.pdopt", 2)]),
        (["a.joblib", "a.pickle", "tmp-checkpoint-5/a.pt", "5.orbax-checkpoint-tmp-1/x.pt"], [("a.joblib", 2)]),
        (["results.zip", "notes.txt", "metrics.csv"], []),
    ],
)  # fmt: skip
def test_what_is_saved_together_is_one_checkpoint(
    tmp_path: Path, files: list[str], checkpoints: list[tuple[str, int]]
) -> None:
    made(tmp_path, *files)
    assert found(tmp_path) == checkpoints


def test_what_is_rewritten_later_is_a_save_of_its_own(tmp_path: Path) -> None:
    made(tmp_path, "model.pt", "optimizer.pt", at=1_000.0)
    made(tmp_path, "model.pt", at=1_060.0)
    assert found(tmp_path) == [("model.pt", 1), ("optimizer.pt", 1)]
    made(tmp_path, "optimizer.pt", at=1_065.0)
    assert found(tmp_path) == [("model.pt", 2)]


def test_the_files_of_one_step_may_be_written_for_minutes(tmp_path: Path) -> None:
    made(tmp_path, "model_000100.pt", at=1_000.0)
    made(tmp_path, "optim_000100.pt", at=1_200.0)
    assert found(tmp_path) == [("model_000100.pt", 2)]


@pytest.mark.parametrize(
    ("pointer", "says", "name"),
    [
        ("last_checkpoint", "model_0004999.pth", "model_0004999.pth"),
        ("last_checkpoint", "/mnt/runs/out/model_0004999.pth\n", "model_0004999.pth"),
        ("latest", "step100", "step100/mp_rank_00_model_states.pt"),
        ("checkpoint", 'model_checkpoint_path: "ckpt-1"\n', "ckpt-1.index"),
        ("latest_checkpointed_iteration.txt", "100", "iter_0000100/mp_rank_00/model_optim_rng.pt"),
    ],
)
def test_what_says_which_one_is_the_newest_goes_with_it(tmp_path: Path, pointer: str, says: str, name: str) -> None:
    made(tmp_path, name)
    (tmp_path / pointer).write_text(says)
    ((_, count),) = found(tmp_path)
    assert count == 2
    (tmp_path / pointer).write_text("another-7")
    ((_, count),) = found(tmp_path)
    assert count == 1


def test_a_folder_is_whole_when_it_is_said_to_be_the_newest(tmp_path: Path) -> None:
    made(tmp_path, "step100/mp_rank_00_model_states.pt")
    assert [unit.state() for unit in units.find(tmp_path)] == [State.UNKNOWN]
    (tmp_path / "latest").write_text("step100")
    assert [unit.state() for unit in units.find(tmp_path)] == [State.WHOLE]
    (tmp_path / "step100" / "mp_rank_00_model_states.pt").write_bytes(b"PK\x03\x04half")
    assert [unit.state() for unit in units.find(tmp_path)] == [State.BROKEN]


def test_a_zip_with_weights_in_it_is_a_checkpoint(tmp_path: Path) -> None:
    path = tmp_path / "rl_model_1000_steps.zip"
    with zipfile.ZipFile(path, "w") as out:
        out.writestr("policy.pth", "weights")
    assert found(tmp_path) == [("rl_model_1000_steps.zip", 1)]
    path.write_bytes(path.read_bytes()[:-30])
    assert found(tmp_path) == []


def test_a_final_model_is_one_checkpoint_beside_the_others(tmp_path: Path) -> None:
    hf_folder(tmp_path / "checkpoint-500")
    safetensors(tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text("{}")
    assert found(tmp_path) == [(".", 2), ("checkpoint-500", 5)]


def test_links_and_pipes_are_nothing(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    zipped(secret)
    out = tmp_path / "out"
    out.mkdir()
    (out / "last.ckpt").symlink_to(secret)
    (out / "deep").symlink_to(tmp_path)
    os.mkfifo(out / "pipe.pt")
    (out / "checkpoint-1").mkdir()
    (out / "checkpoint-1" / "w.pt").symlink_to(secret)
    assert units.find(out) == []
    assert units.named(out / "last.ckpt") is None


def test_a_folder_that_cannot_be_entered_costs_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its names can be read, and nothing else of it; root, whom the tests may run as, is kept from nothing."""
    for name in ("locked/deep", "open"):
        (tmp_path / name).mkdir(parents=True)
        zipped(tmp_path / name / "step_1.pt")

    def refused(path: str, *args: Any, **more: Any) -> os.stat_result:
        if "/locked/" in str(path):
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return real(path, *args, **more)

    real = os.stat
    monkeypatch.setattr(os, "stat", refused)
    monkeypatch.setattr(os, "lstat", lambda path, **more: refused(path, follow_symlinks=False, **more))
    assert [found.path for found in units.find(tmp_path)] == [tmp_path / "open" / "step_1.pt"]


def test_a_data_set_is_not_walked_for_ever(tmp_path: Path) -> None:
    for number in range(20_001):
        (tmp_path / f"{number}.npy").touch()
    with pytest.raises(units.TooMuch, match="more than 20,000 files"):
        units.find(tmp_path)


def test_of_a_crowd_no_more_is_read_than_is_told_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(units, "_MOST", 10)
    for number in range(5_000):
        (tmp_path / f"sample_{number}.png").touch()
    tracemalloc.start()
    with pytest.raises(units.TooMuch):
        units.find(tmp_path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 50_000


def test_a_file_that_was_renamed_after_its_last_byte_was_put_there_as_a_whole(tmp_path: Path) -> None:
    (tmp_path / "tmp").write_bytes(b"weights")
    os.utime(tmp_path / "tmp", (1_000.0, 1_000.0))
    (tmp_path / "tmp").replace(tmp_path / "last.bin")
    assert put_in_place(tmp_path / "last.bin")
    assert not put_in_place(tmp_path / "gone.bin")
    with (tmp_path / "last.bin").open("ab") as out:
        out.write(b"more")
    assert not put_in_place(tmp_path / "last.bin")
