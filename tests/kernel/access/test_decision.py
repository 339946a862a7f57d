"""Who may do what: principals x policies, and the words of each refusal."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sortedcontainers import SortedDict

from skyfold.kernel.access.access import Access
from skyfold.kernel.access.context import RequestContext
from skyfold.kernel.access.decision import Applying, Effect, decide, effect
from skyfold.kernel.access.errors import AccessDenied
from skyfold.kernel.access.policy import compiled
from skyfold.kernel.access.tables import INLINE, USERS, InlineRow
from skyfold.kernel.principal import ANONYMOUS, Principal, root_of, service_principal
from skyfold.kernel.tags import put_tags
from skyfold.store.api import Tx
from skyfold.store.engines.memory import MemoryStore, MemoryTx
from tests.kernel.access.entities import allow, decided, deny, document, put_role, put_user
from tests.support.world import ACCOUNT, World

OTHER = "999999999999"
QUEUE = f"arn:aws:sqs:us-east-1:{ACCOUNT}:q"
SEND = "sqs:SendMessage"
TOPIC = f"arn:aws:sns:us-east-1:{ACCOUNT}:t"

ALLOWED = "allowed"
NO_IDENTITY = f"because no identity-based policy allows the {SEND} action"
NO_RESOURCE = f"because no resource-based policy allows the {SEND} action"
NO_BOUNDARY = f"because no permissions boundary allows the {SEND} action"
NO_SESSION = f"because no session policy allows the {SEND} action"
DENIED_IDENTITY = "with an explicit deny in an identity-based policy"
DENIED_RESOURCE = "with an explicit deny in a resource-based policy"
DENIED_BOUNDARY = "with an explicit deny in a permissions boundary"
DENIED_SESSION = "with an explicit deny in a session policy"

ALL = document(allow("*"))
NOTHING = document(allow("s3:GetObject"))
USER_ARN = f"arn:aws:iam::{ACCOUNT}:user/alice"
ROLE_ARN = f"arn:aws:iam::{ACCOUNT}:role/worker"
SESSION_ARN = f"arn:aws:sts::{ACCOUNT}:assumed-role/worker/session"


def to(principal: Any, **more: Any) -> dict[str, Any]:
    """A resource policy's statement that allows sending to ``principal``."""
    return {**allow(SEND, QUEUE), "Principal": principal, **more}


def no(principal: Any, **more: Any) -> dict[str, Any]:
    return {**deny(SEND, QUEUE), "Principal": principal, **more}


USERS_CASES = [
    # identity policies, boundary, resource policy, verdict
    ([], None, None, NO_IDENTITY),
    ([ALL], None, None, ALLOWED),
    ([document(allow(SEND, QUEUE))], None, None, ALLOWED),
    ([document(allow("SQS:sendmessage", QUEUE))], None, None, ALLOWED),
    ([document(allow("sqs:Send*", QUEUE))], None, None, ALLOWED),
    ([document(allow(SEND, QUEUE + "x"))], None, None, NO_IDENTITY),
    ([document(allow(SEND, QUEUE.upper()))], None, None, NO_IDENTITY),
    ([ALL, document(deny("sqs:*"))], None, None, DENIED_IDENTITY),
    ([NOTHING, document(allow(SEND))], None, None, ALLOWED),
    ([document({"Effect": "Allow", "NotAction": "iam:*", "Resource": "*"})], None, None, ALLOWED),
    (
        [document({"Effect": "Allow", "NotAction": "sqs:*", "Resource": "*"})],
        None,
        None,
        NO_IDENTITY,
    ),
    ([document({"Effect": "Allow", "Action": "*", "NotResource": QUEUE})], None, None, NO_IDENTITY),
    (
        [document({"Effect": "Allow", "Action": "*", "NotResource": "arn:aws:s3:::*"})],
        None,
        None,
        ALLOWED,
    ),
    ([ALL], NOTHING, None, NO_BOUNDARY),
    ([ALL], ALL, None, ALLOWED),
    ([], ALL, None, NO_IDENTITY),
    ([ALL], document(allow("*"), deny(SEND)), None, DENIED_BOUNDARY),
    # A resource policy that names the user lets it in by itself, whatever the boundary.
    ([], None, document(to({"AWS": USER_ARN})), ALLOWED),
    ([], NOTHING, document(to({"AWS": USER_ARN})), ALLOWED),
    ([], None, document(to("*")), ALLOWED),
    ([], None, document(to({"AWS": "*"})), ALLOWED),
    # Naming the account only hands the question to the account's own policies.
    ([], None, document(to({"AWS": ACCOUNT})), NO_IDENTITY),
    ([], None, document(to({"AWS": f"arn:aws:iam::{ACCOUNT}:root"})), NO_IDENTITY),
    ([ALL], None, document(to({"AWS": ACCOUNT})), ALLOWED),
    ([ALL], None, document(no("*")), DENIED_RESOURCE),
    ([ALL], None, document(no({"AWS": f"arn:aws:iam::{ACCOUNT}:user/bob"})), ALLOWED),
    ([ALL], None, document(no({"AWS": ACCOUNT})), DENIED_RESOURCE),
    ([], None, document(to({"AWS": f"arn:aws:iam::{ACCOUNT}:user/bob"})), NO_IDENTITY),
    ([], None, document(to({"Service": "sns.amazonaws.com"})), NO_IDENTITY),
]


