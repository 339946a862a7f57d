"""What CloudWatch Logs allows.
https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/cloudwatch_limits_cwl.html"""

BATCH_BYTES_MAX = 1_048_576
BATCH_SPAN_MS_MAX = 24 * 3_600_000
EVENT_AGE_MS_MAX = 14 * 24 * 3_600_000
EVENT_AHEAD_MS_MAX = 2 * 3_600_000
PAGE_EVENTS_MAX = 10_000
PAGE_BYTES_MAX = 1_048_576
PAGE_GROUPS_MAX = 50
SEARCHED_EVENTS_MAX = 20_000
"""How many events one FilterLogEvents looks at before it gives a token to go on with."""
RETENTION_DAYS = frozenset(
    {1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922}
    | {3288, 3653}
)
DAY_MS = 24 * 3_600_000
SWEEP_EVENTS = 1_000
"""Events forgotten in one transaction by the retention sweep."""
