"""Writing and reading objects: bodies, headers, ranges, conditions, checksums."""

from __future__ import annotations

import base64
import hashlib
import zlib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skyfold.base.errors import NotImplementedHere
from skyfold.services.s3 import errors
from skyfold.services.s3.engine import ranges
from skyfold.services.s3.limits import INLINE_BYTES_MAX
from tests.services.s3.conftest import BUCKET, Streamed, body_of
from tests.support.world import World

LARGE = bytes(range(256)) * 1024


@pytest.mark.parametrize("size", [0, 1, INLINE_BYTES_MAX, INLINE_BYTES_MAX + 1, 1_000_000])
@pytest.mark.parametrize("streamed", [False, True])
async def test_what_is_put_is_what_is_got(world: World, size: int, streamed: bool) -> None:
    data = (LARGE * 4)[:size]

    put = await world.s3(
        "PutObject", Bucket=BUCKET, Key="k", Body=Streamed(data) if streamed else data
    )
    got = await world.s3("GetObject", Bucket=BUCKET, Key="k")

    assert await body_of(got) == data
    assert put["ETag"] == got["ETag"] == f'"{hashlib.md5(data).hexdigest()}"'
    assert got["ContentLength"] == size


async def test_neither_rows_nor_blobs_hold_a_body_as_it_is(world: World) -> None:
    secret = b"attack at dawn, by the old mill. " * 10
    await world.s3("PutObject", Bucket=BUCKET, Key="small", Body=secret)
    await world.s3("PutObject", Bucket=BUCKET, Key="large", Body=secret * 1000)

    rows = await world.platform.store.read(_values)
    files = [path.read_bytes() for path in world.folder.rglob("*") if path.is_file()]

    assert sum(map(len, files)) >= len(secret) * 1000
    assert not any(secret[:33] in kept for kept in [*rows, *files])


async def _values(tx: Any) -> list[bytes]:
    return [value for _, value in await tx.scan(b"", b"\xff", limit=10_000)]


async def test_headers_and_metadata_come_back(world: World) -> None:
    headers = {
        "CacheControl": "max-age=9",
        "ContentDisposition": "inline",
        "ContentEncoding": "gzip",
        "ContentLanguage": "de",
        "ContentType": "text/plain",
        "Expires": "Wed, 21 Oct 2015 07:28:00 GMT",
        "WebsiteRedirectLocation": "/elsewhere",
    }
    await world.s3("PutObject", Bucket=BUCKET, Key="k", Metadata={"Some-Name": "x"}, **headers)

    head = await world.s3("HeadObject", Bucket=BUCKET, Key="k")

    assert head.items() >= headers.items()
    assert head["Metadata"] == {"some-name": "x"}
    assert head["ServerSideEncryption"] == "AES256"
    assert "Body" not in head


@pytest.mark.parametrize(
    ("sent", "kept"), [("aws-chunked", None), ("aws-chunked,gzip", "gzip"), ("br", "br")]
)
async def test_how_a_body_was_sent_is_not_its_encoding(
    world: World, sent: str, kept: str | None
) -> None:
    await world.s3("PutObject", Bucket=BUCKET, Key="k", ContentEncoding=sent)

    head = await world.s3("HeadObject", Bucket=BUCKET, Key="k")

    assert head.get("ContentEncoding") == kept


async def test_a_read_may_override_the_headers_of_its_reply(world: World) -> None:
    await world.s3("PutObject", Bucket=BUCKET, Key="k", Body=b"x")

    got = await world.s3(
        "GetObject",
        Bucket=BUCKET,
        Key="k",
        ResponseContentType="image/png",
        ResponseContentDisposition="attachment",
        ResponseExpires=AT,
    )

    assert (got["ContentType"], got["ContentDisposition"]) == ("image/png", "attachment")
    assert got["Expires"] == "Tue, 14 Nov 2023 22:13:20 GMT"


async def test_what_is_missing_is_said(world: World) -> None:
    with pytest.raises(errors.NoSuchKey) as no_key:
        await world.s3("GetObject", Bucket=BUCKET, Key="none")
    with pytest.raises(errors.NoSuchBucket) as no_bucket:
        await world.s3("PutObject", Bucket="nowhere", Key="k", Body=b"x")

    assert no_key.value.members == {"Key": "none"}
    assert no_bucket.value.members == {"BucketName": "nowhere"}


async def test_names_and_metadata_have_limits(world: World) -> None:
    await world.s3("PutObject", Bucket=BUCKET, Key="é" * 512)
    with pytest.raises(errors.KeyTooLongError):
        await world.s3("PutObject", Bucket=BUCKET, Key="é" * 512 + "x")
    with pytest.raises(errors.MetadataTooLarge):
        await world.s3("PutObject", Bucket=BUCKET, Key="k", Metadata={"n": "v" * 2048})


