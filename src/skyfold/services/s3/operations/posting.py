"""POST Object: uploads by browser forms, which are signed by a policy and not by headers."""

from __future__ import annotations

import base64
import hmac
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlencode

from skyfold.base.errors import AwsError
from skyfold.base.settings import Settings
from skyfold.kernel.access import credentials, sigv4
from skyfold.kernel.access.credentials import Credential
from skyfold.kernel.access.errors import AccessError
from skyfold.kernel.call import Call
from skyfold.kernel.http import HttpReply, HttpRequest
from skyfold.kernel.platform import Platform
from skyfold.kernel.principal import ANONYMOUS, Principal
from skyfold.kernel.wire.xml_codec import escape
from skyfold.services.s3.engine import form
from skyfold.services.s3.engine.form import Form
from skyfold.services.s3.engine.tagging import from_tag_set
from skyfold.services.s3.errors import InvalidAccessKeyId, InvalidArgument, SignatureDoesNotMatch
from skyfold.services.s3.operations import objects
from skyfold.services.s3.operations.cors import bucket_of, is_for_buckets
from skyfold.services.s3.operations.events import host_id
from skyfold.store.api import ReadTx

_MEMBERS = {
    "acl": "ACL",
    "cache-control": "CacheControl",
    "content-disposition": "ContentDisposition",
    "content-encoding": "ContentEncoding",
    "content-type": "ContentType",
    "expires": "Expires",
    "x-amz-storage-class": "StorageClass",
    "x-amz-server-side-encryption": "ServerSideEncryption",
    "x-amz-website-redirect-location": "WebsiteRedirectLocation",
    "x-amz-checksum-crc32": "ChecksumCRC32",
    "x-amz-checksum-crc32c": "ChecksumCRC32C",
    "x-amz-checksum-crc64nvme": "ChecksumCRC64NVME",
    "x-amz-checksum-sha1": "ChecksumSHA1",
    "x-amz-checksum-sha256": "ChecksumSHA256",
}
_METADATA = "x-amz-meta-"


def is_form_upload(request: HttpRequest) -> bool:
    """Whether a request is a form that is posted to a bucket."""
    return (
        request.method == "POST"
        and request.headers.get("content-type", "").lower().startswith("multipart/form-data")
        and "authorization" not in request.headers
        and is_for_buckets(request)
    )


async def post_object(platform: Platform, request: HttpRequest) -> HttpReply:
    """Store the file of a form, if its policy and its sender's rights allow it."""
    request_id = platform.ids.uuid()
    try:
        return await _posted(platform, request, request_id)
    except AwsError as error:
        said = error.spoken_by_s3() if isinstance(error, AccessError) else error
        wire = platform.catalog.wire("s3")
        return wire.failure(request, "rest-xml", said, request_id, "PutObject")


async def _posted(platform: Platform, request: HttpRequest, request_id: str) -> HttpReply:
    bucket, _ = bucket_of(request)
    body = request.body if request.stream is None else await request.stream.read()
    sent = form.parsed(request.headers["content-type"], body)
    key = sent.fields.get("key", "").replace("${filename}", sent.filename)
    if not key:
        raise InvalidArgument(
            "Bucket POST must contain a field named 'key'.  If it is specified, please check the"
            " order of the fields.",
            ArgumentName="key",
            ArgumentValue="",
        )
    principal = await _principal(platform, sent)
    if principal is not ANONYMOUS:
        form.check_policy(sent.fields["policy"], sent, bucket, key, platform.wall.now())
    call = Call(
        platform=platform,
        principal=principal,
        account=principal.account or platform.settings.account,
        region=platform.settings.region,
        request_id=request_id,
        endpoint=f"{request.scheme}://{request.host}",
        source_ip=request.client,
        user_agent=request.headers.get("user-agent", ""),
        secure=request.scheme == "https",
        operation="s3:PostObject",
        headers=request.headers,
    )
    params = {"Bucket": bucket, "Key": key, "Body": sent.file, **_params(sent.fields)}
    stored = await objects.store_object(call, params, "ObjectCreated:Post")
    return _answer(call, request, sent.fields, params, stored)


