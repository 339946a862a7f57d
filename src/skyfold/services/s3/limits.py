"""Every quota of Amazon S3 that is enforced here."""

from __future__ import annotations

KIB = 1024
MIB = 1024 * KIB
GIB = 1024 * MIB

INLINE_BYTES_MAX = 64 * KIB
"""Bodies up to here are kept in a row of the store; larger ones are blobs."""
PUT_BYTES_MAX = 5 * GIB
"""For one PutObject, UploadPart or CopyObject."""
OBJECT_BYTES_MAX = 50 * 1024 * GIB
PART_BYTES_MIN = 5 * MIB
"""For every part but the last."""
PART_NUMBER_MAX = 10_000

KEY_BYTES_MAX = 1024
METADATA_BYTES_MAX = 2 * KIB
"""Names and values of an object's own metadata, together."""

OBJECT_TAGS_MAX = 10
BUCKET_TAGS_MAX = 50
TAG_KEY_CHARS_MAX = 128
TAG_VALUE_CHARS_MAX = 256

PAGE_KEYS_MAX = 1000
"""Keys, versions, uploads or parts in one page of a listing."""
DELETE_KEYS_MAX = 1000
BUCKETS_PAGE_MAX = 10_000

POLICY_BYTES_MAX = 20 * KIB
LIFECYCLE_RULES_MAX = 1000
CORS_RULES_MAX = 100
NOTIFICATIONS_MAX = 100
