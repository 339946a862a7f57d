"""What Lambda keeps.

A function is a row per version (only ``$LATEST`` so far). Its code is a blob, held by the row; the
unpacked folder is made from it when first needed. ``revision`` changes with every change of code
or configuration, so that a sandbox of an older revision is never asked again. Permissions are
statements under the function. An event source mapping is a row under its id, found by source and
by function through scans of the few there are.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from skyfold.store.tables import Table


class Function(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    account: str
    region: str
    name: str
    version: str
    revision: str
    runtime: str
    handler: str
    role: str
    code_blob: str
    code_sha256: str
    """Base64, as CodeSha256."""
    code_size: int
    modified_at: int
    description: str = ""
    timeout_s: int = 3
    memory_mb: int = 128
    ephemeral_mb: int = 512
    environment: Mapping[str, str] | None = None
    architecture: str = "x86_64"
    dead_letter_arn: str = ""
    tracing: str = "PassThrough"
    log_group: str = ""
    """Empty: /aws/lambda/NAME."""
    log_format: str = "Text"
    log_level: str = ""
    system_log_level: str = ""
    reserved_concurrency: int | None = None
    policy_revision: str = ""

    @property
    def arn(self) -> str:
        return f"arn:aws:lambda:{self.region}:{self.account}:function:{self.name}"

    @property
    def key(self) -> str:
        """Names one revision of one version, for the sandboxes."""
        return f"{self.arn}:{self.version}:{self.revision}"

    @property
    def logs_to(self) -> str:
        return self.log_group or f"/aws/lambda/{self.name}"


class Permission(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    function_arn: str
    sid: str
    statement: str
    """The policy statement, JSON."""


class EventSourceMapping(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """An event source mapping."""

    account: str
    region: str
    id: str
    source_arn: str
    function_arn: str
    enabled: bool
    batch_size: int
    window_s: int
    modified_at: int
    partial_failures: bool = False
    """ReportBatchItemFailures."""
    concurrency_max: int | None = None


FUNCTIONS = Table("lambda.functions", Function, key=("account", "region", "name", "version"))
PERMISSIONS = Table("lambda.permissions", Permission, key=("function_arn", "sid"))
MAPPINGS = Table("lambda.mappings", EventSourceMapping, key=("account", "region", "id"))

LATEST = "$LATEST"
