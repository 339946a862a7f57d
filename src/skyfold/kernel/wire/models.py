"""A service's operations as its botocore model describes them."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any

from botocore.loaders import Loader
from botocore.model import OperationModel, ServiceModel


class OperationWire:
    """One operation of the model: parsing, checking, serialising."""

    def __init__(self, model: OperationModel) -> None:
        self.model = model

    def check(self, request: Mapping[str, Any]) -> None:
        """Raise the service's validation error for whatever the model does not allow."""


class ServiceWire:
    """All operations of one service model, compiled when first asked for."""

    def __init__(
        self, model: str, validation_error: Callable[[Any], Exception] | None = None
    ) -> None:
        self.model = ServiceModel(Loader().load_service_model(model, "service-2"), model)
        self._validation_error = validation_error

    @property
    def operation_names(self) -> list[str]:
        return list(self.model.operation_names)

    @functools.cache  # noqa: B019 - lives as long as the process
    def operation(self, name: str) -> OperationWire:
        return OperationWire(self.model.operation_model(name))
