"""AWS Systems Manager, declared: Parameter Store so far."""

from __future__ import annotations

from skyfold.kernel.call import Call
from skyfold.kernel.service import Need, Needs, Request, Service, read, write
from skyfold.services.ssm import resources
from skyfold.services.ssm.engine.names import selected
from skyfold.services.ssm.operations import parameters, tagging


def arn(call: Call, name: str) -> str:
    bare = selected(name).name.removeprefix("/")
    return f"arn:aws:ssm:{call.region}:{call.account}:parameter/{bare}"


def parameter(call: Call, request: Request) -> str:
    return arn(call, request["Name"])


def path(call: Call, request: Request) -> str:
    return arn(call, request["Path"])


def tagged(call: Call, request: Request) -> str:
    return arn(call, request["ResourceId"])


def each(action: str) -> Needs:
    """The permission is needed on every parameter that is named."""

    def needs(call: Call, request: Request) -> list[Need]:
        return [Need(f"ssm:{action}", arn(call, name)) for name in request["Names"]]

    return needs


SERVICE = Service(
    model="ssm",
    operations={
        "AddTagsToResource": write(tagging.add_tags_to_resource, on=tagged),
        "DeleteParameter": write(parameters.delete_parameter, on=parameter),
        "DeleteParameters": write(
            parameters.delete_parameters, open=True, also=each("DeleteParameters")
        ),
        "DescribeParameters": read(parameters.describe_parameters),
        "GetParameter": read(parameters.get_parameter, on=parameter),
        "GetParameterHistory": read(parameters.get_parameter_history, on=parameter),
        "GetParameters": read(parameters.get_parameters, open=True, also=each("GetParameters")),
        "GetParametersByPath": read(parameters.get_parameters_by_path, on=path),
        "LabelParameterVersion": write(parameters.label_parameter_version, on=parameter),
        "ListTagsForResource": read(tagging.list_tags_for_resource, on=tagged),
        "PutParameter": write(parameters.put_parameter, on=parameter),
        "RemoveTagsFromResource": write(tagging.remove_tags_from_resource, on=tagged),
        "UnlabelParameterVersion": write(parameters.unlabel_parameter_version, on=parameter),
    },
    resource_types=[resources.PARAMETER],
)
