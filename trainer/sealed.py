"""Files sealed with a team's key: what leaves this module as plain bytes is what was sealed, whole and in order.

    header   56 bytes: "HGSEALED", version, chunk size (a power of two), 6 zeros, the key's id (8), a random salt (32)
    chunk    up to 1 MiB of the file, encrypted, and its tag of 16 bytes; and so on

AES-256-GCM, in the construction that is known as STREAM: a file has a key of its own (HMAC-SHA256 of the header under
the team's key), and a chunk's nonce is its number and whether it is the last. So a chunk that was changed, left out,
taken from elsewhere or put in another's place is refused, and so is a file without its end. Memory does not grow with
the file, and a reader acts on nothing that was not checked.

A key is a word of 47 characters, `hgk_…`; its id, which stands in the clear in what it sealed, tells nothing of it.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from trainer import aes

SUFFIX = ".sealed"  # of a sealed file's name
MAGIC = b"HGSEALED"
HEADER = 56  # bytes
_VERSION = 1
_CHUNK_LOG = 20
_LARGEST_LOG = 26  # of what is read: a header must not make a reader take memory without end
_PREFIX = "hgk_"
_LONGEST_WORD = 100


class SealError(ValueError):
    """What is here cannot be opened; the message says whether the key or the bytes are at fault."""


class BadKey(SealError):
    """This is not a key, or not the one that is needed."""


@dataclass(frozen=True)
class Key:
    """A team's key."""

    secret: bytes = field(repr=False)

    @property
    def id(self) -> str:
        """16 hex digits by which it is known: on cards, in manifests, in the headers of what it sealed."""
        return hashlib.sha256(b"hourglass key id\0" + self.secret).hexdigest()[:16]

    @property
    def word(self) -> str:
        """The key as people keep it."""
        return _PREFIX + base64.urlsafe_b64encode(self.secret).decode().rstrip("=")

    def tag(self, data: bytes) -> str:
        """Return a name for `data`, 64 hex digits, that says nothing of it to who has not this key."""
        return hmac.new(self.secret, b"hourglass name\0" + data, hashlib.sha256).hexdigest()


def new_key() -> Key:
    """Return a key that nobody else has."""
    return Key(secrets.token_bytes(aes.KEY))


def key_from(word: str) -> Key:
    """Return the key that `word` is; raises `BadKey`, which does not repeat it."""
    text = word.strip()
    try:
        if not text.startswith(_PREFIX) or len(text) > _LONGEST_WORD:
            raise ValueError
        body = text[len(_PREFIX) :]
        secret = base64.b64decode(body + "=" * (-len(body) % 4), altchars=b"-_", validate=True)
        if len(secret) != aes.KEY:
            raise ValueError
    except (ValueError, binascii.Error):
        raise BadKey(
            "A key is a word of 47 characters that begins with `hgk_`, and this is none. "
            "`hourglass data key` makes one; it is copied whole."
        ) from None
    return Key(secret)


@dataclass(frozen=True)
class Ring:
    """A team's keys: the first seals, each opens what it sealed."""

    keys: Sequence[Key] = ()

    @property
    def first(self) -> Key | None:
        """The key that seals; None where the team has none."""
        return self.keys[0] if self.keys else None

    def of(self, key_id: str) -> Key:
        """Return the key with this id; raises `BadKey` that says which there are."""
        for key in self.keys:
            if key.id == key_id:
                return key
        there = ", ".join(key.id for key in self.keys)
        has = f"The keys here are {there}." if there else "No key is set here."
        raise BadKey(f"It is sealed with the key {key_id}. {has} Add that one to HOURGLASS_DATA_KEY.")


def ring_from(words: str) -> Ring:
    """Return the keys that stand in `words`, apart by commas or lines; raises `BadKey`."""
    return Ring(tuple(key_from(word) for word in words.replace(",", "\n").split("\n") if word.strip()))


def sealed_with(start: bytes) -> str | None:
    """Return the id of the key that sealed what begins with `start`; None where it was not sealed."""
    return start[16:24].hex() if len(start) >= HEADER and start.startswith(MAGIC) else None


