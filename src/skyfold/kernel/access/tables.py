"""What the kernel knows of identities and their rights; the service IAM is a thin API over it.

Whatever hangs on an identity (inline policies, attachments, memberships, tags of sessions) hangs on
its unique id (AIDA..., AROA..., AGPA...), so renaming moves two rows and a namesake made later
inherits nothing. Tables whose change alters a decision are named ``access.i...`` (identity);
they are watched as one range. Credentials are watched apart, since sessions come and go often.

    USERS ROLES GROUPS PROFILES  (account, name)           the entities
    NAMES                        (account, kind, folded)   names taken, whatever their case
    IDS                          (id)                      an entity by its unique id
    INLINE                       (owner id, name)          inline policies
    ATTACHED / ATTACHED_TO       (owner id, arn) and back  managed policies of an entity
    BOUNDARY_OF                  (account, arn, owner id)  whose boundary a policy is
    MEMBERS / GROUPS_OF          (group id, user id) ...   membership, both ways
    POLICIES / VERSIONS          (account, arn[, number])  customer managed policies
    KEYS / KEYS_OF               (id), (user id, id)       access keys
    SESSIONS / SESSIONS_DUE      (id), (expires, id)       temporary credentials
    ACCOUNTS / ALIASES           (account), (alias)        settings of an account
"""

from __future__ import annotations

from typing import Literal

import msgspec

from skyfold.kernel.principal import Principal
from skyfold.store.keys import pack
from skyfold.store.tables import Index, Table

EntityKind = Literal["user", "role", "group", "instance-profile", "policy", "login"]


class UserRow(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    account: str
    name: str
    path: str
    id: str
    created_at: int
    boundary: str = ""
    """The ARN of the managed policy that is the permissions boundary."""
    password_used_at: int = 0

    @property
    def arn(self) -> str:
        return f"arn:aws:iam::{self.account}:user{self.path}{self.name}"


class GroupRow(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    account: str
    name: str
    path: str
    id: str
    created_at: int

    @property
    def arn(self) -> str:
        return f"arn:aws:iam::{self.account}:group{self.path}{self.name}"


class RoleRow(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    account: str
    name: str
    path: str
    id: str
    created_at: int
    trust: str
    """The trust policy, as it was given."""
    description: str | None = None
    session_s_max: int = 3600
    boundary: str = ""
    service: str = ""
    """Of a service-linked role, the service's name."""

    @property
    def arn(self) -> str:
        return f"arn:aws:iam::{self.account}:role{self.path}{self.name}"


class ProfileRow(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """An instance profile."""

    account: str
    name: str
    path: str
    id: str
    created_at: int
    role: str = ""
    """The name of its role, if it has one."""

    @property
    def arn(self) -> str:
        return f"arn:aws:iam::{self.account}:instance-profile{self.path}{self.name}"


class IdRow(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    id: str
    account: str
    kind: EntityKind
    name: str


class InlineRow(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    owner: str
    name: str
    document: str


class PolicyRow(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    account: str
    arn: str
    name: str
    path: str
    id: str
    created_at: int
    updated_at: int
    description: str | None = None
    default_version: int = 1
    last_version: int = 1


class VersionRow(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    account: str
    arn: str
    number: int
    document: str
    created_at: int


class KeyRow(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """A long-term access key, of a user or (``owner`` is the account) of root."""

    id: str
    account: str
    owner: str
    user: str
    """The user's name when the key was made; empty for root."""
    secret: str
    created_at: int
    active: bool = True


class KeyUseRow(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """When a key or a role was last used; written with a group commit, a while later."""

    id: str
    used_at: int
    region: str
    service: str


class SessionRow(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """A temporary credential."""

    id: str
    secret: str
    token: str
    principal: Principal
    expires_at: int
    transitive: tuple[str, ...] = ()
    """Keys of the principal's tags that pass on to roles assumed with this session."""


class AccountRow(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    account: str
    alias: str = ""


class LoginRow(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """A console password, hashed."""

    owner: str
    created_at: int
    password: bytes
    salt: bytes
    reset_required: bool = False


class DeletionRow(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """What became of the deletion of a service-linked role."""

    account: str
    id: str
    status: str


IDENTITY = pack("access.i")[:-1]
"""The byte prefix of every table on which decisions rest."""

USERS = Table("access.i.users", UserRow, key=("account", "name"))
GROUPS = Table("access.i.groups", GroupRow, key=("account", "name"))
ROLES = Table("access.i.roles", RoleRow, key=("account", "name"))
INLINE = Table("access.i.inline", InlineRow, key=("owner", "name"))
ATTACHED = Index("access.i.attached", "owner", "arn")
GROUPS_OF = Index("access.i.groups_of", "user_id", "group_id")
POLICIES = Table("access.i.policies", PolicyRow, key=("account", "arn"))
VERSIONS = Table("access.i.versions", VersionRow, key=("account", "arn", "number"))

PROFILES = Table("access.profiles", ProfileRow, key=("account", "name"))
PROFILES_OF = Index("access.profiles_of", "account", "role", "profile")
NAMES = Index("access.names", "account", "kind", "folded")
IDS = Table("access.ids", IdRow, key=("id",))
ATTACHED_TO = Index("access.attached_to", "account", "arn", "owner")
BOUNDARY_OF = Index("access.boundary_of", "account", "arn", "owner")
MEMBERS = Index("access.members", "group_id", "user_id")
KEYS = Table("access.keys", KeyRow, key=("id",))
KEYS_OF = Index("access.keys_of", "owner", "id")
KEY_USES = Table("access.uses", KeyUseRow, key=("id",))
SESSIONS = Table("access.sessions", SessionRow, key=("id",))
SESSIONS_DUE = Index("access.sessions_due", "expires_at", "id")
ACCOUNTS = Table("access.accounts", AccountRow, key=("account",))
ALIASES = Table("access.aliases", AccountRow, key=("alias",))
LOGINS = Table("access.logins", LoginRow, key=("owner",))
DELETIONS = Table("access.deletions", DeletionRow, key=("account", "id"))
