"""The running cloud, as a client sees it: where it is, with which keys, and how to ask it."""

from __future__ import annotations

import contextlib
import json
import os
import urllib.error
import urllib.request
from collections.abc import Mapping
from functools import cached_property
from typing import IO, Any


class Unreachable(Exception):
    """Nothing answers there; the message says what to do."""


class Failed(Exception):
    """The cloud said no; the message is its own."""


class Cloud:
    """One endpoint and one set of keys, from the environment where not told otherwise."""

    def __init__(self, endpoint: str = "", region: str = "") -> None:
        env = os.environ.get
        self.endpoint = (
            endpoint
            or env("SKYFOLD_ENDPOINT")
            or env("AWS_ENDPOINT_URL")
            or f"http://127.0.0.1:{env('SKYFOLD_PORT', '4566')}"
        ).rstrip("/")
        if not self.endpoint.startswith(("http://", "https://")):
            raise Unreachable(
                f"{self.endpoint!r} is no address of a cloud: write http://HOST:PORT."
            )
        self.region = region or env("AWS_REGION") or env("AWS_DEFAULT_REGION") or "us-east-1"
        self.key = env("AWS_ACCESS_KEY_ID") or "test"
        self.secret = env("AWS_SECRET_ACCESS_KEY") or "test"

    @property
    def environment(self) -> dict[str, str]:
        """What makes any AWS client talk to this cloud and to nothing else."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": self.key,
            "AWS_SECRET_ACCESS_KEY": self.secret,
            "AWS_REGION": self.region,
            "AWS_DEFAULT_REGION": self.region,
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_PAGER": "",
            "SAM_CLI_TELEMETRY": "0",
        }

    @cached_property
    def _session(self) -> Any:
        import botocore.session

        session = botocore.session.Session()
        session.set_credentials(self.key, self.secret, os.environ.get("AWS_SESSION_TOKEN"))
        return session

    def client(self, service: str) -> Any:
        """A botocore client of ``service``."""
        from botocore.config import Config

        config = Config(
            retries={"max_attempts": 2}, s3={"addressing_style": "path"}, read_timeout=960
        )
        return self._session.create_client(
            service, region_name=self.region, endpoint_url=self.endpoint, config=config
        )

    def ask(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | IO[bytes] | None = None,
        *,
        timeout_s: float = 60,
    ) -> Any:
        """The platform's own pages: JSON in, JSON out."""
        with self.open(method, path, body, timeout_s=timeout_s) as answer:
            return json.load(answer)

    def open(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | IO[bytes] | None = None,
        *,
        timeout_s: float = 60,
    ) -> Any:
        """The answer as a file; Failed with the cloud's words, Unreachable with ours."""
        data: Any = json.dumps(body).encode() if isinstance(body, Mapping) else body
        url = self.endpoint + path
        request = urllib.request.Request(url, data=data, method=method)
        try:
            return urllib.request.urlopen(self._signed(request, data), timeout=timeout_s)
        except urllib.error.HTTPError as refused:
            text = refused.read().decode("utf-8", "replace")
            with contextlib.suppress(ValueError, KeyError, TypeError):
                text = json.loads(text)["message"]
            raise Failed(f"{method} {path}: {refused.code}: {text}") from None
        except (urllib.error.URLError, OSError) as gone:
            reason = getattr(gone, "reason", gone)
            raise Unreachable(
                f"No cloud answers at {self.endpoint} ({reason}).\n"
                "Start one with `skyfold up`, or name another with --endpoint or SKYFOLD_ENDPOINT."
            ) from None

    def _signed(self, request: Any, data: object) -> Any:
        """Signed only for other machines: on loopback the platform trusts who reaches it."""
        if "127.0.0.1" in self.endpoint or "localhost" in self.endpoint:
            return request
        from botocore.auth import SigV4Auth
        from botocore.awsrequest import AWSRequest
        from botocore.credentials import Credentials

        body = data if isinstance(data, bytes) else b""
        aws = AWSRequest(method=request.method, url=request.full_url, data=body)
        if not isinstance(data, bytes) and data is not None:
            aws.headers["X-Amz-Content-SHA256"] = "UNSIGNED-PAYLOAD"
        SigV4Auth(Credentials(self.key, self.secret), "skyfold", self.region).add_auth(aws)
        for name, value in aws.headers.items():
            request.add_header(name, value)
        return request
