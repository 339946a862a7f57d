"""What HTTP APIs allow.
https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-quotas.html"""

PAYLOAD_BYTES_MAX = 10 * 1024**2
INTEGRATION_MS_DEFAULT = 30_000
INTEGRATION_MS_MIN = 50
INTEGRATION_MS_MAX = 30_000
ROUTES_MAX = 300
STAGES_MAX = 10
PAGE_DEFAULT = 100
PAGE_MAX = 1000
"""AWS documents no figure; the console's."""
