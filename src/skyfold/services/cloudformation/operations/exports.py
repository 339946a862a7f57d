"""Exports, and who imports them."""

from __future__ import annotations

from typing import Any

from skyfold.kernel.call import Call
from skyfold.kernel.pages import token
from skyfold.kernel.service import Request, reply
from skyfold.services.cloudformation.deploy.finish import importers
from skyfold.services.cloudformation.errors import ValidationError
from skyfold.services.cloudformation.limits import PAGE_EXPORTS
from skyfold.services.cloudformation.operations.stacks import page_position
from skyfold.services.cloudformation.tables import EXPORTS, STACKS
from skyfold.store.api import ReadTx


async def list_exports(tx: ReadTx, call: Call, request: Request) -> Any:
    above = None
    if request.get("NextToken"):
        above = page_position("ListExports", request["NextToken"])
    rows = await EXPORTS.scan(tx, call.account, call.region, limit=PAGE_EXPORTS + 1, above=above)
    more = token("ListExports", rows[PAGE_EXPORTS - 1].name) if len(rows) > PAGE_EXPORTS else None
    shown = []
    for row in rows[:PAGE_EXPORTS]:
        stack = await STACKS.get(tx, row.account, row.region, row.stack_id)
        shown.append(
            {
                "ExportingStackId": stack.arn if stack else row.stack_id,
                "Name": row.name,
                "Value": row.value,
            }
        )
    return reply(Exports=shown, NextToken=more)


async def list_imports(tx: ReadTx, call: Call, request: Request) -> Any:
    name = request["ExportName"]
    found = await importers(tx, call.account, call.region, name)
    if not found:
        exported = await EXPORTS.get(tx, call.account, call.region, name)
        problem = (
            f"Export '{name}' is not imported by any stack."
            if exported is not None
            else f"Export '{name}' does not exist."
        )
        raise ValidationError(problem)
    return reply(Imports=found)
