"""When things go wrong: rollback or not, cancel, time out, continue, force."""

from __future__ import annotations

import json
from typing import Any

import pytest

from skyfold.base.errors import AwsError
from skyfold.kernel.access.tables import INLINE, ROLES, InlineRow, RoleRow
from skyfold.kernel.tags import tags_of
from skyfold.store.api import Tx
from tests.services.cloudformation.toys import ToyWorld, box
from tests.support.world import ACCOUNT

TWO = {"Resources": {"A": box("a"), "B": box("b", depends_on=["A"])}}


async def statuses(world: ToyWorld, stack: str) -> list[str]:
    return [status for name, status, _ in await world.events(stack) if name == "stack"]


@pytest.mark.parametrize("how", [{"OnFailure": "DO_NOTHING"}, {"DisableRollback": True}])
async def test_a_failed_create_may_be_left_as_it_is_and_rolled_back_later(
    how: dict[str, Any],
) -> None:
    world = ToyWorld()
    world.toys.refuse.add(("create", "B"))
    await world.create("stack", TWO, **how)
    stack = await world.stack("stack")
    assert stack["StackStatus"] == "CREATE_FAILED"
    assert stack["StackStatusReason"] == "The following resource(s) failed to create: [B]. "
    assert set(world.toys.standing) == {"a"}
    await world.cloudformation("RollbackStack", StackName="stack")
    await world.platform.jobs.settle()
    assert await world.status("stack") == "ROLLBACK_COMPLETE"
    assert world.toys.standing == {}


async def test_a_failed_create_that_was_left_can_be_mended_by_an_update() -> None:
    world = ToyWorld()
    world.toys.refuse.add(("create", "B"))
    await world.create("stack", TWO, OnFailure="DO_NOTHING")
    world.toys.refuse.clear()
    await world.update("stack", TWO)
    assert await world.status("stack") == "UPDATE_COMPLETE"
    assert set(world.toys.standing) == {"a", "b"}


async def test_a_failed_create_may_delete_the_stack() -> None:
    world = ToyWorld()
    world.toys.refuse.add(("create", "B"))
    arn = await world.create("stack", TWO, OnFailure="DELETE")
    assert await world.status(arn) == "DELETE_COMPLETE"
    assert world.toys.standing == {}


async def test_a_stack_that_was_rolled_back_can_only_be_deleted() -> None:
    world = ToyWorld()
    world.toys.refuse.add(("create", "B"))
    arn = await world.create("stack", TWO)
    with pytest.raises(AwsError) as refused:
        await world.update("stack", TWO)
    assert refused.value.text == (
        f"Stack:{arn} is in ROLLBACK_COMPLETE state and can not be updated."
    )
    await world.delete("stack")
    assert await world.status(arn) == "DELETE_COMPLETE"


async def test_creation_that_takes_too_long_is_rolled_back() -> None:
    world = ToyWorld()
    world.toys.slow[("create", "A")] = 1000
    await world.create("stack", TWO, TimeoutInMinutes=1)
    await world.advance(59)
    assert await world.status("stack") == "CREATE_IN_PROGRESS"
    await world.advance(2)
    assert await world.status("stack") == "ROLLBACK_COMPLETE"
    assert ("A", "CREATE_FAILED", "Resource creation cancelled") in await world.events("stack")


async def test_one_failure_cancels_what_is_still_in_progress() -> None:
    world = ToyWorld()
    world.toys.slow[("create", "A")] = 1000
    world.toys.refuse.add(("create", "B"))
    await world.create("stack", {"Resources": {"A": box("a"), "B": box("b")}})
    assert await world.status("stack") == "ROLLBACK_COMPLETE"
    reasons = [r for _, s, r in await world.events("stack") if s == "ROLLBACK_IN_PROGRESS"]
    assert reasons == [
        "The following resource(s) failed to create: [B]. Rollback requested by user."
    ]


async def test_an_update_can_be_cancelled() -> None:
    world = ToyWorld()
    await world.create("stack", TWO)
    before = world.toys.standing
    world.toys.slow[("update", "B")] = 1000
    wanted = {"Resources": {"A": box("new"), "B": box("b", ["A"], Colour="red")}}
    await world.update("stack", wanted)
    assert await world.status("stack") == "UPDATE_IN_PROGRESS"
    world.toys.slow.clear()
    await world.cloudformation("CancelUpdateStack", StackName="stack")
    await world.advance(5)
    assert await world.status("stack") == "UPDATE_ROLLBACK_COMPLETE"
    assert world.toys.standing == before
    with pytest.raises(AwsError, match="cannot be called from current stack status"):
        await world.cloudformation("CancelUpdateStack", StackName="stack")


