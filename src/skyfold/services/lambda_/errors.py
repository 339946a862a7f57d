"""The errors that Lambda documents. ``Type`` says whose fault it is, as on AWS."""

from __future__ import annotations

from typing import Any

from skyfold.base.errors import AwsError


class LambdaError(AwsError):
    def __init__(self, message: str = "", **members: Any) -> None:
        super().__init__(message, **{"Type": "User", **members})


class ResourceNotFoundException(LambdaError):
    status = 404


class ResourceConflictException(LambdaError):
    status = 409


class InvalidParameterValueException(LambdaError):
    pass


class ValidationException(AwsError):
    pass


class InvalidRequestContentException(LambdaError):
    pass


class RequestTooLargeException(LambdaError):
    status = 413


class TooManyRequestsException(LambdaError):
    status = 429

    def __init__(self, message: str = "Rate Exceeded.") -> None:
        super().__init__(message, Reason="ReservedFunctionConcurrentInvocationLimitExceeded")


class PolicyLengthExceededException(LambdaError):
    pass


class PreconditionFailedException(LambdaError):
    status = 412
    message = (
        "The Revision Id provided does not match the latest Revision Id. Call the GetPolicy API to "
        "retrieve the latest Revision Id"
    )


class InvalidRuntimeException(LambdaError):
    status = 502


class CodeStorageExceededException(LambdaError):
    pass


class InvalidZipFileException(LambdaError):
    status = 502


class ServiceException(LambdaError):
    status = 500
