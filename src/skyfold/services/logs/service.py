"""Amazon CloudWatch Logs, declared."""

from __future__ import annotations

from skyfold.kernel.call import Call
from skyfold.kernel.service import Request, Service, read, write
from skyfold.services.logs import jobs, resources
from skyfold.services.logs.operations import events, groups


def group(call: Call, request: Request) -> str:
    text: str = request.get("logGroupName") or request.get("logGroupIdentifier", "")
    if text.startswith("arn:"):
        return text
    return f"arn:aws:logs:{call.region}:{call.account}:log-group:{text}"


def stream(call: Call, request: Request) -> str:
    return f"{group(call, request)}:log-stream:{request['logStreamName']}"


def tagged(call: Call, request: Request) -> str:
    return str(request["resourceArn"])


SERVICE = Service(
    model="logs",
    operations={
        "CreateLogGroup": write(groups.create_log_group, on=group),
        "CreateLogStream": write(groups.create_log_stream, on=group),
        "DeleteLogGroup": write(groups.delete_log_group, on=group),
        "DeleteLogStream": write(groups.delete_log_stream, on=stream),
        "DeleteRetentionPolicy": write(groups.delete_retention_policy, on=group),
        "DescribeLogGroups": read(groups.describe_log_groups),
        "DescribeLogStreams": read(groups.describe_log_streams, on=group),
        "FilterLogEvents": read(events.filter_log_events, on=group),
        "GetLogEvents": read(events.get_log_events, on=stream),
        "ListTagsForResource": read(groups.list_tags_for_resource, on=tagged),
        "ListTagsLogGroup": read(groups.list_tags_log_group, on=group),
        "PutLogEvents": write(events.put_log_events, on=stream),
        "PutRetentionPolicy": write(groups.put_retention_policy, on=group),
        "TagLogGroup": write(groups.tag_log_group, on=group),
        "TagResource": write(groups.tag_resource, on=tagged),
        "TestMetricFilter": read(events.test_metric_filter),
        "UntagLogGroup": write(groups.untag_log_group, on=group),
        "UntagResource": write(groups.untag_resource, on=tagged),
    },
    jobs={jobs.SWEEP: jobs.SWEEP_JOB},
    loops=[jobs.begin],
    resource_types=[resources.GROUP, resources.STREAM],
)
