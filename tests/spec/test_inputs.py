"""`inputs:` of a task file, what it lets a machine read, and what is found out before one is rented."""

from __future__ import annotations

from pathlib import Path

import pytest

from jobs import datakeys, inputs, provisions
from jobs.datakeys import TeamKeys
from jobs.errors import BadRequest, BadSource, BadSpec, Misconfigured
from jobs.pushing import Push, survey
from jobs.taskfile import parse_task_file
from tests.support.builders import a_spec
from trainer import datasets, wire
from trainer.datasets import Dataset, File
from trainer.sealed import new_key
from trainer.storage import FolderStore
from trainer.wire import Input

PUSHED = "imagenet@9f3c2ab8d01e77aa"


def one(name: str, source: str, to: str | None = None) -> tuple[Input, ...]:
    return (Input(name=name, source=source, to=to),)


@pytest.mark.parametrize(
    ("yaml", "expected"),
    [
        ("[{from: s3://acme-data/imagenet, to: /data}]", one("imagenet", "s3://acme-data/imagenet", "/data")),
        ("{from: s3://acme-data/imagenet/, to: data/in}", one("imagenet", "s3://acme-data/imagenet", "data/in")),
        (f"[{PUSHED}]", one("imagenet", PUSHED)),
        (PUSHED, one("imagenet", PUSHED)),
        (f"{{val: {PUSHED}}}", one("val", PUSHED)),
        ("{coco: {from: s3://b-1/a b/c.tar}}", one("coco", "s3://b-1/a b/c.tar")),
        ("[{from: s3://acme-data/Coco-2017.tar, name: coco}]", one("coco", "s3://acme-data/Coco-2017.tar")),
        ("s3://acme-data/Coco-2017.tar", one("coco_2017_tar", "s3://acme-data/Coco-2017.tar")),
        ("s3://acme.data", one("acme_data", "s3://acme.data")),
        (f"[{PUSHED}, s3://b-1/c]", one("imagenet", PUSHED) + one("c", "s3://b-1/c")),
        ("", ()),
    ],
)
def test_inputs_in_each_of_their_forms(yaml: str, expected: tuple[Input, ...]) -> None:
    assert tuple(parse_task_file(f"inputs: {yaml}\n").inputs) == expected


@pytest.mark.parametrize(
    ("yaml", "said"),
    [
        ("[{form: s3://b-1/c}]", "`form` is not a key of an input. There are from, to, name"),
        ("[{to: data}]", "an input says where it comes from"),
        ("[imagenet]", "`imagenet` names no version. `hourglass data list`"),
        ("[imagenet@latest]", "`imagenet@latest` names no version"),
        ("[gs://acme/x]", "`gs://acme/x` is neither `s3://bucket/prefix` nor what `hourglass data push` printed"),
        ("[https://example.com/x.tar]", "is neither `s3://bucket/prefix`"),
        ("[/mnt/data]", "is neither `s3://bucket/prefix`"),
        ("[s3://]", "names no bucket"),
        ("[s3://Acme_Data/x]", "names no bucket"),
        ("['s3://acme-data/*']", "without `*`, `?`, `$`"),
        ("['s3://acme-data/${aws:username}']", "without `*`, `?`, `$`"),
        ("[s3://acme-data/a/../b]", "without `*`, `?`, `$`, `..` or empty parts"),
        ("[s3://acme-data/a//b]", "or empty parts"),
        ("[{from: s3://b-1/c, to: ../x}]", "`to: ../x` must be a folder inside the repository"),
        ("[{from: s3://b-1/c, to: /}]", "`to: /` must be"),
        ("[{from: s3://b-1/c, to: .}]", "`to: .` must be"),
        ("[{from: s3://b-1/c, to: ~/x}]", "`to: ~/x` must be"),
        ("[{from: s3://b-1/c, to: /a/../etc}]", "must be a folder inside"),
        ("[{from: s3://b-1/c, to: /etc/x}]", "`to: /etc/x` belongs to the image"),
        ("[{from: s3://b-1/c, name: ÜBER}]", "`ÜBER` cannot name an input"),
        ("[s3://b-1/c, s3://b-2/c]", "two inputs are called `c`"),
        ("[{from: s3://b-1/c, to: d}, {from: s3://b-1/e, to: d}]", "two inputs go to `d`"),
        ("[" + ", ".join(f"s3://b-1/x{n}" for n in range(9)) + "]", "9 inputs; a machine takes 8"),
        ("{a: [x]}", "an input must hold `key: value` lines"),
    ],
)
def test_what_is_wrong_with_an_input_is_said_with_its_line(yaml: str, said: str) -> None:
    with pytest.raises(BadSpec) as caught:
        parse_task_file(f"image: a\ninputs: {yaml}\n")
    assert str(caught.value).startswith("`.hourglass.yml` line 2: ")
    assert said in str(caught.value)


