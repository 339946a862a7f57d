"""Who asks, and whether they may: signatures and decisions, behind one object."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from skyfold.base.clock import stopwatch
from skyfold.base.ids import Ids
from skyfold.base.settings import DEFAULT_ACCOUNT, Settings
from skyfold.kernel.access import credentials, sessions, sigv2, sigv4
from skyfold.kernel.access.context import RequestContext, account_of
from skyfold.kernel.access.credentials import Credential
from skyfold.kernel.access.decision import Applying, Verdict, decide
from skyfold.kernel.access.errors import (
    AccessDenied,
    InvalidClientTokenId,
    InvalidRequest,
    MissingAuthenticationToken,
    WrongScope,
)
from skyfold.kernel.access.policy import Document, compiled
from skyfold.kernel.access.rights import Rights, entity_id, rights_of
from skyfold.kernel.access.sessions import Credentials
from skyfold.kernel.access.sigv4 import ChunkVerifier, Claim, Scope
from skyfold.kernel.access.tables import IDENTITY, KEY_USES, KEYS, USERS, KeyRow, KeyUseRow
from skyfold.kernel.http import HttpRequest
from skyfold.kernel.principal import ANONYMOUS, Principal, service_principal
from skyfold.kernel.tags import TAGS, tags_of
from skyfold.store.api import Pair, ReadTx, Store, Tx
from skyfold.store.keys import pack

CACHED_MAX = 10_000
"""Entries of each cache; one that is full is emptied, and what is needed is read again."""
SETTLING_S = 2.0
"""After a change nothing is cached for this long, which no transaction outlives: on an engine where
transactions run side by side, one that began before the change still sees what was before it."""
USE_NOTED_MS = 60_000
"""The use of a key is noted once in this time."""
_IAM_TAGS = TAGS.prefix() + pack("arn:aws:iam::")[:-1]


class Authenticated(NamedTuple):
    """A request whose signature is right, or that is not signed at all."""

    principal: Principal
    access_key: str = ""
    region: str = ""
    """The region and the service of the credential scope; empty where nothing is signed."""
    service: str = ""
    chunks: ChunkVerifier | None = None
    """For bodies whose chunks are signed: hand it to the decoder."""
    body_sha256: str = ""
    """What the hash of a streamed body must turn out to be; see ``sigv4.check_body``."""


UNSIGNED = Authenticated(ANONYMOUS)


class Access:
    """Signatures and decisions. One object serves one store."""

    def __init__(
        self,
        *,
        account: str = DEFAULT_ACCOUNT,
        seeded_keys: bool = True,
        settling_s: float = SETTLING_S,
    ) -> None:
        self._account, self._seeded = account, seeded_keys
        self._settling_s, self._settled_at = settling_s, 0.0
        self._store: Store | None = None
        self._credentials: dict[str, Credential] = {}
        self._rights: dict[tuple[str, str, str, str], Rights] = {}
        self._used: dict[str, int] = {}
        self._unwritten: dict[str, KeyUseRow] = {}
        self._root, self._none = Rights((), all_allowed=True), Rights(())

    async def seed(self, tx: Tx, settings: Settings, ids: Ids, now: int) -> KeyRow | None:
        """Run once when the platform starts. Returns a root key that was made just now, if any."""
        self._account, self._seeded = settings.account, settings.seeded_keys
        return await credentials.seed(tx, settings, ids, now)

    # Who asks

    async def authenticate(
        self,
        store: Store,
        request: HttpRequest,
        now: int,
        *,
        service: str = "",
        region: str = "",
        platform_now: int | None = None,
    ) -> Authenticated:
        """Check the signature. Raises an AccessError; say it with its ``spoken``.

        ``now`` is the time of the wall, by which clients sign; ``platform_now`` the cloud's own,
        by which temporary credentials end, where that is another. ``service`` is the signing name
        of the service asked and ``region`` the region that the host names, each where the gateway
        knows it. A streamed body is read whole where the signature covers it (all but S3).
        """
        claim = sigv4.claimed(request, now, service)
        if claim is None:
            if request.query and sigv2.is_presigned(request.query):
                return await self._version_two(store, request, now, service, platform_now)
            return UNSIGNED
        scope = claim.scope
        _check_scope(claim, service, region)
        credential = await self._credential(store, scope.access_key)
        at = now if platform_now is None else platform_now
        credentials.check_token(credential, claim.token, scope.access_key, at)
        if request.stream is not None and not claim.s3:
            request.body, request.stream = await request.stream.read(), None
        sigv4.verify(request, claim, credential.secret)
        if not credential.seeded:
            self._note_use(credential.principal, at, scope)
        return Authenticated(
            credential.principal,
            scope.access_key,
            scope.region,
            scope.service,
            sigv4.chunk_verifier(request, claim, credential.secret),
            sigv4.body_hash(request, claim),
        )

    async def _version_two(
        self,
        store: Store,
        request: HttpRequest,
        now: int,
        service: str,
        platform_now: int | None,
    ) -> Authenticated:
        """A presigned URL of signature version 2: S3 takes it, nobody else does."""
        if service and service not in sigv4.S3_NAMES:
            raise InvalidRequest
        claim = sigv2.claimed(request, now)
        credential = await self._credential(store, claim.access_key)
        at = now if platform_now is None else platform_now
        credentials.check_token(credential, claim.token, claim.access_key, at)
        sigv2.verify(request, claim, credential.secret)
        return Authenticated(credential.principal, claim.access_key, service="s3")

    def _note_use(self, principal: Principal, now: int, scope: Scope) -> None:
        """For GetAccessKeyLastUsed and RoleLastUsed; written with a group commit."""
        if principal.kind == "role":
            used = entity_id(principal)
        elif principal.issued_at:
            return
        else:
            used = principal.access_key
        last = self._used.get(used)
        if last is None or now - last >= USE_NOTED_MS:
            _remember(self._used, used, now)
            self._unwritten[used] = KeyUseRow(
                id=used, used_at=now, region=scope.region, service=scope.service
            )

    def _take_uses(self) -> list[Pair]:
        taken, self._unwritten = self._unwritten, {}
        encode = msgspec.msgpack.encode
        return [(KEY_USES.key_of(row), encode(row)) for row in taken.values()]

    async def _credential(self, store: Store, key_id: str) -> Credential:
        if store is not self._store:
            self._bind(store)
        found = self._credentials.get(key_id)
        if found is None:
            found = await store.read(_find, key_id, self._account, self._seeded)
            if found is None:
                raise InvalidClientTokenId(AWSAccessKeyId=key_id)
            if self._is_settled():
                _remember(self._credentials, key_id, found)
        return found

    # Whether they may

    async def authorize(
        self,
        tx: ReadTx,
        call: Call,
        action: str,
        resource: str,
        context: Mapping[str, Any],
        resource_policy: str | None,
    ) -> None:
        """Raise AccessDenied unless ``call.principal`` may do ``action`` on ``resource``."""
        principal = call.principal
        owner = account_of(resource, call.account)
        if (
            resource_policy is None
            and principal.kind == "root"
            and principal.account == owner
            and not principal.session_policies
        ):
            return
        rights = await self._rights_of(tx, call, principal)
        key = (action, resource, owner, resource_policy, principal)
        verdict = rights.decisions.get(key)
        if verdict is None:
            verdict, lasting = await _decided(
                tx,
                call,
                rights,
                RequestContext(call, principal, action, resource, context),
                compiled(resource_policy) if resource_policy else None,
                principal.account == owner,
            )
            if lasting:
                _remember(rights.decisions, key, verdict)
        if not verdict.allowed:
            raise _refusal(principal, action, resource, verdict, resource_policy)

    async def assume(
        self,
        tx: Tx,
        call: Call,
        role_arn: str,
        session_name: str,
        duration_s: int = 3600,
        *,
        service_principal: str = "",
        source_arn: str = "",
    ) -> Credentials:
        """Credentials for a session of a role; see ``sessions.assume``."""
        return await sessions.assume(
            tx,
            call,
            role_arn,
            session_name,
            duration_s,
            service_principal_name=service_principal,
            source_arn=source_arn,
        )

    async def check_assumable(self, tx: ReadTx, call: Call, role_arn: str, service: str) -> None:
        """Raise AccessDenied unless the role is there and trusts ``service``."""
        asking = call.acting_as(service_principal(service, account=call.account))
        await sessions.trusted_role(tx, asking, role_arn, "check", sessions.SessionOptions())

    async def _rights_of(self, tx: ReadTx, call: Call, principal: Principal) -> Rights:
        if call.platform.store is not self._store:
            self._bind(call.platform.store)
        if principal.kind == "root":
            return self._root
        if principal.kind in {"service", "anonymous"}:
            return self._none
        key = (principal.kind, principal.account, principal.name, entity_id(principal))
        found = self._rights.get(key)
        if found is None:
            found = await rights_of(tx, principal)
            if self._is_settled():
                _remember(self._rights, key, found)
        return found

    def _bind(self, store: Store) -> None:
        """Listen for changes of what is cached."""
        self._store = store
        self._forget_credentials()
        self._forget_rights()
        store.at_flush(self._take_uses)
        store.on_commit(KEYS.prefix(), self._forget_credentials)
        # A renamed or deleted user changes whose key a key is.
        store.on_commit(USERS.prefix(), self._forget_credentials)
        store.on_commit(IDENTITY, self._forget_rights)
        store.on_commit(_IAM_TAGS, self._forget_rights)

    def _forget_credentials(self) -> None:
        self._credentials.clear()
        self._settled_at = stopwatch() + self._settling_s

    def _forget_rights(self) -> None:
        self._rights.clear()
        self._settled_at = stopwatch() + self._settling_s

    def _is_settled(self) -> bool:
        return stopwatch() >= self._settled_at


async def _find(tx: ReadTx, key_id: str, account: str, seeded: bool) -> Credential | None:
    return await credentials.find(tx, key_id, account=account, seeded=seeded)


def _check_scope(claim: Claim, service: str, region: str) -> None:
    scope = claim.scope
    if region and scope.region != region:
        raise WrongScope(
            "Credential should be scoped to a valid region. ",
            s3_message=f"The authorization header is malformed; the region '{scope.region}' is "
            f"wrong; expecting '{region}'",
            Region=region,
        )
    if service and scope.service != service and not (claim.s3 and scope.service in sigv4.S3_NAMES):
        raise WrongScope(
            f"Credential should be scoped to correct service: '{service}'. ",
            s3_message="The authorization header is malformed; incorrect service "
            f'"{scope.service}". This endpoint belongs to "{service}".',
        )


async def _decided(
    tx: ReadTx,
    call: Call,
    rights: Rights,
    context: RequestContext,
    resource: Document | None,
    same_account: bool,
) -> tuple[Verdict, bool]:
    """The verdict, and whether it is the same for every such request."""
    principal = context.principal
    sessions = None
    if principal.session_policies:
        sessions = tuple(compiled(text) for text in principal.session_policies)
    context.principal_tags = {**rights.tags, **dict(principal.tags)}
    documents = (*(sessions or ()), *([resource] if resource else ()))
    if rights.asks_resource_tags or any(d.asks_resource_tags for d in documents):
        context.resource_tags = await tags_of(tx, context.resource)
        context.asked = True
    policies = Applying(
        identity=rights.documents,
        boundary=rights.boundary,
        sessions=sessions,
        resource=resource,
        all_allowed=rights.all_allowed,
        same_account=same_account,
    )
    return decide(policies, context), not context.asked


def _remember(cache: dict[Any, Any], key: Any, value: Any) -> None:
    if len(cache) >= CACHED_MAX:
        cache.clear()
    cache[key] = value


def _refusal(
    principal: Principal, action: str, resource: str, verdict: Verdict, policy: str | None
) -> Exception:
    if principal.kind == "anonymous":
        return MissingAuthenticationToken() if policy is None else AccessDenied()
    return AccessDenied(
        caller=principal.caller_arn, action=action, resource=resource, why=verdict.why
    )


if TYPE_CHECKING:
    from skyfold.kernel.call import Call
