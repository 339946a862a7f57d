"""Stages, deployments and tags."""

from __future__ import annotations

from typing import Any

from skyfold.kernel import tags
from skyfold.kernel.call import Call
from skyfold.kernel.service import Request, reply
from skyfold.services.apigatewayv2 import limits
from skyfold.services.apigatewayv2.errors import (
    BadRequestException,
    ConflictException,
    NotFoundException,
)
from skyfold.services.apigatewayv2.operations import parts
from skyfold.services.apigatewayv2.operations.apis import api_of
from skyfold.services.apigatewayv2.operations.routes import part_of, shown
from skyfold.services.apigatewayv2.tables import APIS, DEPLOYMENT, PARTS, STAGE
from skyfold.store.api import ReadTx, Tx


async def create_stage(tx: Tx, call: Call, request: Request) -> Any:
    api = await api_of(tx, call, request)
    name = request["StageName"]
    if await PARTS.get(tx, api.id, STAGE, name):
        raise ConflictException("Stage already exists")
    if len(await PARTS.scan(tx, api.id, STAGE, limit=limits.STAGES_MAX)) == limits.STAGES_MAX:
        raise BadRequestException("Maximum number of Stages for this Api has been reached.")
    if request.get("DeploymentId"):
        await part_of(tx, api.id, DEPLOYMENT, request["DeploymentId"])
    parts.new_stage(tx, call, api, request)
    await parts.deploy_automatically(tx, call, api)
    made = shown(await part_of(tx, api.id, STAGE, name))
    return {**made, "Tags": await tags.tags_of(tx, parts.stage_arn(api, name))}


async def update_stage(tx: Tx, call: Call, request: Request) -> Any:
    api = await api_of(tx, call, request)
    old = await part_of(tx, api.id, STAGE, request["StageName"])
    changes = {key: value for key, value in request.items() if key != "ApiId"}
    wanted = {name: old.members[name] for name in parts.STAGE_MEMBERS if name in old.members}
    if wanted.get("AutoDeploy") and changes.get("AutoDeploy") is not False:
        if changes.get("DeploymentId"):
            raise BadRequestException(
                "Deployment ID cannot be set on stage with AutoDeploy enabled"
            )
        wanted.pop("DeploymentId", None)
    elif changes.get("AutoDeploy"):
        wanted.pop("DeploymentId", None)
    if changes.get("DeploymentId"):
        await part_of(tx, api.id, DEPLOYMENT, changes["DeploymentId"])
    parts.put_stage(tx, call, old, parts.checked_stage({**wanted, **changes}))
    await parts.deploy_automatically(tx, call, api)
    return shown(await part_of(tx, api.id, STAGE, old.id))


async def delete_stage(tx: Tx, call: Call, request: Request) -> None:
    api = await api_of(tx, call, request)
    stage = await part_of(tx, api.id, STAGE, request["StageName"])
    PARTS.delete(tx, api.id, STAGE, stage.id)
    tags.forget_tags(tx, parts.stage_arn(api, stage.id))


async def create_deployment(tx: Tx, call: Call, request: Request) -> Any:
    api = await api_of(tx, call, request)
    stage = None
    if request.get("StageName"):
        stage = await part_of(tx, api.id, STAGE, request["StageName"])
        if stage.members["AutoDeploy"]:
            raise BadRequestException(
                "Deployment ID cannot be set on stage with AutoDeploy enabled"
            )
    made = await parts.deploy(
        tx, call, api, automatic=False, description=request.get("Description", "")
    )
    if stage is not None:
        parts.put_stage(tx, call, stage, {"DeploymentId": made.id})
    return shown(made)


async def delete_deployment(tx: Tx, call: Call, request: Request) -> None:
    api = await api_of(tx, call, request)
    found = await part_of(tx, api.id, DEPLOYMENT, request["DeploymentId"])
    for stage in await PARTS.scan(tx, api.id, STAGE, limit=1000):
        if stage.members.get("DeploymentId") == found.id:
            raise BadRequestException(
                "Active stages pointing to this deployment must be moved or deleted"
            )
    PARTS.delete(tx, api.id, DEPLOYMENT, found.id)


async def tag_resource(tx: Tx, call: Call, request: Request) -> None:
    arn = await _tagged(tx, call, request)
    if len({**await tags.tags_of(tx, arn), **request.get("Tags", {})}) > tags.TAGS_MAX:
        raise BadRequestException("Resource cannot have more than 50 tags")
    tags.put_tags(tx, arn, request.get("Tags", {}))


async def untag_resource(tx: Tx, call: Call, request: Request) -> None:
    tags.remove_tags(tx, await _tagged(tx, call, request), request["TagKeys"])


async def get_tags(tx: ReadTx, call: Call, request: Request) -> Any:
    return reply(Tags=await tags.tags_of(tx, await _tagged(tx, call, request)))


async def _tagged(tx: ReadTx, call: Call, request: Request) -> str:
    """The ARN of an API or stage, once it is seen to exist."""
    arn: str = request["ResourceArn"]
    _, api_id, _, stage = [*arn.partition("::/")[2].split("/"), "", "", "", ""][:4]
    found: object = await APIS.get(tx, call.account, call.region, api_id)
    if found is not None and stage:
        found = await PARTS.get(tx, api_id, STAGE, stage)
    if found is None:
        raise NotFoundException("API", api_id)
    return arn
