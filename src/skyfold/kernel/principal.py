"""Who is asking."""

from __future__ import annotations

from typing import Literal

import msgspec

Kind = Literal["root", "user", "role", "federated", "service", "anonymous"]


class Principal(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """An identity whose right to act has been proved, or nobody."""

    kind: Kind
    account: str
    """Twelve digits; of a service, the account on whose behalf it acts."""
    arn: str
    """As ``aws:PrincipalArn``: of a role session the role's ARN; of a service its name."""
    id: str = ""
    """As ``aws:userid``: AIDA..., the account for root, ``AROA...:session`` for a role session."""
    name: str = ""
    """User or role name, without its path."""
    session: str = ""
    """The session name of an assumed role or federated user."""
    access_key: str = ""
    session_policies: tuple[str, ...] = ()
    """Policy documents that limit this session."""
    tags: tuple[tuple[str, str], ...] = ()
    """Principal and session tags: ``aws:PrincipalTag/...``."""
    issued_at: int = 0
    """When a temporary credential was issued, ms."""
    mfa_at: int = 0
    source_identity: str = ""
    source_arn: str = ""
    """For services: the resource on whose behalf they act (``aws:SourceArn``)."""

    @property
    def caller_arn(self) -> str:
        """The ARN that GetCallerIdentity and error messages show."""
        if self.kind == "role":
            return f"arn:aws:sts::{self.account}:assumed-role/{self.name}/{self.session}"
        return self.arn


def root_of(account: str) -> Principal:
    return Principal(
        kind="root", account=account, arn=f"arn:aws:iam::{account}:root", id=account, name="root"
    )


def service_principal(name: str, *, account: str, source_arn: str = "") -> Principal:
    """``name`` as in policies: ``sns.amazonaws.com``."""
    return Principal(kind="service", account=account, arn=name, name=name, source_arn=source_arn)


ANONYMOUS = Principal(kind="anonymous", account="", arn="", id="anonymous", name="anonymous")
