"""What S3 keeps, and under which keys.

- ``s3.buckets`` (name): one row for each bucket, small, because nearly every request reads it.
  Bucket names are global, so neither account nor region is part of the key.
- ``s3.bucket_names`` (account, name): the buckets of an account, for ListBuckets.
- ``s3.settings`` (bucket, name): policy, CORS rules, lifecycle rules, notifications: whatever only
  some requests need. Bucket tags are in ``kernel.tags``.
- ``s3.objects`` (bucket, key): the current version, be it an object or a delete marker. A request
  without a version id reads this row and no other.
- ``s3.noncurrent`` (bucket, key, rank): older versions of the same form, newest first (a rank is a
  negated sequence). ``null_rank`` of the current version points at the one named ``null``.
- ``s3.contents`` (bucket, key, version id): the bytes of a version: encrypted in the row if there
  are few, else as a list of segments of blobs. It also holds the sizes of multipart parts.
- ``s3.listing`` (bucket, key): what a listing shows of a current object and no more, so that a
  page of 1000 is one scan and 1000 small decodes. Delete markers have none.
- ``s3.uploads`` (bucket, key, upload id) and ``s3.parts`` (upload id, number): multipart uploads.

``versions.py`` alone writes objects, noncurrent, contents and listing, and keeps them in step.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from skyfold.store.api import ReadTx
from skyfold.store.keys import after
from skyfold.store.tables import Index, Table

NULL = "null"
"""The version id of what is written while versioning is not enabled."""


class Row(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    pass


class Bucket(Row, frozen=True):
    name: str
    account: str
    region: str
    created_at: int
    secret: bytes
    """The AES-256 key of small bodies in this bucket."""
    versioning: str = ""
    """``Enabled`` or ``Suspended``; empty until it has first been set."""
    ownership: str = "BucketOwnerEnforced"
    """Empty after DeleteBucketOwnershipControls."""
    notifies: bool = False
    """Whether there is a setting ``notification``; likewise ``cors`` and ``lifecycle``."""
    has_cors: bool = False
    has_lifecycle: bool = False
    location: str = ""
    """The LocationConstraint as it was given; empty in us-east-1."""
    kms_key: str = ""
    """The ARN of the key for new objects where the default encryption is aws:kms."""

    @property
    def arn(self) -> str:
        return f"arn:aws:s3:::{self.name}"


class ManagedKey(Row, frozen=True):
    """The key that AWS manages for S3 in an account and region: alias/aws/s3."""

    account: str
    region: str
    id: str


class Setting(Row, frozen=True):
    bucket: str
    name: str
    value: Any


class Version(Row, frozen=True):
    """An object version or a delete marker, all but its bytes."""

    bucket: str
    key: str
    rank: int
    version_id: str
    modified_at: int
    marker: bool = False
    etag: str = ""
    """Without quotes."""
    size: int = 0
    in_blobs: bool = False
    storage_class: str = "STANDARD"
    checksum_algorithm: str = ""
    checksum: str = ""
    """In base64; with ``-N`` behind it where it is a composite of N parts."""
    checksum_type: str = ""
    headers: Mapping[str, Any] = {}
    """ContentType, CacheControl and their like, by the names that requests and replies share."""
    metadata: Mapping[str, str] = {}
    tags: tuple[tuple[str, str], ...] = ()
    parts_count: int = 0
    """Of an object from a multipart upload, else 0."""
    null_rank: int = 0
    """Of the current version: the rank of the noncurrent version named null, 0 if there is none."""
    noncurrent_since: int = 0
    upload_id: str = ""

    @property
    def sequence(self) -> int:
        return -self.rank


class Segment(Row, frozen=True):
    """A stretch of a blob. The blob is encrypted as a whole with ``secret``."""

    blob: str
    secret: bytes
    start: int
    size: int


class Part(Row, frozen=True):
    """What remains of a part of a multipart upload in the finished object."""

    number: int
    size: int
    checksum: str = ""


class Content(Row, frozen=True):
    """The bytes of a version: ``sealed`` (with ``nonce``) or ``segments``, not both."""

    bucket: str
    key: str
    version_id: str
    holder: str = ""
    """In whose name the blobs are held."""
    nonce: bytes = b""
    sealed: bytes = b""
    segments: tuple[Segment, ...] = ()
    parts: tuple[Part, ...] = ()


class Upload(Row, frozen=True):
    """A multipart upload that is neither completed nor aborted."""

    bucket: str
    key: str
    upload_id: str
    initiated_at: int
    initiator: str
    initiator_name: str
    storage_class: str = "STANDARD"
    checksum_algorithm: str = ""
    checksum_type: str = ""
    headers: Mapping[str, Any] = {}
    metadata: Mapping[str, str] = {}
    tags: tuple[tuple[str, str], ...] = ()


class UploadedPart(Row, frozen=True):
    upload_id: str
    number: int
    modified_at: int
    etag: str
    size: int
    holder: str
    segments: tuple[Segment, ...]
    checksum_algorithm: str = ""
    checksum: str = ""
    crc64nvme: str = ""
    """Kept where the upload names no algorithm: the finished object gets one over all parts."""


MANAGED_KEYS = Table("s3.managed_keys", ManagedKey, key=("account", "region"))
BUCKETS = Table("s3.buckets", Bucket, key=("name",))
BUCKET_NAMES = Index("s3.bucket_names", "account", "name")
SETTINGS = Table("s3.settings", Setting, key=("bucket", "name"))
OBJECTS = Table("s3.objects", Version, key=("bucket", "key"))
NONCURRENT = Table("s3.noncurrent", Version, key=("bucket", "key", "rank"))
CONTENTS = Table("s3.contents", Content, key=("bucket", "key", "version_id"))
UPLOADS = Table("s3.uploads", Upload, key=("bucket", "key", "upload_id"))
PARTS = Table("s3.parts", UploadedPart, key=("upload_id", "number"))
LISTING = Index("s3.listing", "bucket", "key")

Listed = tuple[str, int, int, str, str, str]
"""etag in its quotes, size, modified_at, storage class, checksum algorithm and type."""
encode_listed = msgspec.msgpack.Encoder().encode
decode_listed = msgspec.msgpack.Decoder(Listed).decode


def listed(row: Version) -> bytes:
    """The value in ``s3.listing`` of a current object."""
    return encode_listed(
        (
            f'"{row.etag}"',
            row.size,
            row.modified_at,
            row.storage_class,
            row.checksum_algorithm,
            row.checksum_type,
        )
    )


class KeyRange:
    """The keys of one bucket in a table whose key begins (bucket, key): scans by parts of keys.

    A packed key is a tag, the text's bytes and an end mark; without the end mark it is the start of
    all texts that begin so. Tables know only whole parts, listings cut through them.
    """

    def __init__(self, table: Table[Any] | Index, bucket: str) -> None:
        self._base = table.prefix(bucket)
        self._at = len(self._base) + 1

    def beginning(self, text: str) -> tuple[bytes, bytes]:
        """The range of all keys that begin with ``text``."""
        start = self._base + b"\x02" + text.encode().replace(b"\0", b"\0\xff")
        return start, after(start)

    def past(self, key: str) -> bytes:
        """The start of the range of all keys that sort behind ``key``."""
        return self.beginning(key)[0] + b"\0\xff" if key else self._base

    def key_of(self, packed: bytes) -> str:
        """The key in a packed ``(bucket, key)`` tuple."""
        raw = packed[self._at : -1]
        return raw.decode() if b"\0" not in raw else raw.replace(b"\0\xff", b"\0").decode()

    def keys_of(self, packed: Sequence[bytes]) -> list[str]:
        """The same for many."""
        at = self._at
        try:
            return [one[at:-1].decode() for one in packed]
        except UnicodeDecodeError:  # the escape of a NUL is no UTF-8
            return [self.key_of(one) for one in packed]


async def setting(tx: ReadTx, bucket: str, name: str) -> Any:
    """The value of a bucket's setting, or None."""
    row = await SETTINGS.get(tx, bucket, name)
    return None if row is None else row.value
