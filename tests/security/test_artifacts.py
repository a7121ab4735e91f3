"""Names and manifests that lie: on the machine nothing outside the folder is taken, at the bot nothing is believed."""

from __future__ import annotations

import io
import json
import os
import socket
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from jobs import db
from jobs.model import Checkpoint
from tests.support.builders import a_request
from tests.support.world import Agent, World
from tests.trainer.saving import Run
from tests.trainer.test_whole import zipped
from trainer import fetch, wire
from trainer.fetch import CannotStart
from trainer.storage import FolderStore, StoreFault, checked
from trainer.wire import tame

SHA = "0" * 64

WILD = (
    "", ".", "..", "/", "/etc/passwd", "../x.pt", "a/../../x.pt", "a//x.pt", "./x.pt", "a/./x.pt", "a/", "a\\b.pt",
    "..\\x.pt", "C:\\x.pt", "a\0b.pt", "a\nb.pt", "a\rb.pt", "\x1b[31mx.pt", "a\u202egnp.pt", "a\u200bb.pt",
    "a\u2066b.pt", "\ufeffx.pt", "a\udcffb.pt", "a" * 201, "é" * 101, "/".join(["a" * 150] * 5), "manifest.json",
    "a\x7fb.pt", "a\u2028b.pt",
)  # fmt: skip
TAME = ("x.pt", "model weights.pt", "step-1/model-00001-of-00002.safetensors", "模型.pt", "a'b\"c.pt", "--help.pt",
        "$(touch x).pt", "`id`.pt", "a|b>c<d&.pt", "~x.pt", "sub/manifest.json", "%2e%2e.pt")  # fmt: skip


@pytest.mark.parametrize("name", WILD, ids=ascii)
def test_what_no_store_keeps_is_known_as_such(name: str) -> None:
    assert not tame(name)


@pytest.mark.parametrize("name", TAME)
def test_what_is_only_odd_is_kept(name: str, tmp_path: Path) -> None:
    assert tame(name)
    assert checked(name) == name
    store = FolderStore(tmp_path)
    store.put(name, b"x")
    assert (list(store.keys("")), store.get(name)) == ([name], b"x")


# ------------------------------------------------------------ the machine's side


@pytest.mark.parametrize(
    "name", ["a\\b.pt", "a\nb.pt", "\udcff.pt", "\u202ex.pt", "n" * 240 + ".pt", "\x1b[2J.pt"], ids=ascii
)
def test_a_file_that_no_store_keeps_holds_nobody_up(tmp_path: Path, name: str) -> None:
    run = Run(tmp_path)
    zipped(run.out / name)
    zipped(run.out / "step_1.pt")
    # The last look is taken again until it succeeds, up to the deadline, and the machine is billed meanwhile.
    assert run.artifacts.look(final=True)
    assert run.names() == ["step-000001"]
    assert [code for code, _ in run.notices] == ["checkpoint_name"]
    assert run.notices[0][1].isprintable()


def test_such_a_file_beside_others_costs_itself_alone(tmp_path: Path) -> None:
    run = Run(tmp_path)
    for name in ("model.pt", "optimizer.pt", "bad\n.pt"):
        zipped(run.out / name)
    assert run.artifacts.look(final=True)
    assert [entry.path for entry in run.manifest("model-1").files] == ["model.pt", "optimizer.pt"]
    assert [code for code, _ in run.notices] == ["checkpoint_name"]


def test_a_folder_with_such_a_file_is_passed_over_whole(tmp_path: Path) -> None:
    run = Run(tmp_path)
    zipped(run.out / "checkpoint-1" / "model\n.pt")
    zipped(run.out / "checkpoint-2" / "model.pt")
    assert run.artifacts.look(final=True)
    assert run.names() == ["step-000002"]


def test_a_manifest_of_the_script_s_own_takes_no_one_s_place(tmp_path: Path) -> None:
    run = Run(tmp_path)
    zipped(run.out / "model.bin")
    (run.out / "manifest.json").write_text("{}")
    assert run.artifacts.look(final=True)
    assert run.names() == []
    assert [code for code, _ in run.notices] == ["checkpoint_name"]


def outside(run: Run) -> Path:
    """Return a file that is none of the run's."""
    secret = run.root.parent / "outside.pt"
    zipped(secret)
    return secret


def linked(run: Run) -> None:
    (run.out / "model.pt").symlink_to(outside(run))


def linked_relatively(run: Run) -> None:
    outside(run)
    (run.out / "model.pt").symlink_to("../../outside.pt")


