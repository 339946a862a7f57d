"""A cloud with toy services: what CloudFormation provisions, reads and calls, seen from outside."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from skyfold.base.arn import Arn
from skyfold.base.clock import VirtualClock
from skyfold.base.errors import AwsError
from skyfold.base.ids import Ids
from skyfold.base.settings import Settings
from skyfold.kernel.access.access import Access
from skyfold.kernel.call import Call
from skyfold.kernel.catalog import Catalog
from skyfold.kernel.delivery import Accepts, Parcel
from skyfold.kernel.http import HttpRequest
from skyfold.kernel.platform import Platform
from skyfold.kernel.provisioning import InProgress, Provision, Provisioned, ResourceType
from skyfold.kernel.service import Service, live
from skyfold.services.cloudformation.callbacks import RESPONSES
from skyfold.services.cloudformation.service import SERVICE
from skyfold.store.api import Store, Tx
from skyfold.store.blobs import Blobs
from skyfold.store.engines.memory import MemoryStore
from tests.support.world import ACCOUNT, World


class ToyFailure(AwsError):
    """A toy service refuses."""


class NoSuchKey(AwsError):
    message = "The specified key does not exist."


class ParameterNotFound(AwsError):
    pass


class Toys:
    """Toy things by physical id, and a toy S3, Lambda and Systems Manager."""

    def __init__(self) -> None:
        self.things: dict[str, dict[str, Any]] = {}
        self.log: list[tuple[str, str]] = []
        """(verb, logical id) of what was done, in order."""
        self.refuse: set[tuple[str, str]] = set()
        """(verb, logical id) that fail."""
        self.slow: dict[tuple[str, str], int] = {}
        """(verb, logical id) to how many more attempts stay in progress."""
        self.objects: dict[str, str] = {}
        """``bucket/key`` to text."""
        self.parameters: dict[str, str] = {}
        self.invoked: list[dict[str, Any]] = []
        """The events that functions were invoked with."""
        self.told: list[str] = []
        """What was delivered to ``arn:aws:toy:...``."""
        self.callers: set[str] = set()
        """The ARNs of those who called."""

    def type(self, name: str, **how: Any) -> ResourceType:
        return ResourceType(
            name=name, create=self.create, update=self.update, delete=self.delete, **how
        )

    async def _attempt(self, verb: str, provision: Provision) -> InProgress | None:
        await asyncio.sleep(0)  # a process may die before the effect
        key = (verb, provision.logical_id)
        if key in self.refuse:
            raise ToyFailure(f"{provision.logical_id} refuses to {verb}")
        if self.slow.get(key, 0) > 0:
            self.slow[key] -= 1
            return InProgress(1000, {"left": self.slow[key]})
        return None

    async def create(self, provision: Provision) -> Provisioned | InProgress:
        waiting = await self._attempt("create", provision)
        if waiting:
            return waiting
        name = str(provision.want.get("Name") or provision.default_name())
        if name in self.things and self.things[name]["token"] != provision.token:
            raise ToyFailure(f"{name} already exists")
        self.log.append(("create", provision.logical_id))
        self.things[name] = {"token": provision.token, "properties": dict(provision.want)}
        return await self._made(name)

    async def update(self, provision: Provision) -> Provisioned | InProgress:
        waiting = await self._attempt("update", provision)
        if waiting:
            return waiting
        self.log.append(("update", provision.logical_id))
        self.things[provision.physical_id]["properties"] = dict(provision.want)
        return await self._made(provision.physical_id)

    async def delete(self, provision: Provision) -> InProgress | None:
        waiting = await self._attempt("delete", provision)
        if waiting:
            return waiting
        self.log.append(("delete", provision.logical_id))
        self.things.pop(provision.physical_id, None)
        await asyncio.sleep(0)
        return None

    async def _made(self, name: str) -> Provisioned:
        await asyncio.sleep(0)  # or after it, before anybody was told
        arn = f"arn:aws:toy:us-east-1:123456789012:{name}"
        return Provisioned(physical_id=name, attributes={"Arn": arn, "Size": 7, "TopicName": name})

    @property
    def standing(self) -> dict[str, Any]:
        return {name: thing["properties"] for name, thing in self.things.items()}

    async def get_object(self, call: Call, request: Mapping[str, Any]) -> dict[str, Any]:
        found = self.objects.get(f"{request['Bucket']}/{request['Key']}")
        if found is None:
            raise NoSuchKey()
        return {"Body": found.encode()}

    async def invoke(self, call: Call, request: Mapping[str, Any]) -> dict[str, Any]:
        self.callers.add(call.principal.arn)
        self.invoked.append(json.loads(request["Payload"]))
        return {"StatusCode": 202}

    async def get_parameter(self, call: Call, request: Mapping[str, Any]) -> dict[str, Any]:
        name = request["Name"]
        if name not in self.parameters:
            raise ParameterNotFound()
        return {"Parameter": {"Name": name, "Value": self.parameters[name]}}

    async def accept(self, tx: Tx, call: Call, arn: Arn, parcel: Parcel) -> None:
        self.told.append(parcel.body)

    def services(self) -> dict[str, Service]:
        box = self.type("Toy::Box", replaced_when_changed=frozenset({"Name"}))
        published = [self.type(f"AWS::{name}") for name in ("SQS::Queue", "SNS::Topic")]
        return {
            "toy": Service(
                model="sqs",
                operations={},
                arn_name="toy",
                resource_types=[box, *published],
                accepts=Accepts(action="toy:Send", tx=self.accept),
            ),
            "s3": Service(model="s3", operations={"GetObject": live(self.get_object)}),
            "lambda_": Service(model="lambda", operations={"Invoke": live(self.invoke)}),
            "ssm": Service(model="ssm", operations={"GetParameter": live(self.get_parameter)}),
        }


class ToyWorld(World):
    """A world with ``Toy::Box`` (its Name forces replacement), CloudFormation, and little more."""

    def __init__(self, seed: int = 1, toys: Toys | None = None, store: Store | None = None) -> None:
        self.clock = VirtualClock()
        self.toys = toys or Toys()
        self.store = store or MemoryStore()
        self.platform = self.node(seed)

    def node(self, seed: int) -> Platform:
        """A process on the store: a second one stands for the first after its death."""
        return Platform(
            settings=Settings(account=ACCOUNT),
            store=self.store,
            blobs=Blobs(Path("/nowhere")),
            clock=self.clock,
            ids=Ids(seed=seed),
            catalog=Catalog({"cloudformation": SERVICE, **self.toys.services()}),
            access=Access(),
        )

    async def create(self, name: str, template: Mapping[str, Any] | str, **more: Any) -> str:
        text = template if isinstance(template, str) else json.dumps(template)
        made = await self.cloudformation("CreateStack", StackName=name, TemplateBody=text, **more)
        await self.platform.jobs.settle()
        return str(made["StackId"])

    async def update(self, name: str, template: Mapping[str, Any], **more: Any) -> None:
        await self.cloudformation(
            "UpdateStack", StackName=name, TemplateBody=json.dumps(template), **more
        )
        await self.platform.jobs.settle()

    async def delete(self, name: str, **more: Any) -> None:
        await self.cloudformation("DeleteStack", StackName=name, **more)
        await self.platform.jobs.settle()

    async def change_set(
        self, stack: str, name: str, template: Mapping[str, Any], **more: Any
    ) -> dict[str, Any]:
        """A change set, made and described."""
        made = await self.cloudformation(
            "CreateChangeSet",
            StackName=stack,
            ChangeSetName=name,
            TemplateBody=json.dumps(template),
            **more,
        )
        found = await self.cloudformation("DescribeChangeSet", ChangeSetName=made["Id"])
        return dict(found)

    async def execute(self, stack: str, name: str, **more: Any) -> None:
        await self.cloudformation("ExecuteChangeSet", StackName=stack, ChangeSetName=name, **more)
        await self.platform.jobs.settle()

    async def stack(self, name: str) -> dict[str, Any]:
        found = await self.cloudformation("DescribeStacks", StackName=name)
        return dict(found["Stacks"][0])

    async def status(self, name: str) -> str:
        return str((await self.stack(name))["StackStatus"])

    async def outputs(self, name: str) -> dict[str, str]:
        stack = await self.stack(name)
        return {o["OutputKey"]: o["OutputValue"] for o in stack.get("Outputs", [])}

    async def events(self, name: str) -> list[tuple[str, str, str]]:
        """Logical id, status and reason of every event, the oldest first."""
        found = await self.cloudformation("DescribeStackEvents", StackName=name)
        return [
            (e["LogicalResourceId"], e["ResourceStatus"], e.get("ResourceStatusReason", ""))
            for e in reversed(found["StackEvents"])
        ]

    async def resources(self, name: str) -> dict[str, str]:
        """Logical to physical ids."""
        found = await self.cloudformation("ListStackResources", StackName=name)
        return {
            r["LogicalResourceId"]: r.get("PhysicalResourceId", "")
            for r in found["StackResourceSummaries"]
        }

    async def put(self, url: str, body: Any) -> int:
        """PUT to a URL that CloudFormation gave out; the status."""
        path = "/" + url.split("/", 3)[3]
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        request = HttpRequest(method="PUT", path=path, headers={}, body=raw)
        assert RESPONSES.matches(request)
        reply = await RESPONSES.serve(self.platform, request)
        await self.platform.jobs.settle()
        return reply.status


def box(name: str | None = None, depends_on: list[str] | None = None, **properties: Any) -> Any:
    """A ``Toy::Box`` of a template."""
    body: dict[str, Any] = {"Type": "Toy::Box", "Properties": dict(properties)}
    if name is not None:
        body["Properties"]["Name"] = name
    if depends_on:
        body["DependsOn"] = depends_on
    return body
