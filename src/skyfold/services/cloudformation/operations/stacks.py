"""Stacks: create, update, delete, describe, list, protect."""

from __future__ import annotations

from typing import Any

import msgspec

from skyfold.kernel.call import Call
from skyfold.kernel.pages import BadToken, position, token
from skyfold.kernel.service import Request, reply
from skyfold.services.cloudformation.deploy.begin import (
    Options,
    begin_create,
    begin_delete,
    begin_update,
    check_can_be_deleted,
    insert_stack,
)
from skyfold.services.cloudformation.deploy.prepare import (
    Prepared,
    TransformFailed,
    draft,
    prepare,
)
from skyfold.services.cloudformation.deploy.run import resources_of
from skyfold.services.cloudformation.deploy.sources import given_text
from skyfold.services.cloudformation.engine.stack_policy import check_policy
from skyfold.services.cloudformation.errors import (
    AlreadyExistsException,
    LimitExceededException,
    TokenAlreadyExistsException,
    ValidationError,
)
from skyfold.services.cloudformation.limits import (
    DELETED_STACKS_KEPT_MS,
    PAGE_STACKS,
    STACK_POLICY_BYTES_MAX,
    STACKS_MAX,
)
from skyfold.services.cloudformation.operations.lookup import find_stack, the_stack
from skyfold.services.cloudformation.tables import (
    DEFINITIONS,
    OPERATIONS,
    STACK_NAMES,
    STACKS,
    STACKS_BY_TIME,
    Definition,
    Resource,
    Stack,
)
from skyfold.store.api import ReadTx, Tx

UPDATABLE = frozenset(
    {
        "CREATE_COMPLETE",
        "UPDATE_COMPLETE",
        "UPDATE_ROLLBACK_COMPLETE",
        "IMPORT_COMPLETE",
        "IMPORT_ROLLBACK_COMPLETE",
        "CREATE_FAILED",
        "UPDATE_FAILED",
    }
)


def check_obeyable(request: Request) -> None:
    """Refuse what a request may say and Skyfold cannot do."""
    configuration = request.get("RollbackConfiguration") or {}
    if configuration.get("RollbackTriggers") or configuration.get("MonitoringTimeInMinutes"):
        raise ValidationError("Skyfold cannot monitor rollback triggers yet.")
    if (request.get("DeploymentConfig") or {}).get("Mode", "STANDARD") != "STANDARD":
        raise ValidationError("Skyfold knows no deployment mode but STANDARD.")


def rollback_wanted(request: Request, default: str = "ROLLBACK") -> str:
    """What is to happen on failure: ROLLBACK, DO_NOTHING or DELETE."""
    disable = request.get("DisableRollback")
    on_failure = request.get("OnFailure")
    if disable is not None and on_failure is not None:
        raise ValidationError("Either DisableRollback or OnFailure can be specified, not both.")
    if disable is None:
        disable = (request.get("DeploymentConfig") or {}).get("DisableRollback")
    if disable is not None:
        return "DO_NOTHING" if disable else "ROLLBACK"
    return str(on_failure or default)


async def policy_text(call: Call, request: Request, name: str = "StackPolicy") -> str | None:
    """The stack policy in a request, checked."""
    text = await given_text(call, request, name)
    if text is not None:
        if len(text.encode()) > STACK_POLICY_BYTES_MAX:
            raise ValidationError(
                f"Stack policy may not exceed {STACK_POLICY_BYTES_MAX} bytes in size."
            )
        check_policy(text)
    return text


async def create_stack(call: Call, request: Request) -> Any:
    check_obeyable(request)
    name = request["StackName"]
    taken = await call.read(_repeated, call, request)
    if taken is not None:
        return reply(StackId=taken.arn)
    text = await given_text(call, request)
    if text is None:
        raise ValidationError("Either Template URL or Template Body must be specified.")
    on_failure = rollback_wanted(request)
    stack = new_stack(call, name, "CREATE_IN_PROGRESS")
    stack = msgspec.structs.replace(
        stack,
        disable_rollback=on_failure == "DO_NOTHING",
        termination_protection=bool(request.get("EnableTerminationProtection")),
        timeout_minutes=request.get("TimeoutInMinutes") or 0,
        policy=await policy_text(call, request),
        retain_except_on_create=bool(request.get("RetainExceptOnCreate")),
    )
    definition, problem = await _defined(call, stack, request, text, None, {})
    check_types_allowed(request, definition)
    options = Options(
        token=request.get("ClientRequestToken", ""),
        action="CreateStack",
        role_arn=request.get("RoleARN", ""),
        on_failure=on_failure,
        problem=problem,
    )
    made = await call.write(_create, call, stack, definition, options)
    call.meter("CreateStack")
    return reply(StackId=made.arn)


