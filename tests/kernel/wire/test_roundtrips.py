"""botocore's serializers and parsers as the other side, for every operation that we declare."""

from __future__ import annotations

from random import Random
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from skyfold.kernel.wire.models import OperationWire, ServiceWire
from skyfold.kernel.wire.shapes import Shape
from tests.kernel.wire import clients
from tests.kernel.wire.declared import MODELS
from tests.kernel.wire.samples import NoSample, Samples

WIRES = {model: ServiceWire(model) for model in MODELS}
_KEEPS_EMPTY = {"json", "smithy-rpc-v2-cbor", "rest-json"}
"""Protocols in which an empty list or structure is not the same as none."""


def protocols(model: str) -> list[str]:
    """The protocols that botocore, too, believes the service to speak."""
    metadata = clients.service_model(model).metadata
    return sorted(metadata.get("protocols", [metadata["protocol"]]))


def samples(protocol: str, random: Random) -> Samples:
    return Samples(random, empty=protocol in _KEEPS_EMPTY)


def cases() -> list[tuple[str, str]]:
    return [(model, protocol) for model in MODELS for protocol in protocols(model)]


def ambiguous(wire: ServiceWire, name: str) -> bool:
    """S3 has operations whose path and method are those of others.

    Old ones give way to new ones, and directory buckets are listed at a host of their own.
    """
    return bool(wire.model.operations[name].get("deprecated")) or name == "ListDirectoryBuckets"


@pytest.mark.parametrize(("model", "protocol"), cases())
def test_what_a_client_serialises_is_what_an_operation_gets(model: str, protocol: str) -> None:
    wire, made = WIRES[model], 0
    for name in wire.operation_names:
        operation = wire.operation(name)
        if operation.input is None or ambiguous(wire, name):
            continue
        try:
            params = samples(protocol, Random(f"{model} {name}")).value(operation.input)
        except NoSample:
            continue
        made += 1

        got = through_client(wire, operation, model, protocol, params)

        assert got == expected_input(operation.input, params), name
    assert made >= len(wire.operation_names) * 0.7


@pytest.mark.parametrize(("model", "protocol"), cases())
def test_what_an_operation_answers_is_what_a_client_gets(model: str, protocol: str) -> None:
    wire, made = WIRES[model], 0
    for name in wire.operation_names:
        operation = wire.operation(name)
        if operation.output is None or operation.output.event_member is not None:
            continue
        if ambiguous(wire, name):
            continue
        try:
            output = samples(protocol, Random(f"{model} {name}")).value(operation.output)
        except NoSample:
            continue
        made += 1
        pin_status(operation.output, output)

        got = to_client(operation, model, protocol, output)

        assert got == expected_output(operation.output, output), name
    assert made >= len([n for n in wire.operation_names if wire.operation(n).output]) * 0.7


@pytest.mark.parametrize(("model", "protocol"), cases())
@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_generated_requests_and_replies_survive_the_wire(
    model: str, protocol: str, data: st.DataObject
) -> None:
    wire = WIRES[model]
    names = [n for n in wire.operation_names if not ambiguous(wire, n)]
    operation = wire.operation(data.draw(st.sampled_from(names)))
    drawn = samples(protocol, data.draw(st.randoms(use_true_random=False)))
    try:
        params = drawn.value(operation.input) if operation.input else {}
        output = drawn.value(operation.output) if operation.output else {}
    except NoSample:
        return
    if operation.input is not None:
        got = through_client(wire, operation, model, protocol, params)
        assert got == expected_input(operation.input, params)
    if operation.output is not None and operation.output.event_member is None:
        pin_status(operation.output, output)
        answered = to_client(operation, model, protocol, output)
        assert answered == expected_output(operation.output, output)