@pytest.mark.parametrize(("identity", "boundary", "resource", "wanted"), USERS_CASES)
async def test_users(
    identity: list[str], boundary: str | None, resource: str | None, wanted: str
) -> None:
    world = World()

    async def arrange(tx: Tx) -> Principal:
        return await put_user(tx, "alice", *identity, boundary=boundary)

    alice = await world.platform.store.write(arrange)

    assert await decided(world, alice, SEND, QUEUE, resource) == wanted


ROLES_CASES = [
    # identity policies, boundary, session policies, resource policy, verdict
    ([ALL], None, (), None, ALLOWED),
    ([], None, (), None, NO_IDENTITY),
    ([ALL], None, (NOTHING,), None, NO_SESSION),
    ([ALL], None, (NOTHING, ALL), None, ALLOWED),
    ([], None, (ALL,), None, NO_IDENTITY),
    ([ALL], None, (document(allow("*"), deny(SEND)),), None, DENIED_SESSION),
    ([ALL], NOTHING, (), None, NO_BOUNDARY),
    # The role is named: boundaries and session policies still limit it.
    ([], None, (), document(to({"AWS": ROLE_ARN})), ALLOWED),
    ([], NOTHING, (), document(to({"AWS": ROLE_ARN})), NO_BOUNDARY),
    ([], None, (NOTHING,), document(to({"AWS": ROLE_ARN})), NO_SESSION),
    ([], None, (), document(to({"AWS": "AROAWORKER"})), ALLOWED),
    ([], None, (NOTHING,), document(to("*")), NO_SESSION),
    # The session is named: nothing limits it.
    ([], NOTHING, (NOTHING,), document(to({"AWS": SESSION_ARN})), ALLOWED),
    ([], None, (), document(to({"AWS": SESSION_ARN + "2"})), NO_IDENTITY),
    ([], None, (), document(to({"AWS": ACCOUNT})), NO_IDENTITY),
    ([ALL], None, (), document(no({"AWS": ROLE_ARN})), DENIED_RESOURCE),
]


@pytest.mark.parametrize(("identity", "boundary", "sessions", "resource", "wanted"), ROLES_CASES)
async def test_role_sessions(
    identity: list[str],
    boundary: str | None,
    sessions: tuple[str, ...],
    resource: str | None,
    wanted: str,
) -> None:
    world = World()

    async def arrange(tx: Tx) -> Principal:
        return await put_role(tx, "worker", *identity, boundary=boundary, sessions=sessions)

    session = await world.platform.store.write(arrange)

    assert await decided(world, session, SEND, QUEUE, resource) == wanted