async def test_a_rollback_that_fails_can_be_continued_or_skip_what_fails() -> None:
    world = ToyWorld()
    await world.create("stack", TWO)
    wanted = {
        "Resources": {
            "A": box("a", Colour="red"),
            "B": box("b", ["A"]),
            "Z": box("z", depends_on=["A"]),
        }
    }
    world.toys.slow[("create", "Z")] = 1
    await world.update("stack", wanted)
    world.toys.refuse |= {("create", "Z"), ("update", "A")}
    await world.advance(5)
    assert await world.status("stack") == "UPDATE_ROLLBACK_FAILED"
    await world.cloudformation("ContinueUpdateRollback", StackName="stack")
    await world.platform.jobs.settle()
    assert await world.status("stack") == "UPDATE_ROLLBACK_FAILED"
    with pytest.raises(AwsError, match="cannot be skipped"):
        await world.cloudformation(
            "ContinueUpdateRollback", StackName="stack", ResourcesToSkip=["B"]
        )
    await world.cloudformation("ContinueUpdateRollback", StackName="stack", ResourcesToSkip=["A"])
    await world.platform.jobs.settle()
    assert await world.status("stack") == "UPDATE_ROLLBACK_COMPLETE"
    world.toys.refuse.clear()
    await world.delete("stack")
    assert world.toys.standing == {}


async def test_a_failed_update_may_be_left_and_then_rolled_back_or_mended() -> None:
    replaced = {"Resources": {"A": box("new"), "B": box("b", ["A"]), "Z": box("z", ["B"])}}
    for mend in (False, True):
        world = ToyWorld()
        await world.create("stack", TWO)
        world.toys.refuse.add(("create", "Z"))
        await world.update("stack", replaced, DisableRollback=True)
        assert await world.status("stack") == "UPDATE_FAILED"
        assert set(world.toys.standing) == {"a", "new", "b"}
        if mend:
            world.toys.refuse.clear()
            await world.update("stack", replaced)
            assert await world.status("stack") == "UPDATE_COMPLETE"
            assert set(world.toys.standing) == {"new", "b", "z"}
        else:
            await world.cloudformation("RollbackStack", StackName="stack")
            await world.platform.jobs.settle()
            assert await world.status("stack") == "UPDATE_ROLLBACK_COMPLETE"
            assert set(world.toys.standing) == {"a", "b"}
        await world.delete("stack")
        assert world.toys.standing == {}


async def test_a_delete_that_fails_can_retain_or_be_forced() -> None:
    for how in ({"RetainResources": ["A"]}, {"DeletionMode": "FORCE_DELETE_STACK"}):
        world = ToyWorld()
        arn = await world.create("stack", TWO)
        world.toys.refuse.add(("delete", "A"))
        with pytest.raises(AwsError, match="DELETE_FAILED state"):
            await world.delete("stack", **how)
        await world.delete("stack")
        stack = await world.stack("stack")
        assert stack["StackStatus"] == "DELETE_FAILED"
        assert stack["StackStatusReason"] == "The following resource(s) failed to delete: [A]. "
        assert set(world.toys.standing) == {"a"}
        await world.delete("stack", **how)
        assert await world.status(arn) == "DELETE_COMPLETE"
        assert set(world.toys.standing) == {"a"}


async def test_a_stack_may_be_deleted_while_it_is_created() -> None:
    world = ToyWorld()
    world.toys.slow[("create", "B")] = 5
    arn = await world.create("stack", TWO)
    await world.delete("stack")
    await world.advance(10)
    assert await world.status(arn) == "DELETE_COMPLETE"
    assert world.toys.standing == {}


async def test_a_failed_cleanup_does_not_fail_the_update() -> None:
    world = ToyWorld()
    await world.create("stack", TWO)
    world.toys.refuse.add(("delete", "A"))
    await world.update("stack", {"Resources": {"A": box("new"), "B": box("b", ["A"])}})
    assert await world.status("stack") == "UPDATE_COMPLETE"
    assert ("A", "DELETE_FAILED", "A refuses to delete") in await world.events("stack")
    assert (await world.resources("stack"))["A"] == "new"