def sealed_size(size: int) -> int:
    """Return how many bytes `size` bytes become."""
    chunks = max(1, -(-size // (1 << _CHUNK_LOG)))
    return HEADER + size + chunks * aes.TAG


def seal(plain: Iterable[bytes], key: Key) -> Iterator[bytes]:
    """Yield the sealed file, piece by piece; what `plain` yields may be cut anywhere."""
    header = MAGIC + bytes((_VERSION, _CHUNK_LOG)) + bytes(6) + bytes.fromhex(key.id) + secrets.token_bytes(32)
    cipher = aes.cipher(_file_key(key, header))
    yield header
    for number, (chunk, last) in enumerate(_marked(_cut(plain, 1 << _CHUNK_LOG))):
        yield cipher.encrypt(_nonce(number, last=last), chunk)


def unseal(sealed: Iterable[bytes], ring: Ring) -> Iterator[bytes]:
    """Yield the file's bytes as they are checked; raises `SealError` at the first that are not what was sealed.

    What was yielded before it is right and not whole: whoever keeps it waits for the end.
    """
    pieces = iter(sealed)
    start = b""
    while len(start) < HEADER and (piece := next(pieces, None)) is not None:
        start += piece
    header, rest = start[:HEADER], start[HEADER:]
    key_id = sealed_with(header)
    if key_id is None:
        raise SealError("This is no file that Hourglass sealed, or less than its first 56 bytes.")
    if header[8] != _VERSION or header[9] > _LARGEST_LOG:
        raise SealError(f"It is sealed in version {header[8]} of the format, and this Hourglass reads {_VERSION}.")
    cipher = aes.cipher(_file_key(ring.of(key_id), header))

    def following() -> Iterator[bytes]:
        yield rest
        yield from pieces

    for number, (chunk, last) in enumerate(_marked(_cut(following(), 2 ** header[9] + aes.TAG))):
        yield _opened(cipher, number, chunk, last=last)


def seal_file(source: Path, target: Path, key: Key) -> None:
    """Write `source`, sealed, to `target`."""
    with target.open("wb") as file:
        file.writelines(seal(blocks_of(source), key))


def unseal_file(source: Path, target: Path, ring: Ring) -> None:
    """Write what `source` holds to `target`, which is not there before all of it was checked."""
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(6)}")
    try:
        with temporary.open("wb") as file:
            file.writelines(unseal(blocks_of(source), ring))
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)


def blocks_of(path: Path) -> Iterator[bytes]:
    """Yield the file's bytes."""
    with path.open("rb") as file:
        while block := file.read(1 << _CHUNK_LOG):
            yield block


def _opened(cipher: aes.Cipher, number: int, chunk: bytes, *, last: bool) -> bytes:
    try:
        return cipher.decrypt(_nonce(number, last=last), chunk)
    except aes.BadTag:
        pass
    try:
        cipher.decrypt(_nonce(number, last=not last), chunk)
    except aes.BadTag:
        what = "was changed, damaged or put there from elsewhere" + (", or the file is cut off in it" if last else "")
        raise SealError(f"Chunk {number + 1} is not what was sealed: it {what}. Fetch the file again.") from None
    where = f"after chunk {number + 1}"
    raise SealError(
        f"The file is cut off {where}: its end is missing. Fetch it again."
        if last
        else f"Something was added to the file {where}, which was its last. Fetch it again."
    )


def _file_key(key: Key, header: bytes) -> bytes:
    return hmac.digest(key.secret, b"hourglass file\0" + header, "sha256")


def _nonce(number: int, *, last: bool) -> bytes:
    return number.to_bytes(aes.NONCE - 1, "big") + (b"\1" if last else b"\0")


def _cut(pieces: Iterable[bytes], size: int) -> Iterator[bytes]:
    """Yield the same bytes in pieces of `size`; the last may be shorter, and is empty only where it is the only one."""
    begun = bytearray()
    yielded = False
    for piece in pieces:
        rest = memoryview(piece)  # what is cut off one large piece is not copied again with each cut
        while rest:
            taken = rest[: size - len(begun)]
            begun += taken
            rest = rest[len(taken) :]
            if len(begun) == size:
                yield bytes(begun)
                yielded = True
                begun.clear()
    if begun or not yielded:
        yield bytes(begun)


def _marked(chunks: Iterator[bytes]) -> Iterator[tuple[bytes, bool]]:
    """Yield each chunk with whether it is the last; one is read ahead."""
    before = next(chunks)
    for chunk in chunks:
        yield before, False
        before = chunk
    yield before, True
