"""aws-chunked bodies, signed and not, with botocore's wrapper as the other side."""

from __future__ import annotations

import hmac
import io
from collections.abc import AsyncIterator
from hashlib import sha256

import pytest
from botocore.httpchecksum import AwsChunkedWrapper, Crc32Checksum
from hypothesis import given
from hypothesis import strategies as st

from skyfold.base.errors import AwsError
from skyfold.kernel.wire import checksums, chunked

UNSIGNED = {
    "x-amz-content-sha256": chunked.UNSIGNED_TRAILER,
    "x-amz-trailer": "x-amz-checksum-crc32",
}


class Chain:
    """A chain of signatures that is not AWS's, but links as theirs does."""

    def __init__(self) -> None:
        self.previous = "seed"

    def sign(self, *parts: str) -> str:
        self.previous = hmac.digest(
            b"key", "\n".join((self.previous, *parts)).encode(), "sha256"
        ).hex()
        return self.previous

    def chunk(self, data_sha256_hex: str, signature: str) -> bool:
        return self.sign(data_sha256_hex) == signature

    def trailer(self, canonical_trailer_bytes: bytes, signature: str) -> bool:
        return self.sign("trailer", sha256(canonical_trailer_bytes).hexdigest()) == signature


def signed(pieces: list[bytes], trailer: str = "") -> bytes:
    chain, out = Chain(), b""
    for piece in (*pieces, b""):
        signature = chain.sign(sha256(piece).hexdigest())
        out += f"{len(piece):x};chunk-signature={signature}\r\n".encode()
        out += piece + b"\r\n" if piece else b""
    if trailer:
        signature = chain.sign("trailer", sha256(f"{trailer}\n".encode()).hexdigest())
        out += f"{trailer}\r\nx-amz-trailer-signature:{signature}\r\n".encode()
    return out + b"\r\n"


async def in_pieces(raw: bytes, size: int) -> AsyncIterator[bytes]:
    for at in range(0, len(raw), size):
        yield raw[at : at + size]


@given(data=st.binary(max_size=400), chunk=st.integers(1, 100))
def test_what_botocore_frames_is_unframed(data: bytes, chunk: int) -> None:
    wrapper = AwsChunkedWrapper(
        io.BytesIO(data), Crc32Checksum, "x-amz-checksum-crc32", chunk_size=chunk
    )

    got, trailers = chunked.decode(UNSIGNED, wrapper.read())

    assert got == data
    assert trailers == {"x-amz-checksum-crc32": checksums.checksum("crc32", data)}


@pytest.mark.parametrize("size", [1, 3, 7, 1000])
async def test_a_signed_stream_is_unframed_however_it_is_cut(size: int) -> None:
    raw = signed([b"a" * 70, b"b" * 30])
    headers = {"x-amz-content-sha256": chunked.SIGNED, "x-amz-decoded-content-length": "100"}
    stream = chunked.Decoded(in_pieces(raw, size), headers, Chain())

    assert b"".join([piece async for piece in stream]) == b"a" * 70 + b"b" * 30


def test_a_signed_trailer_is_verified() -> None:
    digest = checksums.checksum("crc32", b"hello")
    raw = signed([b"hello"], f"x-amz-checksum-crc32:{digest}")
    headers = {**UNSIGNED, "x-amz-content-sha256": chunked.SIGNED_TRAILER}

    got, trailers = chunked.decode(headers, raw, Chain())

    assert (got, trailers) == (b"hello", {"x-amz-checksum-crc32": digest})


@pytest.mark.parametrize(
    "spoil",
    [
        lambda raw: raw.replace(b"hello", b"hallo"),
        lambda raw: raw[:-80],
        lambda raw: raw.replace(b"crc32:", b"crc32:A"),
        lambda raw: raw.replace(
            b";chunk-signature=", b";chunk-signature=" + b"0" * 64 + b"\r\n", 1
        ),
        lambda raw: raw.replace(b"5;", b"6;"),
        lambda raw: raw[: len(raw) // 2],
    ],
)
def test_a_spoilt_signed_body_is_refused(spoil: object) -> None:
    digest = checksums.checksum("crc32", b"hello")
    raw = signed([b"hello"], f"x-amz-checksum-crc32:{digest}")
    headers = {**UNSIGNED, "x-amz-content-sha256": chunked.SIGNED_TRAILER}

    with pytest.raises(AwsError):
        chunked.decode(headers, spoil(raw), Chain())  # type: ignore[operator]


def test_a_chunk_without_signature_is_refused_where_chunks_are_signed() -> None:
    headers = {"x-amz-content-sha256": chunked.SIGNED}

    with pytest.raises(chunked.SignatureDoesNotMatch):
        chunked.decode(headers, b"5\r\nhello\r\n0\r\n\r\n", Chain())


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        (b"", "IncompleteBody"),
        (b"5\r\nhel", "IncompleteBody"),
        (b"5\r\nhello\r\n", "IncompleteBody"),
        (b"zz\r\nhello\r\n0\r\n\r\n", "InvalidRequest"),
        (b"-5\r\nhello\r\n0\r\n\r\n", "InvalidRequest"),
        (b"5\r\nhelloo\r\n0\r\n\r\n", "InvalidRequest"),
        (b"5\r\nhello\r\n0\r\n\r\n", "MalformedTrailerError"),
        (b"5\r\nhello\r\n0\r\nnonsense\r\n\r\n", "MalformedTrailerError"),
        (b"5\r\nhello\r\n0\r\nx-amz-checksum-crc32:AAAA\r\n\r\nmore", "InvalidRequest"),
        (b"x" * 10_000, "InvalidRequest"),
    ],
)
def test_a_malformed_framing_is_refused(raw: bytes, code: str) -> None:
    with pytest.raises(AwsError) as raised:
        chunked.decode(UNSIGNED, raw)

    assert raised.value.code == code


