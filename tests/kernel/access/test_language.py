"""The policy language: wildcards, conditions, variables, and what is no policy at all."""

from __future__ import annotations

import fnmatch
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skyfold.base.clock import stopwatch
from skyfold.kernel.access.context import RequestContext
from skyfold.kernel.access.decision import Effect, effect
from skyfold.kernel.access.errors import MalformedPolicyDocument
from skyfold.kernel.access.patterns import any_of, arn_matcher, matcher
from skyfold.kernel.access.policy import compiled
from skyfold.kernel.access.validation import validated
from skyfold.kernel.principal import Principal
from tests.kernel.access.entities import allow, document

ALICE = Principal(
    kind="user",
    account="123456789012",
    arn="arn:aws:iam::123456789012:user/alice",
    id="AIDA",
    name="alice",
)

# Wildcards

PATTERNS = st.text("ab*?", max_size=8)
TEXTS = st.text("ab:", max_size=8)


def reference(pattern: str, text: str) -> bool:
    """Wildcards as one would define them: by trying everything."""
    if not pattern:
        return not text
    if pattern[0] == "*":
        return any(reference(pattern[1:], text[i:]) for i in range(len(text) + 1))
    return bool(text) and pattern[0] in ("?", text[0]) and reference(pattern[1:], text[1:])


@given(PATTERNS, TEXTS)
def test_wildcards_match_as_defined(pattern: str, text: str) -> None:
    assert bool(matcher(pattern)(text)) == reference(pattern, text)
    assert bool(matcher(pattern)(text)) == fnmatch.fnmatchcase(text, pattern)


@given(st.lists(PATTERNS, max_size=4), TEXTS)
def test_any_of_some_patterns_is_each_of_them_in_turn(patterns: list[str], text: str) -> None:
    assert bool(any_of(patterns)(text)) == any(reference(p, text) for p in patterns)


def test_wildcards_cost_time_in_proportion_to_the_text() -> None:
    match = matcher("*a" * 30 + "b")
    started = stopwatch()

    assert not match("a" * 5000)

    assert stopwatch() - started < 1


@pytest.mark.parametrize(
    ("pattern", "arn", "wanted"),
    [
        ("arn:aws:sqs:*:1:q", "arn:aws:sqs:us-east-1:1:q", True),
        ("arn:aws:sqs:*:q", "arn:aws:sqs:us-east-1:1:q", False),
        ("arn:aws:sqs:us-*:1:q", "arn:aws:sqs:us-east-1:2:x:1:q", False),
        ("arn:aws:logs:*:*:log-group:*:x", "arn:aws:logs:r:1:log-group:a:b:x", True),
        ("*", "arn:aws:logs:r:1:log-group:a", True),
        ("arn:aws:s3:::b/*", "arn:aws:s3:::b/k:k", True),
        ("arn:aws:s3:::b/?", "arn:aws:s3:::b/kk", False),
    ],
)
def test_arn_like_compares_part_by_part(pattern: str, arn: str, wanted: bool) -> None:
    assert bool(arn_matcher(pattern)(arn)) is wanted


# Conditions


def holds(condition: dict[str, Any], context: dict[str, Any], resource: str = "*") -> bool:
    text = document({**allow("a:b", resource), "Condition": condition})
    validated(text)
    given_context = RequestContext(None, ALICE, "a:b", "r", context)
    return effect([compiled(text)], given_context) is Effect.ALLOW