@pytest.mark.slow
@pytest.mark.parametrize(("model", "protocol"), cases())
def test_many_requests_and_replies_of_every_operation_survive_the_wire(
    model: str, protocol: str
) -> None:
    wire = WIRES[model]
    for name in wire.operation_names:
        if ambiguous(wire, name):
            continue
        operation = wire.operation(name)
        for seed in range(25):
            drawn = samples(protocol, Random(f"{model} {name} {seed}"))
            try:
                params = drawn.value(operation.input) if operation.input else {}
                output = drawn.value(operation.output) if operation.output else {}
            except NoSample:
                continue
            if operation.input is not None:
                got = through_client(wire, operation, model, protocol, params)
                assert got == expected_input(operation.input, params), (name, seed)
            if operation.output is not None and operation.output.event_member is None:
                pin_status(operation.output, output)
                answered = to_client(operation, model, protocol, output)
                assert answered == expected_output(operation.output, output), (name, seed)


def through_client(
    wire: ServiceWire, operation: OperationWire, model: str, protocol: str, params: dict[str, Any]
) -> dict[str, Any]:
    """``params`` serialised by botocore, routed and parsed by us."""
    assert operation.input is not None
    described = clients.service_model(model).operation_model(operation.name)
    given_params = clients.for_client(operation.input, params)
    request = clients.request_of(described, protocol, given_params)
    assert wire.protocol_of(request) == protocol
    if not protocol.startswith("rest"):
        assert wire.operation_of(request, protocol) == operation.name
        return operation.parse(request, protocol, {})
    found = wire.match(request)
    assert found is not None and found[0] == operation.name, (request.path, request.query, found)
    parsed = operation.parse(request, protocol, found[1])
    parsed.pop("ContentLength", None)  # HTTP's own
    payload = operation.input.traits.get("payload", "")
    if payload not in params and parsed.get(payload) == {}:
        del parsed[payload]  # botocore sends an empty object for none
    return parsed


def to_client(
    operation: OperationWire, model: str, protocol: str, output: dict[str, Any]
) -> dict[str, Any]:
    described = clients.service_model(model).operation_model(operation.name)
    reply = operation.reply(protocol, output, "request-1")
    got = clients.parsed(described, protocol, reply)
    assert operation.output is not None
    payload = operation.output.traits.get("payload")
    for name, value in list(got.items()):
        shape = operation.output.members.get(name)
        if hasattr(value, "read"):
            got[name] = value.read()
        elif isinstance(value, str) and shape is not None and shape.type == "blob":
            got[name] = value.encode()  # botocore hands text out here
    for name, shape in operation.output.members.items():
        if shape.location == "headers" and not got.get(name) and name not in output:
            got.pop(name, None)  # nor does it tell no headers from an empty map of them
        if shape.traits.get("locationName") == "Content-Type" and name not in output:
            got.pop(name, None)  # a body has one, if only the default
    if payload is not None and payload not in output:
        got.pop(payload, None)  # botocore makes an empty one
    if "xmlUnwrapped" in operation.output.traits and isinstance(reply.body, bytes):
        # botocore's client, not its parser, reads a root that is text.
        text = ElementTree.fromstring(reply.body).text
        got = {operation.output.traits["xmlUnwrapped"]: text} if text else {}
    return got


def pin_status(shape: Shape, output: dict[str, Any]) -> None:
    """A status of HTTP, as the member that is the status can only be."""
    for name, member in shape.members.items():
        if member.location == "statusCode":
            output[name] = 202


def expected_input(shape: Shape, params: dict[str, Any]) -> dict[str, Any]:
    payload = shape.traits.get("payload")
    expected = dict(params)
    if payload is not None and payload not in params:
        if shape.members[payload].streaming:
            expected[payload] = b""  # a body that is to be streamed is always there
    elif payload is not None and params[payload] == b"" and not shape.members[payload].streaming:
        del expected[payload]  # an empty body is none
    expected.pop("ContentLength", None)
    return expected


def expected_output(shape: Shape, output: dict[str, Any]) -> dict[str, Any]:
    expected = clients.for_client(shape, output)
    assert isinstance(expected, dict)
    return expected
