"""AWS Identity and Access Management, declared; its tables are the kernel's (kernel/access)."""

from __future__ import annotations

from types import ModuleType

from skyfold.kernel.catalog import snake
from skyfold.kernel.service import Operation, Service, read, write
from skyfold.services.iam import resources
from skyfold.services.iam.operations import (
    access_keys,
    accounts,
    attachments,
    groups,
    guard,
    inline,
    instance_profiles,
    login_profiles,
    policies,
    roles,
    service_roles,
    simulation,
    tags,
    users,
)
from skyfold.services.iam.operations.guard import reads, writes


def _on(about: guard.Names, module: ModuleType, names: str) -> dict[str, Operation]:
    """Operations on the entity that ``about`` names; the name tells which of them change state."""
    reading = ("Get", "List", "Simulate")
    return {
        name: (reads if name.startswith(reading) else writes)(
            name, getattr(module, snake(name)), about
        )
        for name in names.split()
    }


SERVICE = Service(
    model="iam",
    operations={
        **_on(
            guard.user,
            users,
            "CreateUser DeleteUser DeleteUserPermissionsBoundary GetUser "
            "PutUserPermissionsBoundary UpdateUser",
        ),
        "ListUsers": read(users.list_users),
        **_on(guard.user, groups, "ListGroupsForUser"),
        **_on(
            guard.group,
            groups,
            "AddUserToGroup CreateGroup DeleteGroup GetGroup RemoveUserFromGroup UpdateGroup",
        ),
        "ListGroups": read(groups.list_groups),
        **_on(
            guard.role,
            roles,
            "CreateRole DeleteRole DeleteRolePermissionsBoundary GetRole "
            "PutRolePermissionsBoundary UpdateAssumeRolePolicy UpdateRole UpdateRoleDescription",
        ),
        "ListRoles": read(roles.list_roles),
        **_on(guard.service_role, service_roles, "CreateServiceLinkedRole"),
        **_on(guard.role, service_roles, "DeleteServiceLinkedRole"),
        "GetServiceLinkedRoleDeletionStatus": read(
            service_roles.get_service_linked_role_deletion_status
        ),
        **_on(
            guard.policy,
            policies,
            "CreatePolicy CreatePolicyVersion DeletePolicy DeletePolicyVersion GetPolicy "
            "GetPolicyVersion ListEntitiesForPolicy ListPolicyVersions SetDefaultPolicyVersion",
        ),
        "ListPolicies": read(policies.list_policies),
        **_on(
            guard.user, attachments, "AttachUserPolicy DetachUserPolicy ListAttachedUserPolicies"
        ),
        **_on(
            guard.group,
            attachments,
            "AttachGroupPolicy DetachGroupPolicy ListAttachedGroupPolicies",
        ),
        **_on(
            guard.role, attachments, "AttachRolePolicy DetachRolePolicy ListAttachedRolePolicies"
        ),
        **_on(guard.user, inline, "DeleteUserPolicy GetUserPolicy ListUserPolicies PutUserPolicy"),
        **_on(
            guard.group, inline, "DeleteGroupPolicy GetGroupPolicy ListGroupPolicies PutGroupPolicy"
        ),
        **_on(guard.role, inline, "DeleteRolePolicy GetRolePolicy ListRolePolicies PutRolePolicy"),
        **_on(
            guard.user,
            access_keys,
            "CreateAccessKey DeleteAccessKey ListAccessKeys UpdateAccessKey",
        ),
        "GetAccessKeyLastUsed": read(access_keys.get_access_key_last_used),
        **_on(
            guard.profile,
            instance_profiles,
            "CreateInstanceProfile DeleteInstanceProfile GetInstanceProfile "
            "RemoveRoleFromInstanceProfile",
        ),
        "AddRoleToInstanceProfile": writes(
            "AddRoleToInstanceProfile",
            instance_profiles.add_role_to_instance_profile,
            guard.profile,
            guard.passed_role,
        ),
        "ListInstanceProfiles": read(instance_profiles.list_instance_profiles),
        **_on(guard.role, instance_profiles, "ListInstanceProfilesForRole"),
        **_on(
            guard.user,
            login_profiles,
            "CreateLoginProfile DeleteLoginProfile GetLoginProfile UpdateLoginProfile",
        ),
        **_on(guard.user, tags, "ListUserTags TagUser UntagUser"),
        **_on(guard.role, tags, "ListRoleTags TagRole UntagRole"),
        **_on(guard.policy, tags, "ListPolicyTags TagPolicy UntagPolicy"),
        **_on(
            guard.profile, tags, "ListInstanceProfileTags TagInstanceProfile UntagInstanceProfile"
        ),
        "CreateAccountAlias": write(accounts.create_account_alias),
        "DeleteAccountAlias": write(accounts.delete_account_alias),
        "ListAccountAliases": read(accounts.list_account_aliases),
        "GetAccountSummary": read(accounts.get_account_summary),
        "GetAccountAuthorizationDetails": read(accounts.get_account_authorization_details),
        **_on(
            guard.simulated,
            simulation,
            "GetContextKeysForPrincipalPolicy SimulatePrincipalPolicy",
        ),
        "GetContextKeysForCustomPolicy": read(simulation.get_context_keys_for_custom_policy),
        "SimulateCustomPolicy": read(simulation.simulate_custom_policy),
    },
    resource_types=resources.TYPES,
)
