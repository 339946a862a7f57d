"""AWS Lambda, declared: everything the rest of Skyfold knows about it."""

from __future__ import annotations

from typing import Any

from skyfold.kernel.call import Call
from skyfold.kernel.service import Need, Request, Service, live, read, write
from skyfold.services.lambda_ import deliveries, downloads, jobs, polling, resources
from skyfold.services.lambda_.operations import (
    functions,
    invocations,
    mappings,
    permissions,
    tagging,
)
from skyfold.services.lambda_.operations.finding import function_arn
from skyfold.services.lambda_.operations.invocations import ASYNC


def mapping(call: Call, request: Request) -> str:
    account, region = call.account, call.region
    return f"arn:aws:lambda:{region}:{account}:event-source-mapping:{request['UUID']}"


def tagged(call: Call, request: Request) -> str:
    return str(request["Resource"])


def passed_role(call: Call, request: Request) -> list[Need]:
    if "Role" not in request:
        return []
    context = {"iam:PassedToService": "lambda.amazonaws.com"}
    return [Need("iam:PassRole", request["Role"], context)]


def permission_keys(call: Call, request: Request) -> dict[str, Any]:
    return {"lambda:Principal": request["Principal"]} if "Principal" in request else {}


SERVICE = Service(
    model="lambda",
    operations={
        "AddPermission": write(
            permissions.add_permission, on=function_arn, conditions=permission_keys
        ),
        "CreateEventSourceMapping": live(mappings.create_event_source_mapping),
        "CreateFunction": live(functions.create_function, on=function_arn, also=passed_role),
        "DeleteEventSourceMapping": write(mappings.delete_event_source_mapping, on=mapping),
        "DeleteFunction": live(functions.delete_function, on=function_arn),
        "DeleteFunctionConcurrency": write(functions.delete_function_concurrency, on=function_arn),
        "GetAccountSettings": read(functions.get_account_settings),
        "GetEventSourceMapping": read(mappings.get_event_source_mapping, on=mapping),
        "GetFunction": read(functions.get_function, on=function_arn),
        "GetFunctionConcurrency": read(functions.get_function_concurrency, on=function_arn),
        "GetFunctionConfiguration": read(functions.get_function_configuration, on=function_arn),
        "GetPolicy": read(permissions.get_policy, on=function_arn),
        "Invoke": live(invocations.invoke, on=function_arn, action="InvokeFunction"),
        "ListEventSourceMappings": read(mappings.list_event_source_mappings),
        "ListFunctions": read(functions.list_functions),
        "ListTags": read(tagging.list_tags, on=tagged),
        "PutFunctionConcurrency": write(functions.put_function_concurrency, on=function_arn),
        "RemovePermission": write(permissions.remove_permission, on=function_arn),
        "TagResource": write(tagging.tag_resource, on=tagged),
        "UntagResource": write(tagging.untag_resource, on=tagged),
        "UpdateEventSourceMapping": live(mappings.update_event_source_mapping, on=mapping),
        "UpdateFunctionCode": live(functions.update_function_code, on=function_arn),
        "UpdateFunctionConfiguration": live(
            functions.update_function_configuration, on=function_arn, also=passed_role
        ),
    },
    resource_policy=permissions.policy_of,
    accepts=deliveries.ACCEPTS,
    jobs={ASYNC: jobs.ASYNC_JOB},
    loops=[polling.poll_all],
    data_planes=[downloads.CODE],
    resource_types=[resources.FUNCTION, resources.PERMISSION, resources.MAPPING],
)
