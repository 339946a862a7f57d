"""The errors of SQS: those its model documents, and those it returns without documenting them."""

from __future__ import annotations

from skyfold.base.errors import AwsError


class QueueDoesNotExist(AwsError):
    message = "The specified queue does not exist."


class QueueNameExists(AwsError):
    pass


class InvalidAddress(AwsError):
    status = 404


class InvalidAttributeName(AwsError):
    pass


class InvalidAttributeValue(AwsError):
    pass


class InvalidMessageContents(AwsError):
    message = (
        "Invalid characters found. Valid unicode characters are #x9 | #xA | #xD | "
        "#x20 to #xD7FF | #xE000 to #xFFFD | #x10000 to #x10FFFF"
    )


class MessageNotInflight(AwsError):
    message = "The specified message isn't in flight."


class OverLimit(AwsError):
    status = 403


class PurgeQueueInProgress(AwsError):
    status = 403


class ReceiptHandleIsInvalid(AwsError):
    status = 404
    message = "The input receipt handle is invalid."


class ResourceNotFoundException(AwsError):
    status = 404


class UnsupportedOperation(AwsError):
    pass


class EmptyBatchRequest(AwsError):
    pass


class TooManyEntriesInBatchRequest(AwsError):
    pass


class BatchEntryIdsNotDistinct(AwsError):
    pass


class BatchRequestTooLong(AwsError):
    pass


class InvalidBatchEntryId(AwsError):
    message = (
        "A batch entry id can only contain alphanumeric characters, hyphens and underscores. "
        "It can be at most 80 letters long."
    )


# Returned, but not documented in the model.


class InvalidParameterValue(AwsError):
    pass


class MissingParameter(AwsError):
    pass


def invalid(value: object, parameter: str, reason: str) -> InvalidParameterValue:
    """SQS's usual sentence for a parameter that it does not like."""
    return InvalidParameterValue(
        f"Value {value} for parameter {parameter} is invalid. Reason: {reason}"
    )


def missing(parameter: str) -> MissingParameter:
    return MissingParameter(f"The request must contain the parameter {parameter}.")
