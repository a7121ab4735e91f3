"""On an S3 that enforces what it is told: a machine's token reads its inputs, writes its attempt, and nothing else."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from jobs.credentials import job_credentials
from jobs.inputs import reads
from jobs.leases import KEY_ID, SECRET, TOKEN, lease_of
from jobs.pushing import Push, survey
from tests.support import radosgw
from tests.support.line import BrittleLine
from tests.support.radosgw import REGION, ROLE, Radosgw
from tests.trainer.rented import JOB, Rented, until
from trainer import wire
from trainer.archive import build
from trainer.parts import Parts
from trainer.sealed import Ring, new_key, unseal
from trainer.storage import S3Store, Store, StoreFault, StoreRefusal, open_store
from trainer.wire import CheckpointRule, Input

# One gateway for the file: each worker that got a test of it would start its own.
pytestmark = [pytest.mark.slow, pytest.mark.s3, pytest.mark.xdist_group("s3"), pytest.mark.timeout(300)]

SIZE = 70_000_000  # bytes of a checkpoint: more than one part of an upload
PART = 16 * 2**20
IN_THE_AIR = 10  # parts at once: what a cut may cost
SPARE = 2**20  # bytes of headers and questions
LARGE = 12 * PART + 12_345
SMALLEST = 5 * 2**20
SCRIPT = f"""
import os, pathlib, zipfile
words, coco = (pathlib.Path(os.environ["HOURGLASS_INPUT_" + name]) for name in ("WORDS", "COCO"))
print(words.joinpath("a.txt").read_text(), coco.joinpath("b/c.txt").read_text(), flush=True)
print("step 1: loss 1.0", flush=True)
os.makedirs("out")
with zipfile.ZipFile("out/.ckpt", "w") as file:
    file.writestr("weights", os.urandom({SIZE}))