def linked_folder(run: Run) -> None:
    folder = run.root.parent / "elsewhere"
    zipped(folder / "model.pt")
    (run.out / "checkpoint-1").symlink_to(folder)


def linked_out(run: Run) -> None:
    folder = run.root.parent / "elsewhere"
    zipped(folder / "model.pt")
    run.out.rmdir()
    run.out.symlink_to(folder)


def circle(run: Run) -> None:
    (run.out / "model.pt").symlink_to("model.pt")
    (run.out / "loop").symlink_to(".")


def pipe(run: Run) -> None:
    os.mkfifo(run.out / "model.pt")


def door(run: Run) -> None:
    here = Path.cwd()
    os.chdir(run.out)  # the address of a socket is short
    try:
        with socket.socket(socket.AF_UNIX) as bound:
            bound.bind("model.pt")
    finally:
        os.chdir(here)


def device(run: Run) -> None:
    (run.out / "model.pt").symlink_to("/dev/zero")


def process(run: Run) -> None:
    (run.out / "model.pt").symlink_to("/proc/self/environ")


def inside_a_folder(run: Run) -> None:
    folder = run.out / "checkpoint-1"
    folder.mkdir()
    (folder / "model.pt").symlink_to(outside(run))


@pytest.mark.parametrize(
    "trick",
    [linked, linked_relatively, linked_folder, linked_out, circle, pipe, door, device, process, inside_a_folder],
    ids=lambda trick: trick.__name__,
)
def test_nothing_outside_is_taken(tmp_path: Path, trick: Callable[[Run], None]) -> None:
    run = Run(tmp_path)
    trick(run)
    assert run.artifacts.look(final=True)
    assert list(run.store.keys("")) == []


@pytest.mark.parametrize("path", ["../outside.pt", "model.pt", "/etc/hostname", "out/../../outside.pt"])
def test_what_a_script_names_is_taken_only_from_its_folder(tmp_path: Path, path: str) -> None:
    run = Run(tmp_path)
    outside(run)
    (run.root / "model.pt").symlink_to(run.root.parent / "outside.pt")
    run.artifacts.look(final=True, named=[run.root / path])
    assert list(run.store.keys("")) == []


def test_a_link_that_takes_a_file_s_place_for_a_moment_is_not_followed(tmp_path: Path) -> None:
    run = Run(tmp_path)
    zipped(run.out / "step_1.pt")
    secret = outside(run)

    def swapped(file: Path, copy: Path) -> Path:
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.symlink_to(secret)  # what copying makes of a link that stood there, which is away again now
        return copy

    run.copying = swapped
    run.artifacts.look(final=True)
    assert list(run.store.keys("")) == []


def packed(path: Path, *members: tarfile.TarInfo) -> Path:
    """Write an archive with these members, none of them with content."""
    with tarfile.open(path, "w:gz") as tar:
        for member in members:
            tar.addfile(member, io.BytesIO(b"x" * member.size))
    return path


def member(name: str, kind: bytes = tarfile.REGTYPE, target: str = "") -> tarfile.TarInfo:
    found = tarfile.TarInfo(name)
    found.type, found.linkname = kind, target
    return found


@pytest.mark.parametrize(
    "members",
    [
        [member("../evil")],
        [member("/evil")],
        [member("a/../../evil")],
        [member("link", tarfile.SYMTYPE, "/")],
        [member("link", tarfile.SYMTYPE, "..")],
        [member("a/link", tarfile.SYMTYPE, "../../evil")],
        [member("link", tarfile.LNKTYPE, "/etc/passwd")],
        [member("link", tarfile.LNKTYPE, "../evil")],
        [member("d", tarfile.SYMTYPE, "a"), member("d/evil")],
        [member("d", tarfile.SYMTYPE, "."), member("./d/../d/evil")],
        [member("evil", tarfile.CHRTYPE)],
        [member("evil", tarfile.BLKTYPE)],
        [member("evil", tarfile.FIFOTYPE)],
    ],
    ids=lambda members: " ".join(ascii(m.name) for m in members),
)
def test_no_archive_reaches_out(tmp_path: Path, members: list[tarfile.TarInfo]) -> None:
    archive = packed(tmp_path / "a.tar.gz", *members)
    with pytest.raises(CannotStart):
        fetch.unpack(archive, tmp_path / "in" / "source")
    assert not list(tmp_path.rglob("evil"))


