"""Encryption at rest (SSE-S3): AES-256 over every body before it reaches the store or a blob.

Small bodies are sealed by AES-GCM with their bucket's key. A blob has a key of its own and is
encrypted by AES-CTR, so that a range of it can be read from its middle.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator
from functools import lru_cache
from typing import Any

KEY_BYTES = 32
NONCE_BYTES = 12
_BLOCK = 16


@lru_cache(maxsize=1024)
def _gcm(secret: bytes) -> Any:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    return AESGCM(secret)


def seal(secret: bytes, nonce: bytes, body: bytes) -> bytes:
    sealed: bytes = _gcm(secret).encrypt(nonce, body, None)
    return sealed


def unseal(secret: bytes, nonce: bytes, sealed: bytes) -> bytes:
    body: bytes = _gcm(secret).decrypt(nonce, sealed, None)
    return body


class BlobCipher:
    """The key stream of one blob from byte ``start`` on. Encrypting and decrypting are the same."""

    def __init__(self, secret: bytes, start: int = 0) -> None:
        from cryptography.hazmat.primitives.ciphers import Cipher
        from cryptography.hazmat.primitives.ciphers.algorithms import AES
        from cryptography.hazmat.primitives.ciphers.modes import CTR

        # The key is used for this blob alone, so the counter may begin at zero.
        counter = (start // _BLOCK).to_bytes(_BLOCK)
        self._stream = Cipher(AES(secret), CTR(counter)).encryptor()
        self._stream.update(bytes(start % _BLOCK))

    def update(self, data: bytes) -> bytes:
        return self._stream.update(data)


async def ciphered(pieces: AsyncIterable[bytes], secret: bytes, start: int) -> AsyncIterator[bytes]:
    """Pieces of a blob that begin at byte ``start`` of it, encrypted if plain and the reverse."""
    cipher = BlobCipher(secret, start)
    async for piece in pieces:
        yield cipher.update(piece)
