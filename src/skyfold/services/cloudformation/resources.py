"""CloudFormation's own resource types."""

from __future__ import annotations

from skyfold.kernel.provisioning import InProgress, Provision, Provisioned, ResourceType
from skyfold.services.cloudformation.deploy import custom, nested, waiting


async def _stand(provision: Provision) -> Provisioned:
    """AWS::CDK::Metadata says which constructs a template was made of, and does nothing."""
    return Provisioned(physical_id=provision.physical_id or provision.default_name())


async def _go(provision: Provision) -> InProgress | None:
    return None


TYPES = (
    ResourceType(
        name="AWS::CloudFormation::Stack",
        create=nested.create_nested,
        update=nested.update_nested,
        delete=nested.delete_nested,
        replaced_when_changed=frozenset(),
    ),
    ResourceType(
        name="AWS::CloudFormation::CustomResource",
        create=custom.create_custom,
        update=custom.update_custom,
        delete=custom.delete_custom,
        replaced_when_changed=frozenset(),
    ),
    ResourceType(
        name="AWS::CloudFormation::WaitConditionHandle",
        create=waiting.create_handle,
        update=waiting.update_handle,
        delete=waiting.delete_handle,
        replaced_when_changed=frozenset(),
    ),
    ResourceType(
        name="AWS::CloudFormation::WaitCondition",
        create=waiting.create_condition,
        update=waiting.update_condition,
        delete=waiting.delete_condition,
        replaced_when_changed=frozenset(),
    ),
    ResourceType(
        name="AWS::CDK::Metadata",
        create=_stand,
        update=_stand,
        delete=_go,
        replaced_when_changed=frozenset(),
    ),
)
