"""Amazon S3, declared: everything the rest of Skyfold knows about it.

All operations are ``open``: they ask IAM themselves, see ``operations/entry.py``.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from skyfold.kernel import service as kernel
from skyfold.kernel.service import DataPlane, Operation, Service
from skyfold.services.s3 import jobs, resources
from skyfold.services.s3.errors import refused_by_model
from skyfold.services.s3.operations import (
    buckets,
    copying,
    cors,
    deleting,
    lifecycle,
    listing,
    multipart,
    notifications,
    objects,
    ownership,
    policies,
    posting,
    public_access,
    settings,
    tagging,
    upload_listing,
    version_listing,
)

Run = Callable[..., Awaitable[Any]]


def read(run: Run, action: str | None = None) -> Operation:
    return kernel.read(run, action=action, open=True)


def write(run: Run, action: str | None = None) -> Operation:
    return kernel.write(run, action=action, open=True)


def live(run: Run, action: str | None = None) -> Operation:
    return kernel.live(run, action=action, open=True)


_BLOCK = "PutBucketPublicAccessBlock"
_OWNERSHIP = "PutBucketOwnershipControls"
_ENCRYPTION = "PutEncryptionConfiguration"
_LIFECYCLE = "PutLifecycleConfiguration"

SERVICE = Service(
    model="s3",
    operations={
        "AbortMultipartUpload": write(multipart.abort_multipart_upload),
        "CompleteMultipartUpload": write(multipart.complete_multipart_upload, "PutObject"),
        "CopyObject": live(copying.copy_object, "PutObject"),
        "CreateBucket": write(buckets.create_bucket),
        "CreateMultipartUpload": write(multipart.create_multipart_upload, "PutObject"),
        "DeleteBucket": write(buckets.delete_bucket),
        "DeleteBucketCors": write(cors.delete_bucket_cors, "PutBucketCORS"),
        "DeleteBucketEncryption": write(settings.delete_bucket_encryption, _ENCRYPTION),
        "DeleteBucketLifecycle": write(lifecycle.delete_bucket_lifecycle, _LIFECYCLE),
        "DeleteBucketOwnershipControls": write(
            ownership.delete_bucket_ownership_controls, _OWNERSHIP
        ),
        "DeleteBucketPolicy": write(policies.delete_bucket_policy),
        "DeleteBucketTagging": write(tagging.delete_bucket_tagging, "PutBucketTagging"),
        "DeleteObject": write(deleting.delete_object),
        "DeleteObjectTagging": write(tagging.delete_object_tagging),
        "DeleteObjects": write(deleting.delete_objects, "DeleteObject"),
        "DeletePublicAccessBlock": write(public_access.delete_public_access_block, _BLOCK),
        "GetBucketAccelerateConfiguration": read(
            settings.get_bucket_accelerate_configuration, "GetAccelerateConfiguration"
        ),
        "GetBucketAcl": read(ownership.get_bucket_acl),
        "GetBucketCors": read(cors.get_bucket_cors, "GetBucketCORS"),
        "GetBucketEncryption": read(settings.get_bucket_encryption, "GetEncryptionConfiguration"),
        "GetBucketLifecycleConfiguration": read(
            lifecycle.get_bucket_lifecycle_configuration, "GetLifecycleConfiguration"
        ),
        "GetBucketLocation": read(buckets.get_bucket_location),
        "GetBucketLogging": read(settings.get_bucket_logging),
        "GetBucketNotificationConfiguration": read(
            notifications.get_bucket_notification_configuration, "GetBucketNotification"
        ),
        "GetBucketOwnershipControls": read(ownership.get_bucket_ownership_controls),
        "GetBucketPolicy": read(policies.get_bucket_policy),
        "GetBucketPolicyStatus": read(policies.get_bucket_policy_status),
        "GetBucketReplication": read(
            settings.get_bucket_replication, "GetReplicationConfiguration"
        ),
        "GetBucketRequestPayment": read(settings.get_bucket_request_payment),
        "GetBucketTagging": read(tagging.get_bucket_tagging),
        "GetBucketVersioning": read(settings.get_bucket_versioning),
        "GetBucketWebsite": read(settings.get_bucket_website),
        "GetObject": read(objects.get_object),
        "GetObjectAcl": read(ownership.get_object_acl),
        "GetObjectAttributes": read(objects.get_object_attributes),
        "GetObjectLockConfiguration": read(
            settings.get_object_lock_configuration, "GetBucketObjectLockConfiguration"
        ),
        "GetObjectTagging": read(tagging.get_object_tagging),
        "GetPublicAccessBlock": read(
            public_access.get_public_access_block, "GetBucketPublicAccessBlock"
        ),
        "HeadBucket": read(buckets.head_bucket, "ListBucket"),
        "HeadObject": read(objects.head_object, "GetObject"),
        "ListBuckets": read(buckets.list_buckets, "ListAllMyBuckets"),
        "ListMultipartUploads": read(
            upload_listing.list_multipart_uploads, "ListBucketMultipartUploads"
        ),
        "ListObjectVersions": read(version_listing.list_object_versions, "ListBucketVersions"),
        "ListObjects": read(listing.list_objects, "ListBucket"),
        "ListObjectsV2": read(listing.list_objects_v2, "ListBucket"),
        "ListParts": read(multipart.list_parts, "ListMultipartUploadParts"),
        "PutBucketAcl": write(ownership.put_bucket_acl),
        "PutBucketCors": write(cors.put_bucket_cors, "PutBucketCORS"),
        "PutBucketEncryption": write(settings.put_bucket_encryption, _ENCRYPTION),
        "PutBucketLifecycleConfiguration": write(
            lifecycle.put_bucket_lifecycle_configuration, _LIFECYCLE
        ),
        "PutBucketNotificationConfiguration": write(
            notifications.put_bucket_notification_configuration, "PutBucketNotification"
        ),
        "PutBucketOwnershipControls": write(ownership.put_bucket_ownership_controls),
        "PutBucketPolicy": write(policies.put_bucket_policy),
        "PutBucketTagging": write(tagging.put_bucket_tagging),
        "PutBucketVersioning": write(settings.put_bucket_versioning),
        "PutObject": live(objects.put_object),
        "PutObjectAcl": write(ownership.put_object_acl),
        "PutObjectTagging": write(tagging.put_object_tagging),
        "PutPublicAccessBlock": write(public_access.put_public_access_block, _BLOCK),
        "UploadPart": live(multipart.upload_part, "PutObject"),
        "UploadPartCopy": live(copying.upload_part_copy, "PutObject"),
    },
    resource_policy=policies.resource_policy,
    jobs=jobs.JOBS,
    resource_types=[resources.BUCKET, resources.BUCKET_POLICY],
    cross_origin=cors.reply_headers,
    data_planes=[
        DataPlane(matches=cors.is_preflight, serve=cors.preflight),
        DataPlane(matches=posting.is_form_upload, serve=posting.post_object),
    ],
    validation_error=refused_by_model,
)