def new_stack(call: Call, name: str, status: str) -> Stack:
    return Stack(
        account=call.account,
        region=call.region,
        id=call.new_id(),
        name=name,
        status=status,
        created_at=call.now,
    )


async def _repeated(tx: ReadTx, call: Call, request: Request) -> Stack | None:
    """The stack that this very request has made already."""
    found = await find_stack(tx, call, request["StackName"])
    if found is None:
        return None
    wanted = request.get("ClientRequestToken")
    if wanted and found.last_token == wanted:
        if found.last_action == "CreateStack":
            return found
        raise TokenAlreadyExistsException(f"Token [{wanted}] already exists")
    raise AlreadyExistsException(f"Stack [{found.name}] already exists")


async def _defined(
    call: Call,
    stack: Stack,
    request: Request,
    text: str,
    previous: Definition | None,
    rows: dict[str, Resource],
) -> tuple[Definition, str]:
    """The definition; where only its transforms fail, the draft and what is wrong."""
    try:
        prepared = await prepare(call, stack, request, text, previous, rows, expand=True)
    except TransformFailed as failed:
        rough = await draft(call, stack, request, text, previous, expand=True)
        empty = msgspec.structs.replace(rough, processed='{"Resources":{}}')
        return empty, failed.text
    if previous is not None and not prepared.changes and not _settings_change(prepared, previous):
        raise ValidationError("No updates are to be performed.")
    return prepared.definition, ""


def _settings_change(prepared: Prepared, previous: Definition) -> bool:
    new = prepared.definition
    return dict(new.tags) != dict(previous.tags) or (
        new.notification_arns != previous.notification_arns
    )


def check_types_allowed(request: Request, definition: Definition) -> None:
    """``ResourceTypes`` names what the template may use at most."""
    import fnmatch

    from skyfold.services.cloudformation.deploy.scope import template_of

    allowed = request.get("ResourceTypes")
    if not allowed:
        return
    for resource in template_of(definition).resources.values():
        if not any(fnmatch.fnmatchcase(resource.type, pattern) for pattern in allowed):
            raise ValidationError(
                f"Resource type {resource.type} is not allowed by parameter ResourceTypes "
                f"{', '.join(allowed)}"
            )


async def _create(
    tx: Tx, call: Call, stack: Stack, definition: Definition, options: Options
) -> Stack:
    if await STACK_NAMES.get(tx, stack.account, stack.region, stack.name) is not None:
        raise AlreadyExistsException(f"Stack [{stack.name}] already exists")
    standing = await STACK_NAMES.scan(tx, stack.account, stack.region, limit=STACKS_MAX)
    if len(standing) >= STACKS_MAX:
        raise LimitExceededException(f"Limit for stack has been exceeded ({STACKS_MAX})")
    insert_stack(tx, stack)
    return await begin_create(tx, call, stack, definition, options)


async def update_stack(call: Call, request: Request) -> Any:
    check_obeyable(request)
    stack, previous, rows = await call.read(standing_stack, call, request["StackName"])
    wanted_token = request.get("ClientRequestToken", "")
    if wanted_token and stack.last_token == wanted_token:
        if stack.last_action == "UpdateStack":
            return reply(StackId=stack.arn)
        raise TokenAlreadyExistsException(f"Token [{wanted_token}] already exists")
    check_updatable(stack)
    text = await template_for_update(call, request, previous)
    fields: dict[str, Any] = {}
    policy = await policy_text(call, request)
    if policy is not None:
        fields["policy"] = policy
    if request.get("RetainExceptOnCreate") is not None:
        fields["retain_except_on_create"] = request["RetainExceptOnCreate"]
    default = "DO_NOTHING" if stack.disable_rollback else "ROLLBACK"
    definition, problem = await _defined(call, stack, request, text, previous, rows)
    check_types_allowed(request, definition)
    options = Options(
        token=wanted_token,
        action="UpdateStack",
        role_arn=request.get("RoleARN", ""),
        on_failure=rollback_wanted(request, default),
        policy_during_update=await policy_text(call, request, "StackPolicyDuringUpdate"),
        problem=problem,
        fields=fields,
    )
    made = await call.write(_update, call, stack, definition, options)
    return reply(StackId=made.arn)