def test_a_machine_may_read_what_its_inputs_name_and_no_more() -> None:
    taken = one("a", PUSHED) + one("b", "imagenet@0123456789abcdef") + one("c", "s3://acme-data/coco")
    assert inputs.reads(taken) == ("data/index/imagenet", "data/parts/imagenet", "s3://acme-data/coco")


# ---------------------------------------------------------------- before a machine is rented


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    return FolderStore(tmp_path / "store")


def refused(store: FolderStore, taken: tuple[Input, ...], *, uri: str = "s3://team-files/hg", **changes: object) -> str:
    keys = changes.pop("keys", TeamKeys())
    assert isinstance(keys, TeamKeys)
    with pytest.raises(BadRequest) as caught:
        provisions.check(a_spec(inputs=taken, **changes), "vision", store=store, store_uri=uri, keys=keys)
    return str(caught.value)


@pytest.mark.parametrize(
    ("source", "uri"),
    [
        ("s3://team-files", "s3://team-files/hg"),
        ("s3://team-files/hg", "s3://team-files/hg"),
        ("s3://team-files/hg/launch/k3/a1-r0", "s3://team-files/hg/"),
        ("s3://team-files/a", "s3://team-files/a/b"),
        ("s3://team-files/anything", "s3://team-files"),
    ],
)
def test_no_job_takes_along_what_others_keep_in_the_bots_own_store(store: FolderStore, source: str, uri: str) -> None:
    assert "names the bot's own store" in refused(store, one("a", source), uri=uri)


@pytest.mark.parametrize("source", ["s3://team-files/hgx", "s3://team-files/data", "s3://others/hg"])
def test_what_lies_beside_the_store_may_be_taken(store: FolderStore, source: str) -> None:
    spec = a_spec(inputs=one("a", source))
    provisions.check(spec, "vision", store=store, store_uri="s3://team-files/hg", keys=TeamKeys())


def test_what_could_not_begin_is_refused_before_money_is_spent(store: FolderStore, tmp_path: Path) -> None:
    assert "no credentials for any" in refused(store, one("a", "s3://b-1/c"), uri="file:///var/store")
    assert f"there is no {PUSHED}" in refused(store, one("a", PUSHED))
    assert "no key to encrypt with" in refused(store, (), checkpoint_encrypt=True)

    large = Dataset(name="large", at=1.0, part=10**12, files=(File("a", 10**12, ("0" * 64,)),))
    version = datasets.version_of(large)
    store.put(datasets.index_key("large", version), datasets.encode(large, None))
    said = refused(store, one("a", f"large@{version}"))
    assert said.startswith("The inputs have 1,000 GB and the machine's disk 100 GB")
    assert "resources: {disk: 1250GB}" in said

    key, (folder, file) = new_key(), (tmp_path / "mine", tmp_path / "mine" / "a")
    folder.mkdir()
    file.write_bytes(b"x")
    sealed = one("a", Push(store, "secret", survey(folder), key=key, now=1.0).run().reference)
    assert key.id in refused(store, sealed)
    mine = datakeys.read(f"vision={key.word}")
    provisions.check(a_spec(inputs=sealed), "vision", store=store, store_uri="file:///s", keys=mine)
    with pytest.raises(BadSource, match=key.id):
        provisions.check(a_spec(inputs=sealed), "audio", store=store, store_uri="file:///s", keys=mine)


# ---------------------------------------------------------------- the teams' keys


def test_a_team_with_keys_of_its_own_uses_no_others_and_the_newest_seals() -> None:
    mine, old, everybodys = new_key(), new_key(), new_key()
    keys = datakeys.read(f" vision={mine.word}, {everybodys.word},vision={old.word},")
    assert keys.of("vision").keys == (mine, old)
    assert keys.of("audio").keys == (everybodys,)
    assert keys.sealing("vision") == mine
    assert datakeys.read("").of("vision").first is None
    assert mine.word not in repr(keys)


@pytest.mark.parametrize("said", ["nonsense", "vision=", "hgk_short", "vision=hgk_short"])
def test_what_is_no_key_stops_the_start_and_is_not_repeated(said: str) -> None:
    with pytest.raises(Misconfigured, match="HOURGLASS_DATA_KEY cannot be used, its part 2") as caught:
        datakeys.read(f"{new_key().word},{said}")
    assert "short" not in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "resumes", "given"),
    [
        ({}, False, False),
        ({"inputs": one("a", "s3://b-1/c")}, False, False),
        ({"inputs": one("a", PUSHED)}, False, True),
        ({"checkpoint_encrypt": True}, False, True),
        ({}, True, True),
    ],
)
def test_a_machine_is_given_keys_only_where_its_job_has_a_use_for_them(
    changes: dict[str, object], resumes: bool, given: bool
) -> None:
    one_, two = new_key(), new_key()
    keys = datakeys.read(f"{one_.word},{two.word}")
    expected = {wire.ENV_KEYS: f"{one_.word}\n{two.word}"} if given else {}
    assert keys.variables("vision", a_spec(**changes), resumes=resumes) == expected
    assert datakeys.read("").variables("vision", a_spec(**changes), resumes=resumes) == {}
