"""Change sets: what an update would do, and doing it."""

from __future__ import annotations

import json
from typing import Any

import msgspec

from skyfold.kernel.call import Call
from skyfold.kernel.pages import token
from skyfold.kernel.service import Request, reply
from skyfold.services.cloudformation.deploy.begin import (
    USER_INITIATED,
    Options,
    begin_create,
    begin_update,
    insert_stack,
)
from skyfold.services.cloudformation.deploy.prepare import (
    Prepared,
    TransformFailed,
    draft,
    prepare,
)
from skyfold.services.cloudformation.deploy.run import Run, resources_of
from skyfold.services.cloudformation.engine.changes import described
from skyfold.services.cloudformation.engine.template import policy_of
from skyfold.services.cloudformation.errors import (
    AlreadyExistsException,
    InsufficientCapabilitiesException,
    InvalidChangeSetStatusException,
    TokenAlreadyExistsException,
    ValidationError,
)
from skyfold.services.cloudformation.limits import PAGE_CHANGE_SETS, PAGE_CHANGES
from skyfold.services.cloudformation.operations.lookup import (
    find_stack,
    the_change_set,
    the_stack,
)
from skyfold.services.cloudformation.operations.stacks import (
    check_obeyable,
    check_types_allowed,
    check_updatable,
    described_parameters,
    new_stack,
    page_position,
    template_for_update,
)
from skyfold.services.cloudformation.tables import (
    CHANGE_SET_IDS,
    CHANGE_SETS,
    DEFINITIONS,
    OPERATIONS,
    STACKS,
    ChangeSet,
    ChangeSetId,
    Definition,
    Resource,
    Stack,
)
from skyfold.store.api import ReadTx, Tx

NO_CHANGES = (
    "The submitted information didn't contain changes. "
    "Submit different information to create a change set."
)


def _check_request(request: Request) -> None:
    check_obeyable(request)
    if request.get("ResourcesToImport"):
        raise ValidationError("Skyfold cannot import resources into stacks yet.")
    if request.get("ChangeSetType") == "IMPORT":
        raise ValidationError("Skyfold cannot import resources into stacks yet.")
    if request.get("DeploymentMode", "") not in ("", "STANDARD"):
        raise ValidationError("Skyfold does not detect drift yet, so it cannot revert it.")


async def create_change_set(call: Call, request: Request) -> Any:
    _check_request(request)
    kind = request.get("ChangeSetType", "UPDATE")
    found, previous, rows = await call.read(_standing, call, request)
    name = request["ChangeSetName"]
    if found is None or found.status == "DELETE_COMPLETE":
        if found is not None:
            check_updatable(found)
        if kind != "CREATE":
            raise ValidationError(f"Stack [{request['StackName']}] does not exist")
        stack = new_stack(call, request["StackName"], "REVIEW_IN_PROGRESS")
    elif kind == "CREATE":
        if found.status != "REVIEW_IN_PROGRESS":
            raise ValidationError(
                f"Stack [{found.name}] already exists and cannot be created again with the "
                f"changeSet [{name}]."
            )
        stack = found
    else:
        if found.status == "REVIEW_IN_PROGRESS":
            raise ValidationError(f"Stack [{found.name}] does not exist")
        check_updatable(found)
        stack = found
    if previous is not None and not previous.processed:
        previous = None
    text = await template_for_update(call, request, previous)
    change_set, definition = await _computed(call, stack, request, text, previous, rows, kind)
    made = await call.write(_insert, call, stack, change_set, definition)
    return reply(Id=made.arn, StackId=stack.arn)


async def _standing(
    tx: ReadTx, call: Call, request: Request
) -> tuple[Stack | None, Definition | None, dict[str, Resource]]:
    stack = await find_stack(tx, call, request["StackName"])
    if stack is None:
        return None, None, {}
    previous = await DEFINITIONS.get(tx, stack.id, stack.definition) if stack.definition else None
    return stack, previous, await resources_of(tx, stack.id)


