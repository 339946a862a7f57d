"""CloudFormation: the AWS::IAM types. All act through IAM's own API."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any

from skyfold.base.errors import AwsError
from skyfold.kernel.provisioning import Properties, Provision, Provisioned, ResourceType
from skyfold.services.iam.errors import (
    EntityAlreadyExistsException,
    NoSuchEntityException,
)

Act = Callable[..., Awaitable[Any]]
HOLDERS = ("User", "Group", "Role")
"""What policies hang on; in templates ``Users``, ``Groups``, ``Roles``."""


def _document(value: Any) -> str:
    """Templates give documents as objects or as their text."""
    return value if isinstance(value, str) else json.dumps(value)


def _listed(properties: Properties, name: str) -> list[Any]:
    return list(properties.get(name) or [])


def _inline(properties: Properties) -> dict[str, str]:
    return {
        policy["PolicyName"]: _document(policy["PolicyDocument"])
        for policy in _listed(properties, "Policies")
    }


async def _quietly(deleting: Awaitable[Any]) -> None:
    """Taking away what is gone already is a success."""
    try:
        await deleting
    except NoSuchEntityException:
        return


async def _sync(had: Iterable[Any], want: Iterable[Any], add: Act, remove: Act) -> None:
    had, want = list(had), list(want)
    for item in want:
        if item not in had:
            await add(item)
    for item in had:
        if item not in want:
            await _quietly(remove(item))


async def _made(create: Awaitable[Any], *, named: bool) -> None:
    """A generated name is this resource's own: what has it was made by an earlier attempt."""
    try:
        await create
    except EntityAlreadyExistsException:
        if named:
            raise


def _only(properties: Properties, **members: str) -> dict[str, Any]:
    """Members of a request from the properties that are there: ``member="Property"``."""
    return {
        member: properties[name]
        for member, name in members.items()
        if properties.get(name) is not None
    }


async def _sync_tags(provision: Provision, tag: Act, untag: Act) -> None:
    had = {item["Key"]: item["Value"] for item in _listed(provision.had, "Tags")}
    want = {item["Key"]: item["Value"] for item in _listed(provision.want, "Tags")}
    if changed := [{"Key": k, "Value": v} for k, v in want.items() if had.get(k) != v]:
        await tag(Tags=changed)
    if gone := [key for key in had if key not in want]:
        await untag(TagKeys=gone)


class _Holder:
    """The operations on one user, group or role, by name."""

    def __init__(self, provision: Provision, kind: str, name: str) -> None:
        self._api, self._kind, self._of = provision.api("iam"), kind, {f"{kind}Name": name}

    def _operation(self, pattern: str) -> Act:
        operation: Act = getattr(self._api, pattern.format(self._kind.lower()))
        return operation

    async def attach(self, arn: str) -> None:
        await self._operation("attach_{}_policy")(**self._of, PolicyArn=arn)

    async def detach(self, arn: str) -> None:
        await self._operation("detach_{}_policy")(**self._of, PolicyArn=arn)

    async def put(self, name: str, document: str) -> None:
        await self._operation("put_{}_policy")(**self._of, PolicyName=name, PolicyDocument=document)

    async def drop(self, name: str) -> None:
        await self._operation("delete_{}_policy")(**self._of, PolicyName=name)

    async def tag(self, **tags: Any) -> None:
        await self._operation("tag_{}")(**self._of, **tags)

    async def untag(self, **keys: Any) -> None:
        await self._operation("untag_{}")(**self._of, **keys)

    async def sync_policies(self, had: Properties, want: Properties) -> None:
        """``ManagedPolicyArns`` and ``Policies``."""
        await _sync(
            _listed(had, "ManagedPolicyArns"),
            _listed(want, "ManagedPolicyArns"),
            self.attach,
            self.detach,
        )
        before, after = _inline(had), _inline(want)
        for name, document in after.items():
            if before.get(name) != document:
                await self.put(name, document)
        for name in before.keys() - after.keys():
            await _quietly(self.drop(name))

    async def sync_boundary(self, had: Properties, want: Properties) -> None:
        before, after = had.get("PermissionsBoundary"), want.get("PermissionsBoundary")
        if after and after != before:
            await self._operation("put_{}_permissions_boundary")(
                **self._of, PermissionsBoundary=after
            )
        elif before and not after:
            await _quietly(self._operation("delete_{}_permissions_boundary")(**self._of))