os.rename("out/.ckpt", "out/ckpt.pt")
"""


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Radosgw]:
    """A gateway with the team's bucket, and one of somebody's with two folders in it."""
    radosgw.require()
    running = Radosgw(tmp_path_factory.mktemp("ceph"))
    running.client("s3", running.bot).create_bucket(Bucket="team-files")
    s3 = running.client("s3", running.owner)
    s3.create_bucket(Bucket="acme-data")
    for key in ("coco/b/c.txt", "coco-secret/b.txt", "secret/b.txt"):
        s3.put_object(Bucket="acme-data", Key=key, Body=key.encode())
    yield running
    running.close()


def bots(gateway: Radosgw) -> Store:
    """Return the store as the bot sees it."""
    named = {"AWS_ACCESS_KEY_ID": gateway.bot["access_key"], "AWS_SECRET_ACCESS_KEY": gateway.bot["secret_key"]}
    return open_store("s3://team-files/hg", {**prefixed(named), **reach(gateway)})


def reach(gateway: Radosgw) -> dict[str, str]:
    return prefixed({"AWS_ENDPOINT_URL": gateway.endpoint, "AWS_REGION": REGION})


def prefixed(named: dict[str, str]) -> dict[str, str]:
    return {f"{wire.ENV_STORE_PREFIX}{name}": value for name, value in named.items()}


def lent(gateway: Radosgw, *inputs: Input) -> dict[str, str]:
    sts = gateway.client("sts", gateway.bot)
    return {**job_credentials(sts, ROLE, "team-files", "hg", JOB, 1, 900, reads(inputs)), **reach(gateway)}


def test_a_checkpoint_on_a_line_that_breaks_is_gone_on_with_and_the_tokens_right_is_enough(
    gateway: Radosgw, tmp_path: Path
) -> None:
    path, key = tmp_path / "ckpt.pt", "jobs/J1/a1/ckpt/step-000001/ckpt.pt"
    path.write_bytes(os.urandom(LARGE))
    with BrittleLine(gateway.endpoint) as line:
        store = open_store("s3://team-files/hg", {**lent(gateway), **prefixed({"AWS_ENDPOINT_URL": line.endpoint})})
        line.break_after(LARGE - PART // 2)  # all but the last parts have arrived by then
        with pytest.raises(StoreFault):
            store.put_file(key, path, "its digest")
        assert bots(gateway).size(key) is None
        before = line.sent
        line.mend()
        store.put_file(key, path, "its digest")
        assert line.sent - before < IN_THE_AIR * PART + SPARE
    assert sha256_of(bots(gateway).blocks(key)) == hashlib.sha256(path.read_bytes()).hexdigest()
    assert halves(gateway) == []


def test_a_large_object_is_copied_within_the_store_in_parts(gateway: Radosgw, tmp_path: Path) -> None:
    path, key = tmp_path / "ckpt.pt", "jobs/J1/a1/ckpt/step-000001/ckpt.pt"
    path.write_bytes(os.urandom(LARGE))
    store = bots(gateway)
    store.put_file(key, path)
    with BrittleLine(gateway.endpoint) as line:
        named = {"AWS_ACCESS_KEY_ID": gateway.bot["access_key"], "AWS_SECRET_ACCESS_KEY": gateway.bot["secret_key"]}
        through = {**reach(gateway), **prefixed({**named, "AWS_ENDPOINT_URL": line.endpoint})}
        assert open_store("s3://team-files/hg", through).copy(key, "jobs/J2/a0/ckpt/step-000001/ckpt.pt")
        assert line.sent < SPARE
    copied = store.blocks("jobs/J2/a0/ckpt/step-000001/ckpt.pt")
    assert sha256_of(copied) == hashlib.sha256(path.read_bytes()).hexdigest()


def test_halves_are_removed_when_they_are_not_gone_on_with_or_begun_anew_when_somebody_removed_them(
    gateway: Radosgw, tmp_path: Path
) -> None:
    path = tmp_path / "ckpt.pt"
    path.write_bytes(os.urandom(6 * SMALLEST))
    with BrittleLine(gateway.endpoint) as line:
        once = Config(retries={"total_max_attempts": 1})
        client = gateway.client("s3", gateway.bot, endpoint_url=line.endpoint, config=once)
        parts = Parts(client, "team-files", part=SMALLEST, parallel=1, code=S3Store.code)

        def cut() -> dict[str, Any]:
            line.break_after(line.sent + 3 * SMALLEST)
            with pytest.raises(BotoCoreError):
                parts.send("ckpt.pt", path, "its digest")
            line.mend()
            (half,) = halves(gateway)
            return half

        cut()
        parts.forget("ckpt.pt")
        assert halves(gateway) == []
        half = cut()
        gateway.client("s3", gateway.bot).abort_multipart_upload(
            Bucket="team-files", Key="ckpt.pt", UploadId=half["UploadId"]
        )
        with pytest.raises(ClientError, match="NoSuchUpload"):
            parts.send("ckpt.pt", path, "its digest")
        parts.send("ckpt.pt", path, "its digest")
    assert gateway.client("s3", gateway.bot).head_object(Bucket="team-files", Key="ckpt.pt")["ContentLength"] == (
        6 * SMALLEST
    )


def halves(gateway: Radosgw) -> list[dict[str, Any]]:
    listed = gateway.client("s3", gateway.bot).list_multipart_uploads(Bucket="team-files")
    return list(listed.get("Uploads", []))


def sha256_of(blocks: Iterable[bytes]) -> str:
    digest = hashlib.sha256()
    for block in blocks:
        digest.update(block)
    return digest.hexdigest()


def machine(folder: Path, store: Store) -> Rented:
    """Return a machine of which nothing lies in the store."""
    for left in [*store.keys(f"jobs/{JOB}"), *store.keys(f"control/{JOB}")]:
        store.delete(left)  # other tests' of this gateway
    return Rented(folder, build(folder / "trainer.pyz", with_s3=True), store=store, uri="s3://team-files/hg")


COCO = Input(name="coco", source="s3://acme-data/coco")


def test_a_machine_with_its_own_token_takes_along_trains_and_keeps(gateway: Radosgw, tmp_path: Path) -> None:
    store, key = bots(gateway), new_key()
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "a.txt").write_text("from a folder")
    sent = Push(store, "words", survey(tmp_path / "mine"), key=key, now=1.0).run()
    words = Input(name="words", source=sent.reference)
    rented = machine(tmp_path, store)
    rented.order(
        {"train.py": SCRIPT},
        argv=["python", "train.py"],
        inputs=(words, COCO),
        checkpoints=CheckpointRule(path="out", upload_every=0.2, keep=2, encrypt=True),
        seconds=120.0,
    )
    try:
        assert rented.run(90.0, **lent(gateway, words, COCO), **{wire.ENV_KEYS: key.word}) == 0
        assert "from a folder coco/b/c.txt" in rented.log().splitlines()
        ((name, manifest),) = rented.manifests().items()
        (entry,) = manifest.files
        kept = store.blocks(f"{wire.checkpoint_prefix(JOB, 1, name)}/{entry.path}")
        assert sum(len(block) for block in unseal(kept, Ring((key,)))) > SIZE
    finally:
        rented.close()


LONG_SCRIPT = """
import os, pathlib, time, zipfile
os.makedirs("out")
print(sorted(os.environ), flush=True)
for step in (1, 2):
    print(f"step {step}: loss 1.0", flush=True)
    with zipfile.ZipFile("out/.ckpt", "w") as file:
        file.writestr("weights", os.urandom(1_000_000))
    os.rename("out/.ckpt", f"out/step_{step}.pt")
    while not pathlib.Path(f"../../go{step}").exists():  # beside the machine's folder: the test's own
        time.sleep(0.05)
