"""DynamoDB's errors, one class each, with the wordings that AWS gives them."""

from __future__ import annotations

from skyfold.base.errors import AwsError


class ValidationException(AwsError):
    """The request is malformed, or does not fit the table."""


class ResourceNotFoundException(AwsError):
    message = "Requested resource not found"


class ResourceInUseException(AwsError):
    pass


class LimitExceededException(AwsError):
    pass


class ConditionalCheckFailedException(AwsError):
    message = "The conditional request failed"


class TransactionCanceledException(AwsError):
    """``CancellationReasons`` names, for each action in turn, why it could not be done."""


class IdempotentParameterMismatchException(AwsError):
    message = (
        "DynamoDB rejected the request because you retried a request with a different payload "
        "but with an idempotent token that was already used."
    )


class ItemCollectionSizeLimitExceededException(AwsError):
    message = "Item collection size limit of 10 GB exceeded"


class PolicyNotFoundException(AwsError):
    message = "The operation tried to access a nonexistent resource-based policy."


def invalid(text: str) -> ValidationException:
    """The commonest opening of DynamoDB's refusals."""
    return ValidationException(f"One or more parameter values were invalid: {text}")


def not_valid(text: str) -> ValidationException:
    """Its newer variant, for empty key values."""
    return ValidationException(f"One or more parameter values are not valid. {text}")
