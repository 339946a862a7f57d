"""The commands: `skyfold COMMAND --help` tells each."""

from __future__ import annotations

import os
import shlex
import sys
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from skyfold.cli.cloud import Cloud, Failed, Unreachable
from skyfold.cli.package import NotFound
from skyfold.cli.screen import Screen, StackProgress

app = typer.Typer(
    name="skyfold",
    help="A serverless cloud that you own.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
snapshot_app = typer.Typer(help="Save the whole state to a file, or load one.")
app.add_typer(snapshot_app, name="snapshot")

Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
Endpoint = Annotated[str, typer.Option(help="Where the cloud listens.", show_default=False)]
Region = Annotated[str, typer.Option(help="AWS region.", show_default=False)]
ENDPOINT_OPTION = "--endpoint-url"
"""Version 1 of the AWS CLI has fixed addresses for SQS, EMR, RDS, DocumentDB, Neptune and Health
(awscli/customizations/overridesslcommonname.py), which only this option overrides: no variable
does. Where it is given twice the last one counts, so a person's own wins."""
AWS_FUNCTION = f'aws() {{ command aws {ENDPOINT_OPTION} "$AWS_ENDPOINT_URL" "$@"; }}'
ANY = {"allow_extra_args": True, "ignore_unknown_options": True}


def main() -> int:
    """Run a command; errors that a person can mend come as one plain message."""
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        app(standalone_mode=True)
    except (Unreachable, Failed, NotFound, BotoCoreError, ClientError, OSError) as trouble:
        print(f"skyfold: {trouble}", file=sys.stderr)
        return 1
    return 0


@app.command(context_settings=ANY)
def up(context: typer.Context) -> None:
    """Start the cloud and run it until Ctrl-C (`skyfold up --help` tells its options)."""
    os.execv(sys.executable, [sys.executable, "-m", "skyfold", "up", *context.args])


@app.command()
def status(endpoint: Endpoint = "", json: Json = False) -> None:
    """Is the cloud there, what does it serve, what time is it in it."""
    cloud, screen = Cloud(endpoint), Screen(as_json=json)
    health = cloud.ask("GET", "/_skyfold/health")
    clock = cloud.ask("GET", "/_skyfold/clock")
    screen.data({"endpoint": cloud.endpoint, **health, "clock": clock})
    screen.say(f"Skyfold {health['version']} at {cloud.endpoint} (process {health['pid']})")
    screen.say(f"services: {', '.join(health['services'])}")
    if clock["frozen"]:
        screen.say("The clock is stopped: `skyfold clock resume` lets it run.")


@app.command()
def deploy(
    target: Annotated[Path, typer.Argument(help="A template, or a folder that has one.")],
    stack_name: Annotated[str, typer.Option(help="Default: the folder's name.")] = "",
    parameter: Annotated[
        list[str] | None, typer.Option(help="Name=value; may be repeated.")
    ] = None,
    endpoint: Endpoint = "",
    region: Region = "",
    json: Json = False,
) -> None:
    """Package local code, make a change set, run it, and print the outputs."""
    from skyfold.cli.deploy import Deployment, find_template

    cloud, screen = Cloud(endpoint, region), Screen(as_json=json)
    template = find_template(target)
    folder = target if target.is_dir() else target.parent
    name = stack_name or folder.resolve().name
    cloud.ask("GET", "/_skyfold/health")
    deployment = Deployment(cloud, name, screen.say)
    screen.say(f"Packaging {template}")
    change_set = deployment.change_set(template, _pairs(parameter or []))
    if change_set is None:
        screen.say(f"The stack {name} is up to date.")
    else:
        resources = cloud.client("cloudformation").describe_change_set(ChangeSetName=change_set)
        with StackProgress(screen, len(resources["Changes"]) + 1) as progress:
            for event in deployment.execute(change_set):
                progress.show(event)
    stack = deployment.stack()
    outputs = {o["OutputKey"]: o["OutputValue"] for o in stack.get("Outputs", [])}
    screen.data({"stack": name, "status": stack["StackStatus"], "outputs": outputs})
    screen.say(f"{name}: {stack['StackStatus']}")
    for key, value in outputs.items():
        screen.say(f"  {key} = {value}")
    if "ROLLBACK" in stack["StackStatus"] or "FAILED" in stack["StackStatus"]:
        raise typer.Exit(1)


@app.command()
def invoke(
    function: str,
    payload: Annotated[str, typer.Option(help="JSON, or - to read it from stdin.")] = "{}",
    event: Annotated[bool, typer.Option("--event", help="Do not wait for the answer.")] = False,
    endpoint: Endpoint = "",
    region: Region = "",
) -> None:
    """Invoke a function: its answer to stdout, its log to stderr."""
    import base64

    body = sys.stdin.read() if payload == "-" else payload
    client = Cloud(endpoint, region).client("lambda")
    kind = {"InvocationType": "Event"} if event else {"LogType": "Tail"}
    answer = client.invoke(FunctionName=function, Payload=body.encode(), **kind)
    if "LogResult" in answer:
        sys.stderr.write(base64.b64decode(answer["LogResult"]).decode("utf-8", "replace"))
    sys.stdout.write(answer["Payload"].read().decode() + ("" if event else "\n"))
    if "FunctionError" in answer:
        raise typer.Exit(1)


@app.command()
def logs(
    function: Annotated[str, typer.Argument(help="A function's name, or a log group's.")],
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until Ctrl-C.")] = False,
    since: Annotated[str, typer.Option(help="How far back: 90s, 10m, 2h, 1d.")] = "1h",
    endpoint: Endpoint = "",
    region: Region = "",
) -> None:
    """Print a function's log."""
    cloud = Cloud(endpoint, region)
    client = cloud.client("logs")
    group = function if function.startswith("/") else f"/aws/lambda/{function}"
    now_ms = cloud.ask("GET", "/_skyfold/clock")["now_ms"]
    start, seen = now_ms - int(seconds_of(since) * 1000), set[str]()
    while True:
        pages = client.get_paginator("filter_log_events").paginate(
            logGroupName=group, startTime=max(start, 0)
        )
        for event in (event for page in pages for event in page["events"]):
            if event["eventId"] not in seen:
                seen.add(event["eventId"])
                start = max(start, event["timestamp"] - 5_000)
                moment = time.strftime("%H:%M:%S", time.localtime(event["timestamp"] / 1000))
                print(f"{moment} {event['message'].rstrip()}", flush=True)
        if not follow:
            return
        time.sleep(0.5)


@app.command()
def env(endpoint: Endpoint = "", region: Region = "", json: Json = False) -> None:
    """Print exports that point any AWS tool at the cloud: `eval "$(skyfold env)"`."""
    environment = Cloud(endpoint, region).environment
    if json:
        Screen(as_json=True).data(environment)
        return
    for name, value in environment.items():
        print(f"export {name}={shlex.quote(value)}")
    print(AWS_FUNCTION)


@app.command("exec", context_settings=ANY)
def exec_(context: typer.Context, endpoint: Endpoint = "", region: Region = "") -> None:
    """Run a tool against the cloud: `skyfold exec -- aws s3 ls`."""
    command = context.args
    if not command:
        raise typer.BadParameter("name a command: skyfold exec -- aws s3 ls")
    cloud = Cloud(endpoint, region)
    environment = {**os.environ, **cloud.environment}
    if Path(command[0]).name == "aws":
        command = [command[0], ENDPOINT_OPTION, cloud.endpoint, *command[1:]]
    try:
        os.execvpe(command[0], command, environment)
    except FileNotFoundError:
        print(f"skyfold exec: {command[0]} is not installed.", file=sys.stderr)
        raise typer.Exit(127) from None


@app.command()
def coverage(
    service: Annotated[str, typer.Argument(help="Only this one, operation by operation.")] = "",
    endpoint: Endpoint = "",
    json: Json = False,
) -> None:
    """What is implemented, and what was asked for that is not."""
    screen = Screen(as_json=json)
    found = Cloud(endpoint).ask("GET", "/_skyfold/coverage")
    if service and service not in found["services"]:
        known = ", ".join(found["services"])
        raise Failed(f"There is no service {service!r} here; there are {known}.")
    screen.data(found if not service else found["services"][service])
    if service:
        operations = found["services"][service]
        screen.table(
            ["operation", "here"], [(n, "yes" if y else "-") for n, y in operations.items()]
        )
        return
    rows = [(n, sum(ops.values()), len(ops)) for n, ops in found["services"].items()]
    screen.table(["service", "implemented", "of"], rows)
    for name, count in sorted(found["refused"].items(), key=lambda item: -item[1]):
        screen.say(f"asked for {count} times, not implemented: {name}")


@app.command()
def reset(endpoint: Endpoint = "") -> None:
    """Forget everything: every resource, object and message of every account."""
    Cloud(endpoint).ask("POST", "/_skyfold/reset", {})
    print("Everything is forgotten.")


@app.command()
def clock(
    action: Annotated[str, typer.Argument(help="show, freeze, resume, or advance.")] = "show",
    by: Annotated[str, typer.Argument(help="How far to advance: 90s, 10m, 2h, 1d.")] = "",
    endpoint: Endpoint = "",
    json: Json = False,
) -> None:
    """Look at the cloud's time, stop it, let it run, or move it on (timers run on the way)."""
    cloud, screen = Cloud(endpoint), Screen(as_json=json)
    wanted: dict[str, Any] = {}
    if action == "advance":
        wanted = {"advance_seconds": seconds_of(by)}
    elif action in ("freeze", "resume"):
        wanted = {action: True}
    elif action != "show":
        raise typer.BadParameter(f"show, freeze, resume or advance, not {action!r}")
    found = (
        cloud.ask("POST", "/_skyfold/clock", wanted, timeout_s=3600)
        if wanted
        else cloud.ask("GET", "/_skyfold/clock")
    )
    screen.data(found)
    moment = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(found["now_ms"] / 1000))
    screen.say(f"{moment}{' (stopped)' if found['frozen'] else ''}")