@pytest.mark.parametrize(
    "asked",
    [
        {"ServerSideEncryption": "aws:kms:dsse"},
        {"SSECustomerAlgorithm": "AES256", "SSECustomerKey": "k"},
        {"StorageClass": "GLACIER"},
        {"WriteOffsetBytes": 3},
    ],
)
async def test_what_cannot_be_obeyed_is_refused(world: World, asked: dict[str, Any]) -> None:
    with pytest.raises(NotImplementedHere):
        await world.s3("PutObject", Bucket=BUCKET, Key="k", Body=b"x", **asked)
    with pytest.raises(errors.NoSuchKey):
        await world.s3("GetObject", Bucket=BUCKET, Key="k")


# --- ranges -----------------------------------------------------------------------------------


@given(size=st.integers(0, 40), first=st.integers(0, 45), last=st.integers(0, 45))
def test_a_range_is_what_slicing_says(size: int, first: int, last: int) -> None:
    data = bytes(range(size))
    expected = data[first : last + 1]

    if last < first:
        assert ranges.requested(f"bytes={first}-{last}", size) is None
    elif not expected:
        with pytest.raises(errors.InvalidRange):
            ranges.requested(f"bytes={first}-{last}", size)
    else:
        found = ranges.requested(f"bytes={first}-{last}", size)
        assert found is not None
        assert data[found[0] : found[1]] == expected


@given(size=st.integers(0, 40), count=st.integers(0, 45))
def test_a_suffix_range_is_the_end_of_the_body(size: int, count: int) -> None:
    data = bytes(range(size))

    if count == 0 or size == 0:
        with pytest.raises(errors.InvalidRange):
            ranges.requested(f"bytes=-{count}", size)
    else:
        found = ranges.requested(f"bytes=-{count}", size)
        assert found is not None
        assert data[found[0] : found[1]] == data[-count:]


@pytest.mark.parametrize(
    "header", ["bytes=", "bytes=-", "bytes=a-b", "0-5", "bytes=0-1,3-4", "bytes=5-1", "lines=0-1"]
)
def test_a_malformed_range_is_as_if_it_were_not_there(header: str) -> None:
    assert ranges.requested(header, 10) is None


@settings(max_examples=25)
@given(bounds=st.tuples(st.integers(0, 262_143), st.integers(0, 262_143)).map(sorted))
async def test_a_range_of_a_blob_is_decrypted_from_its_middle(bounds: list[int]) -> None:
    world = World()
    await world.s3("CreateBucket", Bucket=BUCKET)
    await world.s3("PutObject", Bucket=BUCKET, Key="k", Body=LARGE)
    first, last = bounds

    got = await world.s3("GetObject", Bucket=BUCKET, Key="k", Range=f"bytes={first}-{last}")

    assert await body_of(got) == LARGE[first : last + 1]
    assert got["ContentRange"] == f"bytes {first}-{last}/{len(LARGE)}"


async def test_a_range_past_the_end_says_how_long_the_object_is(world: World) -> None:
    await world.s3("PutObject", Bucket=BUCKET, Key="k", Body=b"0123456789")

    with pytest.raises(errors.InvalidRange) as refused:
        await world.s3("GetObject", Bucket=BUCKET, Key="k", Range="bytes=10-")

    assert refused.value.status == 416
    assert refused.value.members == {"ActualObjectSize": "10", "RangeRequested": "bytes=10-"}


# --- conditions -------------------------------------------------------------------------------

AT = 1_700_000_000_000
EARLIER, LATER = AT - 60_000, AT + 60_000
ETAG = hashlib.md5(b"data").hexdigest()