async def _principal(platform: Platform, sent: Form) -> Principal:
    """Whose form it is, by the signature over its policy; nobody's if it has none."""
    fields = sent.fields
    if "policy" not in fields:
        return ANONYMOUS
    if "x-amz-signature" in fields:
        key_id, *scope = fields.get("x-amz-credential", "").split("/")
        given = fields["x-amz-signature"]
    else:  # the old form: HMAC-SHA1, still accepted
        key_id, scope, given = fields.get("awsaccesskeyid", ""), [], fields.get("signature", "")
    credential = await platform.store.read(_credential, platform.settings, key_id)
    if credential is None:
        raise InvalidAccessKeyId(AWSAccessKeyId=key_id)
    token = fields.get("x-amz-security-token", "")
    credentials.check_token(credential, token, key_id, platform.clock.now())
    policy = fields["policy"].encode()
    if len(scope) == 4:
        signing = sigv4.signing_key(credential.secret, *scope[:3])
        expected = hmac.digest(signing, policy, "sha256").hex()
    else:
        digest = hmac.digest(credential.secret.encode(), policy, "sha1")
        expected = base64.b64encode(digest).decode()
    if not sigv4.same(expected, given):
        raise SignatureDoesNotMatch(AWSAccessKeyId=key_id, SignatureProvided=given)
    return credential.principal


async def _credential(tx: ReadTx, settings: Settings, key_id: str) -> Credential | None:
    seeded = settings.seeded_keys
    return await credentials.find(tx, key_id, account=settings.account, seeded=seeded)


def _params(fields: Mapping[str, str]) -> dict[str, Any]:
    """The fields that PutObject knows as headers."""
    params: dict[str, Any] = {
        _MEMBERS[name]: value for name, value in fields.items() if name in _MEMBERS
    }
    metadata = {
        name.removeprefix(_METADATA): value
        for name, value in fields.items()
        if name.startswith(_METADATA)
    }
    if metadata:
        params["Metadata"] = metadata
    if "tagging" in fields:
        tags = from_tag_set({"TagSet": form.tags_of(fields["tagging"])})
        params["Tagging"] = urlencode(tags)
    return params


def _answer(
    call: Call,
    request: HttpRequest,
    fields: Mapping[str, str],
    params: Mapping[str, Any],
    stored: Mapping[str, Any],
) -> HttpReply:
    """What the form asked to be answered: a redirect, a document, or nothing."""
    bucket, key, etag = params["Bucket"], params["Key"], stored["ETag"]
    in_path = request.path.removeprefix("/").partition("/")[0] == bucket
    location = f"{call.endpoint}{f'/{bucket}' if in_path else ''}/{quote(key)}"
    headers = [
        ("ETag", etag),
        ("x-amz-server-side-encryption", "AES256"),
        ("x-amz-request-id", call.request_id),
        ("x-amz-id-2", host_id(call.platform, call.request_id)),
    ]
    if "VersionId" in stored:
        headers.append(("x-amz-version-id", stored["VersionId"]))
    redirect = fields.get("success_action_redirect") or fields.get("redirect")
    if redirect:
        joint = "&" if "?" in redirect else "?"
        query = urlencode({"bucket": bucket, "key": key, "etag": etag})
        return HttpReply(status=303, headers=[*headers, ("Location", f"{redirect}{joint}{query}")])
    headers.append(("Location", location))
    status = fields.get("success_action_status", "")
    if status != "201":
        return HttpReply(status=200 if status == "200" else 204, headers=headers)
    elements = {"Location": location, "Bucket": bucket, "Key": key, "ETag": etag}
    inner = "".join(f"<{name}>{escape(text)}</{name}>" for name, text in elements.items())
    body = f'<?xml version="1.0" encoding="UTF-8"?>\n<PostResponse>{inner}</PostResponse>'
    headers.append(("Content-Type", "application/xml"))
    return HttpReply(status=201, headers=headers, body=body.encode())
