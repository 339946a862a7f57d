"""A world with a role and functions, for the tests of Lambda."""

from __future__ import annotations

import io
import json
import zipfile
from typing import Any

from tests.support.world import ACCOUNT, World

ROLE = f"arn:aws:iam::{ACCOUNT}:role/worker"
TRUST = {
    "Version": "2012-10-17",
    "Statement": [
        {
            "Effect": "Allow",
            "Principal": {"Service": "lambda.amazonaws.com"},
            "Action": "sts:AssumeRole",
        }
    ],
}


def zipped(**files: str) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name, text in (files or {"index.py": "def handler(e, c): return e"}).items():
            archive.writestr(name, text)
    return packed.getvalue()


async def world_with_role(*actions: str) -> World:
    """A world in which the role ``worker`` may do ``actions`` on everything."""
    world = World()
    await world.iam("CreateRole", RoleName="worker", AssumeRolePolicyDocument=json.dumps(TRUST))
    if actions:
        allowed = {"Effect": "Allow", "Action": list(actions), "Resource": "*"}
        document = {"Version": "2012-10-17", "Statement": [allowed]}
        await world.iam(
            "PutRolePolicy",
            RoleName="worker",
            PolicyName="p",
            PolicyDocument=json.dumps(document),
        )
    return world


async def make(world: World, name: str = "f", **more: Any) -> Any:
    request = {
        "FunctionName": name,
        "Runtime": "python3.11",
        "Handler": "index.handler",
        "Role": ROLE,
        "Code": {"ZipFile": zipped()},
    }
    return await world.lambda_("CreateFunction", **{**request, **more})
