"""The models that the tests of the wire go through: those of declared services, and some more."""

from __future__ import annotations

from skyfold.server.discovery import discover

ALWAYS = (
    "sqs", "sns", "dynamodb", "s3", "iam", "sts", "logs", "lambda", "apigatewayv2",
    "cloudformation", "ssm", "cloudwatch", "events", "kinesis", "stepfunctions",
)  # fmt: skip
MODELS = sorted({*ALWAYS, *(service.model for service in discover().values())})
