"""The errors of STS that are not the kernel's."""

from skyfold.base.errors import AwsError


class ValidationError(AwsError):
    """What the query protocol answers to a value that cannot be."""


class InvalidParameterValue(AwsError):
    pass


class PackedPolicyTooLargeException(AwsError):
    code = "PackedPolicyTooLarge"