@pytest.mark.parametrize("name", [*WILD, 7, None, ["x"]], ids=ascii)
def test_a_manifest_that_names_other_places_is_no_checkpoint_to_go_on_from(tmp_path: Path, name: object) -> None:
    store = FolderStore(tmp_path / "store")
    entry = {"path": name, "size": 1, "sha256": SHA}
    manifest = {"name": "n", "step": 1, "at": 0.0, "files": [entry]}
    store.put("p/manifest.json", json.dumps(manifest).encode())
    with pytest.raises(CannotStart, match="cannot be used"):
        fetch.checkpoint(store, "p", tmp_path / "deep" / "out")
    assert not (tmp_path / "deep").exists()


# ------------------------------------------------------------ the bot's side


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


GOOD: dict[str, Any] = {"path": "model.pt", "size": 7, "sha256": SHA}

LIES: tuple[tuple[str, object], ...] = (
    *((f"the path {name!a}", [GOOD | {"path": name}]) for name in WILD),
    ("no path", [{"size": 1, "sha256": SHA}]),
    ("a path that is a number", [GOOD | {"path": 3}]),
    ("a path that is a list", [GOOD | {"path": ["a"]}]),
    ("a path twice", [GOOD, GOOD]),
    ("a size below zero", [GOOD | {"size": -1}]),
    ("a size beyond every disk", [GOOD | {"size": 2**63}]),
    ("sizes beyond every disk", [GOOD | {"size": 2**62}, GOOD | {"path": "b", "size": 2**62}]),
    ("a size that is a word", [GOOD | {"size": "7"}]),
    ("a size that is true", [GOOD | {"size": True}]),
    ("a size that is endless", [GOOD | {"size": float("inf")}]),
    ("a size that is no number", [GOOD | {"size": float("nan")}]),
    ("a size with a fraction", [GOOD | {"size": 7.5}]),
    ("no size", [GOOD | {"size": None}]),
    ("a short sha", [GOOD | {"sha256": "0" * 63}]),
    ("a sha with markup", [GOOD | {"sha256": "<!channel>".ljust(64, "0")}]),
    ("a sha that is a number", [GOOD | {"sha256": 0}]),
    ("a field too many", [GOOD | {"run": "id"}]),
    ("files that are a word", "model.pt"),
    ("files that are a number", 7),
    ("files that are null", None),
    ("files in files", [[GOOD]]),
)


@pytest.mark.parametrize(("what", "files"), LIES, ids=[what for what, _ in LIES])
def test_a_lying_manifest_is_no_checkpoint_and_hides_nothing_else(world: World, what: str, files: object) -> None:
    job, agent = world.running()
    prefix = wire.checkpoint_prefix(job, 1, "step-1")
    manifest = {"name": "step-1", "step": 1, "at": 0.0, "files": files}
    world.store.put(f"{prefix}/manifest.json", json.dumps(manifest).encode())
    told(world, agent, name="step-1", manifest=f"{prefix}/manifest.json")
    assert saved(world, job) == []
    assert world.job(job).step == 5  # the words beside it count


@pytest.mark.parametrize(
    "data",
    [b"", b"\xff\xfe", b"[]", b"null", b"[" * 100_000, b'{"files":' * 50_000, b"{" + b" " * 5_000_000 + b"}"],
    ids=["nothing", "no text", "a list", "null", "a deep list", "a deep table", "a long one"],
)
def test_a_manifest_that_is_none_hides_nothing_else(world: World, data: bytes) -> None:
    job, agent = world.running()
    key = wire.manifest_key(job, 1, "step-1")
    world.store.put(key, data)
    told(world, agent, name="step-1", manifest=key)
    assert (saved(world, job), world.job(job).step) == ([], 5)


@pytest.mark.parametrize(
    "key",
    [
        "jobs/other/a1/ckpt/step-1/manifest.json",
        "jobs/{job}/a2/ckpt/step-1/manifest.json",
        "jobs/{job}/a1/ckpt/../../../other/manifest.json",
        "jobs/{job}/a1/ckpt/step-1/../step-1/manifest.json",
        "jobs/{job}/a1/ckpt/step-2/manifest.json",
        "jobs/{job}/a1/ckpt/step-1/model.pt",
        "/jobs/{job}/a1/ckpt/step-1/manifest.json",
        "jobs/{job}/a1/ckpt//step-1/manifest.json",
        "control/manifest.json",
    ],
)
def test_a_manifest_elsewhere_is_not_read(world: World, key: str) -> None:
    job, agent = world.running()
    key = key.format(job=job)
    whole = {"name": "step-1", "step": 1, "at": 0.0, "files": [GOOD]}
    for place in (key, "jobs/other/manifest.json", "jobs/other/a1/ckpt/step-1/manifest.json"):
        try:
            world.store.put(place, json.dumps(whole).encode())
        except StoreFault:
            continue  # such a key no store takes
    told(world, agent, name="step-1", manifest=key)
    assert saved(world, job) == []


