"""Reading templates, and the rules that can be checked without evaluating them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skyfold.services.cloudformation.engine.template import Template, check, graph, order, parsed
from skyfold.services.cloudformation.engine.yaml_reader import read_template_text
from skyfold.services.cloudformation.errors import ValidationError


def test_short_tags_are_the_functions_they_stand_for() -> None:
    text = """
    A: !Ref X
    B: !GetAtt X.Y.Z
    C: !Sub "${X}"
    D: !If [Prod, !Ref "AWS::NoValue", [!Select [0, !GetAZs ""]]]
    E: !Condition Prod
    F: !FindInMap [M, k, v]
    """
    assert read_template_text(text) == {
        "A": {"Ref": "X"},
        "B": {"Fn::GetAtt": ["X", "Y.Z"]},
        "C": {"Fn::Sub": "${X}"},
        "D": {
            "Fn::If": [
                "Prod",
                {"Ref": "AWS::NoValue"},
                [{"Fn::Select": [0, {"Fn::GetAZs": ""}]}],
            ]
        },
        "E": {"Condition": "Prod"},
        "F": {"Fn::FindInMap": ["M", "k", "v"]},
    }


def test_scalars_are_read_as_cloudformation_reads_them() -> None:
    text = "{v: 2010-09-09, yes: yes, n: 10, f: 1.5, account: 012345678901, t: 12:30, s: '1'}"
    assert read_template_text(text.replace("{v", "{v", 1)) == {
        "v": "2010-09-09",
        "yes": True,
        "n": 10,
        "f": 1.5,
        "account": "012345678901",
        "t": "12:30",
        "s": "1",
    }


def test_anchors_and_merges_are_followed() -> None:
    text = "A: &a {x: 1, y: 2}\nB:\n  <<: *a\n  y: 3\nC: *a"
    assert read_template_text(text)["B"] == {"x": 1, "y": 3}
    assert read_template_text(text)["C"] == {"x": 1, "y": 2}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\na: 2", "Template format error: YAML not well-formed. (line 2, column 1)"),
        ("a: b: c", "Template format error: YAML not well-formed. (line 1, column 5)"),
        ('{"a": 1,', "Template format error: JSON not well-formed. (line 1, column 9)"),
        ('{"a": 1, "a": 2}', "Template format error: JSON not well-formed. Duplicate key a"),
        ("- a", "Template format error: unsupported structure."),
        ("word", "Template format error: unsupported structure."),
        ("a: !!python/object:os.system x", "Template format error: YAML not well-formed."),
    ],
)
def test_what_is_no_template_is_refused_with_the_place(text: str, message: str) -> None:
    with pytest.raises(ValidationError) as refused:
        read_template_text(text)
    assert refused.value.text.startswith(message)


def test_a_bomb_of_aliases_is_refused_quickly() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    for level in range(1, 12):
        lines.append(f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * 10)}]")
    with pytest.raises(ValidationError, match="too large"):
        read_template_text("\n".join(lines))


values = st.recursive(
    st.booleans() | st.integers(-1000, 1000) | st.text("abc ü\"'\n:{}#", max_size=6),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text("abcü", min_size=1, max_size=4), inner, max_size=3)
    ),
    max_leaves=10,
)


@given(st.dictionaries(st.text("abc", min_size=1, max_size=3), values, max_size=3))
@settings(max_examples=60)
def test_json_read_as_yaml_is_the_same(body: dict[str, Any]) -> None:
    assert read_template_text(json.dumps(body)) == body
    assert read_template_text("# yaml\n" + json.dumps(body)) == body


def toy(**properties: Any) -> dict[str, Any]:
    return {"Type": "Toy::Box", "Properties": properties}


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({}, "Template format error: At least one Resources member must be defined."),
        (
            {"Resources": {"A": toy()}, "Oops": 1, "Uh": 2},
            "Invalid template property or properties [Oops, Uh]",
        ),
        (
            {"Resources": {"my-box": toy()}},
            "Template format error: Resource name my-box is non alphanumeric.",
        ),
        (
            {"Resources": {"A": {"Properties": {}}}},
            "Template format error: [/Resources/A] Every Resources object must contain a Type "
            "member.",
        ),
        (
            {"Resources": {"A": {**toy(), "Propertys": {}}}},
            "Invalid template resource property 'Propertys'",
        ),
        (
            {"Resources": {"A": toy(x=[{"y": None}])}},
            "Template format error: [/Resources/A/Properties/x/0/y] 'null' values are not allowed "
            "in templates",
        ),
        (
            {"Resources": {"A": toy(x={"Ref": "B"}, y={"Fn::Sub": "${C}"})}},
            "Template format error: Unresolved resource dependencies [B, C] in the Resources "
            "block of the template",
        ),
        (
            {"Resources": {"A": {**toy(), "DependsOn": "B"}}},
            "Template format error: Unresolved resource dependencies [B] in the Resources block "
            "of the template",
        ),
        (
            {"Resources": {"A": toy(x={"Fn::GetAtt": ["B", "Arn"]})}},
            "Template error: instance of Fn::GetAtt references undefined resource B",
        ),
        (
            {"Resources": {"A": {**toy(), "Condition": "No"}}},
            "Template format error: Unresolved condition dependency No in the Resources block of "
            "the template",
        ),
        (
            {"Resources": {"A": toy()}, "Outputs": {"O": {"Value": {"Ref": "B"}}}},
            "Template format error: Unresolved resource dependencies [B] in the Outputs block of "
            "the template",
        ),
        (
            {"Resources": {"A": toy()}, "Conditions": {"C": {"Fn::Equals": [{"Ref": "A"}, ""]}}},
            "Template format error: Unresolved dependencies [A]. Cannot reference resources in "
            "the Conditions block of the template",
        ),
        (
            {"Resources": {"A": toy(x={"Ref": "B"}), "B": toy(x={"Fn::Sub": "${A}"})}},
            "Circular dependency between resources: [A, B]",
        ),
        (
            {"Resources": {"A": toy()}, "Mappings": {"M": {"k": {"v": {"deep": 1}}}}},
            "Template format error: Every Mappings attribute must be a String or a List.",
        ),
        (
            {"Resources": {"A": {**toy(), "DeletionPolicy": "Snapshot"}}},
            "Template error: resource type Toy::Box does not support DeletionPolicy Snapshot "
            "(resource A)",
        ),
        (
            {"Resources": {f"A{n}": toy() for n in range(501)}},
            "Template format error: Number of resources, 501, is greater than maximum allowed, 500",
        ),
    ],
)
def test_what_can_be_seen_to_be_wrong_is_refused(body: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError) as refused:
        check(Template(body))
    assert refused.value.text == message


def test_a_circle_is_named_without_what_merely_hangs_on_it() -> None:
    needs = {"A": {"B"}, "B": {"A"}, "C": {"A"}, "D": set(), "E": {"D"}}
    with pytest.raises(ValidationError, match=r"\[A, B\]"):
        order(needs)


@st.composite
def graphs(draw: st.DrawFn) -> dict[str, set[str]]:
    names = [f"N{n}" for n in range(draw(st.integers(1, 12)))]
    shuffled = draw(st.permutations(names))
    return {
        name: draw(st.sets(st.sampled_from(shuffled[:at]), max_size=3)) if at else set()
        for at, name in enumerate(shuffled)
    }


@given(graphs())
def test_everything_comes_after_what_it_needs(needs: dict[str, set[str]]) -> None:
    ordered = order(needs)
    assert sorted(ordered) == sorted(needs)
    at = {name: index for index, name in enumerate(ordered)}
    assert all(at[other] < at[name] for name, wanted in needs.items() for other in wanted)


def test_only_the_branch_that_is_taken_makes_a_dependency() -> None:
    body = {
        "Resources": {
            "A": toy(x={"Fn::If": ["Prod", {"Ref": "B"}, {"Ref": "C"}]}),
            "B": toy(),
            "C": toy(),
        },
        "Conditions": {"Prod": {"Fn::Equals": ["a", "a"]}},
    }
    template = parsed(json.dumps(body))
    assert graph(template.resources, lambda name: True)["A"] == {"B"}
    assert graph(template.resources, None)["A"] == {"B", "C"}
