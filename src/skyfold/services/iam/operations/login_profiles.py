"""Console passwords of users, kept as salted hashes."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

import msgspec

from skyfold.kernel.access.tables import LOGINS, LoginRow, UserRow
from skyfold.kernel.call import Call
from skyfold.kernel.service import Request, reply
from skyfold.services.iam.errors import (
    EntityAlreadyExistsException,
    NoSuchEntityException,
    PasswordPolicyViolationException,
)
from skyfold.services.iam.limits import PASSWORD_LENGTH_MIN
from skyfold.services.iam.operations import entities
from skyfold.store.api import ReadTx, Tx

SCRYPT = {"n": 2**14, "r": 8, "p": 1}


async def create_login_profile(tx: Tx, call: Call, request: Request) -> Any:
    user = await entities.user_or_caller(tx, call, request)
    if await LOGINS.get(tx, user.id) is not None:
        raise EntityAlreadyExistsException(f"Login Profile for user {user.name} already exists.")
    password, salt = hashed(request.get("Password", ""), call.platform.ids.bytes(16))
    row = LoginRow(
        owner=user.id,
        created_at=call.now,
        password=password,
        salt=salt,
        reset_required=request.get("PasswordResetRequired", False),
    )
    LOGINS.put(tx, row)
    return reply(LoginProfile=_shown(row, user.name))


async def get_login_profile(tx: ReadTx, call: Call, request: Request) -> Any:
    user = await entities.user_or_caller(tx, call, request)
    return reply(LoginProfile=_shown(await _found(tx, user), user.name))


async def update_login_profile(tx: Tx, call: Call, request: Request) -> Any:
    user = await entities.user(tx, call, request["UserName"])
    row = await _found(tx, user)
    if "Password" in request:
        password, salt = hashed(request["Password"], call.platform.ids.bytes(16))
        row = msgspec.structs.replace(row, password=password, salt=salt)
    reset = request.get("PasswordResetRequired", row.reset_required)
    LOGINS.put(tx, msgspec.structs.replace(row, reset_required=reset))


async def delete_login_profile(tx: Tx, call: Call, request: Request) -> Any:
    user = await entities.user_or_caller(tx, call, request)
    await _found(tx, user)
    LOGINS.delete(tx, user.id)


async def _found(tx: ReadTx, user: UserRow) -> LoginRow:
    row = await LOGINS.get(tx, user.id)
    if row is None:
        raise NoSuchEntityException(f"Login Profile for User {user.name} cannot be found.")
    return row


def hashed(password: str, salt: bytes) -> tuple[bytes, bytes]:
    """The password as it is kept. AWS's default policy asks for three kinds of characters."""
    kinds: list[Callable[[str], bool]] = [
        str.isupper,
        str.islower,
        str.isdigit,
        lambda c: not c.isalnum(),
    ]
    if len(password) < PASSWORD_LENGTH_MIN:
        raise PasswordPolicyViolationException(
            f"Password should have a minimum length of {PASSWORD_LENGTH_MIN}"
        )
    if sum(any(kind(c) for c in password) for kind in kinds) < 3:
        raise PasswordPolicyViolationException(
            "Password should have at least three of these: uppercase letters, lowercase letters, "
            "numbers, and non-alphanumeric characters"
        )
    return hashlib.scrypt(password.encode(), salt=salt, **SCRYPT), salt


def _shown(row: LoginRow, name: str) -> dict[str, Any]:
    return reply(UserName=name, CreateDate=row.created_at, PasswordResetRequired=row.reset_required)