async def _computed(
    call: Call,
    stack: Stack,
    request: Request,
    text: str,
    previous: Definition | None,
    rows: dict[str, Resource],
    kind: str,
) -> tuple[ChangeSet, Definition]:
    """The change set and its definition, whether it can be executed or has failed."""
    change_set = ChangeSet(
        account=stack.account,
        region=stack.region,
        stack_id=stack.id,
        name=request["ChangeSetName"],
        id=call.new_id(),
        kind=kind,
        created_at=call.now,
        definition="",
        status="FAILED",
        description=request.get("Description", ""),
        role_arn=request.get("RoleARN", ""),
        on_failure=request.get("OnStackFailure", ""),
        token=request.get("ClientToken", ""),
        import_existing=bool(request.get("ImportExistingResources")),
    )
    try:
        prepared = await prepare(call, stack, request, text, previous, rows, expand=False)
    except TransformFailed as failed:
        rough = await draft(call, stack, request, text, previous, expand=False)
        return _named(change_set, rough, reason=failed.text), rough
    except InsufficientCapabilitiesException:
        raise
    check_types_allowed(request, prepared.definition)
    if request.get("IncludeNestedStacks"):
        _refuse_nested(prepared)
    if kind == "UPDATE" and not prepared.changes and not _settings_differ(prepared, previous):
        return _named(change_set, prepared.definition, reason=NO_CHANGES), prepared.definition
    listed = [_change(prepared, planned, rows) for planned in prepared.planned]
    warning = "".join(
        f"[WARN] --include-property-values option can return incomplete ChangeSet data because: "
        f"{warning}"
        for warning in prepared.planner.warnings[:1]
    )
    change_set = _named(
        change_set,
        prepared.definition,
        status="CREATE_COMPLETE",
        execution="AVAILABLE",
        changes=json.dumps(listed, separators=(",", ":")),
        warning=warning,
    )
    return change_set, prepared.definition


def _named(change_set: ChangeSet, definition: Definition, **fields: Any) -> ChangeSet:
    return msgspec.structs.replace(change_set, definition=definition.id, **fields)


def _settings_differ(prepared: Prepared, previous: Definition | None) -> bool:
    new = prepared.definition
    return previous is not None and (
        dict(new.tags) != dict(previous.tags) or new.notification_arns != previous.notification_arns
    )


def _refuse_nested(prepared: Prepared) -> None:
    for resource in prepared.planner.template.resources.values():
        if resource.type == "AWS::CloudFormation::Stack":
            raise ValidationError(
                "Skyfold does not make change sets of nested stacks yet: leave out "
                "IncludeNestedStacks."
            )


def _change(prepared: Prepared, planned: Any, rows: dict[str, Resource]) -> dict[str, Any]:
    row = rows.get(planned.logical_id)
    template = prepared.planner.template
    policy = "Delete"
    if planned.action == "Remove" and row is not None:
        policy = "Retain" if row.retain else "Delete"
    elif planned.logical_id in template.resources:
        policy = policy_of(template.resources[planned.logical_id], "UpdateReplacePolicy")
    return described(prepared.planner, planned, row, policy)


async def _insert(
    tx: Tx, call: Call, stack: Stack, change_set: ChangeSet, definition: Definition
) -> ChangeSet:
    now = await find_stack(tx, call, stack.name)
    if now is None:
        insert_stack(tx, stack)
        run = Run(tx, call, stack, None)
        await run.stack_status("REVIEW_IN_PROGRESS", USER_INITIATED)
        run.save()
    elif now.id != stack.id:
        raise AlreadyExistsException(f"Stack [{stack.name}] already exists")
    old = await CHANGE_SETS.get(tx, stack.id, change_set.name)
    if old is not None:
        if change_set.token and old.token == change_set.token:
            return old
        raise AlreadyExistsException(
            f"ChangeSet [{change_set.name}] already exists for stack [{stack.name}]"
        )
    DEFINITIONS.put(tx, definition)
    CHANGE_SETS.put(tx, change_set)
    CHANGE_SET_IDS.put(tx, ChangeSetId(id=change_set.id, stack_id=stack.id, name=change_set.name))
    return change_set


