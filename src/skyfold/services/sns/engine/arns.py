"""The ARNs that SNS takes, and what it says of those it does not."""

from __future__ import annotations

import functools

from skyfold.base.arn import Arn, parse_arn
from skyfold.services.sns.errors import invalid


@functools.lru_cache(maxsize=4096)
def topic_arn(text: str, region: str, parameter: str = "TopicArn") -> Arn:
    """The parts of a topic's ARN. Raises InvalidParameter for anything else."""
    arn = _sns_arn(text, parameter)
    if arn.region != region or ":" in arn.resource:
        raise invalid(parameter)
    return arn


def subscription_arn(text: str) -> tuple[Arn, str]:
    """The topic's ARN and the subscription's id."""
    arn = _sns_arn(text, "SubscriptionArn")
    topic, colon, name = arn.resource.partition(":")
    if not colon or not name or ":" in name:
        raise invalid("SubscriptionArn")
    return arn._replace(resource=topic), name


def _sns_arn(text: str, parameter: str) -> Arn:
    count = len(text.split(":"))
    if count < 6:
        raise invalid(parameter, f"An ARN must have at least 6 elements, not {count}")
    arn = parse_arn(text)
    if arn is None or arn.service != "sns":
        raise invalid(parameter)
    return arn
