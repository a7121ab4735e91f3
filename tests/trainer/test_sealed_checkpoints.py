"""Checkpoints that leave the machine sealed, and come back to be gone on from."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.trainer.rented import JOB, Rented
from tests.trainer.test_machine_run import SAVE
from trainer import wire
from trainer.fetch import CannotStart, checkpoint, sha256
from trainer.sealed import Ring, new_key, seal_file, unseal_file
from trainer.storage import FolderStore
from trainer.wire import CheckpointRule, FileEntry, Manifest

SCRIPT = SAVE + (
    "import sys\n"
    "print('found', os.path.exists('out/checkpoint-7/a.pt'))\n"
    "print('step 7: loss 1.0')\n"
    "save('out/checkpoint-7/a.pt', 'weights ' * 100)\n"
)
RULE = CheckpointRule(path="out", upload_every=0.2, keep=2, encrypt=True)


def test_a_sealed_checkpoint_is_gone_on_from_and_opens_at_home_with_the_key_alone(
    rented: Rented, tmp_path: Path
) -> None:
    old, new = new_key(), new_key()
    rented.order({"train.py": SCRIPT}, argv=["python", "train.py"], checkpoints=RULE)
    assert rented.run(**{wire.ENV_KEYS: old.word}) == 0
    ((name, manifest),) = rented.manifests().items()
    assert (manifest.key, [entry.path for entry in manifest.files]) == (old.id, ["checkpoint-7/a.pt.sealed"])
    prefix = wire.checkpoint_prefix(JOB, 1, name)
    kept = rented.store.get(f"{prefix}/checkpoint-7/a.pt.sealed") or b""
    assert (b"weights" in kept, len(kept)) == (False, manifest.files[0].size)
    (tmp_path / "down.sealed").write_bytes(kept)
    unseal_file(tmp_path / "down.sealed", tmp_path / "down", Ring((old,)))
    assert b"weights" in (tmp_path / "down").read_bytes()
    assert old.word not in rented.log()

    again = Rented(tmp_path / "again", rented.archive)
    for key in rented.store.keys(prefix):
        again.store.put(key, rented.store.get(key) or b"")
    again.order({"train.py": SCRIPT}, argv=["python", "train.py"], checkpoints=RULE, resume_key=prefix)
    assert again.run(**{wire.ENV_KEYS: f"{new.word}\n{old.word}"}) == 0
    assert "found True" in again.log().splitlines()
    assert new.id in {found.key for found in again.manifests().values()}


def test_without_a_key_nothing_is_trained_that_could_not_be_kept(rented: Rented) -> None:
    rented.order({"train.py": SCRIPT}, argv=["python", "train.py"], checkpoints=RULE)
    assert rented.run() == 1
    outcome = rented.outcome()
    assert (outcome["reason"], "this machine was given no key" in outcome["tail"][-1]) == ("bad_spec", True)
    assert "found" not in rented.log()


@pytest.mark.parametrize(
    ("spoil", "said"),
    [("wrong key", "sealed with the key"), ("cut", "is cut off in it"), ("changed", "Chunk 1 is not what was sealed")],
)
def test_a_checkpoint_that_does_not_open_is_not_gone_on_from(tmp_path: Path, spoil: str, said: str) -> None:
    store, key = FolderStore(tmp_path / "store"), new_key()
    (tmp_path / "ckpt.pt").write_bytes(b"weights" * 100)
    seal_file(tmp_path / "ckpt.pt", tmp_path / "sealed", key)
    data = (tmp_path / "sealed").read_bytes()
    data = {"wrong key": data, "cut": data[:-5], "changed": data[:80] + bytes([data[80] ^ 1]) + data[81:]}[spoil]
    (tmp_path / "sealed").write_bytes(data)
    store.put_file("c/ckpt.pt.sealed", tmp_path / "sealed")
    entry = FileEntry(path="ckpt.pt.sealed", size=len(data), sha256=sha256(tmp_path / "sealed"))
    store.put("c/manifest.json", wire.to_json(Manifest(name="c", step=1, at=1.0, files=[entry], key=key.id)))
    with pytest.raises(CannotStart, match=said):
        checkpoint(store, "c", tmp_path / "out", Ring((new_key() if spoil == "wrong key" else key,)))
    assert not (tmp_path / "out" / "ckpt.pt").exists()
