"""Every quota of CloudFormation, and the sizes of its pages."""

from __future__ import annotations

TEMPLATE_BODY_BYTES_MAX = 51_200
"""A template in the request itself."""
TEMPLATE_URL_BYTES_MAX = 1_000_000
"""A template that is read from S3."""
TEMPLATE_NODES_MAX = 200_000
"""Values in a template once its YAML aliases are followed: an alias bomb is refused, not read."""
RESOURCES_MAX = 500
PARAMETERS_MAX = 200
OUTPUTS_MAX = 200
MAPPINGS_MAX = 200
PARAMETER_VALUE_CHARS_MAX = 4096
STACKS_MAX = 2000
TAGS_MAX = 50
STACK_NAME_CHARS_MAX = 128
STACK_POLICY_BYTES_MAX = 16_384

PAGE_STACKS = 100
PAGE_EVENTS = 100
PAGE_RESOURCES = 100
PAGE_EXPORTS = 100
PAGE_CHANGE_SETS = 100
PAGE_CHANGES = 100

DELETED_STACKS_KEPT_MS = 90 * 24 * 3_600_000

CUSTOM_RESOURCE_TIMEOUT_S = 3600
CUSTOM_RESOURCE_RESPONSE_BYTES_MAX = 4096
WAIT_CONDITION_TIMEOUT_S_MAX = 43_200
NESTED_STACK_POLL_MS = 500

ALL_RESOURCES = 10_000
"""For scans over what one stack has: more than RESOURCES_MAX and what waits to be cleaned up."""
