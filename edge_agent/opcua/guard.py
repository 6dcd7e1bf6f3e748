"""What a client may do and take, from its first byte on: the library with a bound on all that a client decides.

The library checks the certificate that a client names in its session, and a certificate is no secret. Here the one that
signed the secure channel has to be trusted, before a session is thought of. Over a channel without security a client
hears which endpoints there are, and nothing else.
"""

from __future__ import annotations

import asyncio
import hmac
from typing import TYPE_CHECKING, Any

import structlog
from asyncua import ua
from asyncua.common.connection import SecureConnection, TransportLimits
from asyncua.common.utils import ServiceError
from asyncua.crypto.permission_rules import PermissionRuleset, User, UserRole
from asyncua.crypto.security_policies import SecurityPolicyNone
from asyncua.server.binary_server_asyncio import BinaryServer, OPCUAProtocol
from asyncua.server.internal_server import InternalServer
from asyncua.server.internal_session import InternalSession
from asyncua.server.uaprocessor import UaProcessor
from asyncua.ua.ua_binary import uatcp_to_binary

from drivers.timing import monotonic_s
from edge_agent.errors import ConfigError
from edge_agent.opcua.certificates import trusted_clients
from edge_agent.settings import read_password

if TYPE_CHECKING:
    from edge_agent.settings import OpcUaSettings

__all__ = [
    "CONNECTIONS_MAX",
    "LIMITS",
    "SUBSCRIPTIONS_MAX",
    "Gate",
    "GuardedBinary",
    "GuardedServer",
    "LinesAMinute",
    "ReadOnly",
]

log = structlog.get_logger(__name__)

CONNECTIONS_MAX, SESSIONS_MAX, SUBSCRIPTIONS_MAX = 32, 32, 64
_ITEMS_MAX, _ITEMS_AT_ONCE = 4000, 1000
_QUEUE_MAX, _UNACKNOWLEDGED_MAX, _PENDING_MAX = 200, 50, 100
_ACTIVATE_WITHIN_S = 10.0
_SESSION_MAX_MS = 120_000.0
_FASTEST_MS, _SLOWEST_MS = 100.0, 60_000.0
_LIFETIME_MAX, _KEEP_ALIVE_MAX = 1000, 300
_AFTER_WRONG_PASSWORD_S = 1.0
_MINUTE_S = 60.0
_CHUNK_BYTES, _MESSAGE_BYTES, _UNREAD_BYTES = 65_535, 2 << 20, 4 << 20
LIMITS = TransportLimits(
    max_recv_buffer=_CHUNK_BYTES,
    max_send_buffer=_CHUNK_BYTES,
    max_chunk_count=_MESSAGE_BYTES // _CHUNK_BYTES + 1,
    max_message_size=_MESSAGE_BYTES,
)
_BEGINNINGS = (b"HEL", b"OPN", b"MSG", b"CLO", b"ERR")
_OAEP = (
    "http://www.w3.org/2001/04/xmlenc#rsa-oaep",
    "http://opcfoundation.org/UA/security/rsa-oaep-sha2-256",
)


class LinesAMinute:
    """How much strangers may make us write into the log: enough to see that somebody is there."""

    def __init__(self, most: int = 20) -> None:
        self._most = most
        self._begun_mono_s, self._said = monotonic_s(), 0

    def take(self) -> bool:
        """Whether one more line may be written now."""
        if monotonic_s() - self._begun_mono_s > _MINUTE_S:
            self._begun_mono_s, self._said = monotonic_s(), 0
        self._said += 1
        return self._said <= self._most


_LINES = LinesAMinute()


def _warn(event: str, **words: str) -> None:
    if _LINES.take():
        log.warning(event, **words)


def _requests(*names: str) -> frozenset[Any]:
    return frozenset(ua.NodeId(getattr(ua.ObjectIds, f"{name}Request_Encoding_DefaultBinary")) for name in names)


_DISCOVERY = _requests("GetEndpoints", "FindServers", "CloseSecureChannel")
_SESSION = _requests("CreateSession", "ActivateSession", "CloseSession")
_READING = _requests(
    "Read",
    "Browse",
    "TranslateBrowsePathsToNodeIds",
    "RegisterNodes",
    "UnregisterNodes",
    "CreateSubscription",
    "ModifySubscription",
    "DeleteSubscriptions",
    "SetPublishingMode",
    "CreateMonitoredItems",
    "ModifyMonitoredItems",
    "DeleteMonitoredItems",
    "SetMonitoringMode",
    "Publish",
    "Republish",
)
(_CREATE_SESSION,) = _requests("CreateSession")
(_ACTIVATE_SESSION,) = _requests("ActivateSession")


