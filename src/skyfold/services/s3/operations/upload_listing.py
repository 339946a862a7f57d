"""ListMultipartUploads: what has been begun and neither completed nor aborted."""

from __future__ import annotations

from typing import Any

from skyfold.kernel.call import Call
from skyfold.kernel.service import reply
from skyfold.services.s3.engine.listing import check_encoding, common_prefix, page_size, shown
from skyfold.services.s3.limits import PAGE_KEYS_MAX
from skyfold.services.s3.operations.entry import Request, enter
from skyfold.services.s3.operations.listing import common_prefixes
from skyfold.services.s3.operations.multipart import shown_upload
from skyfold.services.s3.tables import UPLOADS, KeyRange, Upload
from skyfold.store.api import ReadTx
from skyfold.store.keys import unpack

_CHUNK = 100


class Page:
    def __init__(self) -> None:
        self.uploads: list[Upload] = []
        self.prefixes: list[str] = []
        self.truncated = False
        self.last: Upload | str | None = None


async def list_multipart_uploads(tx: ReadTx, call: Call, request: Request) -> Any:
    bucket, call = await enter(tx, call, request, "s3:ListBucketMultipartUploads")
    encoding = request.get("EncodingType")
    check_encoding(encoding)
    limit = page_size(request.get("MaxUploads"), "max-uploads", PAGE_KEYS_MAX)
    page = Page()
    if limit:
        await _fill(tx, page, bucket.name, request, limit)
    last = page.last
    if not page.truncated and not isinstance(last, Upload):
        last = None
    call.meter("Requests-Tier1", resource=bucket.name)
    return reply(
        Bucket=bucket.name,
        KeyMarker=shown(request.get("KeyMarker", ""), encoding),
        UploadIdMarker=request.get("UploadIdMarker", ""),
        NextKeyMarker=shown(last.key if isinstance(last, Upload) else last or "", encoding),
        NextUploadIdMarker=last.upload_id if isinstance(last, Upload) else "",
        MaxUploads=limit,
        IsTruncated=page.truncated,
        EncodingType=encoding,
        Prefix=shown(request["Prefix"], encoding) if request.get("Prefix") else None,
        Delimiter=shown(request["Delimiter"], encoding) if request.get("Delimiter") else None,
        Uploads=[
            shown_upload(upload, shown(upload.key, encoding), bucket.account)
            for upload in page.uploads
        ]
        or None,
        CommonPrefixes=common_prefixes(page.prefixes, encoding),
    )


async def _fill(tx: ReadTx, page: Page, bucket: str, request: Request, limit: int) -> None:
    prefix, delimiter = request.get("Prefix", ""), request.get("Delimiter", "")
    key_marker, id_marker = request.get("KeyMarker", ""), request.get("UploadIdMarker", "")
    keys = KeyRange(UPLOADS, bucket)
    start, stop = keys.beginning(prefix)
    if key_marker and id_marker:
        start = max(start, UPLOADS.prefix(bucket, key_marker, id_marker) + b"\xff")
    elif key_marker:
        common = common_prefix(key_marker, prefix, delimiter)
        if common is None or not key_marker.startswith(prefix):
            start = max(start, keys.past(key_marker))
        else:
            start = max(start, keys.beginning(common)[1])
    while True:
        found = await tx.scan(start, stop, limit=_CHUNK)
        skip_to = b""
        for packed, _ in found:
            if packed < skip_to:
                continue
            if len(page.uploads) + len(page.prefixes) == limit:
                page.truncated = True
                return
            key, upload_id = _key(packed)
            common = common_prefix(key, prefix, delimiter)
            if common is not None:
                page.prefixes.append(common)
                page.last = common
                start = skip_to = keys.beginning(common)[1]
                continue
            upload = await UPLOADS.get(tx, bucket, key, upload_id)
            assert upload is not None, "it was in the scan"
            page.uploads.append(upload)
            page.last = upload
            start = packed + b"\0"
        if len(found) < _CHUNK:
            return


def _key(packed: bytes) -> tuple[str, str]:
    _, _, key, upload_id = unpack(packed)
    return str(key), str(upload_id)
