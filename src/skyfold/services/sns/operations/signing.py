"""Signatures: for topics that ask for them, with a key of this cloud's own.

A signature costs about 0.4 ms (RSA, 2048 bits, as the verifiers in SDKs expect), several times what
all the rest of a publish costs. AWS signs always; here a topic signs once its SignatureVersion has
been set. Until then its notifications have no signature at all, as those of FIFO topics at AWS:
never one that does not verify.
"""

from __future__ import annotations

import functools
from base64 import b64encode
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from skyfold.kernel.call import Call
from skyfold.kernel.http import HttpReply, HttpRequest
from skyfold.kernel.platform import Platform
from skyfold.services.sns.engine.envelopes import Signed
from skyfold.services.sns.tables import KEYS, SigningKey
from skyfold.store.api import ReadTx, Tx

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

CURRENT = "current"
PATH = "/SimpleNotificationService-"
_YEARS = 30


async def ensure_key(tx: Tx, call: Call) -> None:
    """Make the key if there is none yet."""
    if await KEYS.get(tx, CURRENT) is None:
        KEYS.put(tx, _made(call.platform.ids.hex(32), call.now))


async def signed(tx: ReadTx, call: Call, version: str, text: bytes) -> Signed:
    """The signature of what a verifier will put together from a notification."""
    key = await KEYS.get(tx, CURRENT)
    assert key is not None, "a topic wants signatures and nobody has made a key"
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import padding

    digest = hashes.SHA1() if version == "1" else hashes.SHA256()
    signature = _loaded(key.private_pem).sign(text, padding.PKCS1v15(), digest)
    return Signed(
        version=version,
        signature=b64encode(signature).decode(),
        certificate_url=f"{call.endpoint}{PATH}{key.id}.pem",
    )


@functools.lru_cache(maxsize=4)
def _loaded(pem: bytes) -> RSAPrivateKey:
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    key: RSAPrivateKey = load_pem_private_key(pem, None)  # type: ignore[assignment]  # we made it
    return key


def _made(key_id: str, now: int) -> SigningKey:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    key = rsa.generate_private_key(65537, 2048)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "sns.amazonaws.com")])
    begin = datetime.fromtimestamp(now // 1000, UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(int(key_id, 16) >> 1)
        .not_valid_before(begin - timedelta(days=1))
        .not_valid_after(begin + timedelta(days=365 * _YEARS))
        .sign(key, hashes.SHA256())
    )
    return SigningKey(
        name=CURRENT,
        id=key_id,
        private_pem=key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        ),
        certificate_pem=certificate.public_bytes(serialization.Encoding.PEM),
    )


# --- where verifiers find the certificate ---------------------------------------------------------


def is_certificate(request: HttpRequest) -> bool:
    return request.path.startswith(PATH) and request.method == "GET"


async def serve_certificate(platform: Platform, request: HttpRequest) -> HttpReply:
    key = await platform.store.read(KEYS.get, CURRENT)
    if key is None or request.path != f"{PATH}{key.id}.pem":
        return HttpReply(status=404)
    headers = [("content-type", "application/x-pem-file")]
    return HttpReply(headers=headers, body=key.certificate_pem)
