"""Service-linked roles. None of AWS's service policies is attached: nothing here acts as them."""

from __future__ import annotations

import json
from typing import Any

from skyfold.kernel.access.tables import DELETIONS, ROLES, DeletionRow, RoleRow
from skyfold.kernel.call import Call
from skyfold.kernel.service import Request, reply
from skyfold.services.iam.engine.service_roles import service_roles
from skyfold.services.iam.errors import InvalidInputException, NoSuchEntityException
from skyfold.services.iam.operations import entities
from skyfold.services.iam.operations.roles import forget_role, shown
from skyfold.store.api import ReadTx, Tx


async def create_service_linked_role(tx: Tx, call: Call, request: Request) -> Any:
    service, suffix = request["AWSServiceName"], request.get("CustomSuffix")
    known = service_roles().get(service)
    if known is None:
        raise InvalidInputException(f"Service-linked roles for {service} are not known.")
    if suffix and not known.suffix:
        raise InvalidInputException(f"Custom suffix is not allowed for {service}")
    row = RoleRow(
        account=call.account,
        name=f"{known.name}_{suffix}" if suffix else known.name,
        path=f"{entities.SERVICE_ROLE_PATH}{service}/",
        id=entities.new_entity_id(call, "role"),
        created_at=call.now,
        trust=_trust(service),
        description=request.get("Description", known.description),
        service=service,
    )
    if await ROLES.get(tx, call.account, row.name) is not None:
        raise InvalidInputException(
            f"Service role name {row.name} has been taken in this account, "
            "please try a different suffix."
        )
    await entities.take_name(tx, call, "role", row.name, row.id)
    ROLES.put(tx, row)
    made = shown(row)
    del made["MaxSessionDuration"]
    return reply(Role=made)


async def delete_service_linked_role(tx: Tx, call: Call, request: Request) -> Any:
    row = await entities.role(tx, call, request["RoleName"])
    if not row.service:
        raise NoSuchEntityException(f"The role with name {row.name} cannot be found.")
    await forget_role(tx, call, row)
    task = f"task{row.path}{row.name}/{call.new_id()}"
    DELETIONS.put(tx, DeletionRow(account=call.account, id=task, status="SUCCEEDED"))
    return reply(DeletionTaskId=task)


async def get_service_linked_role_deletion_status(tx: ReadTx, call: Call, request: Request) -> Any:
    task = request["DeletionTaskId"]
    row = await DELETIONS.get(tx, call.account, task)
    if row is None:
        raise NoSuchEntityException(f"Deletion task {task} cannot be found.")
    return reply(Status=row.status)


def _trust(service: str) -> str:
    statement = {
        "Effect": "Allow",
        "Principal": {"Service": service},
        "Action": "sts:AssumeRole",
    }
    document = {"Version": "2012-10-17", "Statement": [statement]}
    return json.dumps(document, separators=(",", ":"))