def test_what_is_whole_is_taken(world: World) -> None:
    job, agent = world.running()
    key = wire.manifest_key(job, 1, "step-1")
    world.store.put(key, json.dumps({"name": "step-1", "step": 1, "at": 0.0, "files": [GOOD]}).encode())
    told(world, agent, name="step-1", manifest=key)
    assert [row.files for row in saved(world, job)] == [[GOOD]]


def test_checkpoints_stand_in_the_order_in_which_they_were_saved(world: World) -> None:
    job, agent = world.running()
    now = world.clock.now().timestamp()
    for name, written in (("step-3", now - 10), ("step-1", now - 90), ("step-2", now - 50)):  # the newest goes first
        key = wire.manifest_key(job, 1, name)
        world.store.put(key, json.dumps({"name": name, "step": 1, "at": now, "files": [GOOD]}).encode())
        told(world, agent, name=name, manifest=key, written=written)
    assert [row.name for row in saved(world, job)] == ["step-1", "step-2", "step-3"]


def told(world: World, agent: Agent, **data: Any) -> None:
    """Let the machine tell of a checkpoint, and of a step in the same breath."""
    at = world.clock.now().timestamp()
    progress = {"t": at, "kind": "progress", "data": {"step": 5}}
    agent.writes([{"t": at, "kind": "checkpoint", "data": data}, progress])
    world.follow.round()


def saved(world: World, job_id: str) -> list[Checkpoint]:
    with world.db.read() as tx:
        return db.checkpoints(tx, job_id)


def test_a_checkpoint_is_carried_over_within_the_store(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    parent, agent = world.running()
    agent.saves("step-1", 1)
    world.follow.round()
    monkeypatch.setattr(world.store, "get_file", None)  # which this computer's disk would have to hold
    again = world.launch(request=a_request(delivery="again", rerun_of=parent, resume=True))
    here = f"jobs/{again}/a0/ckpt/step-1"
    assert world.store.get(f"{here}/ckpt.pt") == b"step-1"
    assert world.store.get(f"{here}/manifest.json") == world.store.get(wire.manifest_key(parent, 1, "step-1"))


@pytest.mark.parametrize(
    ("doubted", "expected"), [((False, True), "step-1"), ((True, False), "step-2"), ((True, True), "step-2")]
)
def test_who_asks_for_the_last_checkpoint_gets_one_that_may_be_half_only_where_there_is_no_other(
    world: World, doubted: tuple[bool, bool], expected: str
) -> None:
    parent, agent = world.running()
    for step, unproven in enumerate(doubted, start=1):
        agent.saves(f"step-{step}", step, unproven=unproven)
    world.follow.round()
    again = world.launch(request=a_request(delivery="again", rerun_of=parent, resume=True))
    copied = {key.split("/")[4] for key in world.store.keys(f"jobs/{again}") if "/ckpt/" in key}
    assert copied == {expected}


def test_of_a_job_that_saved_nothing_what_it_went_on_from_is_gone_on_from(world: World) -> None:
    first, agent = world.running()
    agent.saves("step-1", 1)
    world.follow.round()
    second = world.launch(request=a_request(delivery="second", rerun_of=first, resume=True))
    third = world.launch(request=a_request(delivery="third", rerun_of=second, resume=True))
    assert {key.split("/")[4] for key in world.store.keys(f"jobs/{third}") if "/ckpt/" in key} == {"step-1"}
    fresh = world.launch(request=a_request(delivery="fresh", rerun_of=second))
    anew = world.launch(request=a_request(delivery="anew", rerun_of=fresh, resume=True))
    assert [key for key in world.store.keys(f"jobs/{anew}") if "/ckpt/" in key] == []


def test_a_checkpoint_is_carried_over_only_at_the_size_that_was_told(world: World) -> None:
    parent, agent = world.running()
    for name, step in (("step-1", 1), ("step-2", 2)):
        agent.saves(name, step)
    world.follow.round()
    world.store.put(f"{wire.checkpoint_prefix(parent, 1, 'step-2')}/ckpt.pt", b"x" * 1_000_000)
    again = world.launch(request=a_request(delivery="again", rerun_of=parent, resume=True))
    copied = [key for key in world.store.keys(f"jobs/{again}") if "/ckpt/" in key]
    assert copied == [f"jobs/{again}/a0/ckpt/step-1/{file}" for file in ("ckpt.pt", "manifest.json")]