"""


@pytest.mark.parametrize("late", [False, True], ids=["in time", "too late, by the link"])
def test_credentials_that_end_while_a_job_runs_are_replaced_and_nothing_is_lost(
    gateway: Radosgw, tmp_path: Path, late: bool
) -> None:
    """The first session's role loses its rights while the job runs; what the machine keeps later is the second's."""
    role = "hourglass-late" if late else "hourglass-first"
    first, sts, store = gateway.role(role), gateway.client("sts", gateway.bot), bots(gateway)
    assert isinstance(store, S3Store)
    rented = machine(tmp_path, store)
    rented.order({"train.py": LONG_SCRIPT}, argv=["python", "train.py"], seconds=240.0)
    key = wire.lease_key(JOB, 1)
    following = job_credentials(sts, ROLE, "team-files", "hg", JOB, 1, 900)
    with BrittleLine(gateway.endpoint) as line:
        link = {wire.ENV_LEASE_URL: store.sign("GET", key, 900)} if late else {}
        try:
            rented.start(
                **job_credentials(sts, first, "team-files", "hg", JOB, 1, 900),
                **reach(gateway) | prefixed({"AWS_ENDPOINT_URL": line.endpoint}),
                **link,
            )
            until(lambda: len(rented.manifests()) == 1)
            if late:
                gateway.disallow(role)
            store.put(key, wire.to_json(lease_of(following)))
            until(lambda: following[KEY_ID].encode() in line.keys)
            if not late:
                gateway.disallow(role)
            (tmp_path / "go1").touch()
            until(lambda: len(rented.manifests()) == 2)
            (tmp_path / "go2").touch()
            assert rented.wait(60) == 0
            assert rented.outcome()["reason"] == "finished"
            assert len(rented.series("loss")) == 2
            told = rented.log() + repr(rented.events())
            assert "HOURGLASS_JOB" in told and "HOURGLASS_STORE" not in told
            assert not any(following[name] in told for name in (KEY_ID, SECRET, TOKEN))
        finally:
            rented.close()


def test_an_upload_that_began_with_one_session_is_finished_with_the_next(gateway: Radosgw, tmp_path: Path) -> None:
    first = gateway.role("hourglass-begins")
    path, key = tmp_path / "ckpt.pt", "jobs/J1/a1/ckpt/step-000009/ckpt.pt"
    path.write_bytes(os.urandom(LARGE))
    sts = gateway.client("sts", gateway.bot)
    with BrittleLine(gateway.endpoint) as line:
        env = {**job_credentials(sts, first, "team-files", "hg", JOB, 1, 900), **reach(gateway)}
        store = open_store("s3://team-files/hg", {**env, **prefixed({"AWS_ENDPOINT_URL": line.endpoint})})
        line.break_after(LARGE - PART // 2)
        with pytest.raises(StoreFault):
            store.put_file(key, path, "its digest")
        line.mend()
        gateway.disallow("hourglass-begins")
        with pytest.raises(StoreFault, match="AccessDenied"):
            store.put_file(key, path, "its digest")
        assert isinstance(store, S3Store) and store.lent is not None
        store.lent.take(lease_of(job_credentials(sts, ROLE, "team-files", "hg", JOB, 1, 900)))
        before = line.sent
        store.put_file(key, path, "its digest")
        assert line.sent - before < IN_THE_AIR * PART + SPARE
    assert sha256_of(bots(gateway).blocks(key)) == hashlib.sha256(path.read_bytes()).hexdigest()


def test_the_token_opens_nothing_beside_it(gateway: Radosgw) -> None:
    words = Input(name="words", source="words@0123456789abcdef")
    store = bots(gateway)
    kept = ("data/parts/words/1", "data/parts/words-secret/1", "jobs/J2/a1/log", "launch/J1/a1-r0/bundle")
    for key in kept:
        store.put(key, b"x")
    env = lent(gateway, words, COCO)
    mine = open_store("s3://team-files/hg", env)
    assert mine.get("data/parts/words/1") == b"x"
    mine.put("jobs/J1/a1/log/1", b"x")
    foreign = {place: open_store(f"s3://acme-data/{place}", env) for place in ("coco", "coco-secret", "secret")}
    coco = foreign["coco"]
    assert isinstance(coco, S3Store)
    assert [found.key for found in coco.listed()] == ["b/c.txt"]
    refused = [
        *((mine.get, key) for key in kept[1:]),
        *((foreign[place].get, "b.txt") for place in ("coco-secret", "secret")),
    ]
    for read, key in refused:
        with pytest.raises(StoreRefusal, match="AccessDenied"):
            read(key)
    for key in ("data/parts/words/1", "data/index/words/1", "jobs/J2/a1/log", "control/J1/a1.json"):
        with pytest.raises(StoreRefusal, match="AccessDenied"):
            mine.put(key, b"changed")
    for key in ("data/parts/words/1", "jobs/J2/a1/log"):
        with pytest.raises(StoreRefusal, match="AccessDenied"):
            mine.delete(key)
    with pytest.raises(StoreRefusal, match="AccessDenied"):
        coco.put("b/c.txt", b"changed")