async def standing_stack(
    tx: ReadTx, call: Call, name: str
) -> tuple[Stack, Definition | None, dict[str, Resource]]:
    stack = await the_stack(tx, call, name)
    previous = await DEFINITIONS.get(tx, stack.id, stack.definition) if stack.definition else None
    operation = await OPERATIONS.get(tx, stack.id)
    if stack.status == "UPDATE_FAILED" and operation is not None and previous is None:
        previous = await DEFINITIONS.get(tx, stack.id, operation.previous)
    return stack, previous, await resources_of(tx, stack.id)


async def template_for_update(call: Call, request: Request, previous: Definition | None) -> str:
    """The new template, or the one that the stack has, where the request says so."""
    text = await given_text(call, request)
    if request.get("UsePreviousTemplate"):
        if text is not None or previous is None:
            raise ValidationError(
                "You cannot specify both usePreviousTemplate and Template Body/Template URL."
            )
        return previous.original
    if text is None:
        raise ValidationError("Either Template URL or Template Body must be specified.")
    return text


def check_updatable(stack: Stack) -> None:
    if stack.status not in UPDATABLE:
        raise ValidationError(
            f"Stack:{stack.arn} is in {stack.status} state and can not be updated."
        )


async def _update(
    tx: Tx, call: Call, stack: Stack, definition: Definition, options: Options
) -> Stack:
    now = await STACKS.get(tx, stack.account, stack.region, stack.id)
    if now is None or now.definition != stack.definition or now.status != stack.status:
        check_updatable(now or stack)
        raise ValidationError(f"Stack:{stack.arn} is being changed by another request.")
    return await begin_update(tx, call, now, definition, options)


async def delete_stack(tx: Tx, call: Call, request: Request) -> Any:
    stack = await find_stack(tx, call, request["StackName"])
    if stack is None or stack.status in ("DELETE_COMPLETE", "DELETE_IN_PROGRESS"):
        return reply()
    if (request.get("DeploymentConfig") or {}).get("Mode", "STANDARD") != "STANDARD":
        raise ValidationError("Skyfold knows no deployment mode but STANDARD.")
    check_can_be_deleted(stack)
    retained = tuple(request.get("RetainResources") or ())
    mode = request.get("DeletionMode", "STANDARD")
    if (retained or mode == "FORCE_DELETE_STACK") and stack.status != "DELETE_FAILED":
        what = "RetainResources" if retained else "DeletionMode FORCE_DELETE_STACK"
        raise ValidationError(
            f"Invalid operation on stack [{stack.arn}]. {what} can be used only on a stack in the "
            "DELETE_FAILED state."
        )
    rows = await resources_of(tx, stack.id)
    for name in retained:
        if name not in rows:
            raise ValidationError(f"Resource [{name}] does not exist in stack [{stack.name}]")
    if mode == "FORCE_DELETE_STACK":
        failed = [row.logical_id for row in rows.values() if row.status == "DELETE_FAILED"]
        retained = (*retained, *failed)
        stack = msgspec.structs.replace(stack, deletion_mode=mode)
    options = Options(
        token=request.get("ClientRequestToken", ""),
        action="DeleteStack",
        role_arn=request.get("RoleARN", ""),
    )
    await begin_delete(tx, call, stack, options, retained=retained)
    return reply()


async def describe_stacks(tx: ReadTx, call: Call, request: Request) -> Any:
    name = request.get("StackName")
    if name:
        stack = await find_stack(tx, call, name)
        if stack is None:
            raise ValidationError(f"Stack with id {name} does not exist")
        return reply(Stacks=[await described(tx, stack)])
    stacks, after = await _page(tx, call, request, "DescribeStacks", deleted=False, statuses=None)
    return reply(Stacks=[await described(tx, stack) for stack in stacks], NextToken=after)


async def list_stacks(tx: ReadTx, call: Call, request: Request) -> Any:
    statuses = request.get("StackStatusFilter")
    stacks, after = await _page(
        tx, call, request, "ListStacks", deleted=True, statuses=set(statuses or ()) or None
    )
    return reply(StackSummaries=[_summary(stack) for stack in stacks], NextToken=after)