# Roles


async def create_role(provision: Provision) -> Provisioned:
    want, iam = provision.want, provision.api("iam")
    name = want.get("RoleName") or provision.default_name(limit=64)
    request = _only(want, Path="Path", Description="Description", Tags="Tags")
    request |= _only(want, PermissionsBoundary="PermissionsBoundary")
    if "MaxSessionDuration" in want:
        request["MaxSessionDuration"] = int(want["MaxSessionDuration"])
    trust = _document(want["AssumeRolePolicyDocument"])
    making = iam.create_role(RoleName=name, AssumeRolePolicyDocument=trust, **request)
    await _made(making, named="RoleName" in want)
    await _Holder(provision, "Role", name).sync_policies({}, want)
    return await _role(provision, name)


async def update_role(provision: Provision) -> Provisioned:
    had, want, iam, name = (
        provision.had,
        provision.want,
        provision.api("iam"),
        provision.physical_id,
    )
    holder = _Holder(provision, "Role", name)
    trust = _document(want["AssumeRolePolicyDocument"])
    if trust != _document(had.get("AssumeRolePolicyDocument", "")):
        await iam.update_assume_role_policy(RoleName=name, PolicyDocument=trust)
    session_s = int(want.get("MaxSessionDuration", 3600))
    await iam.update_role(
        RoleName=name, Description=want.get("Description", ""), MaxSessionDuration=session_s
    )
    await holder.sync_boundary(had, want)
    await holder.sync_policies(had, want)
    await _sync_tags(provision, holder.tag, holder.untag)
    return await _role(provision, name)


async def delete_role(provision: Provision) -> None:
    name = provision.physical_id
    holder = _Holder(provision, "Role", name)
    await holder.sync_policies(provision.had, {})
    await _quietly(provision.api("iam").delete_role(RoleName=name))


async def _role(provision: Provision, name: str) -> Provisioned:
    role = (await provision.api("iam").get_role(RoleName=name))["Role"]
    return Provisioned(physical_id=name, attributes={"Arn": role["Arn"], "RoleId": role["RoleId"]})


# Users


async def create_user(provision: Provision) -> Provisioned:
    want, iam = provision.want, provision.api("iam")
    name = want.get("UserName") or provision.default_name(limit=64)
    request = _only(want, Path="Path", PermissionsBoundary="PermissionsBoundary", Tags="Tags")
    await _made(iam.create_user(UserName=name, **request), named="UserName" in want)
    if "LoginProfile" in want:
        await _made(iam.create_login_profile(UserName=name, **_login(want)), named=False)
    await _Holder(provision, "User", name).sync_policies({}, want)
    await _sync_groups(provision, name, {}, want)
    return await _user(provision, name)


async def update_user(provision: Provision) -> Provisioned:
    had, want, iam, name = (
        provision.had,
        provision.want,
        provision.api("iam"),
        provision.physical_id,
    )
    holder = _Holder(provision, "User", name)
    if had.get("Path", "/") != want.get("Path", "/"):
        await iam.update_user(UserName=name, NewPath=want.get("Path", "/"))
    if had.get("LoginProfile") != want.get("LoginProfile"):
        await _quietly(iam.delete_login_profile(UserName=name))
        if "LoginProfile" in want:
            await iam.create_login_profile(UserName=name, **_login(want))
    await holder.sync_boundary(had, want)
    await holder.sync_policies(had, want)
    await _sync_groups(provision, name, had, want)
    await _sync_tags(provision, holder.tag, holder.untag)
    return await _user(provision, name)


async def delete_user(provision: Provision) -> None:
    name, iam = provision.physical_id, provision.api("iam")
    await _Holder(provision, "User", name).sync_policies(provision.had, {})
    await _sync_groups(provision, name, provision.had, {})
    if "LoginProfile" in provision.had:
        await _quietly(iam.delete_login_profile(UserName=name))
    await _quietly(iam.delete_user(UserName=name))