@pytest.mark.parametrize(
    ("operator", "wanted", "have", "expected"),
    [
        ("StringEquals", "a", "a", True),
        ("StringEquals", "a", "A", False),
        ("StringEquals", "a*", "ab", False),
        ("StringEquals", ["x", "a"], "a", True),
        ("StringNotEquals", ["x", "a"], "a", False),
        ("StringNotEquals", ["x", "a"], "b", True),
        ("StringEqualsIgnoreCase", "a", "A", True),
        ("StringNotEqualsIgnoreCase", "a", "A", False),
        ("StringLike", "a*c?", "abcd", True),
        ("StringLike", "a", "A", False),
        ("StringNotLike", "a*", "abc", False),
        ("NumericEquals", "5", 5, True),
        ("NumericEquals", "5.0", "5", True),
        ("NumericNotEquals", "5", 6, True),
        ("NumericLessThan", 5, "4.9", True),
        ("NumericLessThan", "5", "5", False),
        ("NumericLessThanEquals", "5", "5", True),
        ("NumericGreaterThan", "5", "5", False),
        ("NumericGreaterThanEquals", "5", "5", True),
        ("NumericEquals", "5", "five", False),
        ("DateEquals", "2024-01-01T00:00:00Z", "1704067200", True),
        ("DateLessThan", "2024-01-01T00:00:00Z", "2023-12-31T23:59:59Z", True),
        ("DateGreaterThan", "2024-01-01", "2023-12-31T23:59:59Z", False),
        ("DateNotEquals", "2024-01-01", "2024-01-01T00:00:00Z", False),
        ("Bool", "true", True, True),
        ("Bool", True, "true", True),
        ("Bool", "false", True, False),
        ("BinaryEquals", "QmluYXJ5", "QmluYXJ5", True),
        ("IpAddress", "10.0.0.0/8", "10.1.2.3", True),
        ("IpAddress", ["10.0.0.0/8", "2001:db8::/32"], "2001:db8::1", True),
        ("IpAddress", "10.0.0.1", "10.0.0.1", True),
        ("IpAddress", "10.0.0.0/8", "11.0.0.0", False),
        ("NotIpAddress", "10.0.0.0/8", "11.0.0.0", True),
        ("ArnEquals", "arn:aws:sns:*:1:t", "arn:aws:sns:r:1:t", True),
        ("ArnLike", "arn:aws:sns:*:1:t", "arn:aws:sns:r:2:t", False),
        ("ArnNotLike", "arn:aws:sns:*:1:t", "arn:aws:sns:r:2:t", True),
        ("ArnNotEquals", "arn:aws:sns:*:1:t", "arn:aws:sns:r:1:t", False),
        ("Null", "true", "x", False),
        ("Null", "false", "x", True),
        ("stringequals", "a", "a", True),
        # Several values in the request
        ("ForAllValues:StringEquals", ["a", "b"], ["a", "b"], True),
        ("ForAllValues:StringEquals", ["a", "b"], ["a", "c"], False),
        ("ForAllValues:StringEquals", ["a"], [], True),
        ("ForAnyValue:StringEquals", ["a", "b"], ["c", "b"], True),
        ("ForAnyValue:StringEquals", ["a", "b"], ["c"], False),
        ("ForAnyValue:StringEquals", ["a"], [], False),
        ("ForAnyValue:StringNotEquals", ["a"], ["a", "b"], True),
        ("ForAllValues:StringNotEquals", ["a"], ["a", "b"], False),
        ("ForAllValues:StringNotLike", ["a*"], ["b", "c"], True),
        ("ForAnyValue:StringLike", ["a*"], ["b", "ab"], True),
    ],
)
def test_operators(operator: str, wanted: Any, have: Any, expected: bool) -> None:
    assert holds({operator: {"x:Key": wanted}}, {"X:key": have}) is expected


@pytest.mark.parametrize(
    ("operator", "expected"),
    [
        ("StringEquals", False),
        ("StringNotEquals", True),
        ("StringEqualsIfExists", True),
        ("StringNotEqualsIfExists", True),
        ("NumericLessThan", False),
        ("BoolIfExists", True),
        ("Bool", False),
        ("NotIpAddress", True),
        ("IpAddressIfExists", True),
        ("ForAllValues:StringEquals", True),
        ("ForAnyValue:StringEquals", False),
        ("ForAnyValue:StringNotEquals", False),
        ("ForAnyValue:StringEqualsIfExists", True),
    ],
)
def test_a_key_that_the_request_does_not_have(operator: str, expected: bool) -> None:
    value = "1.1.1.1" if "Ip" in operator else "1" if "Numeric" in operator else "true"

    assert holds({operator: {"x:Missing": value}}, {}) is expected


