"""What Parameter Store keeps.

The current version of a parameter is a row under its name, so that a path is a range; every
version, the current one included, is a row under name and version. A SecureString is sealed with
a key of its account and region, made when first needed.
"""

from __future__ import annotations

import msgspec

from skyfold.store.tables import Table


class Parameter(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    account: str
    region: str
    name: str
    version: int
    type: str
    value: bytes
    """Text as UTF-8, or sealed for a SecureString."""
    modified_at: int
    modified_by: str
    tier: str
    data_type: str = "text"
    description: str = ""
    pattern: str = ""
    key_id: str = ""

    @property
    def arn(self) -> str:
        slash = "" if self.name.startswith("/") else "/"
        return f"arn:aws:ssm:{self.region}:{self.account}:parameter{slash}{self.name}"


class Label(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    account: str
    region: str
    name: str
    label: str
    version: int


class Key(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    account: str
    region: str
    secret: bytes


PARAMETERS = Table("ssm.parameters", Parameter, key=("account", "region", "name"))
VERSIONS = Table("ssm.versions", Parameter, key=("account", "region", "name", "version"))
LABELS = Table("ssm.labels", Label, key=("account", "region", "name", "label"))
KEYS = Table("ssm.keys", Key, key=("account", "region"))
