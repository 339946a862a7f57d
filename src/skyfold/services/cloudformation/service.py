"""CloudFormation, declared."""

from __future__ import annotations

from skyfold.kernel.call import Call
from skyfold.kernel.service import Need, Request, Service, live, read, write
from skyfold.services.cloudformation.callbacks import RESPONSES
from skyfold.services.cloudformation.jobs import JOBS
from skyfold.services.cloudformation.operations import (
    account,
    change_sets,
    exports,
    policies,
    resources,
    rollbacks,
    signals,
    stacks,
    templates,
    types,
)
from skyfold.services.cloudformation.operations.lookup import conditions, stack_arn
from skyfold.services.cloudformation.resources import TYPES


def pass_role(call: Call, request: Request) -> list[Need]:
    """To have CloudFormation act as a role one must be allowed to pass it."""
    if not request.get("RoleARN"):
        return []
    service = {"iam:PassedToService": "cloudformation.amazonaws.com"}
    return [Need("iam:PassRole", request["RoleARN"], service)]


OPERATIONS = {
    "CancelUpdateStack": write(rollbacks.cancel_update_stack, on=stack_arn),
    "ContinueUpdateRollback": write(
        rollbacks.continue_update_rollback, on=stack_arn, also=pass_role
    ),
    "CreateChangeSet": live(
        change_sets.create_change_set, on=stack_arn, conditions=conditions, also=pass_role
    ),
    "CreateStack": live(stacks.create_stack, on=stack_arn, conditions=conditions, also=pass_role),
    "DeleteChangeSet": write(change_sets.delete_change_set, on=stack_arn, conditions=conditions),
    "DeleteStack": write(stacks.delete_stack, on=stack_arn, conditions=conditions, also=pass_role),
    "DescribeAccountLimits": read(account.describe_account_limits),
    "DescribeChangeSet": read(change_sets.describe_change_set, on=stack_arn, conditions=conditions),
    "DescribeStackEvents": read(resources.describe_stack_events, on=stack_arn),
    "DescribeStackResource": read(resources.describe_stack_resource, on=stack_arn),
    "DescribeStackResources": read(resources.describe_stack_resources, on=stack_arn),
    "DescribeStacks": read(stacks.describe_stacks, on=stack_arn),
    "DescribeType": read(types.describe_type),
    "ExecuteChangeSet": write(change_sets.execute_change_set, on=stack_arn, conditions=conditions),
    "GetStackPolicy": read(policies.get_stack_policy, on=stack_arn),
    "GetTemplate": read(templates.get_template, on=stack_arn),
    "GetTemplateSummary": live(templates.get_template_summary, on=stack_arn),
    "ListChangeSets": read(change_sets.list_change_sets, on=stack_arn),
    "ListExports": read(exports.list_exports),
    "ListImports": read(exports.list_imports),
    "ListStackResources": read(resources.list_stack_resources, on=stack_arn),
    "ListStacks": read(stacks.list_stacks),
    "ListTypes": read(types.list_types),
    "RollbackStack": write(rollbacks.rollback_stack, on=stack_arn, also=pass_role),
    "SetStackPolicy": live(policies.set_stack_policy, on=stack_arn, conditions=conditions),
    "SignalResource": write(signals.signal_resource, on=stack_arn),
    "UpdateStack": live(stacks.update_stack, on=stack_arn, conditions=conditions, also=pass_role),
    "UpdateTerminationProtection": write(stacks.update_termination_protection, on=stack_arn),
    "ValidateTemplate": live(templates.validate_template),
}

SERVICE = Service(
    model="cloudformation",
    operations=OPERATIONS,
    jobs=JOBS,
    data_planes=[RESPONSES],
    resource_types=TYPES,
)
