"""The account as a whole: its alias, its counts, everything it holds."""

from __future__ import annotations

from typing import Any

from skyfold.kernel.access.rights import AWS
from skyfold.kernel.access.tables import (
    ACCOUNTS,
    ALIASES,
    ATTACHED_TO,
    GROUPS,
    KEYS_OF,
    POLICIES,
    PROFILES,
    ROLES,
    USERS,
    VERSIONS,
    AccountRow,
    GroupRow,
    PolicyRow,
    RoleRow,
    UserRow,
)
from skyfold.kernel.call import Call
from skyfold.kernel.service import Request, reply
from skyfold.services.iam import limits
from skyfold.services.iam.errors import EntityAlreadyExistsException, NoSuchEntityException
from skyfold.services.iam.operations import (
    entities,
    groups,
    instance_profiles,
    policies,
    roles,
    users,
)
from skyfold.services.iam.operations.attachments import attached
from skyfold.services.iam.operations.inline import documents
from skyfold.services.iam.operations.paging import page_of
from skyfold.services.iam.operations.policies import all_versions, with_document
from skyfold.store.api import ReadTx, Tx


async def create_account_alias(tx: Tx, call: Call, request: Request) -> Any:
    alias = request["AccountAlias"]
    taken = await ALIASES.get(tx, alias)
    if taken is not None:
        raise EntityAlreadyExistsException(f"The account alias {alias} already exists.")
    old = await ACCOUNTS.get(tx, call.account)
    if old is not None and old.alias:
        ALIASES.delete(tx, old.alias)
    row = AccountRow(account=call.account, alias=alias)
    ACCOUNTS.put(tx, row)
    ALIASES.put(tx, row)


async def delete_account_alias(tx: Tx, call: Call, request: Request) -> Any:
    alias = request["AccountAlias"]
    row = await ACCOUNTS.get(tx, call.account)
    if row is None or row.alias != alias:
        raise NoSuchEntityException(f"The account alias {alias} cannot be found.")
    ALIASES.delete(tx, alias)
    ACCOUNTS.put(tx, AccountRow(account=call.account))


async def list_account_aliases(tx: ReadTx, call: Call, request: Request) -> Any:
    row = await ACCOUNTS.get(tx, call.account)
    aliases = [row.alias] if row is not None and row.alias else []
    listed, more = page_of(request, "ListAccountAliases", aliases)
    return reply(AccountAliases=listed, **more)


async def get_account_summary(tx: ReadTx, call: Call, request: Request) -> Any:
    account, far = call.account, limits.COUNTED_MAX
    summary = {
        "Users": len(await USERS.scan(tx, account, limit=far)),
        "UsersQuota": limits.USERS_MAX,
        "Groups": len(await GROUPS.scan(tx, account, limit=far)),
        "GroupsQuota": limits.GROUPS_MAX,
        "Roles": len(await ROLES.scan(tx, account, limit=far)),
        "RolesQuota": limits.ROLES_MAX,
        "Policies": len(await POLICIES.scan(tx, account, limit=far)),
        "PoliciesQuota": limits.POLICIES_MAX,
        "PolicyVersionsInUse": len(await VERSIONS.scan(tx, account, limit=far)),
        "PolicyVersionsInUseQuota": 10_000,
        "VersionsPerPolicyQuota": limits.VERSIONS_PER_POLICY_MAX,
        "PolicySizeQuota": limits.MANAGED_POLICY_CHARACTERS_MAX,
        "InstanceProfiles": len(await PROFILES.scan(tx, account, limit=far)),
        "InstanceProfilesQuota": limits.INSTANCE_PROFILES_MAX,
        "UserPolicySizeQuota": limits.INLINE_CHARACTERS_MAX["user"],
        "GroupPolicySizeQuota": limits.INLINE_CHARACTERS_MAX["group"],
        "RolePolicySizeQuota": limits.INLINE_CHARACTERS_MAX["role"],
        "AssumeRolePolicySizeQuota": limits.TRUST_POLICY_CHARACTERS_MAX,
        "GroupsPerUserQuota": limits.GROUPS_PER_USER_MAX,
        "AccessKeysPerUserQuota": limits.ACCESS_KEYS_PER_USER_MAX,
        "AttachedPoliciesPerGroupQuota": limits.ATTACHED_POLICIES_MAX,
        "AttachedPoliciesPerRoleQuota": limits.ATTACHED_POLICIES_MAX,
        "AttachedPoliciesPerUserQuota": limits.ATTACHED_POLICIES_MAX,
        "AccountAccessKeysPresent": int(bool(await KEYS_OF.scan(tx, account, limit=1))),
        "AccountMFAEnabled": 0,
        "AccountPasswordPresent": 0,
        "AccountSigningCertificatesPresent": 0,
        "MFADevices": 0,
        "MFADevicesInUse": 0,
        "Providers": 0,
        "ServerCertificates": 0,
        "ServerCertificatesQuota": 20,
        "SigningCertificatesPerUserQuota": 2,
        "GlobalEndpointTokenVersion": 1,
    }
    return reply(SummaryMap=summary)