@pytest.mark.parametrize(("policy", "kept"), [("Retain", {"b"}), ("RetainExceptOnCreate", set())])
async def test_retain_keeps_through_a_rollback_and_retain_except_on_create_does_not(
    policy: str, kept: set[str]
) -> None:
    world = ToyWorld()
    world.toys.refuse.add(("create", "C"))
    await world.create(
        "stack",
        {
            "Resources": {
                "B": {**box("b"), "DeletionPolicy": policy},
                "C": box("c", depends_on=["B"]),
            }
        },
    )
    assert set(world.toys.standing) == kept


async def test_a_replaced_resource_is_kept_where_its_policy_says_so() -> None:
    world = ToyWorld()
    kept = {"UpdateReplacePolicy": "Retain"}
    await world.create("stack", {"Resources": {"A": {**box("old"), **kept}}})
    await world.update("stack", {"Resources": {"A": {**box("new"), **kept}}})
    assert set(world.toys.standing) == {"old", "new"}
    assert ("A", "DELETE_SKIPPED", "") in await world.events("stack")


async def test_stack_tags_reach_the_resources_and_system_tags_are_kept_beside() -> None:
    world = ToyWorld()
    template = {
        "Resources": {
            "Q": {"Type": "AWS::SQS::Queue", "Properties": {"Tags": [{"Key": "k", "Value": "own"}]}}
        }
    }
    tags = [{"Key": "k", "Value": "stack"}, {"Key": "team", "Value": "x"}]
    arn = await world.create("stack", template, Tags=tags)
    (made,) = world.toys.standing.values()
    assert made["Tags"] == [{"Key": "k", "Value": "own"}, {"Key": "team", "Value": "x"}]
    resource = f"arn:aws:toy:us-east-1:123456789012:{next(iter(world.toys.standing))}"
    assert await world.platform.store.read(tags_of, resource) == {
        "aws:cloudformation:logical-id": "Q",
        "aws:cloudformation:stack-id": arn,
        "aws:cloudformation:stack-name": "stack",
    }
    await world.update("stack", template, Tags=[{"Key": "team", "Value": "y"}])
    (made,) = world.toys.standing.values()
    assert made["Tags"] == [{"Key": "k", "Value": "own"}, {"Key": "team", "Value": "y"}]


async def test_a_role_that_cannot_be_assumed_is_refused() -> None:
    world = ToyWorld()
    arn = "arn:aws:iam::123456789012:role/nobody"
    with pytest.raises(AwsError) as refused:
        await world.create("stack", TWO, RoleARN=arn)
    assert refused.value.text == f"Role {arn} is invalid or cannot be assumed"
    with pytest.raises(AwsError, match="does not exist"):
        await world.stack("stack")


async def test_a_stack_acts_as_the_role_that_was_passed_to_it() -> None:
    world = ToyWorld()
    trust = {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"Service": "cloudformation.amazonaws.com"},
                "Action": "sts:AssumeRole",
            }
        ],
    }
    role = RoleRow(
        account=ACCOUNT, name="deploy", path="/", id="AROA1", created_at=0, trust=json.dumps(trust)
    )
    may = InlineRow(
        owner="AROA1",
        name="all",
        document='{"Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}',
    )

    async def insert(tx: Tx) -> None:
        ROLES.put(tx, role)
        INLINE.put(tx, may)

    await world.platform.store.write(insert)
    function = "arn:aws:lambda:us-east-1:123456789012:function:maker"
    thing = {"Type": "Custom::Thing", "Properties": {"ServiceToken": function}}
    await world.create("stack", {"Resources": {"T": thing}}, RoleARN=role.arn)
    assert world.toys.callers == {role.arn}
    assert (await world.stack("stack"))["RoleARN"] == role.arn


async def test_every_event_is_told_to_the_topics_of_the_stack() -> None:
    world = ToyWorld()
    topic = "arn:aws:toy:us-east-1:123456789012:topic"
    arn = await world.create("stack", {"Resources": {"A": box("a")}}, NotificationARNs=[topic])
    assert len(world.toys.told) == len(await world.events("stack"))
    last = dict(line.split("=", 1) for line in world.toys.told[-1].splitlines())
    assert last["StackId"] == f"'{arn}'"
    assert last["ResourceStatus"] == "'CREATE_COMPLETE'"
    assert last["LogicalResourceId"] == "'stack'"


async def test_a_topic_that_is_gone_does_not_hold_a_stack_up() -> None:
    world = ToyWorld()
    topic = "arn:aws:nothing:us-east-1:123456789012:topic"
    await world.create("stack", {"Resources": {"A": box("a")}}, NotificationARNs=[topic])
    assert await world.status("stack") == "CREATE_COMPLETE"
