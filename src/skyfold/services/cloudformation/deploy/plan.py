"""The steps of an operation: what has to be done, and what each thing waits for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from skyfold.services.cloudformation.engine.template import ResourceBody
from skyfold.services.cloudformation.tables import Resource, Step


def apply_steps(
    stack_id: str,
    included: Mapping[str, ResourceBody],
    needs: Mapping[str, set[str]],
    earlier: Mapping[str, Step] | None = None,
) -> list[Step]:
    """A step for each resource of the template; ``earlier`` ones are of an update that failed."""
    steps = []
    for name in included:
        step = Step(
            stack_id=stack_id,
            name=name,
            action="apply",
            logical_id=name,
            needs=tuple(sorted(needs[name])),
        )
        old = (earlier or {}).get(name)
        if old is not None:
            step = msgspec.structs.replace(step, before=old.before, leftovers=old.leftovers)
        steps.append(step)
    return steps


def delete_steps(
    stack_id: str,
    doomed: Iterable[Resource],
    *,
    retained: Iterable[str] = (),
    fresh: Iterable[str] = (),
) -> list[Step]:
    """A step for each resource to delete, each after those that were built upon it.

    ``fresh`` were created by the operation that is rolled back, so that RetainExceptOnCreate does
    not keep them. Old and new of one logical id may both be doomed: steps are named by number.
    """
    doomed = list(doomed)
    kept, fresh = set(retained), set(fresh)
    names = [f"~{index:05}" for index in range(len(doomed))]
    by_logical: dict[str, list[str]] = {}
    for name, resource in zip(names, doomed, strict=True):
        by_logical.setdefault(resource.logical_id, []).append(name)
    waits: dict[str, set[str]] = {name: set() for name in names}
    for name, resource in zip(names, doomed, strict=True):
        for other in resource.needs:
            for below in by_logical.get(other, ()):
                waits[below].add(name)
    _open_circles(waits)
    steps = []
    for name, resource in zip(names, doomed, strict=True):
        retain = resource.retain and not (
            resource.retain_except_on_create and resource.logical_id in fresh
        )
        steps.append(
            Step(
                stack_id=stack_id,
                name=name,
                action="delete",
                logical_id=resource.logical_id,
                needs=tuple(sorted(waits[name])),
                mode="retain" if retain or resource.logical_id in kept else "",
                what=resource,
            )
        )
    return steps


def _open_circles(waits: dict[str, set[str]]) -> None:
    """Rows of different definitions may need each other crosswise: nothing may wait for ever."""
    left = {name: set(others) for name, others in waits.items()}
    while left:
        free = [name for name, others in left.items() if not others & left.keys()]
        if not free:
            name = min(left)
            waits[name] -= left.keys()
            free = [name]
        for name in free:
            del left[name]


def revert_steps(stack_id: str, applied: Iterable[Step]) -> list[Step]:
    """A step for each resource that was updated in place, along the graph of what was before."""
    touched = {step.logical_id: step for step in applied if step.before is not None}
    steps = []
    for name, step in touched.items():
        assert step.before is not None
        steps.append(
            Step(
                stack_id=stack_id,
                name=name,
                action="revert",
                logical_id=name,
                needs=tuple(other for other in step.before.needs if other in touched),
                mode=step.mode,
                before=step.before,
                leftovers=step.leftovers,
            )
        )
    return steps