@pytest.mark.parametrize(
    ("conditions", "outcome"),
    [
        ({"IfMatch": f'"{ETAG}"'}, None),
        ({"IfMatch": ETAG}, None),
        ({"IfMatch": "*"}, None),
        ({"IfMatch": '"other"'}, "If-Match"),
        ({"IfMatch": f'"other", "{ETAG}"'}, None),
        ({"IfNoneMatch": '"other"'}, None),
        ({"IfNoneMatch": ETAG}, 304),
        ({"IfNoneMatch": "*"}, 304),
        ({"IfModifiedSince": EARLIER}, None),
        ({"IfModifiedSince": AT}, 304),
        ({"IfModifiedSince": LATER}, None),  # S3 passes over dates in the future
        ({"IfUnmodifiedSince": EARLIER}, "If-Unmodified-Since"),
        ({"IfUnmodifiedSince": AT}, None),
        ({"IfUnmodifiedSince": LATER}, None),
        ({"IfMatch": ETAG, "IfUnmodifiedSince": EARLIER}, None),
        ({"IfNoneMatch": ETAG, "IfModifiedSince": EARLIER}, 304),
        ({"IfNoneMatch": "other", "IfModifiedSince": AT}, None),
    ],
)
@pytest.mark.parametrize("operation", ["GetObject", "HeadObject"])
async def test_conditions_of_reads(
    world: World, operation: str, conditions: dict[str, Any], outcome: str | int | None
) -> None:
    await world.s3("PutObject", Bucket=BUCKET, Key="k", Body=b"data")
    await world.advance(30)

    if outcome is None:
        assert (await world.s3(operation, Bucket=BUCKET, Key="k", **conditions))["ETag"]
    elif outcome == 304:
        with pytest.raises(errors.NotModified):
            await world.s3(operation, Bucket=BUCKET, Key="k", **conditions)
    else:
        with pytest.raises(errors.PreconditionFailed) as failed:
            await world.s3(operation, Bucket=BUCKET, Key="k", **conditions)
        assert failed.value.members == {"Condition": outcome}


@pytest.mark.parametrize(
    ("there", "conditions", "error"),
    [
        (True, {"IfNoneMatch": "*"}, errors.PreconditionFailed),
        (False, {"IfNoneMatch": "*"}, None),
        (True, {"IfMatch": ETAG}, None),
        (True, {"IfMatch": "other"}, errors.PreconditionFailed),
        (False, {"IfMatch": ETAG}, errors.NoSuchKey),
        (False, {"IfNoneMatch": ETAG}, errors.HeaderNotImplemented),
        (True, {"IfMatch": "*"}, errors.HeaderNotImplemented),
        (True, {"IfMatch": ETAG, "IfNoneMatch": "*"}, errors.HeaderNotImplemented),
    ],
)
async def test_conditions_of_writes(
    world: World, there: bool, conditions: dict[str, str], error: type[Exception] | None
) -> None:
    if there:
        await world.s3("PutObject", Bucket=BUCKET, Key="k", Body=b"data")

    if error is None:
        await world.s3("PutObject", Bucket=BUCKET, Key="k", Body=b"new", **conditions)
        assert (await world.s3("GetObject", Bucket=BUCKET, Key="k"))["Body"] == b"new"
    else:
        with pytest.raises(error):
            await world.s3("PutObject", Bucket=BUCKET, Key="k", Body=b"new", **conditions)
        listed = await world.s3("ListObjectsV2", Bucket=BUCKET)
        assert [one["ETag"] for one in listed.get("Contents", [])] == [f'"{ETAG}"'] * there


async def test_a_delete_marker_is_no_object_to_a_condition(world: World) -> None:
    enabled = {"Status": "Enabled"}
    await world.s3("PutBucketVersioning", Bucket=BUCKET, VersioningConfiguration=enabled)
    await world.s3("PutObject", Bucket=BUCKET, Key="k", Body=b"data")
    await world.s3("DeleteObject", Bucket=BUCKET, Key="k")

    with pytest.raises(errors.NoSuchKey):
        await world.s3("PutObject", Bucket=BUCKET, Key="k", IfMatch=ETAG)
    await world.s3("PutObject", Bucket=BUCKET, Key="k", IfNoneMatch="*")


# --- checksums --------------------------------------------------------------------------------

# The check values of the catalogues of CRC algorithms, for "123456789".
CHECKS = {
    "CRC32": (0xCBF43926).to_bytes(4),
    "CRC32C": (0xE3069283).to_bytes(4),
    "CRC64NVME": (0xAE8B14860A799888).to_bytes(8),
    "SHA1": hashlib.sha1(b"123456789").digest(),
    "SHA256": hashlib.sha256(b"123456789").digest(),
}
TEXT = {name: base64.b64encode(raw).decode() for name, raw in CHECKS.items()}


@pytest.mark.parametrize("algorithm", CHECKS)
async def test_a_checksum_is_verified_kept_and_returned(world: World, algorithm: str) -> None:
    member = f"Checksum{algorithm}"
    request = {"Bucket": BUCKET, "Key": "k", "Body": b"123456789"}

    put = await world.s3("PutObject", **request, **{member: TEXT[algorithm]})
    got = await world.s3("GetObject", Bucket=BUCKET, Key="k", ChecksumMode="ENABLED")
    plain = await world.s3("GetObject", Bucket=BUCKET, Key="k")

    assert put[member] == got[member] == TEXT[algorithm]
    assert put["ChecksumType"] == got["ChecksumType"] == "FULL_OBJECT"
    assert member not in plain


