"""IAM's quotas, which GetAccountSummary shows.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
"""

from collections.abc import Mapping

ACCESS_KEYS_PER_USER_MAX = 2
GROUPS_PER_USER_MAX = 10
ATTACHED_POLICIES_MAX = 10
"""For each user, group and role."""
VERSIONS_PER_POLICY_MAX = 5
MANAGED_POLICY_CHARACTERS_MAX = 6144
TRUST_POLICY_CHARACTERS_MAX = 2048
INLINE_CHARACTERS_MAX: Mapping[str, int] = {"user": 2048, "group": 5120, "role": 10240}
"""All inline policies of one entity together, without white space."""
TAGS_MAX = 50
PAGE_DEFAULT = 100
PASSWORD_LENGTH_MIN = 8
USERS_MAX = 5000
GROUPS_MAX = 300
ROLES_MAX = 1000
POLICIES_MAX = 1500
INSTANCE_PROFILES_MAX = 1000
COUNTED_MAX = 100_000
"""How far counts go."""
