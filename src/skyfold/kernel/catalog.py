"""The services that there are, and every index over their declarations."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from typing import Any

from skyfold.kernel.jobs import Job
from skyfold.kernel.provisioning import ResourceType
from skyfold.kernel.service import Operation, Service
from skyfold.kernel.wire.models import ServiceWire, metadata

SIGNED_OTHERWISE = {
    "cloudcontrolapi": "cloudcontrol",
    "monitoring": "cloudwatch",
    "states": "stepfunctions",
    "email": "ses",
    "elasticloadbalancing": "elbv2",
    "aws-marketplace": "meteringmarketplace",
}
"""Credential scopes of common services whose models have another name."""


class Catalog:
    """All declared services by folder name. Service models are loaded when first needed."""

    def __init__(self, services: Mapping[str, Service]) -> None:
        self.services = dict(services)
        self._wires: dict[str, ServiceWire] = {}
        self._prefixes = {name: s.prefix or s.model for name, s in services.items()}
        self._by_arn_name: dict[str, Service] = {}
        for name, service in services.items():
            self._by_arn_name.setdefault(service.arn_name or self._prefixes[name], service)
        self._jobs: dict[str, Job] = {}
        for service in services.values():
            self._jobs.update(service.jobs)

    def wire(self, service: str) -> ServiceWire:
        """The service's operations as its model describes them, compiled on first use."""
        found = self._wires.get(service)
        if found is None:
            declared = self.services[service]
            found = self._wires[service] = ServiceWire(declared.model, declared.validation_error)
        return found

    @functools.lru_cache(maxsize=512)  # noqa: B019 - the catalog lives as long as the process
    def undeclared(self, aws_name: str) -> ServiceWire | None:
        """The model of an AWS service that we lack, so that it can be refused in its own words."""
        for model in (aws_name, SIGNED_OTHERWISE.get(aws_name, "")):
            try:
                return ServiceWire(model)
            except LookupError:
                continue
        return None

    def operation(self, service: str, operation: str) -> Operation | None:
        declared = self.services.get(service)
        return declared.operations.get(operation) if declared else None

    @functools.cache  # noqa: B019 - the catalog lives as long as the process
    def operation_named(self, service: str, snake: str) -> str:
        """``send_message`` to ``SendMessage``, for every operation that the model knows."""
        wanted = snake.replace("_", "").lower()
        for name in self.wire(service).operation_names:
            if name.lower() == wanted:
                return name
        raise AttributeError(f"{service} has no operation {snake}")

    def checked(
        self, service: str, operation: str, request: Mapping[str, Any]
    ) -> Mapping[str, Any]:
        """``request`` held against the model, for calls in process."""
        self.wire(service).operation(operation).check(request)
        return request

    def prefix(self, service: str) -> str:
        """The prefix of its IAM actions."""
        return self._prefixes[service]

    @functools.cache  # noqa: B019 - the catalog lives as long as the process
    def signing_name(self, service: str) -> str:
        """What stands in the credential scope of its requests."""
        data = metadata(self.services[service].model)
        return str(data.get("signingName", data["endpointPrefix"]))

    def of_arn_name(self, arn_name: str) -> Service | None:
        return self._by_arn_name.get(arn_name)

    def of_resource(self, arn: str) -> Service | None:
        parts = arn.split(":", 3)
        return self._by_arn_name.get(parts[2]) if len(parts) == 4 else None

    def job(self, kind: str) -> Job | None:
        return self._jobs.get(kind)

    @functools.cached_property
    def resource_types(self) -> Mapping[str, ResourceType]:
        """CloudFormation's resource types by name."""
        return {t.name: t for s in self.services.values() for t in s.resource_types}


def snake(operation: str) -> str:
    """``GetQueueURLForARN`` to ``get_queue_url_for_arn``: an operation's function."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", operation).lower()
