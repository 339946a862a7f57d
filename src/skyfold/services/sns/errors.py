"""The errors of SNS, named as its model names them."""

from __future__ import annotations

from skyfold.base.errors import AwsError


class InvalidParameterException(AwsError):
    pass


class InvalidParameterValueException(AwsError):
    pass


class NotFoundException(AwsError):
    status = 404
    message = "Topic does not exist"


class ResourceNotFoundException(AwsError):
    status = 404
    message = "Resource does not exist"


class AuthorizationErrorException(AwsError):
    status = 403


class TagLimitExceededException(AwsError):
    message = "Could not complete request: tag quota of per resource exceeded"


class TooManyEntriesInBatchRequestException(AwsError):
    message = "The batch request contains more entries than permissible."


class EmptyBatchRequestException(AwsError):
    message = "The batch request doesn't contain any entries."


class BatchEntryIdsNotDistinctException(AwsError):
    message = "Two or more batch entries in the request have the same Id."


class InvalidBatchEntryIdException(AwsError):
    message = "The Id of a batch entry in a batch request doesn't abide by the specification."


class BatchRequestTooLongException(AwsError):
    message = "The length of all the messages put together is more than the limit."


def invalid(what: str, reason: str = "") -> InvalidParameterException:
    """SNS's usual sentence for a parameter that it does not like."""
    text = f"{what} Reason: {reason}" if reason else what
    return InvalidParameterException(f"Invalid parameter: {text}")
