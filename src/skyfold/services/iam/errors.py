"""The errors of IAM; one for a bad policy document comes from the kernel."""

from skyfold.base.errors import AwsError


class NoSuchEntityException(AwsError):
    code = "NoSuchEntity"
    status = 404


class EntityAlreadyExistsException(AwsError):
    code = "EntityAlreadyExists"
    status = 409


class DeleteConflictException(AwsError):
    code = "DeleteConflict"
    status = 409


class LimitExceededException(AwsError):
    code = "LimitExceeded"
    status = 409


class InvalidInputException(AwsError):
    code = "InvalidInput"


class UnmodifiableEntityException(AwsError):
    code = "UnmodifiableEntity"


class PolicyNotAttachableException(AwsError):
    code = "PolicyNotAttachable"


class PasswordPolicyViolationException(AwsError):
    code = "PasswordPolicyViolation"


class InvalidUserTypeException(AwsError):
    code = "InvalidUserType"


class ValidationError(AwsError):
    """What the query protocol answers to a value that cannot be."""
