"""What Parameter Store allows. https://docs.aws.amazon.com/general/latest/gr/ssm.html"""

STANDARD_BYTES_MAX = 4096
ADVANCED_BYTES_MAX = 8192
LEVELS_MAX = 15
VERSIONS_MAX = 100
LABELS_MAX = 10
NAME_CHARACTERS_MAX = 1011
PAGE_MAX = 50
PATH_PAGE_DEFAULT = 10
