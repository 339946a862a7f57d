"""Deployments under random failures and crashes: by seed, with toy types."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.services.cloudformation.toys import ToyWorld, box

NAMES = "ABCDEFGH"


def some_template(dice: random.Random, generation: int) -> dict[str, Any]:
    """Boxes that refer to boxes before them, in an order of their own."""
    names = dice.sample(NAMES, dice.randint(1, 7))
    resources: dict[str, Any] = {}
    for at, name in enumerate(names):
        below = dice.sample(names[:at], min(at, dice.randint(0, 2)))
        properties: dict[str, Any] = {
            f"Of{other}": dice.choice([{"Ref": other}, {"Fn::GetAtt": [other, "Arn"]}])
            for other in below
        }
        if dice.random() < 0.5:
            properties["Colour"] = dice.choice(["red", "green"])
        physical = f"{name}{generation}" if dice.random() < 0.4 else f"{name}-same"
        resources[name] = box(physical, **properties)
        if generation and dice.random() < 0.04:
            properties["Broken"] = dice.choice(
                ["{{resolve:ssm:missing}}", *({"Fn::GetAtt": [other, "No"]} for other in below)]
            )
        if below and dice.random() < 0.3:
            resources[name]["DependsOn"] = below
    return {"Resources": resources, "Outputs": {"First": {"Value": {"Ref": names[0]}}}}


def needed(resource: dict[str, Any]) -> set[str]:
    found = {key.removeprefix("Of") for key in resource["Properties"] if key.startswith("Of")}
    return found | set(resource.get("DependsOn", []))


def expected(template: dict[str, Any]) -> dict[str, Any]:
    """What stands when a template has been deployed."""
    names = {n: r["Properties"]["Name"] for n, r in template["Resources"].items()}
    standing = {}
    for resource in template["Resources"].values():
        made = {}
        for key, value in resource["Properties"].items():
            if isinstance(value, dict):
                other = names[key.removeprefix("Of")]
                arn = f"arn:aws:toy:us-east-1:123456789012:{other}"
                made[key] = other if "Ref" in value else arn
            else:
                made[key] = value
        standing[made["Name"]] = made
    return standing


def refuse_some(world: ToyWorld, dice: random.Random) -> None:
    world.toys.refuse = {
        (dice.choice(["create", "update"]), dice.choice(NAMES)) for _ in range(dice.randint(0, 2))
    }
    world.toys.slow = {
        (dice.choice(["create", "update", "delete"]), dice.choice(NAMES)): dice.randint(1, 3)
        for _ in range(dice.randint(0, 3))
    }


@given(st.integers(0, 10**9))
@settings(max_examples=60, deadline=None)
def test_a_failure_leaves_what_was_before_and_a_success_what_was_wanted(seed: int) -> None:
    asyncio.run(_deploy_at_random(seed))


async def _deploy_at_random(seed: int) -> None:
    dice = random.Random(seed)
    world = ToyWorld(seed=seed)
    refuse_some(world, dice)
    template = some_template(dice, 0)
    await world.create("stack", template)
    await world.advance(60)
    if await world.status("stack") != "CREATE_COMPLETE":
        assert await world.status("stack") == "ROLLBACK_COMPLETE"
        assert world.toys.standing == {}
        return
    for generation in range(1, 5):
        assert world.toys.standing == expected(template)
        refuse_some(world, dice)
        wanted = some_template(dice, generation)
        try:
            await world.update("stack", wanted)
        except Exception as refused:
            assert "No updates are to be performed" in str(refused)
            continue
        await world.advance(60)
        status = await world.status("stack")
        assert status in ("UPDATE_COMPLETE", "UPDATE_ROLLBACK_COMPLETE", "UPDATE_ROLLBACK_FAILED")
        if status == "UPDATE_ROLLBACK_FAILED":  # what refuses updates cannot be rolled back either
            world.toys.refuse = set()
            await world.cloudformation("ContinueUpdateRollback", StackName="stack")
            await world.advance(60)
            assert await world.status("stack") == "UPDATE_ROLLBACK_COMPLETE"
        elif status == "UPDATE_COMPLETE":
            template = wanted
    assert world.toys.standing == expected(template)
    outputs = await world.outputs("stack")
    first = next(iter(template["Resources"].values()))["Properties"]["Name"]
    assert outputs == {"First": first}
    world.toys.refuse, world.toys.log = set(), []
    await world.delete("stack")
    await world.advance(60)
    assert world.toys.standing == {}
    gone = [name for _, name in world.toys.log]
    for name, resource in template["Resources"].items():
        assert all(gone.index(name) < gone.index(other) for other in needed(resource))


@given(st.integers(0, 10**9))
@settings(max_examples=40, deadline=None)
def test_nothing_is_made_before_what_it_needs(seed: int) -> None:
    asyncio.run(_create_in_order(seed))


async def _create_in_order(seed: int) -> None:
    dice = random.Random(seed)
    world = ToyWorld(seed=seed)
    template = some_template(dice, 0)
    await world.create("stack", template)
    made = [name for _, name in world.toys.log]
    for name, resource in template["Resources"].items():
        assert all(made.index(other) < made.index(name) for other in needed(resource))


@pytest.mark.parametrize("fails", [False, True])
@given(st.integers(0, 10**9))
@settings(max_examples=25, deadline=None)
def test_a_crash_at_any_moment_changes_nothing_about_the_end(fails: bool, seed: int) -> None:
    asyncio.run(_crash_at_random(seed, fails))


async def _crash_at_random(seed: int, fails: bool) -> None:
    dice = random.Random(seed)
    first, second = some_template(dice, 0), some_template(dice, 1)
    if fails:
        last = next(iter(second["Resources"]))
        second["Resources"]["Z"] = box("z", depends_on=[last])
    calm, rough = ToyWorld(seed=seed), ToyWorld(seed=seed)
    for world in (calm, rough):
        await world.create("stack", first)
        if fails:
            world.toys.refuse = {("create", "Z")}
    try:
        await calm.update("stack", second)
    except Exception:
        return
    await rough.cloudformation("UpdateStack", StackName="stack", TemplateBody=_text(second))
    for crash in range(40):
        await _run_a_little(rough, dice)
        await rough.platform.jobs.stop()
        rough.platform = rough.node(seed + crash + 1)
        await rough.platform.jobs.recover()
        if await rough.platform.jobs.next_due() is None:
            break
    await rough.advance(60)
    assert await rough.status("stack") == await calm.status("stack")
    assert rough.toys.standing == calm.toys.standing
    assert await rough.resources("stack") == await calm.resources("stack")
    assert await rough.outputs("stack") == await calm.outputs("stack")
    assert sorted(await rough.events("stack")) == sorted(await calm.events("stack"))


async def _run_a_little(world: ToyWorld, dice: random.Random) -> None:
    """Start what is due and let it get some turns of the loop, then stop looking."""
    await world.platform.jobs.run_due()
    for _ in range(dice.randint(0, 12)):
        await asyncio.sleep(0)


def _text(template: dict[str, Any]) -> str:
    import json

    return json.dumps(template)
