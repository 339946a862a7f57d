"""Signatures and decisions, behind one object."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from skyfold.store.api import ReadTx

if TYPE_CHECKING:
    from skyfold.kernel.call import Call


class Access:
    async def authorize(
        self,
        tx: ReadTx,
        call: Call,
        action: str,
        resource: str,
        context: Mapping[str, Any],
        resource_policy: str | None,
    ) -> None:
        """Raise AccessDenied unless ``call.principal`` may do ``action`` on ``resource``."""
