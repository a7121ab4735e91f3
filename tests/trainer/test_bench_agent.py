"""What the agent's figures rest on: a reader that sees what is missing, and an S3 that forgets as it says."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.bench.agent_ends import unreadable
from tests.bench.sink import Sink
from trainer import wire
from trainer.fetch import sha256
from trainer.storage import FolderStore
from trainer.wire import FileEntry, Manifest

KEY = "jobs/J1/a1/ckpt/step-000001/manifest.json"


@pytest.mark.parametrize(
    ("left", "said"),
    [(b"weights", []), (b"weight", ["step-000001 lacks a.pt"]), (b"wieghts", ["step-000001 lacks a.pt"]), (None, 1)],
)
def test_a_checkpoint_is_readable_only_as_its_manifest_says(tmp_path: Path, left: bytes | None, said: object) -> None:
    store = FolderStore(tmp_path / "store")
    (tmp_path / "a.pt").write_bytes(b"weights")
    entry = FileEntry(path="a.pt", size=7, sha256=sha256(tmp_path / "a.pt"))
    store.put(KEY, wire.to_json(Manifest(name="step-000001", step=1, at=0.0, files=[entry])))
    if left is not None:
        store.put(KEY.replace("manifest.json", "a.pt"), left)
    found = unreadable(store, [KEY])
    assert found == said if isinstance(said, list) else len(found) == said


def test_without_a_checkpoint_there_is_nothing_to_read(tmp_path: Path) -> None:
    assert unreadable(FolderStore(tmp_path), []) == ["no checkpoint is left"]


def test_the_sink_answers_as_s3_does_and_keeps_small_objects_only(tmp_path: Path) -> None:
    large = tmp_path / "large.bin"
    with large.open("wb") as file:
        file.truncate(40 << 20)
    with Sink() as sink:
        store = sink.store()
        store.put("jobs/J1/a", b"small")
        store.put_file("jobs/J1/large", large)
        assert (store.get("jobs/J1/a"), store.get("jobs/J1/none")) == (b"small", None)
        assert (store.size("jobs/J1/large"), store.size("jobs/J1/none")) == (40 << 20, None)
        assert list(store.keys("jobs/J1")) == ["jobs/J1/a", "jobs/J1/large"]
        store.delete("jobs/J1/a")
        assert list(store.keys("jobs")) == ["jobs/J1/large"]