def test_null_asks_whether_a_key_is_missing() -> None:
    assert holds({"Null": {"x:Missing": "true"}}, {})
    assert not holds({"Null": {"x:Missing": "false"}}, {})
    assert holds({"Null": {"x:Key": False}}, {"x:Key": "1"})


def test_every_operator_and_every_key_has_to_hold() -> None:
    both = {"StringEquals": {"x:a": "1", "x:b": "2"}, "Bool": {"x:c": "true"}}

    assert holds(both, {"x:a": "1", "x:b": "2", "x:c": True})
    assert not holds(both, {"x:a": "1", "x:b": "3", "x:c": True})
    assert not holds(both, {"x:a": "1", "x:b": "2", "x:c": False})


@pytest.mark.parametrize(
    ("value", "have", "expected"),
    [
        ("${aws:username}", "alice", True),
        ("${AWS:UserName}/*", "alice/x", True),
        ("${x:other}", "y*", True),
        ("${x:other}", "yz", False),
        ("${x:missing}", "alice", False),
        ("${x:missing, 'bob'}", "bob", True),
        ("${aws:username, 'bob'}", "alice", True),
        ("${*}", "*", True),
        ("${*}", "x", False),
        ("${?}${$}", "?$", True),
        ("a${*}*", "a*bc", True),
        ("$aws:username", "alice", False),
    ],
)
def test_variables(value: str, have: str, expected: bool) -> None:
    context = {"x:Key": have, "x:Other": "y*"}

    assert holds({"StringLike": {"x:Key": value}}, context) is expected


def test_variables_are_plain_text_in_the_old_version() -> None:
    statement = {**allow("a:b"), "Condition": {"StringEquals": {"x:k": "${aws:username}"}}}
    old = json.dumps({"Version": "2008-10-17", "Statement": [statement]})

    for have, wanted in (("${aws:username}", Effect.ALLOW), ("alice", Effect.NONE)):
        context = RequestContext(None, ALICE, "a:b", "r", {"x:k": have})
        assert effect([compiled(old)], context) is wanted


@pytest.mark.parametrize(
    ("resource", "wanted"),
    [
        ("arn:aws:s3:::home/alice/x", True),
        ("arn:aws:s3:::home/bob/x", False),
        ("arn:aws:s3:::home/${aws:username}/x", False),
    ],
)
def test_variables_in_resources(resource: str, wanted: bool) -> None:
    text = document(allow("s3:*", "arn:aws:s3:::home/${aws:username}/*"))
    context = RequestContext(None, ALICE, "s3:GetObject", resource, {})

    assert (effect([compiled(text)], context) is Effect.ALLOW) is wanted


def test_a_value_that_is_filled_in_is_no_wildcard() -> None:
    text = document(allow("s3:*", "arn:aws:s3:::home/${x:dir}/*"))
    star = {"x:dir": "*"}

    for resource, wanted in (("home/a/x", Effect.NONE), ("home/*/x", Effect.ALLOW)):
        context = RequestContext(None, ALICE, "s3:Get", f"arn:aws:s3:::{resource}", star)
        assert effect([compiled(text)], context) is wanted


# Validation

