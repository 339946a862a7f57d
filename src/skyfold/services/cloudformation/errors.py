"""The errors of CloudFormation."""

from __future__ import annotations

from skyfold.base.errors import AwsError


class ValidationError(AwsError):
    """Most of what CloudFormation refuses, templates and missing stacks included."""


class AlreadyExistsException(AwsError):
    pass


class ChangeSetNotFoundException(AwsError):
    code = "ChangeSetNotFound"
    status = 404


class InsufficientCapabilitiesException(AwsError):
    pass


class InvalidChangeSetStatusException(AwsError):
    code = "InvalidChangeSetStatus"


class LimitExceededException(AwsError):
    pass


class TokenAlreadyExistsException(AwsError):
    pass


class TypeNotFoundException(AwsError):
    status = 404
