"""Tags of objects and buckets: their forms, and what makes them invalid."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any
from urllib.parse import parse_qsl

from skyfold.services.s3.errors import BadRequest, InvalidArgument, InvalidTag, MalformedXML
from skyfold.services.s3.limits import (
    BUCKET_TAGS_MAX,
    OBJECT_TAGS_MAX,
    TAG_KEY_CHARS_MAX,
    TAG_VALUE_CHARS_MAX,
)

Tags = tuple[tuple[str, str], ...]
_TEXT = re.compile(r"[\w\s_.:/=+\-@]*", re.UNICODE)
_HEADER = (
    "The header 'x-amz-tagging' shall be encoded as UTF-8 then URLEncoded URL query parameters"
    " without tag name duplicates."
)


@lru_cache(maxsize=1024)
def from_header(text: str) -> Tags:
    """The tags in an x-amz-tagging header, by key."""
    pairs = parse_qsl(text, keep_blank_values=True)
    if len({key for key, _ in pairs}) != len(pairs):
        raise InvalidArgument(_HEADER, ArgumentName="x-amz-tagging", ArgumentValue=text)
    return _checked(pairs, OBJECT_TAGS_MAX, "Object")


SYSTEM = "aws:"
"""Tags that begin so are set by services (CloudFormation) and stay until the bucket goes."""


def from_tag_set(
    tagging: Mapping[str, Any], *, of_bucket: bool = False, system: bool = False
) -> Tags:
    """The tags in a Tagging element, by key; with ``system`` a service's own tags too."""
    tag_set = tagging.get("TagSet")
    if tag_set is None:
        raise MalformedXML
    pairs = [(tag["Key"], tag["Value"]) for tag in tag_set]
    limit = BUCKET_TAGS_MAX if of_bucket else OBJECT_TAGS_MAX
    kind = "Bucket" if of_bucket else "Object"
    return _checked(pairs, limit, kind, system=system)


def to_tag_set(tags: Iterable[tuple[str, str]]) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in tags]


def _checked(pairs: list[tuple[str, str]], limit: int, kind: str, *, system: bool = False) -> Tags:
    if len(pairs) > limit:
        raise BadRequest(f"{kind} tags cannot be greater than {limit}")
    seen = set()
    for key, value in pairs:
        if key in seen:
            raise InvalidTag("Cannot provide multiple Tags with the same key", TagKey=key)
        seen.add(key)
        if key.lower().startswith(SYSTEM) and not system:
            raise InvalidTag("System tags cannot be added/updated by requester", TagKey=key)
        if not 1 <= len(key) <= TAG_KEY_CHARS_MAX or not _TEXT.fullmatch(key):
            raise InvalidTag("The TagKey you have provided is invalid", TagKey=key)
        if len(value) > TAG_VALUE_CHARS_MAX or not _TEXT.fullmatch(value):
            raise InvalidTag(
                "The TagValue you have provided is invalid", TagKey=key, TagValue=value
            )
    return tuple(sorted(pairs))