@pytest.mark.parametrize("length", ["4", "6"])
def test_a_body_of_another_length_than_announced_is_refused(length: str) -> None:
    headers = {
        "x-amz-content-sha256": chunked.SIGNED,
        "x-amz-decoded-content-length": length,
    }

    with pytest.raises(chunked.IncompleteBody):
        chunked.decode(headers, b"5\r\nhello\r\n0\r\n\r\n")


@given(raw=st.binary(max_size=300))
def test_arbitrary_bytes_never_break_the_decoder(raw: bytes) -> None:
    try:
        chunked.decode(UNSIGNED, raw)
    except AwsError:
        return


# --- checksums ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("algorithm", "expected"),
    [
        ("crc32", "cbf43926"),
        ("crc32c", "e3069283"),
        ("crc64nvme", "ae8b14860a799888"),
        ("sha1", "f7c3bc1d808e04732adf679965ccc34ca7ae3441"),
        ("sha256", "15e2b0d3c33891ebb0f1ef609ec419420c20e320ce94c65fbc8c3312448eb225"),
    ],
)
def test_a_checksum_is_the_published_one_however_the_bytes_come(
    algorithm: str, expected: str
) -> None:
    hasher = checksums.ALGORITHMS[algorithm]()
    for byte in b"123456789":
        hasher.update(bytes((byte,)))

    assert hasher.digest().hex() == expected


@pytest.mark.parametrize("algorithm", sorted(checksums.ALGORITHMS))
async def test_a_stream_with_another_checksum_than_its_header_fails_at_its_end(
    algorithm: str,
) -> None:
    headers = {f"x-amz-checksum-{algorithm}": checksums.checksum(algorithm, b"other")}

    with pytest.raises(checksums.BadDigest, match=f"The {algorithm.upper()} you specified did not"):
        [piece async for piece in checksums.Verified(in_pieces(b"hello", 2), headers)]


async def test_a_trailing_checksum_is_held_against_the_stream() -> None:
    raw = b"5\r\nhello\r\n0\r\nx-amz-checksum-crc32:NhCmhg==\r\n\r\n"
    decoded = chunked.Decoded(in_pieces(raw, 4), UNSIGNED)
    verified = checksums.Verified(decoded, UNSIGNED, trailers=lambda: decoded.trailers)

    assert b"".join([piece async for piece in verified]) == b"hello"
    assert verified.computed == {"crc32": "NhCmhg=="}


async def test_a_wrong_trailing_checksum_is_refused() -> None:
    raw = b"5\r\nhallo\r\n0\r\nx-amz-checksum-crc32:NhCmhg==\r\n\r\n"
    decoded = chunked.Decoded(in_pieces(raw, 4), UNSIGNED)
    verified = checksums.Verified(decoded, UNSIGNED, trailers=lambda: decoded.trailers)

    with pytest.raises(checksums.BadDigest):
        [piece async for piece in verified]


def test_malformed_checksums_are_refused_before_the_body_is_read() -> None:
    with pytest.raises(checksums.InvalidRequest) as raised:
        checksums.verify({"x-amz-checksum-sha256": "AAAA"}, b"")
    assert raised.value.text == "Value for x-amz-checksum-sha256 header is invalid."
    with pytest.raises(checksums.InvalidDigest):
        checksums.verify({"content-md5": "nonsense"}, b"")


def test_a_body_in_memory_is_held_against_its_headers() -> None:
    headers = {"x-amz-checksum-crc32": "NhCmhg==", "content-md5": "XUFAKrxLKna5cZ2REBfFkg=="}

    assert checksums.verify(headers, b"hello") == {"crc32": "NhCmhg=="}
    with pytest.raises(checksums.BadDigest, match="Content-MD5 you specified did not match"):
        checksums.verify({"content-md5": "XUFAKrxLKna5cZ2REBfFkg=="}, b"hallo")
