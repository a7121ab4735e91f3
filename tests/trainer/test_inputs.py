"""What a job takes along: fetched once, checked, resumed, shared, and refused with what to do."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from jobs.pushing import Push, survey
from tests.trainer.conftest import CREDENTIALS
from tests.trainer.rented import Rented
from trainer import datasets, wire
from trainer.cache import SPARE, Cache, Given, NoRoom
from trainer.datasets import Dataset, File
from trainer.downloads import Download
from trainer.fetch import CannotStart
from trainer.inputs import Ground, Inputs, amount, size
from trainer.origins import Bucket, NoInput, Wanted
from trainer.sealed import Key, new_key
from trainer.storage import FolderStore, S3Store, StoreFault, StoreRefusal, open_store
from trainer.wire import Input

FILES = {"train.txt": b"a" * 2500, "deep/val.txt": b"b" * 1000, "empty": b""}
PART = 1000


def folder_of(where: Path, files: Mapping[str, bytes] = FILES) -> Path:
    for name, data in files.items():
        (where / name).parent.mkdir(parents=True, exist_ok=True)
        (where / name).write_bytes(data)
    return where


def pushed(store: FolderStore, folder: Path, *, key: Key | None = None, name: str = "words") -> str:
    """Send the folder in small parts; return what a task file calls it."""
    return Push(store, name, survey(folder), key=key, now=1.0, part=PART).run().reference


class Counted(FolderStore):
    """A store that counts the parts that are read, and loses its line after `most` of them."""

    def __init__(self, root: Path, *, most: int = 1_000_000) -> None:
        super().__init__(root)
        self.most = most
        self.read: list[str] = []
        self._lock = threading.Lock()

    def blocks(self, key: str, *, start: int = 0, length: int | None = None, etag: str = "") -> Iterator[bytes]:
        """Read, or fail."""
        with self._lock:
            if len(self.read) >= self.most:
                raise StoreRefusal("the line is cut")
            self.read.append(key)
        return super().blocks(key, start=start, length=length, etag=etag)


class Machine:
    """A place for inputs and what was told of them."""

    def __init__(self, folder: Path, store: FolderStore, *, env: Mapping[str, str] | None = None) -> None:
        self.source, self.scratch, self.cache = folder / "source", folder / "scratch", folder / "cache"
        self.source.mkdir(parents=True, exist_ok=True)
        self.store = store
        self.env = dict(env or {})
        self.said: list[str] = []

    def take(self, *inputs: Input, own_root: bool = False, patience: float = 0.0) -> Mapping[str, str]:
        """Put them in place; return their variables."""
        ground = Ground(source=self.source, scratch=self.scratch, cache=self.cache, own_root=own_root)
        taking = Inputs(
            inputs, ground, self.store, env=self.env, patience=patience, tell=self.said.append, say=self.said.append
        )
        try:
            assert taking.finished(20.0)
        finally:
            for entry in taking.held:  # as the end of the agent's process does
                entry.close()
        return taking.variables


@pytest.fixture
def store(tmp_path: Path) -> Counted:
    return Counted(tmp_path / "store")


@pytest.fixture
def machine(tmp_path: Path, store: Counted) -> Machine:
    return Machine(tmp_path / "machine", store)


def words(reference: str, to: str | None = None) -> Input:
    return Input(name="words", source=reference, to=to)


def found(folder: str | Path) -> dict[str, bytes]:
    root = Path(folder)
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}


# ---------------------------------------------------------------- on a machine


def test_a_job_finds_its_input_and_the_next_on_that_computer_fetches_nothing(rented: Rented, tmp_path: Path) -> None:
    assert isinstance(rented.store, FolderStore)
    reference = pushed(rented.store, folder_of(tmp_path / "mine"))
    script = (
        "import os\n"
        "folder = os.environ['HOURGLASS_INPUT_WORDS']\n"
        "print(open('data/words/deep/val.txt').read()[:3], open(f'{folder}/train.txt').read(2))\n"
    )
    inputs = (words(reference, "data/words"),)
    cache = {"HOURGLASS_CACHE": str(tmp_path / "cache")}
    rented.order({"train.py": script}, argv=["python", "train.py"], inputs=inputs)
    assert rented.run(**cache) == 0
    assert rented.stages() == ["check", "source", "inputs", "run", "save", "done"]
    fetched, printed = rented.log().splitlines()
    assert fetched.startswith("hourglass: input words: 3.5 KB fetched in ")
    assert printed == "bbb aa"

    again = Rented(tmp_path / "again", rented.archive)
    again.order({"train.py": script}, argv=["python", "train.py"], inputs=inputs)
    key = datasets.index_key(*datasets.named(reference))
    again.store.put(key, rented.store.get(key) or b"")  # and none of the parts
    assert again.run(**cache) == 0
    assert again.log().splitlines() == [
        "hourglass: input words (3.5 KB) is here already; nothing is fetched.",
        "bbb aa",
    ]


def test_a_job_whose_input_is_not_there_ends_before_its_command_and_says_why(rented: Rented) -> None:
    rented.order({}, commands=["echo trained"], inputs=(words("words@0123456789abcdef"),))
    assert rented.run() == 1
    outcome = rented.outcome()
    assert outcome["reason"] == "bad_source"
    assert (
        "The input `words` cannot be fetched: There is no words@0123456789abcdef in the store." in outcome["tail"][-1]
    )
    assert "trained" not in rented.log()


def test_stop_is_heard_while_inputs_come(rented: Rented, tmp_path: Path) -> None:
    assert isinstance(rented.store, FolderStore)
    reference = pushed(rented.store, folder_of(tmp_path / "mine"))
    for key in rented.store.keys("data/parts"):  # the store will be asked for them again and again
        (rented.store.root / key).unlink()
        (rented.store.root / key).symlink_to(rented.store.root / key)  # a loop: an error that may pass
    rented.order({}, commands=["echo trained"], inputs=(words(reference),), seconds=300)
    rented.start()
    rented.tell(stop=wire.Reason.STOPPED)
    assert rented.wait() == 1
    assert rented.outcome()["reason"] == "stopped"
    assert "trained" not in rented.log()


# ---------------------------------------------------------------- what is fetched, and what is not again


@pytest.mark.parametrize("key", [None, new_key()], ids=["plain", "sealed"])
def test_what_was_pushed_comes_out_and_only_its_reader_may_tell_what_it_is(
    machine: Machine, store: Counted, tmp_path: Path, key: Key | None
) -> None:
    machine.env = {wire.ENV_KEYS: f"{new_key().word}\n{key.word}"} if key else {}
    variables = machine.take(words(pushed(store, folder_of(tmp_path / "mine"), key=key), "data"))
    assert found(variables["HOURGLASS_INPUT_WORDS"]) == FILES
    assert (machine.source / "data" / "train.txt").read_bytes() == FILES["train.txt"]
    kept = b"".join(path.read_bytes() for path in (store.root / "data").rglob("*") if path.is_file())
    assert (b"aaaa" in kept, b"train.txt" in kept) == (key is None, key is None)


def test_a_cut_line_costs_what_was_in_the_air_and_nothing_more(
    machine: Machine, store: Counted, tmp_path: Path
) -> None:
    reference = pushed(store, folder_of(tmp_path / "mine", {"a": bytes(range(250)) * 40, "b": b"x" * 10}))
    store.most = 6
    with pytest.raises(CannotStart, match="the line is cut"):
        machine.take(words(reference))
    assert len(store.read) == 6
    store.most = 1000
    assert found(machine.take(words(reference))["HOURGLASS_INPUT_WORDS"])["a"] == bytes(range(250)) * 40
    assert len(store.read) == 11


def test_a_store_that_comes_back_is_waited_for(machine: Machine, store: Counted, tmp_path: Path) -> None:
    reference = pushed(store, folder_of(tmp_path / "mine"))
    tries: list[str] = []

    class Shaky(FolderStore):
        def blocks(self, key: str, *, start: int = 0, length: int | None = None, etag: str = "") -> Iterator[bytes]:
            tries.append(key)
            if len(tries) == 1:
                raise StoreFault("away")
            return super().blocks(key, start=start, length=length, etag=etag)

    machine.store = Shaky(store.root)
    assert found(machine.take(words(reference), patience=60.0)["HOURGLASS_INPUT_WORDS"]) == FILES
    assert len(tries) == 5


def test_what_somebody_changed_in_the_cache_is_fetched_again_and_nothing_else(
    machine: Machine, store: Counted, tmp_path: Path
) -> None:
    reference = pushed(store, folder_of(tmp_path / "mine"))
    first = machine.take(words(reference))["HOURGLASS_INPUT_WORDS"]
    changed = Path(first) / "deep" / "val.txt"
    assert changed.stat().st_mode & 0o777 == 0o444
    times = changed.stat()
    changed.chmod(0o644)
    changed.write_bytes(b"c" * 1000)
    os.utime(changed, ns=(times.st_atime_ns, times.st_mtime_ns))  # as who hides it would
    before = len(store.read)
    assert found(machine.take(words(reference))["HOURGLASS_INPUT_WORDS"]) == FILES
    assert len(store.read) == before + 1


def test_two_names_of_one_content_are_fetched_once(machine: Machine, store: Counted, tmp_path: Path) -> None:
    reference = pushed(store, folder_of(tmp_path / "mine"))
    variables = machine.take(words(reference), Input(name="again", source=reference))
    assert variables["HOURGLASS_INPUT_WORDS"] == variables["HOURGLASS_INPUT_AGAIN"]
    assert len(store.read) == 4


# ---------------------------------------------------------------- what is refused


def spoilt(store: Counted, how: str) -> None:
    """Change something of what lies in the store."""
    parts = [store.root / key for key in store.keys("data/parts")]
    (index,) = (store.root / key for key in store.keys("data/index"))
    if how == "a part":
        parts[0].write_bytes(b"x" * parts[0].stat().st_size)
    elif how == "a part cut off":
        parts[0].write_bytes(parts[0].read_bytes()[:-1])
    elif how == "two parts swapped":
        one, two = parts[0].read_bytes(), parts[1].read_bytes()
        parts[0].write_bytes(two)
        parts[1].write_bytes(one)
    elif how == "a part gone":
        parts[0].unlink()
    elif how == "the index":
        index.write_bytes(index.read_bytes().replace(b"train.txt", b"tRAIN.txt"))
    else:
        index.write_bytes(index.read_bytes()[:40])


SPOILT = [
    ("a part", False, "its bytes are not what was pushed"),
    ("a part cut off", False, "its bytes are not what was pushed|bytes came"),
    ("a part gone", False, "There is no data/parts/words/"),
    ("the index", False, "The index of words@.* is of words@"),
    ("the index cut off", False, "cannot be read"),
    ("a part", True, "no file that Hourglass sealed"),
    ("a part cut off", True, "the file is cut off in it"),
    ("a part gone", True, "There is no data/parts/words/"),
    ("the index cut off", True, "no file that Hourglass sealed|cannot be read"),
]


@pytest.mark.parametrize(("how", "closed", "said"), SPOILT)
def test_what_was_changed_in_the_store_is_not_trained_on(
    machine: Machine, store: Counted, tmp_path: Path, how: str, closed: bool, said: str
) -> None:
    key = Key(bytes(32)) if closed else None
    machine.env = {wire.ENV_KEYS: key.word} if key else {}
    reference = pushed(store, folder_of(tmp_path / "mine"), key=key)
    spoilt(store, how)
    with pytest.raises(CannotStart, match=said) as caught:
        machine.take(words(reference))
    assert caught.value.reason is wire.Reason.BAD_SOURCE


def test_without_the_key_it_is_said_which_is_needed(machine: Machine, store: Counted, tmp_path: Path) -> None:
    key = new_key()
    reference = pushed(store, folder_of(tmp_path / "mine"), key=key)
    with pytest.raises(CannotStart, match=f"sealed with the key {key.id}. No key is set here"):
        machine.take(words(reference))


def index_of(store: FolderStore, *files: File, part: int = PART) -> str:
    dataset = Dataset(name="words", at=1.0, part=part, files=files)
    version = datasets.version_of(dataset)
    store.put(datasets.index_key("words", version), datasets.encode(dataset, None))
    return f"words@{version}"


NAME = "0" * 64


@pytest.mark.parametrize(
    ("file", "said"),
    [
        (File("../own", 1, (NAME,)), "is no file's name"),
        (File("/etc/own", 1, (NAME,)), "is no file's name"),
        (File("a", 2 * PART, (NAME,)), "other parts than it needs"),
        (File("a", -1, ()), "has no size"),
        (File("a", 1, ("../../x",)), "a part without a name"),
    ],
)
def test_an_index_with_a_way_out_is_refused(machine: Machine, store: Counted, file: File, said: str) -> None:
    with pytest.raises(CannotStart, match=said):
        machine.take(words(index_of(store, file)))


def test_a_disk_without_room_is_told_before_anything_is_fetched(machine: Machine, store: Counted) -> None:
    reference = index_of(store, File("a", 10**17, (NAME,)), part=10**17)
    with pytest.raises(CannotStart, match=r"need 100000 TB and the disk has room for .*resources: \{disk"):
        machine.take(words(reference))
    assert store.read == []


@pytest.mark.parametrize(
    ("to", "own_root", "said"),
    [
        ("../beside", False, "leads out of the repository"),
        ("/somewhere/beside", False, "leads out of the repository"),
        (".", True, "leads out of the repository"),
        ("full", False, "is there already, with something in it"),
        ("link/words", False, "leads out of the repository through a link"),
        ("file/words", False, "is there already"),
    ],
)
def test_where_it_cannot_go_is_said(
    machine: Machine, store: Counted, tmp_path: Path, to: str, own_root: bool, said: str
) -> None:
    folder_of(machine.source, {"full/file": b"", "file": b""})
    (machine.source / "link").symlink_to(tmp_path)
    reference = pushed(store, folder_of(tmp_path / "mine"))
    with pytest.raises(CannotStart, match=said):
        machine.take(words(reference, to), own_root=own_root)


def test_a_container_gives_it_a_place_of_its_own_at_its_root(machine: Machine, store: Counted, tmp_path: Path) -> None:
    reference = pushed(store, folder_of(tmp_path / "mine"))
    (tmp_path / "data").mkdir()  # the image made one, and left it empty
    machine.take(words(reference, str(tmp_path / "data")), own_root=True)
    assert found(tmp_path / "data" / "deep") == {"val.txt": FILES["deep/val.txt"]}
    machine.take(words(reference, str(tmp_path / "data")), own_root=True)  # another start of the machine


# ---------------------------------------------------------------- the cache


def filled(cache: Cache, digest: str, bytes_: int) -> None:
    entry, _ = cache.opened(digest, [Wanted("a", bytes_)], never)
    (entry.data / "a").write_bytes(b"x" * bytes_)
    (entry.folder / "parts").write_text("boot\n")
    entry.seal([Wanted("a", bytes_)])
    entry.close()


def never(seconds: float) -> bool:
    raise AssertionError("nobody has to wait here")


def test_room_is_made_of_what_was_not_used_for_longest_and_never_of_what_is_in_use(tmp_path: Path) -> None:
    free = SPARE
    cache = Cache(tmp_path, free=lambda root: free)
    for number, digest in enumerate(["oldest", "used", "newest"]):
        filled(cache, digest, 100_000)
        os.utime(tmp_path / digest, (number, number))
    entry, whole = cache.opened("oldest", [Wanted("a", 100_000)], never)  # which makes it the newest
    assert whole
    with pytest.raises(NoRoom):
        cache.make_room(300_000)
    assert {path.name for path in tmp_path.iterdir() if path.is_dir()} == {"oldest", "used", "newest"}
    cache.make_room(50_000)
    assert {path.name for path in tmp_path.iterdir() if path.is_dir()} == {"oldest", "newest"}
    entry.close()
    free = SPARE + 50_000
    cache.make_room(50_000)
    assert {path.name for path in tmp_path.iterdir() if path.is_dir()} == {"oldest", "newest"}


def test_one_job_fetches_while_another_waits_and_then_both_read(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    files = [Wanted("a", 1)]
    first, whole = cache.opened("d", files, never)
    assert not whole
    looks: list[float] = []

    def look(seconds: float) -> bool:
        looks.append(seconds)
        (first.data / "a").write_bytes(b"x")
        (first.folder / "parts").write_text("boot\n")
        first.seal(files)
        first.share()
        return False

    second, whole = cache.opened("d", files, look)
    assert (whole, len(looks)) == (True, 1)
    third, whole = cache.opened("d", files, never)
    assert whole
    for entry in (first, second, third):
        entry.close()


def test_who_waits_for_another_job_may_be_told_to_stop(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    entry, _ = cache.opened("d", [Wanted("a", 1)], never)
    with pytest.raises(Given):
        cache.opened("d", [Wanted("a", 1)], lambda seconds: True)
    entry.close()


# ---------------------------------------------------------------- somebody's bucket


@pytest.fixture
def bucket(endpoint: str, tmp_path: Path) -> S3Store:
    opened = open_store(f"s3://acme/{tmp_path.name}/set", reach(endpoint))
    assert isinstance(opened, S3Store)
    for name, data in FILES.items():
        opened.put(name, data)
    return opened


def reach(endpoint: str) -> dict[str, str]:
    return {**CREDENTIALS, "HOURGLASS_STORE_AWS_ENDPOINT_URL": endpoint}


def test_a_prefix_of_a_bucket_comes_as_a_folder_and_an_object_as_a_file(
    machine: Machine, bucket: S3Store, endpoint: str, tmp_path: Path
) -> None:
    machine.env = reach(endpoint)
    whole = Input(name="whole", source=f"s3://acme/{tmp_path.name}/set", to="whole")
    one = Input(name="one", source=f"s3://acme/{tmp_path.name}/set/train.txt")
    variables = machine.take(whole, one)
    assert found(machine.source / "whole") == FILES
    assert Path(variables["HOURGLASS_INPUT_ONE"]).read_bytes() == FILES["train.txt"]
    with pytest.raises(CannotStart, match="`none` cannot be fetched: Nothing lies there"):
        machine.take(Input(name="none", source=f"s3://acme/{tmp_path.name}/nothing"))


def test_a_large_object_comes_in_ranges_and_one_that_is_replaced_meanwhile_is_not_mixed(
    bucket: S3Store, tmp_path: Path
) -> None:
    objects = [each for each in bucket.listed() if each.key == "train.txt"]
    origin = Bucket(bucket, objects, single=True, part=1000)
    cache = Cache(tmp_path / "cache")
    entry, _ = cache.opened(origin.digest, origin.files, never)
    Download(origin, entry, cancel=threading.Event(), patience=0).run()
    assert (entry.data / "train.txt").read_bytes() == FILES["train.txt"]
    assert entry.whole(origin.files)
    entry.close()

    bucket.put("train.txt", b"z" * 2500)
    entry, _ = cache.opened("another", origin.files, never)
    with pytest.raises(NoInput, match=r"PreconditionFailed|412"):
        Download(origin, entry, cancel=threading.Event(), patience=0).run()
    entry.close()
    changed = Bucket(bucket, list(bucket.listed()), single=False)
    assert changed.digest != origin.digest


def test_a_bucket_that_may_not_be_read_is_not_asked_for_ever(machine: Machine, endpoint: str) -> None:
    machine.env = reach(endpoint)
    with pytest.raises(CannotStart, match="NoSuchBucket"):
        machine.take(Input(name="none", source="s3://nobodys-bucket/x"), patience=3600.0)


# ---------------------------------------------------------------- small things


@pytest.mark.parametrize(
    ("got", "total", "said"),
    [(1.2e9, 3.4e9, "1.2 of 3.4 GB"), (0, 3.4e9, "0.0 of 3.4 GB"), (5e6, 1.5e11, "0 of 150 GB"), (7, 9, "7 of 9 B")],
)
def test_how_far_it_is_has_one_unit(got: float, total: float, said: str) -> None:
    assert amount(got, total) == said


@pytest.mark.parametrize(("count", "said"), [(0, "0 B"), (999, "999 B"), (1500, "1.5 KB"), (3.4e9, "3.4 GB")])
def test_sizes_read_as_people_write_them(count: float, said: str) -> None:
    assert size(count) == said
