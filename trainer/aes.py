"""AES-256-GCM as OpenSSL computes it: through `cryptography`, or through the OpenSSL that this Python's own TLS uses.

The bot and whoever runs `hourglass` have `cryptography`. A rented machine runs a team's image, in which nothing can be
counted on but a Python that speaks TLS; there the same OpenSSL is called by `ctypes`. Both give the same bytes.
"""

from __future__ import annotations

import ctypes
import functools
from typing import Any, Protocol

KEY = 32  # bytes
NONCE = 12
TAG = 16

_GET_TAG, _SET_TAG = 0x10, 0x11  # EVP_CTRL_AEAD_… of openssl/evp.h


class NoCipher(Exception):
    """Nothing on this machine computes AES-GCM."""


class BadTag(Exception):
    """These bytes are not what this key sealed under this nonce."""


class Cipher(Protocol):
    """One key's encryption. A nonce must never be used for two messages under one key."""

    def encrypt(self, nonce: bytes, data: bytes) -> bytes:
        """Return `data` encrypted, its tag of 16 bytes behind it."""

    def decrypt(self, nonce: bytes, data: bytes) -> bytes:
        """Return what `encrypt` was given; raises `BadTag` for anything else."""


def cipher(key: bytes) -> Cipher:
    """Return the cipher of a key of 32 bytes; raises `NoCipher` where this machine has none."""
    try:
        return Library(key)
    except ImportError:
        return System(key)


class Library:
    """The cipher of the package `cryptography`."""

    def __init__(self, key: bytes) -> None:
        """Raises `ImportError` where the package is not installed."""
        from cryptography.exceptions import InvalidTag
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        self._aead = AESGCM(key)
        self._refusal: type[Exception] = InvalidTag

    def encrypt(self, nonce: bytes, data: bytes) -> bytes:
        """Encrypt in one call."""
        return bytes(self._aead.encrypt(nonce, data, None))

    def decrypt(self, nonce: bytes, data: bytes) -> bytes:
        """Decrypt in one call."""
        try:
            return bytes(self._aead.decrypt(nonce, data, None))
        except (self._refusal, ValueError) as error:
            raise BadTag from error


class System:
    """The cipher of the libcrypto that this Python has loaded for TLS."""

    def __init__(self, key: bytes) -> None:
        """Raises `NoCipher` where this Python has none that can be reached."""
        if len(key) != KEY:
            raise ValueError(f"A key has {KEY} bytes, not {len(key)}.")
        self._ssl = _libcrypto()
        self._key = key

    def encrypt(self, nonce: bytes, data: bytes) -> bytes:
        """Encrypt in one call; the context goes with it, so that threads share nothing."""
        out = ctypes.create_string_buffer(len(data) + TAG)
        context, length = self._begin(nonce, encrypting=1), ctypes.c_int()
        try:
            self._do(self._ssl.EVP_CipherUpdate(context, out, ctypes.byref(length), data, len(data)))
            self._do(self._ssl.EVP_CipherFinal_ex(context, out, ctypes.byref(length)))
            self._do(self._ssl.EVP_CIPHER_CTX_ctrl(context, _GET_TAG, TAG, ctypes.byref(out, len(data))))
        finally:
            self._ssl.EVP_CIPHER_CTX_free(context)
        return out.raw

    def decrypt(self, nonce: bytes, data: bytes) -> bytes:
        """Decrypt in one call; nothing is returned before the tag is checked."""
        if len(data) < TAG:
            raise BadTag
        size = len(data) - TAG
        out = ctypes.create_string_buffer(size)
        context, length = self._begin(nonce, encrypting=0), ctypes.c_int()
        try:
            self._do(self._ssl.EVP_CipherUpdate(context, out, ctypes.byref(length), data, size))
            self._do(self._ssl.EVP_CIPHER_CTX_ctrl(context, _SET_TAG, TAG, data[size:]))
            if self._ssl.EVP_CipherFinal_ex(context, None, ctypes.byref(length)) != 1:
                raise BadTag
        finally:
            self._ssl.EVP_CIPHER_CTX_free(context)
        return out.raw

    def _begin(self, nonce: bytes, *, encrypting: int) -> ctypes.c_void_p:
        if len(nonce) != NONCE:
            raise ValueError(f"A nonce has {NONCE} bytes, not {len(nonce)}.")
        context = ctypes.c_void_p(self._ssl.EVP_CIPHER_CTX_new())
        algorithm = ctypes.c_void_p(self._ssl.EVP_aes_256_gcm())
        self._do(self._ssl.EVP_CipherInit_ex(context, algorithm, None, self._key, nonce, encrypting))
        return context

    @staticmethod
    def _do(answer: int) -> None:
        if answer != 1:
            raise NoCipher("OpenSSL refused to compute AES-256-GCM on this machine.")


@functools.cache
def _libcrypto() -> Any:
    """Return OpenSSL's functions as `_ssl` was linked with them: what TLS trusts here, whatever else lies about."""
    try:
        import _ssl

        library = ctypes.CDLL(_ssl.__file__)
        library.EVP_CIPHER_CTX_new.restype = ctypes.c_void_p
        library.EVP_aes_256_gcm.restype = ctypes.c_void_p
        library.EVP_CIPHER_CTX_free.argtypes = [ctypes.c_void_p]
        library.EVP_CIPHER_CTX_ctrl.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_int, ctypes.c_void_p]
        context, text, length = ctypes.c_void_p, ctypes.c_char_p, ctypes.POINTER(ctypes.c_int)
        library.EVP_CipherInit_ex.argtypes = [context, ctypes.c_void_p, ctypes.c_void_p, text, text, ctypes.c_int]
        library.EVP_CipherUpdate.argtypes = [context, text, length, text, ctypes.c_int]
        library.EVP_CipherFinal_ex.argtypes = [context, text, length]
    except (ImportError, OSError, AttributeError) as error:
        raise NoCipher(
            "This image's Python neither has the package `cryptography` nor an OpenSSL that can be called. "
            "`pip install cryptography` in the image gives it one."
        ) from error
    return library