async def describe_change_set(tx: ReadTx, call: Call, request: Request) -> Any:
    stack, change_set = await the_change_set(tx, call, request)
    definition = await DEFINITIONS.get(tx, stack.id, change_set.definition)
    values = bool(request.get("IncludePropertyValues"))
    purpose = f"DescribeChangeSet {change_set.id}"
    start = page_position(purpose, request["NextToken"])[0] if request.get("NextToken") else 0
    changes = json.loads(change_set.changes)
    page = changes[start : start + PAGE_CHANGES]
    more = start + PAGE_CHANGES < len(changes)
    return reply(
        ChangeSetName=change_set.name,
        ChangeSetId=change_set.arn,
        StackId=stack.arn,
        StackName=stack.name,
        Description=change_set.description or None,
        Parameters=described_parameters(definition) or None,
        CreationTime=change_set.created_at,
        ExecutionStatus=await _execution(tx, stack, change_set),
        Status=change_set.status,
        StatusReason=change_set.reason or (change_set.warning if values else "") or None,
        NotificationARNs=list(definition.notification_arns) if definition else [],
        RollbackConfiguration={},
        Capabilities=list(definition.capabilities or ()) if definition else [],
        Tags=[{"Key": k, "Value": v} for k, v in definition.tags.items()]
        if definition and definition.tags
        else None,
        Changes=[_shown(change, values) for change in page],
        NextToken=token(purpose, start + PAGE_CHANGES) if more else None,
        IncludeNestedStacks=False,
        OnStackFailure=change_set.on_failure or None,
        ImportExistingResources=change_set.import_existing or None,
    )


async def _execution(tx: ReadTx, stack: Stack, change_set: ChangeSet) -> str:
    if change_set.execution != "EXECUTE_IN_PROGRESS":
        return change_set.execution
    if await OPERATIONS.get(tx, stack.id) is not None:
        return "EXECUTE_IN_PROGRESS"
    done = stack.status in ("CREATE_COMPLETE", "UPDATE_COMPLETE")
    return "EXECUTE_COMPLETE" if done else "EXECUTE_FAILED"


def _shown(change: dict[str, Any], values: bool) -> dict[str, Any]:
    """A change as asked for: with the values of properties, or without."""
    resource = dict(change["ResourceChange"])
    details: list[dict[str, Any]] = []
    for detail in resource["Details"]:
        target = dict(detail["Target"])
        if not values:
            for member in ("Path", "BeforeValue", "AfterValue", "AttributeChangeType"):
                target.pop(member, None)
        shown = {**detail, "Target": target}
        refers = shown["ChangeSource"] != "DirectModification"
        if values and refers:
            direct = {
                "ChangeSource": "DirectModification",
                "Evaluation": "Dynamic",
                "Target": target,
            }
            if direct not in details:
                details.append(direct)
        if shown not in details:
            details.append(shown)
    resource["Details"] = details
    for member in ("BeforeContext", "AfterContext"):
        if member in resource and values:
            resource[member] = json.dumps(resource[member], separators=(",", ":"))
        else:
            resource.pop(member, None)
    return {"Type": "Resource", "ResourceChange": resource}


async def list_change_sets(tx: ReadTx, call: Call, request: Request) -> Any:
    stack = await the_stack(tx, call, request["StackName"])
    purpose = f"ListChangeSets {stack.id}"
    above = page_position(purpose, request["NextToken"]) if request.get("NextToken") else None
    rows = await CHANGE_SETS.scan(tx, stack.id, limit=PAGE_CHANGE_SETS + 1, above=above)
    more = token(purpose, rows[PAGE_CHANGE_SETS - 1].name) if len(rows) > PAGE_CHANGE_SETS else None
    summaries = []
    for row in rows[:PAGE_CHANGE_SETS]:
        summary = {
            "StackId": stack.arn,
            "StackName": stack.name,
            "ChangeSetId": row.arn,
            "ChangeSetName": row.name,
            "ExecutionStatus": await _execution(tx, stack, row),
            "Status": row.status,
            "StatusReason": row.reason or None,
            "CreationTime": row.created_at,
            "Description": row.description or None,
            "IncludeNestedStacks": False,
            "ImportExistingResources": row.import_existing or None,
        }
        summaries.append({k: v for k, v in summary.items() if v is not None})
    return reply(Summaries=summaries, NextToken=more)


