"""The transform AWS::Serverless-2016-10-31, by the library that AWS publishes, without network."""

from __future__ import annotations

import copy
import logging
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any, Final

from skyfold.services.cloudformation.errors import ValidationError

SAM: Final = "AWS::Serverless-2016-10-31"


def transform_sam(
    body: Mapping[str, Any],
    parameters: Mapping[str, str],
    region: str,
    managed_policies: Mapping[str, str],
) -> dict[str, Any]:
    """The template with its serverless resources written out; raises with the library's words."""
    _refuse_repository(body)
    from samtranslator.model.exceptions import InvalidDocumentException
    from samtranslator.parser.parser import Parser
    from samtranslator.translator.translator import Translator
    from samtranslator.utils.py27hash_fix import (
        to_py27_compatible_template,
        undo_mark_unicode_str_in_template,
    )

    logging.getLogger("samtranslator").setLevel(logging.CRITICAL)
    fragment, values = copy.deepcopy(dict(body)), dict(parameters)
    to_py27_compatible_template(fragment, values)
    session: Any = SimpleNamespace(region_name=region)  # all that it wants of a boto session
    translator = Translator(dict(managed_policies), Parser(), boto_session=session)
    try:
        made = translator.translate(fragment, parameter_values=values, passthrough_metadata=True)
    except InvalidDocumentException as bad:
        causes = " ".join(str(cause.message) for cause in bad.causes)
        raise ValidationError(f"Transform {SAM} failed with: {bad.message} {causes}") from bad
    processed: dict[str, Any] = undo_mark_unicode_str_in_template(made)
    processed.pop("Transform", None)
    return processed


def _refuse_repository(body: Mapping[str, Any]) -> None:
    for name, resource in (body.get("Resources") or {}).items():
        if not isinstance(resource, dict) or resource.get("Type") != "AWS::Serverless::Application":
            continue
        if isinstance((resource.get("Properties") or {}).get("Location"), dict):
            raise ValidationError(
                f"Transform {SAM} failed with: Resource with id [{name}] is invalid. Skyfold has "
                "no Serverless Application Repository."
            )