@pytest.mark.parametrize("algorithm", CHECKS)
@pytest.mark.parametrize("body", [b"12345678", b"1" * 100_000])
async def test_a_wrong_checksum_is_refused(world: World, algorithm: str, body: bytes) -> None:
    member = f"Checksum{algorithm}"

    with pytest.raises(errors.BadDigest) as wrong:
        await world.s3("PutObject", Bucket=BUCKET, Key="k", Body=body, **{member: TEXT[algorithm]})
    with pytest.raises(errors.InvalidRequest) as malformed:
        await world.s3("PutObject", Bucket=BUCKET, Key="k", Body=body, **{member: "?"})

    assert wrong.value.text == (
        f"The {algorithm} you specified did not match the calculated checksum."
    )
    assert malformed.value.text == (
        f"Value for x-amz-checksum-{algorithm.lower()} header is invalid."
    )


async def test_an_object_without_a_checksum_gets_one(world: World) -> None:
    put = await world.s3("PutObject", Bucket=BUCKET, Key="k", Body=b"123456789")

    assert put["ChecksumCRC64NVME"] == TEXT["CRC64NVME"]


@given(pieces=st.lists(st.binary(max_size=200), max_size=6))
def test_a_checksum_does_not_depend_on_how_the_body_is_cut(pieces: list[bytes]) -> None:
    from skyfold.services.s3.engine import checksums

    whole = b"".join(pieces)
    for algorithm in checksums.ALGORITHMS:
        digest = checksums.Digest(algorithm)
        for piece in pieces:
            digest.update(piece)
        assert digest.value() == checksums.checksum_of(algorithm, whole)
    for algorithm in ("CRC32", "CRC32C", "CRC64NVME"):
        parts = [(checksums.checksum_of(algorithm, piece), len(piece)) for piece in pieces]
        assert checksums.joined(algorithm, parts) == checksums.checksum_of(algorithm, whole)


async def test_a_trailing_checksum_names_the_algorithm_to_keep(world: World) -> None:
    import dataclasses

    call = dataclasses.replace(world.call(), headers={"x-amz-trailer": "x-amz-checksum-crc32"})
    request = {"Bucket": BUCKET, "Key": "k", "Body": Streamed(b"123456789")}

    put = await world.platform.serve("s3", "PutObject", request, call)

    assert base64.b64decode(put["ChecksumCRC32"]) == zlib.crc32(b"123456789").to_bytes(4)


@pytest.mark.parametrize("text", ["__invalid__", "000", "MTIz", "not base64 at all"])
async def test_a_malformed_content_md5_is_refused(world: World, text: str) -> None:
    with pytest.raises(errors.InvalidDigest) as refused:
        await world.s3("PutObject", Bucket=BUCKET, Key="k", Body=b"x", ContentMD5=text)

    assert refused.value.members == {"Content-MD5": text}


@pytest.mark.parametrize("body", [b"small", LARGE])
async def test_a_wrong_content_md5_is_refused(world: World, body: bytes) -> None:
    right = base64.b64encode(hashlib.md5(body).digest()).decode()
    wrong = base64.b64encode(hashlib.md5(b"?").digest()).decode()

    await world.s3("PutObject", Bucket=BUCKET, Key="k", Body=body, ContentMD5=right)
    with pytest.raises(errors.BadDigest) as refused:
        await world.s3("PutObject", Bucket=BUCKET, Key="k", Body=body, ContentMD5=wrong)

    assert refused.value.members["CalculatedDigest"] == right


# --- attributes -------------------------------------------------------------------------------


async def test_attributes_are_those_that_were_asked_for(world: World) -> None:
    await world.s3("PutObject", Bucket=BUCKET, Key="k", Body=b"123456789")

    found = await world.s3(
        "GetObjectAttributes",
        Bucket=BUCKET,
        Key="k",
        ObjectAttributes=["ETag", "Checksum", "ObjectSize", "StorageClass", "ObjectParts"],
    )
    few = await world.s3(
        "GetObjectAttributes", Bucket=BUCKET, Key="k", ObjectAttributes=["ObjectSize"]
    )

    assert found == {
        "LastModified": AT,
        "ETag": hashlib.md5(b"123456789").hexdigest(),
        "Checksum": {"ChecksumCRC64NVME": TEXT["CRC64NVME"], "ChecksumType": "FULL_OBJECT"},
        "ObjectSize": 9,
        "StorageClass": "STANDARD",
    }
    assert few == {"LastModified": AT, "ObjectSize": 9}
