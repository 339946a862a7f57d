"""The errors that CloudWatch Logs documents."""

from __future__ import annotations

from skyfold.base.errors import AwsError


class ResourceNotFoundException(AwsError):
    pass


class ResourceAlreadyExistsException(AwsError):
    pass


class InvalidParameterException(AwsError):
    pass


class LimitExceededException(AwsError):
    pass
