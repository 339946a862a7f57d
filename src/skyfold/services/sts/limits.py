"""What STS allows. https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html"""

SESSION_POLICY_CHARACTERS_MAX = 2048
"""Of the policy passed, without white space; PackedPolicySize is told as a part of this."""
SESSION_TAGS_MAX = 50
ROLE_SESSION_S_DEFAULT = 3600
TOKEN_S_DEFAULT = 43_200
ROOT_TOKEN_S_MAX = 3600
"""AWS cuts what root asks for to an hour."""
