"""Access keys of users, and of root."""

from __future__ import annotations

from typing import Any

import msgspec

from skyfold.kernel.access.credentials import new_secret, put_key
from skyfold.kernel.access.tables import IDS, KEY_USES, KEYS, KEYS_OF, KeyRow, KeyUseRow
from skyfold.kernel.call import Call
from skyfold.kernel.service import Request, reply
from skyfold.services.iam.errors import LimitExceededException, NoSuchEntityException
from skyfold.services.iam.limits import ACCESS_KEYS_PER_USER_MAX
from skyfold.services.iam.operations import entities
from skyfold.services.iam.operations.paging import page_of
from skyfold.store.api import ReadTx, Tx


async def _owner(tx: ReadTx, call: Call, request: Request) -> tuple[str, str]:
    """(id, user name) of whose keys a request is about; root where root asks for no user."""
    if "UserName" not in request and call.principal.kind == "root":
        return call.account, ""
    user = await entities.user_or_caller(tx, call, request)
    return user.id, user.name


async def create_access_key(tx: Tx, call: Call, request: Request) -> Any:
    owner, name = await _owner(tx, call, request)
    if len(await keys_of(tx, owner)) >= ACCESS_KEYS_PER_USER_MAX:
        raise LimitExceededException(
            f"Cannot exceed quota for AccessKeysPerUser: {ACCESS_KEYS_PER_USER_MAX}"
        )
    ids = call.platform.ids
    row = KeyRow(
        id="AKIA" + ids.upper(16),
        account=call.account,
        owner=owner,
        user=name,
        secret=new_secret(ids),
        created_at=call.now,
    )
    put_key(tx, row)
    shown = _shown(row, name)
    return reply(AccessKey={**shown, "SecretAccessKey": row.secret})


async def list_access_keys(tx: ReadTx, call: Call, request: Request) -> Any:
    owner, name = await _owner(tx, call, request)
    rows, more = page_of(request, "ListAccessKeys", await keys_of(tx, owner))
    return reply(AccessKeyMetadata=[_shown(row, name) for row in rows], **more)


async def update_access_key(tx: Tx, call: Call, request: Request) -> Any:
    row = await _found(tx, call, request)
    KEYS.put(tx, msgspec.structs.replace(row, active=request["Status"] == "Active"))


async def delete_access_key(tx: Tx, call: Call, request: Request) -> Any:
    row = await _found(tx, call, request)
    KEYS.delete(tx, row.id)
    KEYS_OF.delete(tx, row.owner, row.id)
    KEY_USES.delete(tx, row.id)


async def get_access_key_last_used(tx: ReadTx, call: Call, request: Request) -> Any:
    key_id = request["AccessKeyId"]
    row = await KEYS.get(tx, key_id)
    if row is None or row.account != call.account:
        raise NoSuchEntityException(f"The Access Key with id {key_id} cannot be found.")
    owner = await IDS.get(tx, row.owner)
    use = await KEY_USES.get(tx, key_id)
    return reply(UserName=owner.name if owner else None, AccessKeyLastUsed=_shown_use(use))


def _shown_use(use: KeyUseRow | None) -> dict[str, Any]:
    if use is None:
        return {"ServiceName": "N/A", "Region": "N/A"}
    return {"LastUsedDate": use.used_at, "ServiceName": use.service, "Region": use.region}


async def _found(tx: ReadTx, call: Call, request: Request) -> KeyRow:
    owner, _ = await _owner(tx, call, request)
    key_id = request["AccessKeyId"]
    row = await KEYS.get(tx, key_id)
    if row is None or row.owner != owner:
        raise NoSuchEntityException(f"The Access Key with id {key_id} cannot be found.")
    return row


async def keys_of(tx: ReadTx, owner: str) -> list[KeyRow]:
    """The access keys of a user (by id) or of root (by account)."""
    found = [
        await KEYS.get(tx, key)
        for _, key in await KEYS_OF.scan(tx, owner, limit=ACCESS_KEYS_PER_USER_MAX)
    ]
    return [row for row in found if row is not None]


def _shown(row: KeyRow, name: str) -> dict[str, Any]:
    return reply(
        UserName=name or None,
        AccessKeyId=row.id,
        Status="Active" if row.active else "Inactive",
        CreateDate=row.created_at,
    )
