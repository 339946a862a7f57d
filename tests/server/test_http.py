"""The door: what is not HTTP, too large or too slow is turned away; the rest is handed on whole."""

from __future__ import annotations

import http.client
import socket
from collections.abc import Iterator

import pytest

from skyfold.server import http as server_http
from skyfold.testing.cloud import TestCloud, running


@pytest.fixture(scope="module")
def cloud() -> Iterator[TestCloud]:
    with running() as cloud:
        yield cloud


def say(cloud: TestCloud, text: bytes) -> bytes:
    """What comes back, up to the end of the connection or of the head."""
    with socket.create_connection(("127.0.0.1", cloud.port), timeout=5) as line:
        line.sendall(text)
        line.shutdown(socket.SHUT_WR)
        heard = b""
        while piece := line.recv(65536):
            heard += piece
        return heard


@pytest.mark.parametrize(
    "nonsense",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"HELLO\r\n\r\n",
        b"GET\r\n\r\n",
        b"\0" * 100,
    ],
)
def test_what_is_not_http_gets_400(cloud: TestCloud, nonsense: bytes) -> None:
    assert say(cloud, nonsense).startswith(b"HTTP/1.1 400")


def test_headers_that_are_too_large_get_431(cloud: TestCloud) -> None:
    huge = b"x" * (server_http.HEADER_BYTES_MAX + 1)
    heard = say(cloud, b"GET / HTTP/1.1\r\nHost: a\r\nX-A: " + huge + b"\r\n\r\n")
    assert heard.startswith(b"HTTP/1.1 431")


@pytest.mark.parametrize("length", [b"99999999999999999", b"nonsense", b"-1"])
def test_a_length_that_cannot_be_served_is_refused_at_once(cloud: TestCloud, length: bytes) -> None:
    heard = say(cloud, b"PUT /b/k HTTP/1.1\r\nHost: a\r\nContent-Length: " + length + b"\r\n\r\n")
    assert heard.startswith((b"HTTP/1.1 413", b"HTTP/1.1 400"))


def test_a_client_that_hangs_up_in_the_middle_harms_nobody(cloud: TestCloud) -> None:
    with socket.create_connection(("127.0.0.1", cloud.port), timeout=5) as line:
        line.sendall(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5000\r\n\r\nabc")
    assert say(cloud, b"GET /_skyfold/health HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")


def test_silence_in_the_middle_of_a_request_ends_the_connection(
    cloud: TestCloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server_http, "IDLE_SECONDS_MAX", 0.05)
    with socket.create_connection(("127.0.0.1", cloud.port), timeout=5) as line:
        line.sendall(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Le")
        assert line.recv(1) == b""


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (b"{", {"x-amz-target": "Logs_20140328.CreateLogGroup"}),
        (b"\xff\xfe", {"x-amz-target": "Logs_20140328.CreateLogGroup"}),
        (b"[" * 100_000, {"x-amz-target": "Logs_20140328.CreateLogGroup"}),
        (b"", {"x-amz-target": "Nobody.Nothing"}),
        (b"Action=%%%", {"content-type": "application/x-www-form-urlencoded"}),
        (b"<a><b>", {"content-type": "application/xml"}),
        (b"", {"authorization": "AWS4-HMAC-SHA256 nonsense"}),
        (b"", {"authorization": "AWS4-HMAC-SHA256 Credential=a/b/c/d/e"}),
        (b"", {"transfer-encoding": "gzip"}),
    ],
)
def test_bad_requests_get_an_error_and_never_a_traceback(
    cloud: TestCloud, body: bytes, headers: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    line = http.client.HTTPConnection("127.0.0.1", cloud.port, timeout=10)
    line.request("POST", "/", body=body, headers=headers)
    answer = line.getresponse()
    answer.read()
    line.close()
    assert 400 <= answer.status <= 501
    assert answer.status != 500
    assert "Traceback" not in caplog.text
