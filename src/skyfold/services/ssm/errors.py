"""The errors that Parameter Store documents."""

from __future__ import annotations

from skyfold.base.errors import AwsError


class ParameterNotFound(AwsError):
    pass


class ParameterVersionNotFound(AwsError):
    pass


class ParameterAlreadyExists(AwsError):
    message = (
        "The parameter already exists. To overwrite this value, set the overwrite option in the "
        "request to true."
    )


class ParameterPatternMismatchException(AwsError):
    pass


class ParameterMaxVersionLimitExceeded(AwsError):
    pass


class HierarchyLevelLimitExceededException(AwsError):
    pass


class UnsupportedParameterType(AwsError):
    pass


class InvalidAllowedPatternException(AwsError):
    pass


class InvalidKeyId(AwsError):
    pass


class InvalidFilterKey(AwsError):
    pass


class InvalidNextToken(AwsError):
    message = "The specified token isn't valid."


class InvalidResourceId(AwsError):
    pass


class InvalidResourceType(AwsError):
    pass


class ParameterVersionLabelLimitExceeded(AwsError):
    pass


class TooManyTagsError(AwsError):
    pass


class ValidationException(AwsError):
    pass
