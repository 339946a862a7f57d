"""Errors a caller may see. Anything else that escapes an operation is a bug (500)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar


class AwsError(Exception):
    """One AWS error. A subclass is named after its shape in the service model.

    ``code`` differs from the class name only where the wire says so. ``members`` are the further
    members that the error's shape has (``Item`` of ConditionalCheckFailedException, say).
    """

    code: ClassVar[str] = ""
    status: ClassVar[int] = 400
    message: ClassVar[str] = ""

    def __init_subclass__(cls) -> None:
        cls.code = cls.__dict__.get("code", cls.__name__)

    def __init__(self, message: str = "", **members: Any) -> None:
        super().__init__(message or self.message)
        self.members: Mapping[str, Any] = members

    @property
    def text(self) -> str:
        """The message that goes over the wire."""
        return str(self.args[0])


class NotImplementedHere(AwsError):
    """AWS has it and we do not: says so at once, with status 501, naming the gap."""

    code = "NotImplemented"
    status = 501
