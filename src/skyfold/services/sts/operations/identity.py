"""Who is asking, and whose key a key is."""

from __future__ import annotations

from typing import Any

from skyfold.kernel.access.credentials import find
from skyfold.kernel.access.errors import MissingAuthenticationToken
from skyfold.kernel.access.tables import KEYS
from skyfold.kernel.call import Call
from skyfold.kernel.service import Request, reply
from skyfold.services.sts.errors import ValidationError
from skyfold.store.api import ReadTx


async def get_caller_identity(tx: ReadTx, call: Call, request: Request) -> Any:
    principal = call.principal
    if principal.kind == "anonymous":
        raise MissingAuthenticationToken
    return reply(UserId=principal.id, Account=principal.account, Arn=principal.caller_arn)


async def get_access_key_info(tx: ReadTx, call: Call, request: Request) -> Any:
    key_id, settings = request["AccessKeyId"], call.platform.settings
    row = await KEYS.get(tx, key_id)
    if row is not None:
        return reply(Account=row.account)
    found = await find(tx, key_id, account=settings.account, seeded=settings.seeded_keys)
    if found is None:
        raise ValidationError(f"The access key {key_id} is not one of this cloud.")
    return reply(Account=found.principal.account)