@pytest.mark.parametrize(
    ("identity", "resource", "wanted"),
    [
        ([ALL], None, NO_RESOURCE),
        ([ALL], document(to({"AWS": OTHER})), ALLOWED),
        ([], document(to({"AWS": OTHER})), NO_IDENTITY),
        ([], document(to({"AWS": f"arn:aws:iam::{OTHER}:user/alice"})), NO_IDENTITY),
        ([ALL], document(to({"AWS": f"arn:aws:iam::{OTHER}:user/alice"})), ALLOWED),
        ([ALL], document(to({"AWS": ACCOUNT})), NO_RESOURCE),
        ([ALL], document(to("*"), no({"AWS": OTHER})), DENIED_RESOURCE),
        ([document(deny("*"))], document(to("*")), DENIED_IDENTITY),
    ],
)
async def test_another_account_needs_both_sides(
    identity: list[str], resource: str | None, wanted: str
) -> None:
    world = World()

    async def arrange(tx: Tx) -> Principal:
        return await put_user(tx, "alice", *identity, account=OTHER)

    alice = await world.platform.store.write(arrange)

    assert await decided(world, alice, SEND, QUEUE, resource) == wanted


@pytest.mark.parametrize(
    ("account", "resource", "wanted"),
    [
        (ACCOUNT, None, ALLOWED),
        (ACCOUNT, document(to({"AWS": OTHER})), ALLOWED),
        (ACCOUNT, document(no("*")), DENIED_RESOURCE),
        (OTHER, None, NO_RESOURCE),
        (OTHER, document(to({"AWS": OTHER})), ALLOWED),
    ],
)
async def test_root(account: str, resource: str | None, wanted: str) -> None:
    assert await decided(World(), root_of(account), SEND, QUEUE, resource) == wanted


FROM_TOPIC = {"ArnLike": {"aws:SourceArn": f"arn:aws:sns:*:{ACCOUNT}:t"}}
FROM_ACCOUNT = {"StringEquals": {"aws:SourceAccount": ACCOUNT}}
SNS = {"Service": "sns.amazonaws.com"}


@pytest.mark.parametrize(
    ("resource", "wanted"),
    [
        (None, NO_RESOURCE),
        (document(to(SNS)), ALLOWED),
        (document(to({"Service": ["s3.amazonaws.com", "sns.amazonaws.com"]})), ALLOWED),
        (document(to({"Service": "s3.amazonaws.com"})), NO_RESOURCE),
        (document(to(SNS, Condition=FROM_TOPIC)), ALLOWED),
        (document(to("*", Condition=FROM_TOPIC)), ALLOWED),
        (document(to(SNS, Condition={"ArnEquals": {"aws:SourceArn": TOPIC + "x"}})), NO_RESOURCE),
        (document(to(SNS, Condition=FROM_ACCOUNT)), ALLOWED),
        (document(to(SNS, Condition={"StringEquals": {"aws:SourceAccount": OTHER}})), NO_RESOURCE),
        (document(to(SNS, Condition={"Bool": {"aws:PrincipalIsAWSService": "true"}})), ALLOWED),
        (document(to(SNS), no("*", Condition=FROM_TOPIC)), DENIED_RESOURCE),
        (document(to({"AWS": ACCOUNT})), NO_RESOURCE),
    ],
)
async def test_services_need_the_resource_s_policy(resource: str | None, wanted: str) -> None:
    sns = service_principal("sns.amazonaws.com", account=ACCOUNT, source_arn=TOPIC)

    assert await decided(World(), sns, SEND, QUEUE, resource) == wanted


@pytest.mark.parametrize(
    ("resource", "wanted"),
    [
        (None, "MissingAuthenticationToken"),
        (document(to({"AWS": ACCOUNT})), "AccessDenied"),
        (document(to("*")), ALLOWED),
        (document(to({"AWS": "*"})), ALLOWED),
        (document(to("*", Condition={"Null": {"aws:PrincipalArn": "true"}})), ALLOWED),
        (document(to("*"), no("*")), "AccessDenied"),
    ],
)
async def test_nobody_in_particular(resource: str | None, wanted: str) -> None:
    assert await decided(World(), ANONYMOUS, SEND, QUEUE, resource) == wanted


@pytest.mark.parametrize(
    ("listed", "wanted"),
    [
        ([ROLE_ARN, SESSION_ARN, ACCOUNT], ALLOWED),
        ([ROLE_ARN, ACCOUNT], DENIED_RESOURCE),
        ([SESSION_ARN, ROLE_ARN], DENIED_RESOURCE),
        ([f"arn:aws:iam::{ACCOUNT}:role/x", ACCOUNT], DENIED_RESOURCE),
    ],
)
async def test_not_principal_spares_only_whom_it_names_fully(
    listed: list[str], wanted: str
) -> None:
    world = World()

    async def arrange(tx: Tx) -> Principal:
        return await put_role(tx, "worker", ALL)

    session = await world.platform.store.write(arrange)
    policy = document({**deny(SEND, QUEUE), "NotPrincipal": {"AWS": listed}})

    assert await decided(world, session, SEND, QUEUE, policy) == wanted