async def _sync_groups(provision: Provision, name: str, had: Properties, want: Properties) -> None:
    iam = provision.api("iam")
    await _sync(
        _listed(had, "Groups"),
        _listed(want, "Groups"),
        lambda group: iam.add_user_to_group(UserName=name, GroupName=group),
        lambda group: iam.remove_user_from_group(UserName=name, GroupName=group),
    )


def _login(want: Properties) -> dict[str, Any]:
    profile: Mapping[str, Any] = want["LoginProfile"]
    request = {"Password": profile["Password"]}
    if "PasswordResetRequired" in profile:
        reset = str(profile["PasswordResetRequired"]).lower() == "true"
        return {**request, "PasswordResetRequired": reset}
    return request


async def _user(provision: Provision, name: str) -> Provisioned:
    user = (await provision.api("iam").get_user(UserName=name))["User"]
    return Provisioned(physical_id=name, attributes={"Arn": user["Arn"]})


# Groups


async def create_group(provision: Provision) -> Provisioned:
    want, iam = provision.want, provision.api("iam")
    name = want.get("GroupName") or provision.default_name(limit=128)
    making = iam.create_group(GroupName=name, **_only(want, Path="Path"))
    await _made(making, named="GroupName" in want)
    await _Holder(provision, "Group", name).sync_policies({}, want)
    return await _group(provision, name)


async def update_group(provision: Provision) -> Provisioned:
    had, want, name = provision.had, provision.want, provision.physical_id
    if had.get("Path", "/") != want.get("Path", "/"):
        await provision.api("iam").update_group(GroupName=name, NewPath=want.get("Path", "/"))
    await _Holder(provision, "Group", name).sync_policies(had, want)
    return await _group(provision, name)


async def delete_group(provision: Provision) -> None:
    name = provision.physical_id
    await _Holder(provision, "Group", name).sync_policies(provision.had, {})
    await _quietly(provision.api("iam").delete_group(GroupName=name))


async def _group(provision: Provision, name: str) -> Provisioned:
    group = (await provision.api("iam").get_group(GroupName=name))["Group"]
    return Provisioned(physical_id=name, attributes={"Arn": group["Arn"]})


# Inline policies of several holders


def _holders(provision: Provision, properties: Properties) -> dict[tuple[str, str], _Holder]:
    return {
        (kind, name): _Holder(provision, kind, name)
        for kind in HOLDERS
        for name in _listed(properties, f"{kind}s")
    }


async def create_policy(provision: Provision) -> Provisioned:
    want = provision.want
    document = _document(want["PolicyDocument"])
    for holder in _holders(provision, want).values():
        await holder.put(want["PolicyName"], document)
    return Provisioned(physical_id=provision.physical_id or provision.default_name(limit=128))


async def update_policy(provision: Provision) -> Provisioned:
    had, want = provision.had, provision.want
    made = await create_policy(provision)
    before, after = _holders(provision, had), _holders(provision, want)
    renamed = had.get("PolicyName") != want["PolicyName"]
    for key, holder in before.items():
        if renamed or key not in after:
            await _quietly(holder.drop(had["PolicyName"]))
    return made


async def delete_policy(provision: Provision) -> None:
    for holder in _holders(provision, provision.had).values():
        await _quietly(holder.drop(provision.had["PolicyName"]))


def _one_policy(kind: str) -> ResourceType:
    """AWS::IAM::RolePolicy and its kin: one inline policy of one holder."""

    async def create(provision: Provision) -> Provisioned:
        want = provision.want
        name, owner = want["PolicyName"], want[f"{kind}Name"]
        document = _document(want.get("PolicyDocument", {}))
        await _Holder(provision, kind, owner).put(name, document)
        return Provisioned(physical_id=f"{name}|{owner}")

    async def delete(provision: Provision) -> None:
        name, _, owner = provision.physical_id.partition("|")
        await _quietly(_Holder(provision, kind, owner).drop(name))

    return ResourceType(name=f"AWS::IAM::{kind}Policy", create=create, update=create, delete=delete)


