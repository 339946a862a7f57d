"""The errors that API Gateway V2 documents."""

from __future__ import annotations

from skyfold.base.errors import AwsError


class BadRequestException(AwsError):
    pass


class NotFoundException(AwsError):
    status = 404

    def __init__(self, what: str, id: str) -> None:
        super().__init__(f"Invalid {what} identifier specified {id}", ResourceType=what)


class ConflictException(AwsError):
    status = 409
