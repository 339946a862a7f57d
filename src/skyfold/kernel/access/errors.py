"""What the door answers when it does not open, in the words of each protocol.

AWS names one refusal differently for each protocol: a wrong signature is SignatureDoesNotMatch for
query services and S3, InvalidSignatureException for the JSON ones. Below the gateway a refusal is
one class; ``spoken`` turns it into the error that the caller's protocol expects.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any, ClassVar

from skyfold.base.errors import AwsError

QUERY_WORDS = frozenset({"query", "ec2", "rest-xml"})
"""Protocols that use the old names."""
QUERY_COMPATIBLE = frozenset({"sqs", "cloudwatch"})
"""Services that speak JSON or CBOR but kept the codes of the query protocol."""
S3_LIKE = frozenset({"s3", "s3control"})


class AccessError(AwsError):
    """A request that was not let in. ``code``, ``status`` and ``message`` are the query names."""

    status = 403
    exception: ClassVar[str] = ""
    """The code in JSON protocols, with status 400 (json) or 403 (rest-json)."""
    s3: ClassVar[tuple[str, int, str]] = ("", 0, "")
    """Code, status and message of S3, where they differ."""
    tells_s3_only: ClassVar[bool] = False
    """Whether only S3 adds members to the message."""

    def spoken(self, service: str, protocol: str) -> AwsError:
        """This refusal as ``service`` (its model's name) says it in ``protocol``."""
        if service in S3_LIKE:
            return self.spoken_by_s3()
        members = {} if self.tells_s3_only else self.members
        if not self.exception or protocol in QUERY_WORDS or service in QUERY_COMPATIBLE:
            return kind(self.code, self.status)(self.text, **members)
        status = 403 if protocol == "rest-json" else 400
        return kind(self.exception, status)(self.text, **members)

    def spoken_by_s3(self) -> AwsError:
        code, status, message = self.s3
        text = message or self.text
        return kind(code or self.code, status or self.status)(text, **self.s3_members())

    def s3_members(self) -> Mapping[str, Any]:
        return self.members


@functools.lru_cache(maxsize=256)
def kind(code: str, status: int) -> type[AwsError]:
    """The class of an error that is only known by its code."""
    return type(code, (AwsError,), {"code": code, "status": status})


class AccessDenied(AccessError):
    """A decision against the caller."""

    exception = "AccessDeniedException"
    message = "Access Denied"

    def __init__(
        self,
        message: str = "",
        *,
        caller: str = "",
        action: str = "",
        resource: str = "",
        why: str = "",
        **members: Any,
    ) -> None:
        """``why`` is empty or opens with a blank: `` because no ... policy allows the ...``."""
        self.caller, self.action, self.resource, self.why = caller, action, resource, why
        super().__init__(message or (self._sentence(action, resource) if caller else ""), **members)

    def _sentence(self, action: str, resource: str) -> str:
        why = self.why.replace("{action}", action)
        return (
            f"User: {self.caller} is not authorized to perform: {action} on resource: {resource}"
            + why
        )

    def spoken(self, service: str, protocol: str) -> AwsError:
        if service == "sns":
            action = "SNS:" + self.action.partition(":")[2]
            text = self._sentence(action, self.resource) if self.action else self.text
            return kind("AuthorizationError", 403)(text)
        if service == "sqs" and self.caller:
            return kind("AccessDenied", 403)(self._sentence(self.action.lower(), self.resource))
        return super().spoken(service, protocol)

    def spoken_by_s3(self) -> AwsError:
        if not self.caller:
            return self
        return kind(self.code, 403)(
            self._sentence(self.action, f'"{self.resource}"'), **self.members
        )


class InvalidClientTokenId(AccessError):
    """No such access key, or a session token that is not its own."""

    tells_s3_only = True
    exception = "UnrecognizedClientException"
    message = "The security token included in the request is invalid."
    s3 = (
        "InvalidAccessKeyId",
        403,
        "The AWS Access Key Id you provided does not exist in our records.",
    )

    def s3_members(self) -> Mapping[str, Any]:
        return {"AWSAccessKeyId": self.members.get("AWSAccessKeyId", "")}


class InvalidToken(InvalidClientTokenId):
    """A session token that does not belong to the access key, or is missing."""

    code = "InvalidClientTokenId"
    s3 = ("InvalidToken", 400, "The provided token is malformed or otherwise invalid.")

    def s3_members(self) -> Mapping[str, Any]:
        return {"Token-0": self.members.get("Token", "")}


class ExpiredToken(AccessError):
    tells_s3_only = True
    exception = "ExpiredTokenException"
    message = "The security token included in the request is expired"
    s3 = ("ExpiredToken", 400, "The provided token has expired.")

    def s3_members(self) -> Mapping[str, Any]:
        return {"Token-0": self.members.get("Token", "")}


class MissingAuthenticationToken(AccessError):
    exception = "MissingAuthenticationTokenException"
    message = "Request is missing Authentication Token"
    s3 = ("AccessDenied", 403, "Access Denied")

    def spoken(self, service: str, protocol: str) -> AwsError:
        if protocol in QUERY_WORDS or service in S3_LIKE or service in QUERY_COMPATIBLE:
            return super().spoken(service, protocol)
        status = 403 if protocol == "rest-json" else 400
        return kind(self.exception, status)("Missing Authentication Token")


class HeaderMalformed(AccessError):
    """What S3 calls AuthorizationHeaderMalformed, in words of its own."""

    def __init__(self, message: str, *, s3_message: str = "", **members: Any) -> None:
        super().__init__(message, **members)
        self._s3_message = s3_message

    def spoken_by_s3(self) -> AwsError:
        text = self._s3_message or self.text
        return kind("AuthorizationHeaderMalformed", 400)(text, **self.members)


class IncompleteSignature(HeaderMalformed):
    """An Authorization header that cannot be understood."""

    status = 400
    exception = "IncompleteSignatureException"


class SignatureDoesNotMatch(AccessError):
    """The signature is not the one that the secret key makes of this request."""

    exception = "InvalidSignatureException"
    message = (
        "The request signature we calculated does not match the signature you provided. "
        "Check your AWS Secret Access Key and signing method. "
        "Consult the service documentation for details."
    )
    s3 = (
        "SignatureDoesNotMatch",
        403,
        "The request signature we calculated does not match the signature you provided. "
        "Check your key and signing method.",
    )

    def __init__(
        self,
        message: str = "",
        *,
        access_key: str = "",
        canonical: bytes = b"",
        to_sign: bytes = b"",
        provided: str = "",
    ) -> None:
        self._access_key, self._provided = access_key, provided
        self._canonical, self._to_sign = canonical, to_sign
        if canonical and not message:
            message = (
                f"{self.message}\n\nThe Canonical String for this request should have been\n"
                f"'{canonical.decode('utf-8', 'replace')}'\n\n"
                f"The String-to-Sign should have been\n'{to_sign.decode('utf-8', 'replace')}'\n"
            )
        super().__init__(message)

    def s3_members(self) -> Mapping[str, Any]:
        members = {
            "AWSAccessKeyId": self._access_key,
            "StringToSign": self._to_sign.decode("utf-8", "replace"),
            "SignatureProvided": self._provided,
            "StringToSignBytes": self._to_sign.hex(" "),
        }
        if self._canonical:
            members["CanonicalRequest"] = self._canonical.decode("utf-8", "replace")
            members["CanonicalRequestBytes"] = self._canonical.hex(" ")
        return members


class SignatureExpired(AccessError):
    """Signed too long ago, or in the future."""

    code = "SignatureDoesNotMatch"
    tells_s3_only = True
    exception = "InvalidSignatureException"
    s3 = (
        "RequestTimeTooSkewed",
        403,
        "The difference between the request time and the current time is too large.",
    )

    def s3_members(self) -> Mapping[str, Any]:
        return self.members


class WrongScope(HeaderMalformed):
    """The credential scope names another date, region or service."""

    code = "SignatureDoesNotMatch"
    exception = "InvalidSignatureException"


class AuthorizationQueryParametersError(AccessError):
    """A presigned URL that cannot be understood."""

    status = 400


class RequestExpired(AccessError):
    """A presigned URL that is past its time."""

    code = "AccessDenied"
    exception = "AccessDeniedException"
    message = "Request has expired"


class HeadersNotSigned(AccessError):
    code = "AccessDenied"
    message = "There were headers present in the request which were not signed"


class InvalidRequest(AccessError):
    """A way to sign that is not offered."""

    status = 400
    message = (
        "The authorization mechanism you have provided is not supported. "
        "Please use AWS4-HMAC-SHA256."
    )


class InvalidArgument(AccessError):
    status = 400


class QueryAuthIncomplete(AccessError):
    """A presigned URL of signature version 2 with parts missing."""

    code = "AccessDenied"
    message = (
        "Query-string authentication requires the Signature, Expires and AWSAccessKeyId parameters"
    )


class XAmzContentSHA256Mismatch(AccessError):
    status = 400
    message = "The provided 'x-amz-content-sha256' header does not match what was computed."


class MalformedPolicyDocument(AwsError):
    """A policy document that AWS would not accept."""

    status = 400
