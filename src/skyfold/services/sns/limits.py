"""What SNS allows. https://docs.aws.amazon.com/general/latest/gr/sns.html"""

from __future__ import annotations

import re
from typing import Final

TOPIC_NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,256}")
FIFO_NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,251}\.fifo")
BATCH_ENTRY_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,80}")
FIFO_ID: Final = re.compile(r"[A-Za-z0-9!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~]{1,128}")
SUBJECT: Final = re.compile(r"[\x20-\x7e]{1,100}")

MESSAGE_MAX_BYTES: Final = 262_144
BATCH_ENTRIES_MAX: Final = 10
PAGE: Final = 100
"""Entries of one page of any listing."""
TAGS_MAX: Final = 50
DEDUPLICATION_INTERVAL_MS: Final = 300_000
FANOUT_STEP: Final = 100
"""Subscriptions that one transaction delivers to; the rest follow in further ones."""

FILTER_KEYS_MAX: Final = 5
FILTER_COMBINATIONS_MAX: Final = 150
FILTER_MAX_BYTES: Final = 262_144
FILTER_NUMBER_MAX: Final = 1_000_000_000

REQUEST_BYTES: Final = 65_536
"""Every further 64 KiB of payload are billed as a further request."""