@snapshot_app.command("save")
def snapshot_save(file: Path, endpoint: Endpoint = "") -> None:
    """Write the whole state of the running cloud to FILE."""
    partial = file.with_name(file.name + ".part")
    answer = Cloud(endpoint).open("GET", "/_skyfold/snapshot", timeout_s=3600)
    size = 0
    with answer, partial.open("wb") as out:
        while piece := answer.read(1 << 20):
            size += out.write(piece)
    partial.replace(file)
    print(f"Saved {size / 2**20:,.1f} MiB to {file}.")


@snapshot_app.command("load")
def snapshot_load(file: Path, endpoint: Endpoint = "") -> None:
    """Put the state in FILE in the place of everything in the running cloud."""
    with file.open("rb") as source:
        counts = Cloud(endpoint).ask("POST", "/_skyfold/snapshot", source, timeout_s=3600)
    print(f"Loaded {file}: {counts}")


def seconds_of(text: str) -> float:
    """``90s``, ``10m``, ``2h``, ``1d`` or a bare number of seconds."""
    units = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
    number, unit = (text[:-1], text[-1]) if text[-1:] in units else (text, "s")
    try:
        return float(number) * units[unit]
    except ValueError:
        raise typer.BadParameter(f"{text!r} is no duration: write 90s, 10m, 2h or 1d") from None


def _pairs(texts: list[str]) -> dict[str, str]:
    pairs = {}
    for text in texts:
        name, separator, value = text.partition("=")
        if not separator:
            raise typer.BadParameter(f"--parameter takes Name=value, not {text!r}")
        pairs[name] = value
    return pairs
