"""What comes from the store before a run, and what of it is refused."""

from __future__ import annotations

import errno
import io
import json
import tarfile
import threading
from pathlib import Path

import pytest

from tests.trainer.rented import packed
from trainer.fetch import CannotStart, Errand, checkpoint, insisting, sha256, unpack
from trainer.storage import FolderStore, StoreFault, StoreRefusal
from trainer.wire import FileEntry, Manifest, Reason, to_json


def archive_of(folder: Path, *members: tarfile.TarInfo) -> Path:
    path = folder / "source.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        for member in members:
            archive.addfile(member, io.BytesIO(b"x" * member.size))
    return path


def member(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, link
    info.size = 1 if kind == tarfile.REGTYPE else 0
    info.mode = 0o755
    return info


@pytest.mark.parametrize(
    ("members", "said"),
    [
        ([member("/etc/cron.d/own")], "leads out"),
        ([member("../own")], "leads out"),
        ([member("a/../../own")], "leads out"),
        ([member("up", tarfile.SYMTYPE, "../..")], "a link that leads out"),
        ([member("etc", tarfile.SYMTYPE, "/etc")], "a link that leads out"),
        ([member("a/hard", tarfile.LNKTYPE, "../own")], "a link that leads out"),
        ([member("here", tarfile.SYMTYPE, "."), member("here/own")], "goes through a link"),
        ([member("pipe", tarfile.FIFOTYPE)], "neither a file, a folder nor a link"),
        ([member("disk", tarfile.BLKTYPE)], "neither a file, a folder nor a link"),
    ],
)
def test_an_archive_with_a_way_out_is_refused_whole(tmp_path: Path, members: list[tarfile.TarInfo], said: str) -> None:
    archive = archive_of(tmp_path, member("good.py"), *members)
    with pytest.raises(CannotStart, match=said) as refused:
        unpack(archive, tmp_path / "source")
    assert refused.value.reason is Reason.BAD_SOURCE
    assert list((tmp_path / "source").rglob("*")) == []


def test_a_repository_with_folders_links_and_scripts_comes_as_it_was(tmp_path: Path) -> None:
    archive = archive_of(
        tmp_path,
        member("src", tarfile.DIRTYPE),
        member("src/run.sh"),
        member("run", tarfile.SYMTYPE, "src/run.sh"),
        member("src/up", tarfile.SYMTYPE, "../run"),
    )
    unpack(archive, tmp_path / "source")
    assert (tmp_path / "source" / "src" / "up").resolve() == (tmp_path / "source" / "src" / "run.sh").resolve()
    assert (tmp_path / "source" / "run").stat().st_mode & 0o111


@pytest.mark.parametrize(
    "data", [b"", b"no archive", packed({"a": "b" * 10_000})[:60]], ids=["empty", "text", "cut off"]
)
def test_what_is_no_archive_says_so(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "source.tar.gz").write_bytes(data)
    with pytest.raises(CannotStart, match="cannot be unpacked"):
        unpack(tmp_path / "source.tar.gz", tmp_path / "source")


PREFIX = "jobs/J1/a1/ckpt/step-000004"


def kept(store: FolderStore, folder: Path, files: dict[str, bytes]) -> None:
    entries = []
    for name, data in files.items():
        store.put(f"{PREFIX}/{name}", data)
        (folder / "one").write_bytes(data)
        entries.append(FileEntry(path=name, size=len(data), sha256=sha256(folder / "one")))
    store.put(f"{PREFIX}/manifest.json", to_json(Manifest(name="step-000004", step=4, at=1.0, files=entries)))


@pytest.mark.parametrize(
    ("names", "folder"),
    [
        (["ckpt.pt"], "."),
        (["checkpoint-4/a.bin", "checkpoint-4/deep/b.bin"], "checkpoint-4"),
        (["a.pt", "x/b.pt"], "."),
    ],
)
def test_a_checkpoint_comes_back_where_it_was(tmp_path: Path, names: list[str], folder: str) -> None:
    store = FolderStore(tmp_path / "store")
    kept(store, tmp_path, {name: name.encode() for name in names})
    found = checkpoint(store, PREFIX, tmp_path / "out").folder
    assert found == tmp_path / "out" / folder
    assert [(tmp_path / "out" / name).read_text() for name in names] == names


def test_a_checkpoint_whose_bytes_changed_is_not_gone_on_from(tmp_path: Path) -> None:
    store = FolderStore(tmp_path / "store")
    kept(store, tmp_path, {"ckpt.pt": b"weights"})
    store.put(f"{PREFIX}/ckpt.pt", b"WEIGHTS")
    with pytest.raises(CannotStart, match=r"ckpt\.pt of .* is not what its manifest says"):
        checkpoint(store, PREFIX, tmp_path / "out")


def test_a_checkpoint_that_lacks_a_file_is_not_gone_on_from(tmp_path: Path) -> None:
    store = FolderStore(tmp_path / "store")
    kept(store, tmp_path, {"ckpt.pt": b"weights"})
    store.delete(f"{PREFIX}/ckpt.pt")
    with pytest.raises(CannotStart, match=r"lacks ckpt\.pt"):
        checkpoint(store, PREFIX, tmp_path / "out")


@pytest.mark.parametrize("name", ["../own", "/etc/own", "a/../../own", ""])
def test_a_manifest_with_a_way_out_is_refused(tmp_path: Path, name: str) -> None:
    store = FolderStore(tmp_path / "store")
    manifest = {"name": "x", "step": 1, "at": 1.0, "files": [{"path": name, "size": 1, "sha256": "0"}]}
    store.put(f"{PREFIX}/manifest.json", json.dumps(manifest).encode())
    with pytest.raises(CannotStart, match="cannot be used"):
        checkpoint(store, PREFIX, tmp_path / "out")


def test_a_store_that_comes_back_is_waited_for_and_one_that_does_not_is_given_up() -> None:
    waits: list[float] = []

    def answer_at(tries: int) -> str:
        if len(waits) < tries:
            raise StoreFault("away")
        return "here"

    assert insisting(lambda: answer_at(3), patience=60.0, pause=waits.append) == "here"
    assert waits == [0.5, 1.0, 2.0]
    waits.clear()
    with pytest.raises(StoreFault):
        insisting(lambda: answer_at(99), patience=5.0, pause=waits.append)
    assert waits == [0.5, 1.0, 2.0, 4.0]


def test_a_store_that_refuses_is_asked_for_a_minute_and_not_for_half_of_the_rental() -> None:
    waits: list[float] = []

    def refuse() -> str:
        raise StoreRefusal("AccessDenied")

    with pytest.raises(StoreRefusal, match="AccessDenied"):
        insisting(refuse, patience=7_200.0, pause=waits.append)
    assert 55.0 < sum(waits) < 75.0
    waits.clear()
    with pytest.raises(StoreRefusal):
        insisting(refuse, patience=5.0, pause=waits.append)
    assert sum(waits) < 10.0


def test_a_right_that_comes_a_little_late_is_waited_for() -> None:
    waits: list[float] = []

    def granted_after_a_while() -> str:
        if sum(waits) < 20.0:
            raise StoreRefusal("AccessDenied")
        return "here"

    assert insisting(granted_after_a_while, patience=7_200.0, pause=waits.append) == "here"


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
@pytest.mark.parametrize("told", ["by the store", "by the disk"])
def test_a_disk_that_is_full_is_told_at_once_and_is_no_fault_of_the_store(number: int, told: str) -> None:
    full = OSError(number, "No space left on device")

    def fetch() -> str:
        if told == "by the disk":
            raise full
        raise StoreFault("Could not read the checkpoint.") from full

    def pause(seconds: float) -> None:
        pytest.fail("it is no use to try again")

    with pytest.raises(CannotStart, match=r"The disk became full.*`resources: {disk: …}`") as refused:
        insisting(fetch, patience=60.0, pause=pause)
    assert refused.value.reason is Reason.BAD_SPEC


def test_another_error_of_the_disk_is_what_it_is() -> None:
    def fetch() -> str:
        raise PermissionError(errno.EACCES, "Permission denied")

    with pytest.raises(PermissionError):
        insisting(fetch, patience=60.0, pause=lambda seconds: None)


def test_a_source_for_which_the_disk_has_no_room_is_no_bad_source(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(tarfile.TarFile, "extractall", full)  # no file system here is small enough
    with pytest.raises(CannotStart, match="The disk became full") as refused:
        unpack(archive_of(tmp_path, member("train.py")), tmp_path / "source")
    assert refused.value.reason is Reason.BAD_SPEC


def test_an_errand_brings_what_it_finds_or_what_went_wrong() -> None:
    found = Errand(lambda: "here", patience=1.0)
    while not found.finished(5.0):
        pass
    assert found.result() == "here"

    def fail() -> str:
        raise CannotStart(Reason.BAD_SOURCE, "There is none.")

    failed = Errand(fail, patience=1.0)
    while not failed.finished(5.0):
        pass
    with pytest.raises(CannotStart, match=r"There is none\."):
        failed.result()


def test_an_errand_that_takes_long_is_not_waited_for_and_one_that_is_cancelled_tries_no_more() -> None:
    may, tries = threading.Event(), threading.Semaphore(0)

    def slowly() -> str:
        may.wait(60.0)
        return "here"

    errand = Errand(slowly, patience=1.0)
    assert not errand.finished(0.0)
    may.set()
    while not errand.finished(5.0):
        pass

    def away() -> str:
        tries.release()
        raise StoreFault("away")

    again = Errand(away, patience=3_600.0)
    assert tries.acquire(timeout=60.0)
    again.cancel()
    while not again.finished(5.0):
        pass
