"""A folder on its way into the store: resumed, shared between versions, invisible until it is whole."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from bot.cli import cli
from jobs.errors import HourglassError, StoreError
from jobs.pushing import BadFolder, Push, Sent, listed, name_of, survey
from tests.trainer.fakes import Moody
from trainer import sealed
from trainer.origins import origin_of
from trainer.sealed import Key, Ring, new_key
from trainer.storage import FolderStore, Store
from trainer.wire import Input

PART = 1000


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "Image Net"
    for name, data in {"a.bin": (bytes(range(251)) * 10)[:2500], "deep/b.bin": b"b" * 1500, "empty": b""}.items():
        (made / name).parent.mkdir(parents=True, exist_ok=True)
        (made / name).write_bytes(data)
    return made


def push(
    store: Store,
    folder: Path,
    *,
    key: Key | None = None,
    progress: Callable[[int, int], None] = lambda done, sent: None,
) -> Sent:
    return Push(store, "net", survey(folder), key=key, now=5.0, progress=progress, part=PART, parallel=1).run()


def test_what_is_there_is_not_sent_again_and_versions_share_what_they_have_in_common(
    tmp_path: Path, folder: Path
) -> None:
    store = FolderStore(tmp_path / "store")
    first = push(store, folder)
    assert (first.sent, first.dataset.bytes) == (4000, 4000)
    again = push(store, folder)
    assert (again.sent, again.reference) == (0, first.reference)

    (folder / "more").write_bytes(b"c" * 10)
    (folder / "copy").write_bytes((folder / "deep" / "b.bin").read_bytes())
    second = push(store, folder)
    assert (second.sent, second.reference != first.reference) == (10, True)
    assert {shown.reference for shown in listed(store, Ring())} == {first.reference, second.reference}


def test_a_push_that_was_cut_off_shows_nothing_and_goes_on_where_it_was(tmp_path: Path, folder: Path) -> None:
    store = Moody(tmp_path / "store")

    def cut(done: int, sent: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        push(store, folder, progress=cut)
    assert listed(store, Ring()) == []
    there = sum(size for key in store.keys("data") if (size := store.size(key)) is not None)
    assert 0 < there < 4000
    assert push(store, folder).sent == 4000 - there


def test_a_store_that_refuses_says_how_to_go_on(tmp_path: Path, folder: Path) -> None:
    (tmp_path / "store").write_text("no folder")
    with pytest.raises(StoreError, match="type the same line again to go on"):
        Push(FolderStore(tmp_path / "store"), "net", [], key=None, now=1.0).run()


def test_a_file_that_changes_meanwhile_ends_the_push_and_nothing_shows(tmp_path: Path, folder: Path) -> None:
    store = FolderStore(tmp_path / "store")
    once = threading.Event()

    def somebody_writes(done: int, sent: int) -> None:
        if not once.is_set():
            once.set()
            (folder / "deep" / "b.bin").write_bytes(b"B" * 1500)

    with pytest.raises(BadFolder, match=r"b\.bin changed while it was sent"):
        push(store, folder, progress=somebody_writes)
    assert listed(store, Ring()) == []


def test_a_file_that_becomes_shorter_meanwhile_is_never_sent_as_it_was(tmp_path: Path, folder: Path) -> None:
    files = survey(folder)
    os.truncate(folder / "a.bin", 100)
    with pytest.raises(BadFolder, match="changed while it was sent"):
        Push(FolderStore(tmp_path / "store"), "net", files, key=None, now=1.0, part=PART).run()


def test_sealed_parts_are_sent_once_too_and_another_key_starts_anew(tmp_path: Path, folder: Path) -> None:
    store, one, two = FolderStore(tmp_path / "store"), new_key(), new_key()
    assert [push(store, folder, key=key).sent for key in (one, one, two, None)] == [4000, 0, 4000, 4000]
    assert {shown.key_id for shown in listed(store, Ring((one,)))} == {one.id, two.id, None}
    (unread,) = [shown for shown in listed(store, Ring((one,))) if shown.dataset is None]
    assert two.id in unread.trouble


def test_a_bucket_takes_it_and_gives_it_back(tmp_path: Path, folder: Path, bucket: Store) -> None:
    key = new_key()
    sent = push(bucket, folder, key=key)
    assert push(bucket, folder, key=key).sent == 0
    origin = origin_of(Input(name="net", source=sent.reference), bucket, Ring((key,)), env={})
    assert [(file.path, file.size) for file in origin.files] == [("a.bin", 2500), ("deep/b.bin", 1500), ("empty", 0)]
    assert b"".join(b"".join(origin.blocks(0, piece)) for piece in range(3)) == (bytes(range(251)) * 10)[:2500]


def test_links_to_files_are_files_and_what_cannot_be_kept_is_named(tmp_path: Path, folder: Path) -> None:
    (folder / "link").symlink_to(folder / "a.bin")
    assert [(file.path, file.size) for file in survey(folder)][-1] == ("link", 2500)
    (folder / "linked").symlink_to(folder / "deep")
    with pytest.raises(BadFolder, match="linked is a link to a folder"):
        survey(folder)
    (folder / "linked").unlink()
    (folder / "gone").symlink_to(folder / "nowhere")
    with pytest.raises(BadFolder, match="gone is a link to nothing"):
        survey(folder)
    (folder / "gone").unlink()
    os.mkfifo(folder / "pipe")
    with pytest.raises(BadFolder, match="pipe is neither a file nor a link to one"):
        survey(folder)
    (folder / "pipe").unlink()
    (folder / "a\\b").touch()
    with pytest.raises(BadFolder, match="cannot be kept under that name"):
        survey(folder)
    with pytest.raises(BadFolder, match="is not a folder"):
        survey(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(BadFolder, match="holds no files"):
        survey(tmp_path / "empty")


def test_a_folder_gives_its_name_or_says_that_it_cannot(tmp_path: Path, folder: Path) -> None:
    assert name_of(folder) == "image-net"
    with pytest.raises(BadFolder, match="Add --name"):
        name_of(tmp_path / "日本語")


# ---------------------------------------------------------------- at the terminal


def test_what_is_typed_from_a_key_to_a_file_that_opens_again(tmp_path: Path, folder: Path) -> None:
    run = CliRunner()
    made = run.invoke(cli, ["data", "key"])
    word = made.stdout.strip()
    key = sealed.key_from(word)
    assert key.id in made.stderr
    env = {"HOURGLASS_STATE": str(tmp_path / "var"), "HOURGLASS_DATA_KEY": word}

    said = run.invoke(cli, ["data", "push", str(folder), "--encrypt"], env=env)
    assert (said.exit_code, said.stderr.count(word)) == (0, 0)
    assert f"in 3 files, encrypted, sent to {(tmp_path / 'var/store').as_uri()}." in said.stderr.replace("\n", " ")
    pasted = re.fullmatch(r'inputs: \[\{from: "(image-net@[0-9a-f]{16})", to: data/image-net\}\]\n', said.stdout)
    assert pasted is not None
    shown = run.invoke(cli, ["data", "list"], env=env).stdout
    assert shown.startswith(pasted[1])
    assert "3 files  2026" in re.sub(r"20\d\d-", "2026-", shown)
    assert f"encrypted with {key.id}" in shown

    sealed.seal_file(folder / "a.bin", tmp_path / "a.bin.sealed", key)
    opened = run.invoke(cli, ["decrypt", str(tmp_path / "a.bin.sealed")], env=env)
    assert opened.stdout.strip() == str(tmp_path / "a.bin")
    assert (tmp_path / "a.bin").read_bytes() == (folder / "a.bin").read_bytes()


def test_one_file_is_one_file(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / "a.bin").write_bytes(b"abc")
    said = CliRunner().invoke(cli, ["data", "push", str(tmp_path / "one")], env={"HOURGLASS_STATE": str(tmp_path)})
    assert "3 B in 1 file, sent to" in said.stderr
    shown = CliRunner().invoke(cli, ["data", "list"], env={"HOURGLASS_STATE": str(tmp_path)})
    assert "  1 file  " in shown.stdout


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["decrypt", "a.sealed"], "a is there already. Remove it, or name another place with --to"),
        (["decrypt", "a.sealed", "--to", "b"], "a.sealed: This is no file that Hourglass sealed"),
        (["decrypt", "none.sealed"], "none.sealed: No such file or directory"),
        (["data", "push", ".", "--encrypt"], "prints; or leave `encrypt` out."),
        (["data", "push", "nowhere"], "nowhere is not a folder"),
    ],
)
def test_what_cannot_be_done_is_one_sentence(tmp_path: Path, words: list[str], said: str) -> None:
    (tmp_path / "a.sealed").write_bytes(b"x")
    (tmp_path / "a").touch()
    with CliRunner().isolation(env={"HOURGLASS_STATE": str(tmp_path / "var"), "HOURGLASS_DATA_KEY": ""}):
        here = Path.cwd()
        os.chdir(tmp_path)
        try:
            with pytest.raises(HourglassError) as caught:
                cli(words, standalone_mode=False)
        finally:
            os.chdir(here)
    assert said in str(caught.value)
