"""Policy documents checked before they are stored, in AWS's words."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any, Literal

from skyfold.kernel.access import conditions
from skyfold.kernel.access.errors import MalformedPolicyDocument
from skyfold.kernel.access.policy import Document, as_list, compiled

Kind = Literal["identity", "resource", "trust"]
SYNTAX = "Syntax errors in policy."
NOT_JSON = {
    "identity": SYNTAX,
    "resource": "Policies must be valid JSON and the first byte must be '{'",
    "trust": "This policy contains invalid Json",
}
VERSIONS = ("2012-10-17", "2008-10-17")
_TOP = {"Version", "Id", "Statement"}
_FIELDS = {
    "Sid",
    "Effect",
    "Principal",
    "NotPrincipal",
    "Action",
    "NotAction",
    "Resource",
    "NotResource",
    "Condition",
}
_PRINCIPALS = {"AWS", "Service", "Federated", "CanonicalUser"}
_VENDOR = re.compile(r"[A-Za-z0-9-]+\Z").match
_SID = re.compile(r"[0-9A-Za-z]*\Z").match
_TRUST_ACTIONS = re.compile(r"sts:[A-Za-z*?]+\Z", re.IGNORECASE).match
_PARTITIONS = re.compile(r"(aws(-[a-z-]+)?|\*)\Z").match


def validated(text: str, kind: Kind = "identity") -> Document:
    """The compiled document. Raises MalformedPolicyDocument where AWS would not take ``text``.

    An ``identity`` policy names no principal, a ``resource`` policy does, a ``trust`` policy names
    one but no resource.
    """
    content = _content(text, kind)
    if not isinstance(content, dict):
        raise MalformedPolicyDocument(NOT_JSON[kind])
    if not set(content) <= _TOP:
        raise MalformedPolicyDocument(SYNTAX)
    if content.get("Version", VERSIONS[0]) not in VERSIONS:
        raise MalformedPolicyDocument(SYNTAX)
    if not isinstance(content.get("Id", ""), str):
        raise MalformedPolicyDocument(SYNTAX)
    if "Statement" not in content:
        raise MalformedPolicyDocument(_missing("Statement", kind))
    statements = as_list(content["Statement"])
    if not statements:
        raise MalformedPolicyDocument(
            SYNTAX if kind == "identity" else "Could not parse the policy: Statement is empty!"
        )
    for statement in statements:
        _check_statement(statement, kind)
    named = [s["Sid"] for s in statements if s.get("Sid")]
    if len(named) != len(set(named)):
        raise MalformedPolicyDocument("Statement IDs (SID) in a single policy must be unique.")
    return compiled(text)


def _content(text: str, kind: Kind) -> Any:
    def distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) != len(pairs):
            raise MalformedPolicyDocument(SYNTAX)
        return found

    def no_constant(_name: str) -> None:
        raise MalformedPolicyDocument(NOT_JSON[kind])

    try:
        return json.loads(text, object_pairs_hook=distinct, parse_constant=no_constant)
    except (ValueError, RecursionError) as bad:
        raise MalformedPolicyDocument(NOT_JSON[kind]) from bad


def _missing(field: str, kind: Kind) -> str:
    return SYNTAX if kind == "identity" else f"Missing required field {field}"


def _check_statement(statement: Any, kind: Kind) -> None:
    if not isinstance(statement, dict) or not set(statement) <= _FIELDS:
        raise MalformedPolicyDocument(SYNTAX)
    sid = statement.get("Sid", "")
    if not isinstance(sid, str):
        raise MalformedPolicyDocument(SYNTAX)
    if kind == "identity" and not _SID(sid):
        raise MalformedPolicyDocument(
            "Statement IDs (SID) must be alpha-numeric. "
            "Check that your input satisfies the regular expression [0-9A-Za-z]*"
        )
    if "Effect" not in statement:
        raise MalformedPolicyDocument(_missing("Effect", kind))
    if statement["Effect"] not in ("Allow", "Deny"):
        raise MalformedPolicyDocument(
            SYNTAX if kind == "identity" else f"Invalid effect: {statement['Effect']}"
        )
    _check_principals(statement, kind)
    _check_actions(statement, kind)
    _check_resources(statement, kind)
    _check_conditions(statement.get("Condition", {}))


def _listed(statement: Mapping[str, Any], field: str) -> list[str] | None:
    """The values of ``field`` or of its Not form; None where neither is there."""
    both = [name for name in (field, f"Not{field}") if name in statement]
    if len(both) == 2:
        raise MalformedPolicyDocument(SYNTAX)
    if not both:
        return None
    listed = as_list(statement[both[0]])
    if not all(isinstance(item, str) for item in listed):
        raise MalformedPolicyDocument(SYNTAX)
    return listed


def _check_principals(statement: Mapping[str, Any], kind: Kind) -> None:
    fields = [name for name in ("Principal", "NotPrincipal") if name in statement]
    if kind == "identity":
        if fields:
            raise MalformedPolicyDocument("Policy document should not specify a principal.")
        return
    if len(fields) != 1:
        raise MalformedPolicyDocument(SYNTAX if fields else _missing("Principal", kind))
    if kind == "trust" and fields == ["NotPrincipal"]:
        raise MalformedPolicyDocument("AssumeRole policy may not specify NotPrincipal.")
    element = statement[fields[0]]
    if element == "*":
        return
    if not isinstance(element, dict) or not element:
        raise MalformedPolicyDocument("Invalid policy syntax." if kind == "resource" else SYNTAX)
    for group, names in element.items():
        for name in as_list(names):
            if group not in _PRINCIPALS or not _is_principal(group, name):
                raise MalformedPolicyDocument(f'Invalid principal in policy: "{group}":"{name}"')


def _is_principal(group: str, name: Any) -> bool:
    if not isinstance(name, str) or not name:
        return False
    if group == "AWS":
        is_account = len(name) == 12 and name.isdigit()
        is_id = name.startswith(("AIDA", "AROA")) and name.isalnum()
        is_arn = re.match(r"arn:aws[a-z-]*:(iam|sts)::\d{12}:.+\Z", name) is not None
        return name == "*" or is_account or is_id or (is_arn and "*" not in name)
    if group == "Service":
        return "." in name
    return True


def _check_actions(statement: Mapping[str, Any], kind: Kind) -> None:
    actions = _listed(statement, "Action")
    if actions is None:
        text = "Policy statement must contain actions."
        raise MalformedPolicyDocument(text if kind == "identity" else _missing("Action", kind))
    if not actions:
        raise MalformedPolicyDocument("Policy statement must contain actions.")
    for action in actions:
        if kind == "trust" and not _TRUST_ACTIONS(action):
            raise MalformedPolicyDocument(
                "AssumeRole policy may only specify STS AssumeRole actions."
            )
        if action == "*":
            continue
        vendor, colon, rest = action.partition(":")
        if not colon:
            raise MalformedPolicyDocument(
                "Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc."
            )
        if ":" in rest:
            raise MalformedPolicyDocument("Actions/Condition can contain only one colon.")
        if not _VENDOR(vendor) or not rest:
            raise MalformedPolicyDocument(f"Vendor {vendor} is not valid")


def _check_resources(statement: Mapping[str, Any], kind: Kind) -> None:
    resources = _listed(statement, "Resource")
    if kind == "trust":
        if resources is not None:
            field = "Resource" if "Resource" in statement else "NotResource"
            raise MalformedPolicyDocument(f"Has prohibited field {field}")
        return
    if not resources:
        text = "Policy statement must contain resources."
        raise MalformedPolicyDocument(text if kind == "identity" else _missing("Resource", kind))
    if kind == "resource":
        return  # each service says what its policies may be about
    for resource in resources:
        _check_resource(resource)


def _check_resource(resource: str) -> None:
    if resource == "*":
        return
    start, colon, rest = resource.partition(":")
    if start != "arn" or not colon:
        if resource.startswith("*"):
            return
        raise MalformedPolicyDocument(f'Resource {resource} must be in ARN format or "*".')
    partition = rest.partition(":")[0]
    if not _PARTITIONS(partition) and not partition.startswith("${"):
        raise MalformedPolicyDocument(
            f'Partition "{partition}" is not valid for resource "{resource}".'
        )
    vendor = rest.partition(":")[2].partition(":")[0]
    if "*" in vendor and vendor != "*":
        raise MalformedPolicyDocument(
            "Resource vendor must be fully qualified and cannot contain regexes."
        )


def _check_conditions(block: Any) -> None:
    if not isinstance(block, dict):
        raise MalformedPolicyDocument(SYNTAX)
    for operator, keys in block.items():
        name = conditions.parsed_name(operator)
        if name is None:
            raise MalformedPolicyDocument(f"Invalid Condition type : {operator}.")
        if not isinstance(keys, dict):
            raise MalformedPolicyDocument(SYNTAX)
        for values in keys.values():
            for value in as_list(values):
                if not isinstance(value, (str, bool, int, float)):
                    raise MalformedPolicyDocument(SYNTAX)
                _check_value(name.base, operator, str(value))


_READERS: Mapping[str, Callable[[str], object]] = {
    "numeric": conditions.number,
    "date": conditions.date,
    "ipaddress": conditions.network,
    "notipaddress": conditions.network,
}


def _check_value(base: str, operator: str, value: str) -> None:
    """A value that its operator could never compare is refused where it is written."""
    for prefix, read in _READERS.items():
        if base.startswith(prefix):
            try:
                read(value)
            except ValueError as bad:
                raise MalformedPolicyDocument(
                    f"The value for the condition operator {operator} is not valid: {value}"
                ) from bad
