"""What may be a bucket's name, an object's key, a version id; and who owns what."""

from __future__ import annotations

import base64
import hashlib
import re
from functools import lru_cache

from skyfold.services.s3.errors import InvalidArgument, InvalidBucketName, KeyTooLongError
from skyfold.services.s3.limits import KEY_BYTES_MAX
from skyfold.services.s3.tables import NULL

_BUCKET = re.compile(r"[a-z0-9](?:[a-z0-9-]|\.(?!\.))*[a-z0-9]")
_ADDRESS = re.compile(r"\d+\.\d+\.\d+\.\d+")
_RESERVED_STARTS = ("xn--", "sthree-", "amzn-s3-demo-")
_RESERVED_ENDS = ("-s3alias", "--ol-s3", ".mrap", "--x-s3", "--table-s3")
_MASK = (1 << 64) - 1


def check_bucket_name(name: str) -> None:
    """Refuse a name that a new bucket cannot have."""
    if (
        not 3 <= len(name) <= 63
        or not _BUCKET.fullmatch(name)
        or _ADDRESS.fullmatch(name)
        or name.startswith(_RESERVED_STARTS)
        or name.endswith(_RESERVED_ENDS)
    ):
        raise InvalidBucketName(BucketName=name)


def check_key(key: str) -> None:
    if len(key) * 4 > KEY_BYTES_MAX and len(key.encode()) > KEY_BYTES_MAX:
        raise KeyTooLongError(Size=str(len(key.encode())), MaxSizeAllowed=str(KEY_BYTES_MAX))


def version_id(sequence: int, random: bytes) -> str:
    """32 characters that hold ``sequence``, and look like nothing (16 bytes of ``random``)."""
    hidden = (sequence ^ int.from_bytes(random[:8])) & _MASK
    return base64.b64encode(random + hidden.to_bytes(8), altchars=b"._").decode()


def sequence_of(version: str) -> int:
    """The sequence in a version id. Raises InvalidArgument where it cannot be one of ours."""
    try:
        raw = base64.b64decode(version, altchars=b"._", validate=True)
    except ValueError:
        raw = b""
    if len(raw) != 24:
        raise InvalidArgument(
            "Invalid version id specified", ArgumentName="versionId", ArgumentValue=version
        )
    return int.from_bytes(raw[16:]) ^ int.from_bytes(raw[:8])


def check_version_id(version: str) -> None:
    if version != NULL:
        sequence_of(version)


@lru_cache(maxsize=4096)
def canonical_id(account: str) -> str:
    """The canonical user id of an account: 64 hexadecimal digits, always the same."""
    return hashlib.sha256(f"canonical user of {account}".encode()).hexdigest()
