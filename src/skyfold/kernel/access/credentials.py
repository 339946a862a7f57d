"""Access keys: who they belong to, found once and remembered until a key changes."""

from __future__ import annotations

import base64
from typing import NamedTuple

import msgspec

from skyfold.base.ids import Ids
from skyfold.base.settings import Settings
from skyfold.kernel.access.errors import ExpiredToken, InvalidClientTokenId, InvalidToken
from skyfold.kernel.access.sigv4 import same
from skyfold.kernel.access.tables import (
    IDS,
    KEYS,
    KEYS_OF,
    SESSIONS,
    USERS,
    IdRow,
    KeyRow,
    UserRow,
)
from skyfold.kernel.principal import Principal, root_of
from skyfold.store.api import ReadTx, Tx

SEEDED_ID, SEEDED_SECRET = "test", "test"
TEMPORARY = "ASIA"


class Credential(NamedTuple):
    """What is needed to check a signature made with one access key."""

    principal: Principal
    secret: str
    token: str = ""
    """The session token that has to come along; empty for long-term keys."""
    expires_at: int = 0
    seeded: bool = False


async def find(tx: ReadTx, key_id: str, *, account: str, seeded: bool) -> Credential | None:
    """The credential with this id, or None where there is none that works.

    Where ``seeded``, ``test`` is a key of root of ``account``, and twelve digits are one of root
    of that account, both with the secret ``test``.
    """
    if key_id.startswith(TEMPORARY):
        session = await SESSIONS.get(tx, key_id)
        if session is not None:
            return Credential(session.principal, session.secret, session.token, session.expires_at)
    row = await KEYS.get(tx, key_id)
    if row is not None:
        return await _of_row(tx, row)
    if seeded and (key_id == SEEDED_ID or is_account(key_id)):
        owner = account if key_id == SEEDED_ID else key_id
        return Credential(_root_with(owner, key_id), SEEDED_SECRET, seeded=True)
    return None


async def _of_row(tx: ReadTx, row: KeyRow) -> Credential | None:
    if not row.active:
        return None
    if not row.user:
        return Credential(_root_with(row.account, row.id), row.secret)
    owner: IdRow | None = await IDS.get(tx, row.owner)
    user = await USERS.get(tx, owner.account, owner.name) if owner else None
    return Credential(principal_of_user(user, row.id), row.secret) if user else None


def principal_of_user(user: UserRow, access_key: str = "") -> Principal:
    return Principal(
        kind="user",
        account=user.account,
        arn=user.arn,
        id=user.id,
        name=user.name,
        access_key=access_key,
    )


def _root_with(account: str, key_id: str) -> Principal:
    return msgspec.structs.replace(root_of(account), access_key=key_id)


def check_token(credential: Credential, token: str, key_id: str, now: int) -> None:
    """Raise unless the session token belongs to the key and is still good."""
    if not credential.token:
        # People set AWS_SESSION_TOKEN along with the seeded keys; it says nothing about them.
        if token and not credential.seeded:
            raise InvalidToken(Token=token)
        return
    if not token:
        raise InvalidClientTokenId(AWSAccessKeyId=key_id)
    if not same(credential.token, token):
        raise InvalidToken(Token=token)
    if now >= credential.expires_at:
        raise ExpiredToken(Token=token)


def is_account(text: str) -> bool:
    return len(text) == 12 and text.isascii() and text.isdigit()


async def seed(tx: Tx, settings: Settings, ids: Ids, now: int) -> KeyRow | None:
    """Make sure that somebody can sign. Returns the root key where one was made just now.

    Seeded keys need no rows. Without them, the first start makes a random key of root.
    """
    if settings.seeded_keys:
        return None
    if await KEYS_OF.scan(tx, settings.account, limit=1):
        return None
    row = KeyRow(
        id="AKIA" + ids.upper(16),
        account=settings.account,
        owner=settings.account,
        user="",
        secret=new_secret(ids),
        created_at=now,
    )
    put_key(tx, row)
    return row


def put_key(tx: Tx, row: KeyRow) -> None:
    KEYS.put(tx, row)
    KEYS_OF.put(tx, row.owner, row.id)


def new_secret(ids: Ids) -> str:
    """Forty characters of base 64, as AWS's secrets."""
    return base64.b64encode(ids.bytes(30)).decode()
