"""``skyfold deploy``: package, make a change set, run it, show what happens, print the outputs."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from skyfold.cli.cloud import Cloud, Failed
from skyfold.cli.package import NotFound, packaged

TEMPLATES = ("template.yaml", "template.yml", "template.json", "serverless.template")
INLINE_BYTES_MAX = 51_200
CAPABILITIES = ["CAPABILITY_IAM", "CAPABILITY_NAMED_IAM", "CAPABILITY_AUTO_EXPAND"]
POLL_SECONDS = 0.15

Event = Mapping[str, Any]


def find_template(target: Path) -> Path:
    """The template that ``target`` is or holds. A finished `sam build` wins over its source."""
    if target.is_file():
        return target
    for name in (".aws-sam/build/template.yaml", *TEMPLATES):
        if (target / name).is_file():
            return target / name
    raise NotFound(f"No template in {target}: looked for {', '.join(TEMPLATES)}.")


class Deployment:
    """One run of ``deploy``; ``note`` gets a line for each thing done on the way."""

    def __init__(self, cloud: Cloud, stack: str, note: Callable[[str], None]) -> None:
        self._cloud, self._stack, self._note = cloud, stack, note
        self._cloudformation = cloud.client("cloudformation")

    def change_set(self, template: Path, parameters: Mapping[str, str]) -> str | None:
        """Package and make a change set: its ARN, or None where nothing changes."""
        s3, bucket = self._cloud.client("s3"), self._bucket()

        def upload(key: str, body: bytes) -> None:
            s3.put_object(Bucket=bucket, Key=key, Body=body)

        text = json.dumps(packaged(template, bucket, upload, self._note), indent=1)
        where: dict[str, str] = {"TemplateBody": text}
        if len(text.encode()) > INLINE_BYTES_MAX:
            upload(f"{self._stack}.template", text.encode())
            where = {"TemplateURL": f"https://s3.amazonaws.com/{bucket}/{self._stack}.template"}
        made = self._cloudformation.create_change_set(
            StackName=self._stack,
            ChangeSetName=f"skyfold-{time.time_ns()}",
            ChangeSetType="UPDATE" if self._exists() else "CREATE",
            Capabilities=CAPABILITIES,
            Parameters=[{"ParameterKey": k, "ParameterValue": v} for k, v in parameters.items()],
            **where,
        )
        return self._ready(made["Id"])

    def _bucket(self) -> str:
        account = self._cloud.client("sts").get_caller_identity()["Account"]
        bucket = f"skyfold-deploy-{account}-{self._cloud.region}"
        s3 = self._cloud.client("s3")
        try:
            s3.head_bucket(Bucket=bucket)
        except s3.exceptions.ClientError:
            elsewhere = {"LocationConstraint": self._cloud.region}
            more = (
                {}
                if self._cloud.region == "us-east-1"
                else {"CreateBucketConfiguration": elsewhere}
            )
            s3.create_bucket(Bucket=bucket, **more)
        return bucket

    def _exists(self) -> bool:
        try:
            stacks = self._cloudformation.describe_stacks(StackName=self._stack)["Stacks"]
        except self._cloudformation.exceptions.ClientError:
            return False
        return bool(stacks[0]["StackStatus"] != "REVIEW_IN_PROGRESS")

    def _ready(self, change_set: str) -> str | None:
        while True:
            seen = self._cloudformation.describe_change_set(ChangeSetName=change_set)
            if seen["Status"] == "CREATE_COMPLETE":
                return change_set
            if seen["Status"] == "FAILED":
                self._cloudformation.delete_change_set(ChangeSetName=change_set)
                reason = seen.get("StatusReason", "")
                if "didn't contain changes" in reason or "No updates" in reason:
                    return None
                raise Failed(f"The change set failed: {reason}")
            time.sleep(POLL_SECONDS)

    def execute(self, change_set: str) -> Iterator[Event]:
        """Run it; the stack's new events as they come, ended by the stack's last one."""
        seen = {event["EventId"] for event in self._events()} if self._exists() else set()
        self._cloudformation.execute_change_set(ChangeSetName=change_set)
        while True:
            new = [event for event in self._events() if event["EventId"] not in seen]
            for event in reversed(new):
                seen.add(event["EventId"])
                yield event
                ended = event["ResourceStatus"].endswith(("_COMPLETE", "_FAILED"))
                own = event["ResourceType"] == "AWS::CloudFormation::Stack"
                whole = own and event["PhysicalResourceId"] == event["StackId"]
                if whole and ended and "CLEANUP" not in event["ResourceStatus"]:
                    return
            time.sleep(POLL_SECONDS)

    def _events(self) -> list[Event]:
        return list(
            self._cloudformation.describe_stack_events(StackName=self._stack)["StackEvents"]
        )

    def stack(self) -> Mapping[str, Any]:
        return dict(self._cloudformation.describe_stacks(StackName=self._stack)["Stacks"][0])