async def test_a_refusal_names_the_caller_the_action_and_the_resource() -> None:
    world = World()

    async def arrange(tx: Tx) -> Principal:
        return await put_role(tx, "worker")

    session = await world.platform.store.write(arrange)
    call = world.call(session)

    with pytest.raises(AccessDenied) as refused:
        await world.platform.store.read(
            world.platform.access.authorize, call, SEND, QUEUE, {}, None
        )

    sentence = f"User: {SESSION_ARN} is not authorized to perform: {SEND} on resource: {QUEUE} "
    assert refused.value.text == sentence + NO_IDENTITY
    spoken = {
        ("dynamodb", "json"): ("AccessDeniedException", 400),
        ("lambda", "rest-json"): ("AccessDeniedException", 403),
        ("iam", "query"): ("AccessDenied", 403),
        ("sns", "query"): ("AuthorizationError", 403),
        ("sqs", "json"): ("AccessDenied", 403),
        ("s3", "rest-xml"): ("AccessDenied", 403),
    }
    for (service, protocol), wanted in spoken.items():
        said = refused.value.spoken(service, protocol)
        assert (said.code, said.status) == wanted
    assert "perform: sqs:sendmessage on" in refused.value.spoken("sqs", "json").text
    assert "perform: SNS:SendMessage on" in refused.value.spoken("sns", "query").text
    assert f'on resource: "{QUEUE}" because' in refused.value.spoken("s3", "rest-xml").text


async def test_changes_of_policies_are_effective_at_once() -> None:
    world = World()
    store = world.platform.store
    world.platform.access = Access(settling_s=0)
    alice = await store.write(put_user, "alice", ALL)
    assert await decided(world, alice, SEND, QUEUE) == ALLOWED

    async def change(tx: Tx, text: str) -> None:
        INLINE.put(tx, InlineRow(owner=alice.id, name="p0", document=text))

    await store.write(change, NOTHING)
    assert await decided(world, alice, SEND, QUEUE) == NO_IDENTITY
    await store.write(change, ALL)
    assert await decided(world, alice, SEND, QUEUE) == ALLOWED

    async def delete(tx: Tx) -> None:
        USERS.delete(tx, ACCOUNT, "alice")

    await store.write(delete)
    assert await decided(world, alice, SEND, QUEUE) == NO_IDENTITY


async def test_right_after_a_change_nothing_is_remembered() -> None:
    """On some engines a transaction that began before the change still sees what was before it."""
    world = World()
    store = world.platform.store
    assert isinstance(store, MemoryStore)
    alice = await store.write(put_user, "alice", NOTHING)
    began_before = MemoryTx(SortedDict(store._data))
    await store.write(put_user, "alice", ALL)

    with pytest.raises(AccessDenied):
        await world.platform.access.authorize(
            began_before, world.call(alice), SEND, QUEUE, {}, None
        )

    assert await decided(world, alice, SEND, QUEUE) == ALLOWED


async def test_a_namesake_of_a_deleted_role_is_another() -> None:
    world = World()
    old = await world.platform.store.write(put_role, "worker", ALL)
    forged = Principal(
        kind="role",
        account=ACCOUNT,
        arn=old.arn,
        id="AROAOLD:session",
        name="worker",
        session="session",
    )

    assert await decided(world, forged, SEND, QUEUE) == NO_IDENTITY


