"""A bucket under random use, held against a dict of version lists."""

from __future__ import annotations

import asyncio
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from skyfold.base.errors import AwsError
from tests.services.s3.conftest import BUCKET, body_of
from tests.services.s3.test_listing import entries, expected
from tests.support.world import World

KEYS = st.sampled_from(["a/b", "a/", "é"])
BODIES = st.sampled_from([b"", b"one", b"two", b"large" * 20_000])
Version = tuple[str, bytes | None]
"""A version id and a body, or None for a delete marker."""


class BucketModel(RuleBasedStateMachine):
    """Newest first, ``self.versions[key]`` is what the bucket ought to have of a key."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.world = World()
        self.versions: dict[str, list[Version]] = {}
        self.versioning = ""
        self.s3("CreateBucket", Bucket=BUCKET)

    def teardown(self) -> None:
        self.runner.close()

    def s3(self, operation: str, **request: Any) -> dict[str, Any]:
        return self.runner.run(self.world.s3(operation, **request))

    def get(self, **request: Any) -> bytes | str:
        async def got() -> bytes:
            return await body_of(await self.world.s3("GetObject", Bucket=BUCKET, **request))

        try:
            return self.runner.run(got())
        except AwsError as error:
            return error.code

    def _written(self, key: str, version_id: str, body: bytes | None) -> None:
        chain = self.versions.setdefault(key, [])
        if version_id == "null":
            chain[:] = [version for version in chain if version[0] != "null"]
        chain.insert(0, (version_id, body))

    @property
    def current(self) -> dict[str, bytes]:
        heads = {key: chain[0][1] for key, chain in self.versions.items() if chain}
        return {key: body for key, body in heads.items() if body is not None}

    # What may be done

    @rule(key=KEYS, body=BODIES)
    def put(self, key: str, body: bytes) -> None:
        put = self.s3("PutObject", Bucket=BUCKET, Key=key, Body=body)

        assert ("VersionId" in put) == (self.versioning == "Enabled")
        self._written(key, put.get("VersionId", "null"), body)

    @precondition(lambda self: self.current)
    @rule(data=st.data(), to=KEYS)
    def copy(self, data: st.DataObject, to: str) -> None:
        key = data.draw(st.sampled_from(sorted(self.current)))
        body = self.current[key]
        copied = self.s3(
            "CopyObject",
            Bucket=BUCKET,
            Key=to,
            CopySource=f"{BUCKET}/{key}",
            MetadataDirective="REPLACE",
        )
        self._written(to, copied.get("VersionId", "null"), body)

    @rule(key=KEYS)
    def delete(self, key: str) -> None:
        deleted = self.s3("DeleteObject", Bucket=BUCKET, Key=key)

        if self.versioning:
            assert deleted["DeleteMarker"]
            self._written(key, deleted["VersionId"], None)
        else:
            assert deleted == {}
            self.versions.pop(key, None)

    @precondition(lambda self: any(self.versions.values()))
    @rule(data=st.data())
    def delete_version(self, data: st.DataObject) -> None:
        key = data.draw(st.sampled_from(sorted(k for k, chain in self.versions.items() if chain)))
        version = data.draw(st.sampled_from(self.versions[key]))
        deleted = self.s3("DeleteObject", Bucket=BUCKET, Key=key, VersionId=version[0])

        assert deleted.get("DeleteMarker", False) == (version[1] is None)
        self.versions[key].remove(version)

    @rule(status=st.sampled_from(["Enabled", "Suspended"]))
    def set_versioning(self, status: str) -> None:
        configuration = {"Status": status}
        self.s3("PutBucketVersioning", Bucket=BUCKET, VersioningConfiguration=configuration)
        self.versioning = status

    @rule(seconds=st.integers(0, 3))
    def wait(self, seconds: int) -> None:
        self.world.clock.advance(seconds)

    # What always holds

    @invariant()
    def every_key_reads_as_its_latest_version(self) -> None:
        for key in ("a/b", "a/", "é"):
            assert self.get(Key=key) == self.current.get(key, "NoSuchKey")

    @invariant()
    def every_version_can_be_read(self) -> None:
        for key, chain in self.versions.items():
            for version_id, body in chain:
                found = self.get(Key=key, VersionId=version_id)
                assert found == ("MethodNotAllowed" if body is None else body)

    @invariant()
    def listings_show_the_current_objects(self) -> None:
        keys = set(self.current)
        for prefix, delimiter in (("", ""), ("a/", ""), ("", "/"), ("a", "/")):
            page = self.s3("ListObjectsV2", Bucket=BUCKET, Prefix=prefix, Delimiter=delimiter)
            assert entries(page) == expected(keys, prefix, delimiter)
            sizes = {one["Key"]: one["Size"] for one in page.get("Contents", [])}
            assert all(size == len(self.current[key]) for key, size in sizes.items())

    @invariant()
    def the_version_listing_shows_all_in_pages(self) -> None:
        found: list[tuple[str, str, bool, bool]] = []
        markers: dict[str, str] = {}
        while True:
            page = self.s3("ListObjectVersions", Bucket=BUCKET, MaxKeys=3, **markers)
            shown = [(one, False) for one in page.get("Versions", [])]
            shown += [(one, True) for one in page.get("DeleteMarkers", [])]
            found += [
                (one["Key"], one["VersionId"], one["IsLatest"], marker) for one, marker in shown
            ]
            if not page["IsTruncated"]:
                break
            markers = {
                "KeyMarker": page["NextKeyMarker"],
                "VersionIdMarker": page["NextVersionIdMarker"],
            }
        wanted = [
            (key, version_id, at == 0, body is None)
            for key, chain in self.versions.items()
            for at, (version_id, body) in enumerate(chain)
        ]
        assert sorted(found) == sorted(wanted)

    @invariant()
    def blobs_are_held_for_large_versions_alone(self) -> None:
        from skyfold.store.blobs import HELD

        async def held(tx: Any) -> int:
            return len(await HELD.scan(tx, limit=10_000))

        large = sum(
            body is not None and len(body) > 65_536
            for chain in self.versions.values()
            for _, body in chain
        )
        assert self.runner.run(self.world.platform.store.read(held)) == large


TestBucketModel = BucketModel.TestCase
# 60 runs find, say, a null version that is not replaced when versioning is suspended.
TestBucketModel.settings = settings(
    max_examples=40, stateful_step_count=30, deadline=None, derandomize=True
)