class ReadOnly(PermissionRuleset):
    """Services that read. Write, Call, AddNodes and all others are denied to everybody: there are no other roles."""

    def check_validity(self, user: Any, action_type: Any, body: Any) -> bool:  # noqa: ARG002 - the library's call
        """Whether this service may be asked for."""
        return action_type in _READING or action_type in _DISCOVERY or action_type in _SESSION


class Gate:
    """Who may come in: by certificate, then by name and password. Files are read anew each time."""

    def __init__(self, settings: OpcUaSettings) -> None:
        self._settings = settings

    def trusts(self, certificate: bytes | None) -> bool:
        """Whether a client with this certificate may open a channel. A folder that cannot be read trusts nobody."""
        try:
            return certificate is not None and certificate in trusted_clients(self._settings.trusted_clients)
        except ConfigError as err:
            _warn("opcua_trusts_nobody", why=str(err), hint=err.hint)
            return False

    def get_user(
        self,
        iserver: Any,  # noqa: ARG002 - the library's call, by these names
        username: str | None = None,
        password: str | None = None,
        certificate: Any = None,  # noqa: ARG002
    ) -> User | None:
        """A reader; None for who may not read."""
        if username is None:
            return User(role=UserRole.User, name="anonymous") if self._settings.anonymous == "read" else None
        for user in self._settings.user:
            if user.name == username and self._is_password(user.password_file, password or ""):
                return User(role=UserRole.User, name=username)
        return None

    def _is_password(self, path: Any, given: str) -> bool:
        try:
            return hmac.compare_digest(read_password(path).encode(), given.encode("utf-8", "replace"))
        except ConfigError as err:
            _warn("opcua_password_unreadable", why=str(err), hint=err.hint)
            return False


class _Session(InternalSession):
    """One session: what it may hold, and nothing of another's."""

    async def create_subscription(self, params: Any, callback: Any, request_callback: Any = None) -> Any:
        # Zero would be a loop. The order matters: no comparison with NaN holds, and the first of the two is taken then.
        asked_ms = max(_FASTEST_MS, float(params.RequestedPublishingInterval))
        params.RequestedPublishingInterval = min(_SLOWEST_MS, asked_ms)
        return await super().create_subscription(params, callback, request_callback)

    async def create_monitored_items(self, params: Any) -> Any:
        self._must_own(params.SubscriptionId)
        held = sum(len(sub.monitored_item_srv._monitored_items) for sub in self._all().values())  # noqa: SLF001
        if len(params.ItemsToCreate) > _ITEMS_AT_ONCE:
            raise ServiceError(ua.StatusCodes.BadTooManyOperations)
        if held + len(params.ItemsToCreate) > _ITEMS_MAX:
            raise ServiceError(ua.StatusCodes.BadTooManyMonitoredItems)
        return await super().create_monitored_items(params)

    async def modify_monitored_items(self, params: Any) -> Any:
        self._must_own(params.SubscriptionId)
        for item in params.ItemsToModify:
            item.RequestedParameters.QueueSize = min(max(1, item.RequestedParameters.QueueSize), _QUEUE_MAX)
        return await super().modify_monitored_items(params)

    async def delete_monitored_items(self, params: Any) -> Any:
        self._must_own(params.SubscriptionId)
        return await super().delete_monitored_items(params)

    async def set_monitoring_mode(self, params: Any) -> Any:
        self._must_own(params.SubscriptionId)
        return await super().set_monitoring_mode(params)

    async def set_publishing_mode(self, params: Any) -> Any:
        for number in params.SubscriptionIds:
            self._must_own(number)
        return await super().set_publishing_mode(params)

    async def delete_subscriptions(self, ids: list[int]) -> Any:
        for number in ids:
            self._must_own(number)
        return await super().delete_subscriptions(ids)

    def republish(self, params: Any) -> Any:
        self._must_own(params.SubscriptionId)
        return super().republish(params)

    def _all(self) -> dict[int, Any]:
        found: dict[int, Any] = self.subscription_service.subscriptions
        return found

    def _must_own(self, number: int) -> None:
        sub = self._all().get(number)
        if sub is None or sub.session_id != self.session_id:
            raise ServiceError(ua.StatusCodes.BadSubscriptionIdInvalid)


