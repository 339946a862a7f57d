"""What SQS allows.

https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-quotas.html
"""

from __future__ import annotations

import re
from typing import Final

QUEUE_NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,80}")
FIFO_NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,75}\.fifo")
LABEL: Final = re.compile(r"[A-Za-z0-9_-]{1,80}")
BATCH_ENTRY_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,80}")
GROUP_ID: Final = re.compile(r"[A-Za-z0-9!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~]{1,128}")
FORBIDDEN_CHARACTER: Final = re.compile(
    r"[^\x09\x0a\x0d\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]"
)

DELAY_MAX_S: Final = 900
MESSAGE_MIN_BYTES: Final = 1_024
MESSAGE_MAX_BYTES: Final = 1_048_576
BATCH_MAX_BYTES: Final = 1_048_576
BATCH_ENTRIES_MAX: Final = 10
RETENTION_MIN_S: Final = 60
RETENTION_MAX_S: Final = 1_209_600
VISIBILITY_MAX_S: Final = 43_200
WAIT_MAX_S: Final = 20
RECEIVE_MAX: Final = 10

MESSAGE_ATTRIBUTES_MAX: Final = 10
ATTRIBUTE_NAME_MAX: Final = 256
ATTRIBUTE_TYPE_MAX: Final = 256

RECEIVES_MAX: Final = 1_000
"""The largest maxReceiveCount of a redrive policy."""
SOURCE_QUEUES_MAX: Final = 10
"""Of a redrive allow policy."""
PURGE_INTERVAL_MS: Final = 60_000
MOVED_PER_SECOND_MAX: Final = 500
MOVE_TASKS_LISTED_MAX: Final = 10

LISTED_MAX: Final = 1_000
TAGS_MAX: Final = 50
TAG_KEY_MAX: Final = 128
TAG_VALUE_MAX: Final = 256
STATEMENTS_MAX: Final = 20
ACTIONS_MAX: Final = 7
"""Of one permission added with AddPermission."""

DEDUPLICATION_INTERVAL_MS: Final = 300_000
REQUEST_BYTES: Final = 65_536
"""Every further 64 KiB of payload are billed as a further request."""