BAD = [
    ("identity", "", "Syntax errors in policy."),
    ("identity", "[]", "Syntax errors in policy."),
    ("identity", "{}", "Syntax errors in policy."),
    ("identity", '{"Statement": [], "Version": "2012-10-17"}', "Syntax errors in policy."),
    ("identity", '{"Version": "2020-01-01", "Statement": []}', "Syntax errors in policy."),
    (
        "identity",
        document({"Effect": "Allow", "Resource": "*"}),
        "Policy statement must contain actions.",
    ),
    (
        "identity",
        document({"Effect": "Allow", "Action": "s3:*"}),
        "Policy statement must contain resources.",
    ),
    (
        "identity",
        document(allow("s3")),
        "Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc.",
    ),
    ("identity", document(allow("s3:a:b")), "Actions/Condition can contain only one colon."),
    ("identity", document(allow("s 3:a")), "Vendor s 3 is not valid"),
    (
        "identity",
        document(allow("s3:*", "bucket")),
        'Resource bucket must be in ARN format or "*".',
    ),
    (
        "identity",
        document(allow("s3:*", "arn:wrong:s3:::b")),
        'Partition "wrong" is not valid for resource "arn:wrong:s3:::b".',
    ),
    (
        "identity",
        document({**allow("s3:*"), "Principal": "*"}),
        "Policy document should not specify a principal.",
    ),
    ("identity", document({**allow("s3:*"), "Effect": "allow"}), "Syntax errors in policy."),
    ("identity", document({**allow("s3:*"), "Efect": "Allow"}), "Syntax errors in policy."),
    (
        "identity",
        document({**allow("s3:*"), "Sid": "a b"}),
        "Statement IDs (SID) must be alpha-numeric. Check that your input satisfies the regular "
        "expression [0-9A-Za-z]*",
    ),
    (
        "identity",
        document({**allow("s3:*"), "Sid": "a"}, {**allow("s3:*"), "Sid": "a"}),
        "Statement IDs (SID) in a single policy must be unique.",
    ),
    (
        "identity",
        document({**allow("s3:*"), "Condition": {"StringSame": {"a": "b"}}}),
        "Invalid Condition type : StringSame.",
    ),
    (
        "identity",
        document({**allow("s3:*"), "Condition": {"StringEquals": "a"}}),
        "Syntax errors in policy.",
    ),
    (
        "identity",
        '{"Statement": {"Effect": "Allow", "Effect": "Deny"}}',
        "Syntax errors in policy.",
    ),
    ("identity", "[" * 100_000, "Syntax errors in policy."),
    ("trust", "nonsense", "This policy contains invalid Json"),
    ("trust", document(allow("sts:AssumeRole")), "Missing required field Principal"),
    (
        "trust",
        document({**allow("sts:AssumeRole"), "Principal": "*"}),
        "Has prohibited field Resource",
    ),
    (
        "trust",
        document({"Effect": "Allow", "Action": "s3:*", "Principal": "*"}),
        "AssumeRole policy may only specify STS AssumeRole actions.",
    ),
    (
        "trust",
        document({"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"AWS": "someone"}}),
        'Invalid principal in policy: "AWS":"someone"',
    ),
    ("resource", "", "Policies must be valid JSON and the first byte must be '{'"),
    ("resource", "{}", "Missing required field Statement"),
    ("resource", document(allow("s3:*")), "Missing required field Principal"),
    (
        "resource",
        document({"Effect": "Allow", "Principal": "*", "Action": "s3:*"}),
        "Missing required field Resource",
    ),
]


@pytest.mark.parametrize(("kind", "text", "message"), BAD)
def test_what_is_no_policy_is_refused_in_aws_s_words(kind: Any, text: str, message: str) -> None:
    with pytest.raises(MalformedPolicyDocument) as refused:
        validated(text, kind)

    assert refused.value.text == message


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "Version",
                    "Statement",
                    "Effect",
                    "Action",
                    "Resource",
                    "Condition",
                    "Principal",
                    "StringEquals",
                    "AWS",
                    "x",
                ]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(JSON, st.sampled_from(["identity", "resource", "trust"]))
def test_any_json_is_either_compiled_or_refused(content: Any, kind: Any) -> None:
    try:
        found = validated(json.dumps(content), kind)
    except MalformedPolicyDocument:
        return
    effect([found], RequestContext(None, ALICE, "a:b", "r", {}))
