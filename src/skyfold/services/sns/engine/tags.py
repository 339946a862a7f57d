"""What SNS accepts as tags."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from skyfold.services.sns import limits
from skyfold.services.sns.errors import TagLimitExceededException, invalid


def accepted_tags(had: Mapping[str, str], added: Iterable[Mapping[str, str]]) -> dict[str, str]:
    """``added`` as a mapping. Raises what SNS would where a topic with ``had`` may not."""
    listed = list(added)
    tags = {tag["Key"]: tag["Value"] for tag in listed}
    if len(tags) != len(listed):
        raise invalid("Duplicated keys are not allowed.")
    if len({**had, **tags}) > limits.TAGS_MAX:
        raise TagLimitExceededException
    if any(key.lower().startswith("aws:") for key in tags):
        raise invalid("Tags", "aws: prefixed tag key names are not allowed for external use.")
    return tags