KINDS = ("User", "Group", "Role", "LocalManagedPolicy", "AWSManagedPolicy")
_LISTS = {
    "User": "UserDetailList",
    "Group": "GroupDetailList",
    "Role": "RoleDetailList",
    "LocalManagedPolicy": "Policies",
    "AWSManagedPolicy": "Policies",
}


async def get_account_authorization_details(tx: ReadTx, call: Call, request: Request) -> Any:
    wanted = request.get("Filter") or KINDS
    account, far = call.account, limits.COUNTED_MAX
    found: list[tuple[str, Any]] = []
    if "User" in wanted:
        found += [("User", row) for row in await USERS.scan(tx, account, limit=far)]
    if "Group" in wanted:
        found += [("Group", row) for row in await GROUPS.scan(tx, account, limit=far)]
    if "Role" in wanted:
        found += [("Role", row) for row in await ROLES.scan(tx, account, limit=far)]
    if "LocalManagedPolicy" in wanted:
        rows = await POLICIES.scan(tx, account, limit=far)
        found += [("LocalManagedPolicy", row) for row in rows]
    if "AWSManagedPolicy" in wanted:
        found += [("AWSManagedPolicy", row) for row in await _aws_policies_in_use(tx, call)]
    shown, more = page_of(request, "GetAccountAuthorizationDetails", found)
    lists: dict[str, list[Any]] = {name: [] for name in _LISTS.values()}
    for kind, row in shown:
        lists[_LISTS[kind]].append(await _detail(tx, call, row))
    return reply(**lists, **more)


async def _aws_policies_in_use(tx: ReadTx, call: Call) -> list[PolicyRow]:
    rows = await ATTACHED_TO.scan(tx, call.account, limit=limits.COUNTED_MAX)
    arns = dict.fromkeys(row[1] for row in rows)
    found = [await entities.find_policy(tx, call, arn) for arn in arns]
    return [row for row in found if row is not None and row.account == AWS]


async def _detail(tx: ReadTx, call: Call, row: Any) -> dict[str, Any]:
    if isinstance(row, UserRow):
        return await _user_detail(tx, call, row)
    if isinstance(row, GroupRow):
        return {
            **groups.shown(row),
            "GroupPolicyList": await _inline(tx, row.id),
            "AttachedManagedPolicies": await _attached(tx, row.id),
        }
    if isinstance(row, RoleRow):
        return await _role_detail(tx, call, row)
    versions = [with_document(version, row) for version in await all_versions(tx, row)]
    return {**await policies.shown(tx, call, row), "PolicyVersionList": versions}


async def _user_detail(tx: ReadTx, call: Call, row: UserRow) -> dict[str, Any]:
    found = users.shown(row)
    found.pop("PasswordLastUsed", None)
    found["GroupList"] = [entity.name for entity in await groups.joined(tx, row.id)]
    found["AttachedManagedPolicies"] = await _attached(tx, row.id)
    if inline := await _inline(tx, row.id):
        found["UserPolicyList"] = inline
    if row.boundary:
        found["PermissionsBoundary"] = entities.shown_boundary(row.boundary)
    return {**found, "Tags": await entities.shown_tags(tx, row.arn)}


async def _role_detail(tx: ReadTx, call: Call, row: RoleRow) -> dict[str, Any]:
    found = roles.shown(row)
    for only_shown_elsewhere in ("Description", "MaxSessionDuration"):
        found.pop(only_shown_elsewhere, None)
    holding = await instance_profiles.having(tx, row.name, call)
    found["InstanceProfileList"] = [await instance_profiles.shown(tx, held) for held in holding]
    found["RolePolicyList"] = await _inline(tx, row.id)
    found["AttachedManagedPolicies"] = await _attached(tx, row.id)
    found["RoleLastUsed"] = await roles.last_used(tx, row)
    if row.boundary:
        found["PermissionsBoundary"] = entities.shown_boundary(row.boundary)
    return {**found, "Tags": await entities.shown_tags(tx, row.arn)}


async def _inline(tx: ReadTx, owner_id: str) -> list[dict[str, str]]:
    return [
        {"PolicyName": row.name, "PolicyDocument": entities.encoded(row.document)}
        for row in await documents(tx, owner_id)
    ]


async def _attached(tx: ReadTx, owner_id: str) -> list[dict[str, str]]:
    return [
        {"PolicyName": arn.rpartition("/")[2], "PolicyArn": arn}
        for arn in await attached(tx, owner_id)
    ]
