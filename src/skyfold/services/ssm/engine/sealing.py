"""Sealing of SecureString values: AES-256-GCM, bound to the parameter's ARN."""

from __future__ import annotations

NONCE_BYTES = 12
KEY_BYTES = 32


def seal(secret: bytes, nonce: bytes, text: str, arn: str) -> bytes:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    return nonce + AESGCM(secret).encrypt(nonce, text.encode(), arn.encode())


def unseal(secret: bytes, sealed: bytes, arn: str) -> str:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    nonce, body = sealed[:NONCE_BYTES], sealed[NONCE_BYTES:]
    return AESGCM(secret).decrypt(nonce, body, arn.encode()).decode()
