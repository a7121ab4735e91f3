"""Sealed files: what opens, what does not, and what is said of it."""

from __future__ import annotations

import builtins
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trainer import aes
from trainer.aes import BadTag, Library, NoCipher, System
from trainer.sealed import (
    HEADER,
    BadKey,
    Key,
    Ring,
    SealError,
    key_from,
    new_key,
    ring_from,
    seal,
    sealed_size,
    sealed_with,
    unseal,
    unseal_file,
)

CHUNK = 2**20
KEY = Key(bytes(range(32)))
RING = Ring((KEY,))
STORED = CHUNK + aes.TAG  # bytes of a full chunk as it lies in the file


def sealed(data: bytes, key: Key = KEY) -> bytes:
    return b"".join(seal([data], key))


def opened(data: bytes, ring: Ring = RING) -> bytes:
    return b"".join(unseal([data], ring))


@pytest.mark.parametrize("size", [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK, 3 * CHUNK + 5])
def test_what_was_sealed_comes_out_and_its_size_is_known_before(size: int) -> None:
    data = bytes(index % 251 for index in range(1000)) * (size // 1000 + 1)
    kept = sealed(data[:size])

    assert opened(kept) == data[:size]
    assert len(kept) == sealed_size(size)
    assert sealed_with(kept) == KEY.id
    assert data[:1000] not in kept


@settings(max_examples=30, deadline=None)
@given(st.lists(st.binary(max_size=200), max_size=20), st.integers(1, 300))
def test_it_does_not_matter_how_the_bytes_arrive(pieces: list[bytes], step: int) -> None:
    kept = b"".join(seal(pieces, KEY))
    arriving = [kept[at : at + step] for at in range(0, len(kept), step)]
    assert b"".join(unseal(arriving, RING)) == b"".join(pieces)


def test_one_file_is_never_sealed_twice_to_the_same_bytes() -> None:
    assert sealed(b"weights") != sealed(b"weights")


THREE = sealed(bytes(CHUNK) + bytes([1]) * CHUNK + bytes([2]) * 10)


def chunks(data: bytes) -> list[bytes]:
    body = data[HEADER:]
    return [body[at : at + STORED] for at in range(0, len(body), STORED)]


def put_together(parts: Sequence[bytes]) -> bytes:
    return THREE[:HEADER] + b"".join(parts)


FIRST, SECOND, THIRD = chunks(THREE)


def flipped(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


SPOILT: Mapping[str, tuple[bytes, str]] = {
    "two chunks swapped": (put_together([SECOND, FIRST, THIRD]), "Chunk 1 is not what was sealed"),
    "a chunk left out": (put_together([FIRST, THIRD]), "Chunk 2 is not what was sealed"),
    "a chunk twice": (put_together([FIRST, FIRST, SECOND, THIRD]), "Chunk 2 is not what was sealed"),
    "the end cut off at a chunk": (put_together([FIRST, SECOND]), "cut off after chunk 2: its end is missing"),
    "the end cut off within one": (put_together([FIRST, SECOND, THIRD[:-3]]), "Chunk 3 .* or the file is cut off in"),
    "all but the header cut off": (THREE[:HEADER], "Chunk 1 .* or the file is cut off in it"),
    "something added": (put_together([FIRST, SECOND, THIRD, b"more"]), "Chunk 3 is not what was sealed"),
    "a chunk of the same file added": (put_together([FIRST, SECOND, THIRD, THIRD]), "Chunk 3 is not what was sealed"),
    "another file's chunk": (put_together([chunks(sealed(bytes(CHUNK) * 2))[0], SECOND, THIRD]), "Chunk 1 is not"),
    "a bit turned": (flipped(THREE, HEADER + STORED + 7), "Chunk 2 is not what was sealed"),
    "a bit of the salt turned": (flipped(THREE, 40), "Chunk 1 is not what was sealed"),
    "the chunk size changed": (flipped(THREE, 9), "Chunk 1 is not what was sealed"),
    "a chunk size without bounds": (THREE[:9] + b"\xff" + THREE[10:], "reads 1"),
    "another version": (THREE[:8] + b"\x09" + THREE[9:], "in version 9 of the format"),
    "half a header": (THREE[:30], "no file that Hourglass sealed"),
    "something else": (b"PK\x03\x04" * 40, "no file that Hourglass sealed"),
    "nothing": (b"", "no file that Hourglass sealed"),
}


@pytest.mark.parametrize("name", SPOILT)
def test_what_was_not_sealed_so_is_refused_with_what_is_wrong(name: str) -> None:
    data, said = SPOILT[name]
    with pytest.raises(SealError, match=said):
        opened(data)


def test_a_last_chunk_in_front_of_others_says_that_something_was_added() -> None:
    whole = sealed(bytes(CHUNK))
    with pytest.raises(SealError, match="Something was added to the file after chunk 1"):
        opened(whole + b"more than nothing")


def test_another_key_names_the_one_that_is_needed_and_repeats_none() -> None:
    other = new_key()
    with pytest.raises(BadKey, match=rf"sealed with the key {KEY.id}\. The keys here are {other.id}") as caught:
        opened(sealed(b"x"), Ring((other,)))
    assert other.word not in str(caught.value)
    with pytest.raises(BadKey, match="No key is set here"):
        opened(sealed(b"x"), Ring())


def test_a_new_key_seals_and_the_old_one_still_opens() -> None:
    old, new = new_key(), new_key()
    ring = ring_from(f"{new.word}, {old.word}")
    assert ring.first == new
    assert opened(sealed(b"from before", old), ring) == b"from before"
    assert ring_from(f"{new.word}\n{old.word}\n") == ring
    assert ring_from("") == Ring()


@pytest.mark.parametrize(
    "word",
    ["", "hgk_", "hgk_short", KEY.word[:-1], KEY.word + "A", KEY.word[4:], f"hgk_{'*' * 43}", "hgk_" + "A" * 999],
)
def test_what_is_no_key_is_not_repeated(word: str) -> None:
    with pytest.raises(BadKey, match="47 characters") as caught:
        key_from(word)
    assert len(word) < 8 or word not in str(caught.value)


def test_a_key_survives_being_written_down_and_does_not_show_itself() -> None:
    assert key_from(f" {KEY.word}\n") == KEY
    assert len(KEY.word) == 47
    assert KEY.word not in repr(RING)
    assert KEY.id not in KEY.word


def test_a_file_stands_only_when_all_of_it_was_checked(tmp_path: Path) -> None:
    (tmp_path / "ckpt.pt.sealed").write_bytes(put_together([FIRST, SECOND]))
    with pytest.raises(SealError, match="cut off"):
        unseal_file(tmp_path / "ckpt.pt.sealed", tmp_path / "ckpt.pt", RING)
    assert [path.name for path in tmp_path.iterdir()] == ["ckpt.pt.sealed"]

    (tmp_path / "ckpt.pt.sealed").write_bytes(THREE)
    unseal_file(tmp_path / "ckpt.pt.sealed", tmp_path / "ckpt.pt", RING)
    assert (tmp_path / "ckpt.pt").stat().st_size == 2 * CHUNK + 10


# ---------------------------------------------------------------- the cipher

# AES-256-GCM's test case 14 of the paper that proposed it: a key, a nonce and a block of zeros.
KNOWN = bytes.fromhex("cea7403d4d606b6e074ec5d3baf39d18d0d1c8a799996bf0265b98b5d48ab919")


@pytest.mark.parametrize("kind", [Library, System])
def test_both_ways_to_openssl_compute_the_known_answer(kind: type[Library] | type[System]) -> None:
    one = kind(bytes(32))
    assert one.encrypt(bytes(12), bytes(16)) == KNOWN
    assert one.decrypt(bytes(12), KNOWN) == bytes(16)
    for wrong in (flipped(KNOWN, 0), flipped(KNOWN, 31), KNOWN[:-1], KNOWN[:3], b""):
        with pytest.raises(BadTag):
            one.decrypt(bytes(12), wrong)


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A Python without the package, as a team's image may be: the import is what has to fail."""
    found = builtins.__import__

    def without(name: str, *rest: object) -> object:
        if name.startswith("cryptography"):
            raise ImportError(name)
        return found(name, *rest)  # type: ignore[arg-type]  # what it is called with is passed on

    monkeypatch.setattr(builtins, "__import__", without)
    yield


def test_a_machine_without_the_package_opens_what_the_bot_sealed(bare: None) -> None:
    assert isinstance(aes.cipher(bytes(32)), System)
    assert opened(THREE)[-10:] == bytes([2]) * 10


def test_a_python_whose_openssl_is_out_of_reach_says_what_helps(monkeypatch: pytest.MonkeyPatch) -> None:
    def out_of_reach(name: str) -> object:
        raise OSError(name)

    aes._libcrypto.cache_clear()
    monkeypatch.setattr("ctypes.CDLL", out_of_reach)
    with pytest.raises(NoCipher, match="pip install cryptography"):
        System(bytes(32))
    aes._libcrypto.cache_clear()