class GuardedServer(InternalServer):
    """The library's inner server with bounds on sessions, subscriptions, queues and times."""

    def __init__(self, gate: Gate) -> None:
        super().__init__(user_manager=gate)
        self.gate = gate
        self.max_session_timeout_ms = _SESSION_MAX_MS
        self.max_unacked_messages_per_subscription = _UNACKNOWLEDGED_MAX
        self.max_monitored_item_queue_size = _QUEUE_MAX
        self.max_pending_messages_per_connection = _PENDING_MAX
        self.max_connections = CONNECTIONS_MAX
        self.max_pending_activation_seconds = _ACTIVATE_WITHIN_S
        self.max_lifetime_count = _LIFETIME_MAX
        self.max_keep_alive_count = _KEEP_ALIVE_MAX
        self.max_subscriptions = SUBSCRIPTIONS_MAX

    def create_session(self, name: str, user: Any = None, external: bool = False) -> Any:  # noqa: FBT001, FBT002
        """A session of a client. Raises ServiceError where there are too many."""
        if external and len(self._external_sessions) >= SESSIONS_MAX:
            raise ServiceError(ua.StatusCodes.BadTooManySessions)
        nobody = user or User(role=UserRole.Anonymous)
        return _Session(self, self.aspace, self.subscription_service, name, user=nobody, external=external)

    def decrypt_user_token(self, isession: Any, token: Any) -> tuple[str, str]:
        """Name and password. Raises ServiceError for an encryption that tells an attacker whether it is well formed."""
        if token.EncryptionAlgorithm and token.EncryptionAlgorithm not in _OAEP:
            raise ServiceError(ua.StatusCodes.BadIdentityTokenInvalid)
        name, password = super().decrypt_user_token(isession, token)
        return name, password


class _Channel(SecureConnection):
    """A secure channel that only a trusted client opens."""

    gate: Gate
    peer: Any

    def select_policy(self, uri: str, peer_certificate: bytes | None, mode: Any = None) -> None:
        if uri != SecurityPolicyNone.URI and not self.gate.trusts(peer_certificate):
            _warn("opcua_client_refused", peer=str(self.peer), why="its certificate is not in opcua.trusted_clients")
            raise ua.uaerrors.BadSecurityChecksFailed
        super().select_policy(uri, peer_certificate, mode)


class _Processor(UaProcessor):
    """One connection's requests."""

    def __init__(self, internal_server: GuardedServer, transport: Any, limits: Any) -> None:
        super().__init__(internal_server, transport, limits)
        self._connection = _Channel(SecurityPolicyNone(), self._limits)
        self._connection.gate, self._connection.peer = internal_server.gate, self.name

    async def process(self, header: Any, body: Any) -> bool:
        """Whether the connection goes on: what is no OPC UA, or not allowed, ends it."""
        try:
            return bool(await super().process(header, body))
        except Exception as err:  # noqa: BLE001 - bytes of a stranger: whatever they break in the library ends the link
            code = getattr(err, "code", ua.StatusCodes.BadTcpInternalError)
            said = ua.ErrorMessage(ua.StatusCode(code), "refused")
            self._transport.write(uatcp_to_binary(ua.MessageType.Error, said))
            _warn("opcua_connection_ended", peer=str(self.name), why=f"{type(err).__name__}: {err}"[:200])
            return False

    async def _process_message(self, typeid: Any, requesthdr: Any, seqhdr: Any, body: Any) -> Any:
        is_secure = self._connection.security_policy.URI != SecurityPolicyNone.URI
        if typeid not in _DISCOVERY and not is_secure:
            raise ServiceError(ua.StatusCodes.BadSecurityModeInsufficient)
        if typeid not in _DISCOVERY | _SESSION | _READING:
            raise ServiceError(ua.StatusCodes.BadUserAccessDenied)
        if typeid == _CREATE_SESSION and self.session is not None:
            await self.session.close_session(True)
        try:
            return await super()._process_message(typeid, requesthdr, seqhdr, body)
        except ServiceError as err:
            if typeid == _ACTIVATE_SESSION:
                _warn("opcua_login_refused", peer=str(self.name), why=ua.StatusCode(err.code).name)
                await asyncio.sleep(_AFTER_WRONG_PASSWORD_S)
            raise


class _Protocol(OPCUAProtocol):
    """One connection's bytes: no more is kept than one chunk, read or unread."""

    processor: Any

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        if self.processor is not None:
            self.processor = _Processor(self.iserver, transport, self.limits)
            self.processor.set_policies(self.policies)

    def data_received(self, data: bytes) -> None:
        if self.transport is None or self.transport.is_closing():
            return
        if self.transport.get_write_buffer_size() > _UNREAD_BYTES:
            self._end("it does not read what it asked for")
            return
        super().data_received(data)
        rest = self._buffer
        if len(rest) > _CHUNK_BYTES or (rest and not rest[:3].startswith(_BEGINNINGS) and len(rest) >= 3):
            self._end("what it sends is no OPC UA")

    def _end(self, why: str) -> None:
        _warn("opcua_connection_ended", peer=str(self.peer_name), why=why)
        self._buffer = b""
        if self.transport is not None:
            self.transport.abort()


class GuardedBinary(BinaryServer):
    """The listening socket."""

    def _make_protocol(self) -> Any:
        return _Protocol(
            iserver=self.iserver,
            policies=self._policies,
            clients=self.clients,
            closing_tasks=self.closing_tasks,
            limits=self.limits,
        )