async def delete_change_set(tx: Tx, call: Call, request: Request) -> Any:
    name = request["ChangeSetName"]
    if name.startswith("arn:"):
        listed = await CHANGE_SET_IDS.get(tx, name.rpartition("/")[2])
        if listed is None:
            return reply()
        found = await CHANGE_SETS.get(tx, listed.stack_id, listed.name)
    else:
        if not request.get("StackName"):
            raise ValidationError(
                "StackName must be specified if ChangeSetName is not specified as an ARN."
            )
        stack = await the_stack(tx, call, request["StackName"])
        found = await CHANGE_SETS.get(tx, stack.id, name)
    if found is None:
        return reply()
    owner = await STACKS.get(tx, found.account, found.region, found.stack_id)
    if owner is not None and await _execution(tx, owner, found) == "EXECUTE_IN_PROGRESS":
        raise InvalidChangeSetStatusException(
            f"ChangeSet [{found.arn}] cannot be deleted in its current status of "
            "[EXECUTE_IN_PROGRESS]"
        )
    _forget(tx, found, owner.definition if owner else "")
    return reply()


def _forget(tx: Tx, change_set: ChangeSet, kept: str) -> None:
    CHANGE_SETS.delete(tx, change_set.stack_id, change_set.name)
    CHANGE_SET_IDS.delete(tx, change_set.id)
    if change_set.definition != kept:
        DEFINITIONS.delete(tx, change_set.stack_id, change_set.definition)


async def execute_change_set(tx: Tx, call: Call, request: Request) -> Any:
    stack, change_set = await the_change_set(tx, call, request)
    wanted_token = request.get("ClientRequestToken", "")
    if wanted_token and stack.last_token == wanted_token:
        if stack.last_action == "ExecuteChangeSet":
            return reply()
        raise TokenAlreadyExistsException(f"Token [{wanted_token}] already exists")
    if change_set.status != "CREATE_COMPLETE":
        raise InvalidChangeSetStatusException(
            f"ChangeSet [{change_set.arn}] cannot be executed in its current status of "
            f"[{change_set.status}]"
        )
    execution = await _execution(tx, stack, change_set)
    if execution != "AVAILABLE":
        raise InvalidChangeSetStatusException(
            f"ChangeSet [{change_set.arn}] cannot be executed in its current execution status of "
            f"[{execution}]"
        )
    if stack.status != "REVIEW_IN_PROGRESS":
        check_updatable(stack)
    definition = await DEFINITIONS.get(tx, stack.id, change_set.definition)
    assert definition is not None, "an executable change set keeps its definition"
    on_failure = _on_failure(request, stack, change_set)
    fields: dict[str, Any] = {}
    if request.get("RetainExceptOnCreate") is not None:
        fields["retain_except_on_create"] = request["RetainExceptOnCreate"]
    if stack.status == "REVIEW_IN_PROGRESS":
        fields |= {"updated_at": call.now, "disable_rollback": on_failure == "DO_NOTHING"}
    options = Options(
        token=wanted_token,
        action="ExecuteChangeSet",
        role_arn=change_set.role_arn,
        on_failure=on_failure,
        change_set=change_set.arn,
        import_existing=change_set.import_existing,
        fields=fields,
    )
    begin = begin_create if stack.status == "REVIEW_IN_PROGRESS" else begin_update
    await begin(tx, call, stack, definition, options)
    for other in await CHANGE_SETS.scan(tx, stack.id, limit=1000):
        if other.name != change_set.name:
            _forget(tx, other, change_set.definition)
    CHANGE_SETS.put(tx, msgspec.structs.replace(change_set, execution="EXECUTE_IN_PROGRESS"))
    return reply()


def _on_failure(request: Request, stack: Stack, change_set: ChangeSet) -> str:
    if request.get("DisableRollback") is not None:
        return "DO_NOTHING" if request["DisableRollback"] else "ROLLBACK"
    if change_set.on_failure:
        return change_set.on_failure
    return "DO_NOTHING" if stack.disable_rollback else "ROLLBACK"