# Managed policies


async def create_managed_policy(provision: Provision) -> Provisioned:
    want, iam = provision.want, provision.api("iam")
    name = want.get("ManagedPolicyName") or provision.default_name(limit=128)
    path = want.get("Path", "/")
    arn = f"arn:aws:iam::{provision.account}:policy{path}{name}"
    making = iam.create_policy(
        PolicyName=name,
        PolicyDocument=_document(want["PolicyDocument"]),
        Path=path,
        **_only(want, Description="Description", Tags="Tags"),
    )
    await _made(making, named="ManagedPolicyName" in want)
    for holder in _holders(provision, want).values():
        await holder.attach(arn)
    return await _managed_policy(provision, arn)


async def update_managed_policy(provision: Provision) -> Provisioned:
    had, want, iam, arn = provision.had, provision.want, provision.api("iam"), provision.physical_id
    document = _document(want["PolicyDocument"])
    if document != _document(had.get("PolicyDocument", "")):
        versions = (await iam.list_policy_versions(PolicyArn=arn))["Versions"]
        if len(versions) >= 5:
            old = [v for v in versions if not v["IsDefaultVersion"]]
            await iam.delete_policy_version(PolicyArn=arn, VersionId=old[-1]["VersionId"])
        await iam.create_policy_version(PolicyArn=arn, PolicyDocument=document, SetAsDefault=True)
    before, after = _holders(provision, had), _holders(provision, want)
    for key, holder in after.items():
        if key not in before:
            await holder.attach(arn)
    for key, holder in before.items():
        if key not in after:
            await _quietly(holder.detach(arn))
    await _sync_tags(
        provision,
        lambda **tags: iam.tag_policy(PolicyArn=arn, **tags),
        lambda **keys: iam.untag_policy(PolicyArn=arn, **keys),
    )
    return await _managed_policy(provision, arn)


async def delete_managed_policy(provision: Provision) -> None:
    iam, arn = provision.api("iam"), provision.physical_id
    for holder in _holders(provision, provision.had).values():
        await _quietly(holder.detach(arn))
    try:
        versions = (await iam.list_policy_versions(PolicyArn=arn))["Versions"]
    except NoSuchEntityException:
        return
    for version in versions:
        if not version["IsDefaultVersion"]:
            await _quietly(iam.delete_policy_version(PolicyArn=arn, VersionId=version["VersionId"]))
    await _quietly(iam.delete_policy(PolicyArn=arn))


async def _managed_policy(provision: Provision, arn: str) -> Provisioned:
    policy = (await provision.api("iam").get_policy(PolicyArn=arn))["Policy"]
    names = ("PolicyId", "AttachmentCount", "DefaultVersionId", "IsAttachable")
    attributes = {name: policy[name] for name in (*names, "PermissionsBoundaryUsageCount")}
    return Provisioned(physical_id=arn, attributes={**attributes, "PolicyArn": arn})


# Access keys, instance profiles, memberships, service-linked roles


async def create_access_key(provision: Provision) -> Provisioned:
    want, iam = provision.want, provision.api("iam")
    key = (await iam.create_access_key(UserName=want["UserName"]))["AccessKey"]
    if want.get("Status") == "Inactive":
        await iam.update_access_key(
            UserName=want["UserName"], AccessKeyId=key["AccessKeyId"], Status="Inactive"
        )
    return Provisioned(
        physical_id=key["AccessKeyId"], attributes={"SecretAccessKey": key["SecretAccessKey"]}
    )


async def update_access_key(provision: Provision) -> Provisioned:
    await provision.api("iam").update_access_key(
        UserName=provision.want["UserName"],
        AccessKeyId=provision.physical_id,
        Status=provision.want.get("Status", "Active"),
    )
    return Provisioned(physical_id=provision.physical_id)


async def delete_access_key(provision: Provision) -> None:
    await _quietly(
        provision.api("iam").delete_access_key(
            UserName=provision.had["UserName"], AccessKeyId=provision.physical_id
        )
    )


