"""As whom an operation acts: its caller, or the role that the caller passed to it."""

from __future__ import annotations

import dataclasses

from skyfold.base.errors import AwsError
from skyfold.kernel.access.sessions import assume
from skyfold.kernel.call import Call
from skyfold.kernel.platform import Platform
from skyfold.kernel.principal import Principal
from skyfold.services.cloudformation.errors import ValidationError
from skyfold.services.cloudformation.tables import Operation
from skyfold.store.api import Tx

SERVICE = "cloudformation.amazonaws.com"


async def acting_principal(tx: Tx, call: Call, role_arn: str, stack_arn: str) -> Principal:
    """Whom a new operation acts as. Raises ValidationError for a role it cannot have."""
    if not role_arn:
        return call.principal
    try:
        session = await assume(
            tx,
            call,
            role_arn,
            "AWSCloudFormation",
            service_principal_name=SERVICE,
            source_arn=stack_arn,
        )
    except AwsError as refused:
        raise ValidationError(f"Role {role_arn} is invalid or cannot be assumed") from refused
    return session.principal


def operation_call(platform: Platform, operation: Operation) -> Call:
    """The surroundings of an operation's work."""
    call = platform.call(
        platform.unpacked_principal(operation.principal),
        account=operation.account,
        region=operation.region,
        operation="cloudformation:DeployStack",
    )
    return between_services(call)


def between_services(call: Call) -> Call:
    """For calls that CloudFormation makes: they leave no machine, so policies count them secure."""
    return dataclasses.replace(call, secure=True)
