"""The Rules section: assertions over parameters that a request has to satisfy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from skyfold.services.cloudformation.engine.intrinsics import Scope, evaluate, text_of
from skyfold.services.cloudformation.errors import ValidationError


def check_rules(rules: Mapping[str, Any], scope: Scope) -> None:
    """Raise ValidationError with the descriptions of the assertions that do not hold."""
    failed: list[str] = []
    for name, rule in rules.items():
        if not isinstance(rule, dict) or not isinstance(rule.get("Assertions"), list):
            raise ValidationError(f"Template format error: Rule {name} must have Assertions.")
        condition = rule.get("RuleCondition")
        if condition is not None and not _holds(condition, scope):
            continue
        for assertion in rule["Assertions"]:
            if not _holds(assertion.get("Assert"), scope):
                failed.append(assertion.get("AssertDescription", f"Rule {name} is not satisfied"))
    if failed:
        raise ValidationError(f"Template validation error: {'; '.join(failed)}")


def _holds(node: Any, scope: Scope) -> bool:
    if isinstance(node, dict) and len(node) == 1:
        function, argument = next(iter(node.items()))
        if function == "Fn::And":
            return all(_holds(part, scope) for part in argument)
        if function == "Fn::Or":
            return any(_holds(part, scope) for part in argument)
        if function == "Fn::Not":
            return not _holds(argument[0], scope)
        if function == "Fn::Equals":
            left, right = (_value(part, scope) for part in argument)
            return bool(left == right)
        if function == "Fn::Contains":
            values, value = (_value(part, scope) for part in argument)
            return value in values
        if function == "Fn::EachMemberEquals":
            values, value = (_value(part, scope) for part in argument)
            return all(member == value for member in values)
        if function == "Fn::EachMemberIn":
            values, choices = (_value(part, scope) for part in argument)
            return all(member in choices for member in values)
    raise ValidationError("Template format error: every rule assertion must be a rule function.")


def _value(node: Any, scope: Scope) -> Any:
    if isinstance(node, dict) and len(node) == 1 and "Fn::RefAll" in node:
        raise ValidationError("Fn::RefAll needs Amazon EC2, which Skyfold does not have.")
    value = evaluate(node, scope)
    return [text_of(part) for part in value] if isinstance(value, list) else text_of(value)