async def _page(
    tx: ReadTx,
    call: Call,
    request: Request,
    purpose: str,
    *,
    deleted: bool,
    statuses: set[str] | None,
) -> tuple[list[Stack], str | None]:
    """Stacks, the newest first."""
    below = None
    if request.get("NextToken"):
        below = page_position(purpose, request["NextToken"])
    found: list[Stack] = []
    oldest = call.now - DELETED_STACKS_KEPT_MS
    while True:
        entries = await STACKS_BY_TIME.scan(
            tx, call.account, call.region, limit=PAGE_STACKS, below=below, reverse=True
        )
        for _, _, created_at, id in entries:
            if len(found) == PAGE_STACKS:
                assert below is not None
                return found, token(purpose, *below)
            stack = await STACKS.get(tx, call.account, call.region, id)
            below = (created_at, id)
            if stack is None or (not deleted and stack.status == "DELETE_COMPLETE"):
                continue
            if stack.status == "DELETE_COMPLETE" and stack.deleted_at < oldest:
                continue
            if statuses is None or stack.status in statuses:
                found.append(stack)
        if len(entries) < PAGE_STACKS:
            return found, None


def page_position(purpose: str, text: str) -> tuple[Any, ...]:
    try:
        return position(purpose, text)
    except BadToken:
        raise ValidationError("Token is not valid") from None


def _summary(stack: Stack) -> dict[str, Any]:
    shown = {
        "StackId": stack.arn,
        "StackName": stack.name,
        "TemplateDescription": stack.description or None,
        "CreationTime": stack.created_at,
        "LastUpdatedTime": stack.updated_at or None,
        "DeletionTime": stack.deleted_at or None,
        "StackStatus": stack.status,
        "StackStatusReason": stack.status_reason or None,
        "ParentId": stack.parent or None,
        "RootId": stack.root or None,
        "DriftInformation": {"StackDriftStatus": "NOT_CHECKED"},
    }
    return {name: value for name, value in shown.items() if value is not None}


async def described(tx: ReadTx, stack: Stack) -> dict[str, Any]:
    definition = None
    if stack.definition:
        definition = await DEFINITIONS.get(tx, stack.id, stack.definition)
    shown = _summary(stack)
    shown.pop("TemplateDescription", None)
    shown |= {
        "ChangeSetId": stack.change_set or None,
        "Description": stack.description or None,
        "Parameters": described_parameters(definition) or None,
        "RollbackConfiguration": {},
        "DisableRollback": stack.disable_rollback,
        "NotificationARNs": list(definition.notification_arns) if definition else [],
        "TimeoutInMinutes": stack.timeout_minutes or None,
        "Capabilities": (
            list(definition.capabilities)
            if definition is not None and definition.capabilities is not None
            else None
        ),
        "Outputs": [_output(output) for output in stack.outputs] or None,
        "RoleARN": stack.role_arn or None,
        "Tags": [
            {"Key": key, "Value": value}
            for key, value in (definition.tags if definition else {}).items()
        ],
        "EnableTerminationProtection": (
            None if stack.status == "DELETE_COMPLETE" else stack.termination_protection
        ),
        "RetainExceptOnCreate": stack.retain_except_on_create or None,
        "DeletionMode": stack.deletion_mode or None,
    }
    return {name: value for name, value in shown.items() if value is not None}


def described_parameters(definition: Definition | None) -> list[dict[str, str]]:
    listed = []
    for parameter in definition.parameters if definition else ():
        entry = {"ParameterKey": parameter.key, "ParameterValue": parameter.value}
        if parameter.resolved is not None:
            entry["ResolvedValue"] = parameter.resolved
        if parameter.no_echo:
            entry = {"ParameterKey": parameter.key, "ParameterValue": "****"}
        listed.append(entry)
    return listed


def _output(output: Any) -> dict[str, str]:
    shown = {
        "OutputKey": output.key,
        "OutputValue": output.value,
        "Description": output.description,
        "ExportName": output.export,
    }
    return {name: value for name, value in shown.items() if value is not None}


async def update_termination_protection(tx: Tx, call: Call, request: Request) -> Any:
    stack = await the_stack(tx, call, request["StackName"])
    if stack.status in ("DELETE_COMPLETE", "DELETE_IN_PROGRESS"):
        raise ValidationError(f"Stack [{stack.name}] does not exist")
    if stack.parent:
        raise ValidationError(
            f"Stack [{stack.name}] is a nested stack: termination protection is set on its root "
            "stack"
        )
    STACKS.put(
        tx,
        msgspec.structs.replace(
            stack, termination_protection=request["EnableTerminationProtection"]
        ),
    )
    return reply(StackId=stack.arn)
