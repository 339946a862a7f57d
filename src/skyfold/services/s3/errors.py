"""The errors of Amazon S3, one class each. Members are further elements of the error's XML."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from skyfold.base.errors import AwsError


class AccessControlListNotSupported(AwsError):
    message = "The bucket does not allow ACLs"


class AccessDenied(AwsError):
    status = 403
    message = "Access Denied"


class AccessForbidden(AwsError):
    status = 403


class BadDigest(AwsError):
    message = "The Content-MD5 you specified did not match what we received."


class BadRequest(AwsError):
    pass


class BucketAlreadyExists(AwsError):
    status = 409
    message = (
        "The requested bucket name is not available. The bucket namespace is shared by all users"
        " of the system. Please select a different name and try again."
    )


class BucketAlreadyOwnedByYou(AwsError):
    status = 409
    message = "Your previous request to create the named bucket succeeded and you already own it."


class BucketNotEmpty(AwsError):
    status = 409
    message = "The bucket you tried to delete is not empty"


class ConditionalRequestConflict(AwsError):
    status = 409
    message = (
        "The conditional request cannot succeed due to a conflicting operation against this"
        " resource."
    )


class EntityTooLarge(AwsError):
    message = "Your proposed upload exceeds the maximum allowed size"


class EntityTooSmall(AwsError):
    message = "Your proposed upload is smaller than the minimum allowed size"


class HeaderNotImplemented(AwsError):
    code = "NotImplemented"
    status = 501
    message = "A header you provided implies functionality that is not implemented"


class IllegalLocationConstraintException(AwsError):
    pass


class InvalidAccessKeyId(AwsError):
    status = 403
    message = "The AWS Access Key Id you provided does not exist in our records."


class InvalidArgument(AwsError):
    message = "Invalid Argument"


class InvalidBucketAclWithObjectOwnership(AwsError):
    message = "Bucket cannot have ACLs set with ObjectOwnership's BucketOwnerEnforced setting"


class InvalidBucketName(AwsError):
    message = "The specified bucket is not valid."


class InvalidBucketOwnerAWSAccountID(AwsError):
    pass


class InvalidDigest(AwsError):
    message = "The Content-MD5 you specified was invalid."


class InvalidLocationConstraint(AwsError):
    message = "The specified location-constraint is not valid"


class InvalidPart(AwsError):
    message = (
        "One or more of the specified parts could not be found.  The part may not have been"
        " uploaded, or the specified entity tag may not match the part's entity tag."
    )


class InvalidPartNumber(AwsError):
    status = 416
    message = "The requested partnumber is not satisfiable"


class InvalidPartOrder(AwsError):
    message = "The list of parts was not in ascending order. Parts must be ordered by part number."


class InvalidPolicyDocument(AwsError):
    pass


class InvalidRange(AwsError):
    status = 416
    message = "The requested range is not satisfiable"


class InvalidRequest(AwsError):
    pass


class InvalidStorageClass(AwsError):
    message = "The storage class you specified is not valid"


class InvalidTag(AwsError):
    message = (
        "The tag provided was not a valid tag. This error can occur if the tag did not pass input"
        " validation."
    )


class KeyTooLongError(AwsError):
    message = "Your key is too long"


class MalformedPOSTRequest(AwsError):
    message = "The body of your POST request is not well-formed multipart/form-data."


class MalformedPolicy(AwsError):
    pass


class MalformedXML(AwsError):
    message = (
        "The XML you provided was not well-formed or did not validate against our published schema"
    )


class MetadataTooLarge(AwsError):
    message = "Your metadata headers exceed the maximum allowed metadata size"


class MethodNotAllowed(AwsError):
    status = 405
    message = "The specified method is not allowed against this resource."


class NoSuchBucket(AwsError):
    status = 404
    message = "The specified bucket does not exist"


class NoSuchBucketPolicy(AwsError):
    status = 404
    message = "The bucket policy does not exist"


class NoSuchCORSConfiguration(AwsError):
    status = 404
    message = "The CORS configuration does not exist"


class NoSuchKey(AwsError):
    status = 404
    message = "The specified key does not exist."


class NoSuchLifecycleConfiguration(AwsError):
    status = 404
    message = "The lifecycle configuration does not exist"


class NoSuchPublicAccessBlockConfiguration(AwsError):
    status = 404
    message = "The public access block configuration was not found"


class NoSuchTagSet(AwsError):
    status = 404
    message = "The TagSet does not exist"


class NoSuchUpload(AwsError):
    status = 404
    message = (
        "The specified upload does not exist. The upload ID may be invalid, or the upload may have"
        " been aborted or completed."
    )


class NoSuchVersion(AwsError):
    status = 404
    message = "The specified version does not exist."


class NoSuchWebsiteConfiguration(AwsError):
    status = 404
    message = "The specified bucket does not have a website configuration"


class NotModified(AwsError):
    status = 304
    message = "Not Modified"


class ObjectLockConfigurationNotFoundError(AwsError):
    status = 404
    message = "Object Lock configuration does not exist for this bucket"


class OwnershipControlsNotFoundError(AwsError):
    status = 404
    message = "The bucket ownership controls were not found"


class PreconditionFailed(AwsError):
    status = 412
    message = "At least one of the pre-conditions you specified did not hold"


class ReplicationConfigurationNotFoundError(AwsError):
    status = 404
    message = "The replication configuration was not found"


class SignatureDoesNotMatch(AwsError):
    status = 403
    message = (
        "The request signature we calculated does not match the signature you provided. Check your"
        " key and signing method."
    )


_BY_MEMBER: Mapping[str, Callable[[str], AwsError]] = {
    "ACL": lambda value: InvalidArgument(ArgumentName="x-amz-acl", ArgumentValue=value),
    "ChecksumAlgorithm": lambda _: InvalidRequest(
        "Checksum algorithm provided is unsupported. Please try again with any of the valid types:"
        " [CRC32, CRC32C, CRC64NVME, SHA1, SHA256]"
    ),
    "ChecksumType": lambda _: InvalidRequest("Value for x-amz-checksum-type header is invalid."),
    "ChecksumMode": lambda value: InvalidArgument(
        ArgumentName="x-amz-checksum-mode", ArgumentValue=value
    ),
    "CopySource": lambda _: InvalidArgument(
        "Copy Source must mention the source bucket and key: sourcebucket/sourcekey",
        ArgumentName="x-amz-copy-source",
        ArgumentValue="x-amz-copy-source",
    ),
    "EncodingType": lambda value: InvalidArgument(
        "Invalid Encoding Method specified in Request",
        ArgumentName="encoding-type",
        ArgumentValue=value,
    ),
    "ExpectedBucketOwner": lambda value: InvalidBucketOwnerAWSAccountID(
        f"The value of the expected bucket owner parameter must be an AWS Account ID... [{value}]"
    ),
    "MaxBuckets": lambda value: InvalidArgument(
        "Argument max-buckets must be an integer between 1 and 10000",
        ArgumentName="max-buckets",
        ArgumentValue=value,
    ),
    "MetadataDirective": lambda value: InvalidArgument(
        "Unknown metadata directive.",
        ArgumentName="x-amz-metadata-directive",
        ArgumentValue=value,
    ),
    "ObjectAttributes": lambda value: InvalidArgument(
        "Invalid attribute name specified.",
        ArgumentName="x-amz-object-attributes",
        ArgumentValue=value,
    ),
    "ObjectOwnership": lambda value: InvalidArgument(
        f"Invalid x-amz-object-ownership header: {value}", ArgumentName="x-amz-object-ownership"
    ),
    "RequestPayer": lambda value: InvalidArgument(
        ArgumentName="x-amz-request-payer", ArgumentValue=value
    ),
    "ServerSideEncryption": lambda value: InvalidArgument(
        "The encryption method specified is not supported",
        ArgumentName="x-amz-server-side-encryption",
        ArgumentValue=value,
    ),
    "StorageClass": lambda value: InvalidStorageClass(StorageClassRequested=value),
    "TaggingDirective": lambda value: InvalidArgument(
        "Unknown tagging directive.", ArgumentName="x-amz-tagging-directive", ArgumentValue=value
    ),
    "TransitionDefaultMinimumObjectSize": lambda value: InvalidRequest(
        f"Invalid TransitionDefaultMinimumObjectSize found: {value}"
    ),
}


_CHECKED_HERE = frozenset({"BucketLocationConstraint", "FilterRuleName"})
"""Shapes that operations look at: which regions there are, ``Prefix`` as well as ``prefix``."""


def refused_by_model(violations: Sequence[Any]) -> Any:
    """S3's error for what its model does not allow: of a header its own, of a body MalformedXML.

    None where the operations themselves look at it.
    """
    first = next((one for one in violations if one.shape not in _CHECKED_HERE), None)
    if first is None:
        return None
    top = first.path.partition(".")[0].lower()
    of_header = top == first.member.lower()
    if of_header and first.kind != "missing" and first.member in _BY_MEMBER:
        return _BY_MEMBER[first.member](str(first.value))
    return MalformedXML()