async def create_instance_profile(provision: Provision) -> Provisioned:
    want, iam = provision.want, provision.api("iam")
    name = want.get("InstanceProfileName") or provision.default_name(limit=128)
    making = iam.create_instance_profile(InstanceProfileName=name, **_only(want, Path="Path"))
    await _made(making, named="InstanceProfileName" in want)
    return await _with_role(provision, name)


async def update_instance_profile(provision: Provision) -> Provisioned:
    return await _with_role(provision, provision.physical_id)


async def _with_role(provision: Provision, name: str) -> Provisioned:
    iam = provision.api("iam")
    profile = (await iam.get_instance_profile(InstanceProfileName=name))["InstanceProfile"]
    await _sync(
        [role["RoleName"] for role in profile["Roles"]],
        [],
        iam.add_role_to_instance_profile,
        lambda role: iam.remove_role_from_instance_profile(InstanceProfileName=name, RoleName=role),
    )
    for role in _listed(provision.want, "Roles"):
        await iam.add_role_to_instance_profile(InstanceProfileName=name, RoleName=role)
    return Provisioned(physical_id=name, attributes={"Arn": profile["Arn"]})


async def delete_instance_profile(provision: Provision) -> None:
    iam, name = provision.api("iam"), provision.physical_id
    for role in _listed(provision.had, "Roles"):
        await _quietly(
            iam.remove_role_from_instance_profile(InstanceProfileName=name, RoleName=role)
        )
    await _quietly(iam.delete_instance_profile(InstanceProfileName=name))


async def put_members(provision: Provision) -> Provisioned:
    """AWS::IAM::UserToGroupAddition, created or changed."""
    iam, group = provision.api("iam"), provision.want["GroupName"]
    await _sync(
        _listed(provision.had, "Users"),
        _listed(provision.want, "Users"),
        lambda user: iam.add_user_to_group(GroupName=group, UserName=user),
        lambda user: iam.remove_user_from_group(GroupName=group, UserName=user),
    )
    return Provisioned(physical_id=provision.physical_id or provision.default_name())


async def delete_members(provision: Provision) -> None:
    iam, group = provision.api("iam"), provision.had["GroupName"]
    for user in _listed(provision.had, "Users"):
        await _quietly(iam.remove_user_from_group(GroupName=group, UserName=user))


async def create_service_linked_role(provision: Provision) -> Provisioned:
    want, iam = provision.want, provision.api("iam")
    request = _only(want, CustomSuffix="CustomSuffix", Description="Description")
    made = await iam.create_service_linked_role(AWSServiceName=want["AWSServiceName"], **request)
    return Provisioned(physical_id=made["Role"]["RoleName"])


async def update_service_linked_role(provision: Provision) -> Provisioned:
    raise AwsError("A service-linked role belongs to its service and is replaced, never updated.")


async def delete_service_linked_role(provision: Provision) -> None:
    await _quietly(provision.api("iam").delete_service_linked_role(RoleName=provision.physical_id))


def _type(name: str, create: Act, update: Act, delete: Act) -> ResourceType:
    return ResourceType(name=f"AWS::IAM::{name}", create=create, update=update, delete=delete)


TYPES = (
    _type("AccessKey", create_access_key, update_access_key, delete_access_key),
    _type("Group", create_group, update_group, delete_group),
    _type(
        "InstanceProfile",
        create_instance_profile,
        update_instance_profile,
        delete_instance_profile,
    ),
    _type("ManagedPolicy", create_managed_policy, update_managed_policy, delete_managed_policy),
    _type("Policy", create_policy, update_policy, delete_policy),
    _type("Role", create_role, update_role, delete_role),
    _type(
        "ServiceLinkedRole",
        create_service_linked_role,
        update_service_linked_role,
        delete_service_linked_role,
    ),
    _type("User", create_user, update_user, delete_user),
    _type("UserToGroupAddition", put_members, put_members, delete_members),
    *(_one_policy(kind) for kind in HOLDERS),
)