async def test_tags_of_the_principal_and_the_resource_decide() -> None:
    world = World()
    same_team = {"StringEquals": {"aws:ResourceTag/Team": "${aws:PrincipalTag/team}"}}
    alice = await world.platform.store.write(
        put_user, "alice", document(allow(SEND, Condition=same_team))
    )

    async def tag(tx: Tx, arn: str, team: str) -> None:
        put_tags(tx, arn, {"Team": team})

    assert await decided(world, alice, SEND, QUEUE) == NO_IDENTITY
    await world.platform.store.write(tag, alice.arn, "blue")
    await world.platform.store.write(tag, QUEUE, "red")
    assert await decided(world, alice, SEND, QUEUE) == NO_IDENTITY
    await world.platform.store.write(tag, QUEUE, "blue")
    assert await decided(world, alice, SEND, QUEUE) == ALLOWED
    await world.platform.store.write(tag, alice.arn, "green")
    assert await decided(world, alice, SEND, QUEUE) == NO_IDENTITY


# Properties

PATTERNS = st.lists(
    st.sampled_from(["*", "sqs:*", "sqs:Send*", "sqs:SendMessage", "s3:*", "sqs:?endMessage"]),
    min_size=1,
    max_size=3,
)
RESOURCES = st.lists(
    st.sampled_from(["*", QUEUE, QUEUE[:-1] + "?", "arn:aws:sqs:*", "arn:aws:s3:::b"]),
    min_size=1,
    max_size=2,
)
STATEMENTS = st.builds(
    lambda effect, action, resource: {"Effect": effect, "Action": action, "Resource": resource},
    st.sampled_from(["Allow", "Deny"]),
    PATTERNS,
    RESOURCES,
)
DOCUMENTS = st.lists(st.lists(STATEMENTS, min_size=1, max_size=3), max_size=3)
ALICE = Principal(kind="user", account=ACCOUNT, arn=USER_ARN, id="AIDA", name="alice")


def verdict(
    identity: list[list[dict[str, Any]]],
    resource: list[dict[str, Any]] | None = None,
    boundary: list[list[dict[str, Any]]] | None = None,
) -> bool:
    policies = Applying(
        identity=[compiled(document(*statements)) for statements in identity],
        resource=compiled(document(*resource)) if resource else None,
        boundary=None if boundary is None else [compiled(document(*s)) for s in boundary],
    )
    return decide(policies, RequestContext(None, ALICE, SEND, QUEUE, {})).allowed


@settings(max_examples=150, deadline=None)
@given(DOCUMENTS, st.lists(STATEMENTS, max_size=2), st.sampled_from(["identity", "resource"]))
def test_an_explicit_deny_always_wins(
    identity: list[list[dict[str, Any]]], resource: list[dict[str, Any]], where: str
) -> None:
    named = [{**statement, "Principal": "*"} for statement in resource]
    denying = deny(SEND, QUEUE)
    if where == "identity":
        identity = [*identity, [denying]]
    else:
        named = [*named, {**denying, "Principal": "*"}]

    assert verdict(identity, named) is False


@settings(max_examples=150, deadline=None)
@given(DOCUMENTS, STATEMENTS)
def test_adding_an_allow_never_takes_a_permission_away(
    identity: list[list[dict[str, Any]]], statement: dict[str, Any]
) -> None:
    before = verdict(identity)

    after = verdict([*identity, [{**statement, "Effect": "Allow"}]])

    assert after or not before


@settings(max_examples=150, deadline=None)
@given(DOCUMENTS, DOCUMENTS)
def test_a_boundary_only_takes_away(
    identity: list[list[dict[str, Any]]], boundary: list[list[dict[str, Any]]]
) -> None:
    assert verdict(identity, boundary=boundary) <= verdict(identity)


@settings(max_examples=100, deadline=None)
@given(st.permutations([*range(4)]), st.lists(STATEMENTS, min_size=4, max_size=4))
def test_the_order_of_statements_says_nothing(
    order: list[int], statements: list[dict[str, Any]]
) -> None:
    context = RequestContext(None, ALICE, SEND, QUEUE, {})

    straight = effect([compiled(document(*statements))], context)
    shuffled = effect([compiled(document(*(statements[i] for i in order)))], context)

    assert straight == shuffled
    assert straight in {Effect.DENY, Effect.NONE, Effect.ALLOW}


async def test_a_resource_policy_that_names_nobody_lets_nobody_in() -> None:
    world = World()
    alice = await world.platform.store.write(put_user, "alice")

    assert await decided(world, alice, SEND, QUEUE, document(allow("*"))) == NO_IDENTITY
    assert await decided(world, ANONYMOUS, SEND, QUEUE, document(allow("*"))) == "AccessDenied"
