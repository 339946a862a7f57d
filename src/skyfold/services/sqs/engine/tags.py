"""What SQS accepts as tags."""

from __future__ import annotations

from collections.abc import Mapping

from skyfold.services.sqs import limits
from skyfold.services.sqs.errors import InvalidParameterValue


def check_tags(had: Mapping[str, str], added: Mapping[str, str], queue_name: str) -> None:
    """Raise what SQS would for tags ``added`` to a queue that has ``had``."""
    if len({**had, **added}) > limits.TAGS_MAX:
        raise InvalidParameterValue(f"Too many tags added for queue {queue_name}.")
    for key, value in added.items():
        if not 1 <= len(key) <= limits.TAG_KEY_MAX or len(value) > limits.TAG_VALUE_MAX:
            raise InvalidParameterValue(
                f"Tag keys must be between 1 and {limits.TAG_KEY_MAX} characters in length, tag "
                f"values up to {limits.TAG_VALUE_MAX}."
            )
        if key.lower().startswith("aws:"):
            raise InvalidParameterValue("Tag keys cannot start with the reserved prefix aws:.")
