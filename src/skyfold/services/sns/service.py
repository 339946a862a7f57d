"""Amazon SNS, declared: everything the rest of Skyfold knows about it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from skyfold.kernel.call import Call
from skyfold.kernel.service import DataPlane, Request, Service, read, write
from skyfold.services.sns import deliveries, jobs, resources
from skyfold.services.sns.errors import invalid
from skyfold.services.sns.operations import (
    permissions,
    publishing,
    signing,
    subscriptions,
    tags,
    topics,
)
from skyfold.services.sns.operations.topics import arn_in
from skyfold.services.sns.operations.usage import billed


def new_topic(call: Call, request: Request) -> str:
    return f"arn:aws:sns:{call.region}:{call.account}:{request['Name']}"


def subscribing(call: Call, request: Request) -> dict[str, str]:
    """What policies can say about a subscription that is being made."""
    asked = {"sns:Protocol": request["Protocol"]}
    if "Endpoint" in request:
        asked["sns:Endpoint"] = request["Endpoint"]
    return asked


def refused(found: Sequence[Any]) -> Exception:
    """SNS's error for what its model does not allow."""
    violation = found[0]
    if violation.kind == "missing":
        return invalid(violation.member, "no value for required parameter")
    return invalid(violation.member, str(violation))


SERVICE = Service(
    model="sns",
    operations={
        "AddPermission": write(billed(permissions.add_permission), on=arn_in),
        "ConfirmSubscription": write(billed(subscriptions.confirm_subscription), on=arn_in),
        "CreateTopic": write(billed(topics.create_topic), on=new_topic),
        "DeleteTopic": write(billed(topics.delete_topic), on=arn_in),
        "GetSubscriptionAttributes": read(billed(subscriptions.get_subscription_attributes)),
        "GetTopicAttributes": read(billed(topics.get_topic_attributes), on=arn_in),
        "ListSubscriptions": read(billed(subscriptions.list_subscriptions)),
        "ListSubscriptionsByTopic": read(
            billed(subscriptions.list_subscriptions_by_topic), on=arn_in
        ),
        "ListTagsForResource": read(billed(tags.list_tags_for_resource), on=tags.arn_in),
        "ListTopics": read(billed(topics.list_topics)),
        "Publish": write(publishing.publish, on=publishing.target_in),
        "PublishBatch": write(publishing.publish_batch, on=arn_in, action="Publish"),
        "RemovePermission": write(billed(permissions.remove_permission), on=arn_in),
        "SetSubscriptionAttributes": write(billed(subscriptions.set_subscription_attributes)),
        "SetTopicAttributes": write(billed(topics.set_topic_attributes), on=arn_in),
        "Subscribe": write(billed(subscriptions.subscribe), on=arn_in, conditions=subscribing),
        "TagResource": write(billed(tags.tag_resource), on=tags.arn_in),
        "Unsubscribe": write(billed(subscriptions.unsubscribe)),
        "UntagResource": write(billed(tags.untag_resource), on=tags.arn_in),
    },
    resource_policy=topics.policy_of,
    accepts=deliveries.ACCEPTS,
    jobs=jobs.JOBS,
    data_planes=[
        DataPlane(matches=signing.is_certificate, serve=signing.serve_certificate),
    ],
    resource_types=resources.TYPES,
    validation_error=refused,
)
