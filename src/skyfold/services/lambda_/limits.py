"""What Lambda allows. https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html"""

SYNC_PAYLOAD_BYTES_MAX = 6 * 1024**2
ASYNC_PAYLOAD_BYTES_MAX = 1024**2
ENVIRONMENT_BYTES_MAX = 4096
LOG_TAIL_BYTES = 4096
CONCURRENCY_MAX = 1000
"""Concurrent executions of an account in a region."""
UNRESERVED_CONCURRENCY_MIN = 100
CODE_STORAGE_BYTES_MAX = 75 * 1024**3
ZIPPED_DIRECT_BYTES_MAX = 50 * 1024**2
UNZIPPED_BYTES_MAX = 250 * 1024**2
POLICY_BYTES_MAX = 20_480
MEMORY_MB_DEFAULT = 128
TIMEOUT_S_DEFAULT = 3
EPHEMERAL_MB_DEFAULT = 512

CONCURRENCY_PER_CORE = 8
"""Asynchronous invocations, and batches of one mapping without MaximumConcurrency, that a node
works on at once for each of its cores; the rest wait in their queues, which lose nothing. More
would only make all of them slower."""
ASYNC_RETRY_WAITS_S = (60, 120)
"""Before the second and the third attempt of an asynchronous invocation that failed."""
ASYNC_AGE_S_MAX = 6 * 3600
THROTTLED_WAIT_S_MAX = 300

SQS_BATCH_DEFAULT = 10
SQS_BATCH_MAX = 10_000
SQS_BATCH_WITHOUT_WINDOW_MAX = 10
SQS_FIFO_BATCH_MAX = 10
SQS_WINDOW_S_MAX = 300
SQS_RECEIVE_MAX = 10
SQS_PAYLOAD_BYTES_MAX = 6 * 1024**2

RESERVED_VARIABLES = frozenset(
    {
        "_HANDLER",
        "_X_AMZN_TRACE_ID",
        "AWS_ACCESS_KEY",
        "AWS_ACCESS_KEY_ID",
        "AWS_DEFAULT_REGION",
        "AWS_EXECUTION_ENV",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE",
        "AWS_LAMBDA_FUNCTION_NAME",
        "AWS_LAMBDA_FUNCTION_VERSION",
        "AWS_LAMBDA_INITIALIZATION_TYPE",
        "AWS_LAMBDA_LOG_GROUP_NAME",
        "AWS_LAMBDA_LOG_STREAM_NAME",
        "AWS_LAMBDA_RUNTIME_API",
        "AWS_REGION",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_SESSION_TOKEN",
        "LAMBDA_RUNTIME_DIR",
        "LAMBDA_TASK_ROOT",
    }
)
