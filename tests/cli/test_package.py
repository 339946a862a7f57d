"""Packaging: local code and files go to a bucket, the same for the same content."""

from __future__ import annotations

import io
import json
import os
import zipfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skyfold.cli.package import NotFound, load_template, packaged, zipped


class Bucket:
    """What was uploaded, by key, and what was said meanwhile."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.notes: list[str] = []

    def package(self, folder: Path, template: str) -> dict[str, Any]:
        (folder / "template.yaml").write_text(template)
        path = folder / "template.yaml"
        return packaged(path, "bucket", self.files.__setitem__, self.notes.append)

    def names(self, key: str) -> list[str]:
        return zipfile.ZipFile(io.BytesIO(self.files[key])).namelist()


@pytest.fixture
def bucket() -> Bucket:
    return Bucket()


def code_in(folder: Path, text: str = "pass\n") -> Path:
    folder.mkdir(parents=True)
    (folder / "app.py").write_text(text)
    return folder


# --- zips -------------------------------------------------------------------------------------


def test_a_zip_depends_on_content_alone(tmp_path: Path) -> None:
    first, second = code_in(tmp_path / "one"), code_in(tmp_path / "two")
    os.utime(second / "app.py", (1_000_000_000, 1_000_000_000))
    (second / "__pycache__").mkdir()
    (second / "__pycache__" / "app.cpython-311.pyc").write_bytes(b"compiled")
    assert zipped(first) == zipped(second)

    (second / "app.py").write_text("changed\n")

    assert zipped(first) != zipped(second)


def test_a_zip_keeps_folders_and_who_may_run_a_file(tmp_path: Path) -> None:
    code = code_in(tmp_path / "code")
    (code / "bin").mkdir()
    (code / "bin" / "tool").write_text("#!/bin/sh\n")
    (code / "bin" / "tool").chmod(0o755)
    archive = zipfile.ZipFile(io.BytesIO(zipped(code)))
    modes = {entry.filename: entry.external_attr >> 16 for entry in archive.infolist()}
    assert modes == {"app.py": 0o644, "bin/tool": 0o755}


def test_a_single_file_is_zipped_and_a_zip_stays_as_it_is(tmp_path: Path) -> None:
    code = code_in(tmp_path / "code")
    archive = zipfile.ZipFile(io.BytesIO(zipped(code / "app.py")))
    ready = tmp_path / "ready.zip"
    ready.write_bytes(b"anything")
    assert archive.namelist() == ["app.py"]
    assert zipped(ready) == b"anything"


def test_requirements_are_installed_beside_the_code(tmp_path: Path) -> None:
    package = tmp_path / "tinypackage"
    code_in(package / "tinypackage").joinpath("__init__.py").write_text("answer = 42\n")
    (package / "pyproject.toml").write_text(
        '[build-system]\nrequires = []\nbuild-backend = "build"\nbackend-path = ["."]\n'
        '[project]\nname = "tinypackage"\nversion = "1.0"\n'
    )
    (package / "build.py").write_text(BACKEND)
    code = code_in(tmp_path / "code")
    (code / "requirements.txt").write_text(f"tinypackage @ {package.as_uri()}\n")

    names = zipfile.ZipFile(io.BytesIO(zipped(code))).namelist()

    assert {"app.py", "requirements.txt", "tinypackage/__init__.py"} <= set(names)


BACKEND = '''"""The least that builds a wheel: nothing needs to be downloaded for it."""
import zipfile
def build_wheel(folder, config_settings=None, metadata_directory=None):
    name = "tinypackage-1.0-py3-none-any.whl"
    info = "tinypackage-1.0.dist-info/"
    with zipfile.ZipFile(f"{folder}/{name}", "w") as wheel:
        wheel.write("tinypackage/__init__.py")
        text = "Metadata-Version: 2.1\\nName: tinypackage\\nVersion: 1.0\\n"
        wheel.writestr(info + "METADATA", text)
        text = "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n"
        wheel.writestr(info + "WHEEL", text)
        wheel.writestr(info + "RECORD", "")
    return name
'''


def test_requirements_that_cannot_be_installed_are_an_error_in_pips_words(tmp_path: Path) -> None:
    code = code_in(tmp_path / "code")
    (code / "requirements.txt").write_text(f"./no-such-folder-{os.getpid()}\n")
    with pytest.raises(NotFound, match=r"pip could not install .*requirements.txt"):
        zipped(code)


# --- templates --------------------------------------------------------------------------------


def test_short_tags_become_functions(tmp_path: Path) -> None:
    (tmp_path / "t.yaml").write_text(
        """
        Version: 2012-10-17
        A: !Ref Name
        B: !GetAtt Table.Arn
        C: !Sub ["${X}", {X: !Ref Y}]
        D: !If [IsProd, !Join ["-", [a, b]], !Ref "AWS::NoValue"]
        E: !GetAtt [Table, Arn]
        F: !Condition IsProd
        G: !ImportValue {"Fn::Sub": "${S}-out"}
        """
    )
    assert load_template(tmp_path / "t.yaml") == {
        "Version": "2012-10-17",
        "A": {"Ref": "Name"},
        "B": {"Fn::GetAtt": ["Table", "Arn"]},
        "C": {"Fn::Sub": ["${X}", {"X": {"Ref": "Y"}}]},
        "D": {
            "Fn::If": ["IsProd", {"Fn::Join": ["-", ["a", "b"]]}, {"Ref": "AWS::NoValue"}],
        },
        "E": {"Fn::GetAtt": ["Table", "Arn"]},
        "F": {"Condition": "IsProd"},
        "G": {"Fn::ImportValue": {"Fn::Sub": "${S}-out"}},
    }


PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.text(
        st.characters(min_codepoint=32, max_codepoint=0xD7FF, exclude_categories=["Cc", "Cs"])
    ),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.from_regex("[A-Za-z]{1,8}", fullmatch=True), inner, max_size=3)
    ),
    max_leaves=10,
)


@given(st.dictionaries(st.from_regex("[A-Za-z]{1,8}", fullmatch=True), PLAIN, max_size=4))
def test_a_json_template_is_read_as_json(template: dict[str, Any]) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "t.json")
        path.write_text(json.dumps(template))
        assert load_template(path) == template


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("[1, 2]", "holds no mapping"),
        ("", "holds no mapping"),
        ("a: [", "while parsing"),
        ('{"a": ', "while parsing"),
    ],
)
def test_what_is_no_template_is_refused(tmp_path: Path, text: str, wrong: str) -> None:
    (tmp_path / "t.yaml").write_text(text)
    with pytest.raises(NotFound, match=wrong):
        load_template(tmp_path / "t.yaml")


# --- addresses --------------------------------------------------------------------------------


def test_code_of_each_kind_gets_the_form_that_its_type_wants(
    tmp_path: Path, bucket: Bucket
) -> None:
    code_in(tmp_path / "code")
    template = bucket.package(
        tmp_path,
        """
        Resources:
          Sam: {Type: AWS::Serverless::Function, Properties: {CodeUri: code/}}
          Plain: {Type: AWS::Lambda::Function, Properties: {Code: code}}
          Layer: {Type: AWS::Lambda::LayerVersion, Properties: {Content: code}}
        """,
    )
    (key,) = bucket.files
    resources = template["Resources"]
    assert resources["Sam"]["Properties"]["CodeUri"] == f"s3://bucket/{key}"
    assert resources["Plain"]["Properties"]["Code"] == {"S3Bucket": "bucket", "S3Key": key}
    assert resources["Layer"]["Properties"]["Content"] == {"S3Bucket": "bucket", "S3Key": key}
    assert bucket.names(key) == ["app.py"]
    assert [note.split(":")[0] for note in bucket.notes] == ["Sam", "Plain", "Layer"]


def test_code_for_all_functions_is_uploaded_once(tmp_path: Path, bucket: Bucket) -> None:
    code_in(tmp_path / "code")
    template = bucket.package(
        tmp_path,
        """
        Globals: {Function: {CodeUri: code}}
        Resources: {F: {Type: AWS::Serverless::Function, Properties: {Handler: app.handler}}}
        """,
    )
    (key,) = bucket.files
    assert template["Globals"]["Function"]["CodeUri"] == f"s3://bucket/{key}"
    assert "CodeUri" not in template["Resources"]["F"]["Properties"]


def test_a_nested_template_is_packaged_with_its_own_paths(tmp_path: Path, bucket: Bucket) -> None:
    code_in(tmp_path / "inner" / "code")
    (tmp_path / "inner" / "child.yaml").write_text(
        "Resources: {F: {Type: 'AWS::Serverless::Function', Properties: {CodeUri: code}}}"
    )
    template = bucket.package(
        tmp_path,
        """
        Resources:
          Child: {Type: AWS::CloudFormation::Stack, Properties: {TemplateURL: inner/child.yaml}}
        """,
    )
    url = template["Resources"]["Child"]["Properties"]["TemplateURL"]
    assert url.startswith("https://s3.amazonaws.com/bucket/")
    child = json.loads(bucket.files[url.rpartition("/")[2]])
    assert child["Resources"]["F"]["Properties"]["CodeUri"].removeprefix("s3://bucket/") in (
        bucket.files
    )


@pytest.mark.parametrize(
    "code",
    ["s3://elsewhere/code.zip", "{Bucket: b, Key: k}", "!Ref Parameter"],
)
def test_what_is_remote_already_stays(tmp_path: Path, bucket: Bucket, code: str) -> None:
    text = (
        f"Resources: {{F: {{Type: 'AWS::Serverless::Function', Properties: {{CodeUri: {code}}}}}}}"
    )
    (tmp_path / "same.yaml").write_text(text)
    assert bucket.package(tmp_path, text) == load_template(tmp_path / "same.yaml")
    assert bucket.files == {}


def test_inline_code_stays(tmp_path: Path, bucket: Bucket) -> None:
    text = "Resources: {F: {Type: 'AWS::Lambda::Function', Properties: {Code: {ZipFile: 'x'}}}}"
    template = bucket.package(tmp_path, text)
    assert template["Resources"]["F"]["Properties"]["Code"] == {"ZipFile": "x"}


def test_a_path_that_is_not_there_is_named(tmp_path: Path, bucket: Bucket) -> None:
    text = "Resources: {F: {Type: 'AWS::Serverless::Function', Properties: {CodeUri: gone}}}"
    with pytest.raises(NotFound, match=r"/gone, which does not exist"):
        bucket.package(tmp_path, text)
