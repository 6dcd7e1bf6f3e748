"""The address space: a VisionSystem with the browse names of OPC 40100-1, in a namespace of our own.

Types are declared with their members, and objects are made of them. The name of a node stays:
``ns=2;s=VisionSystem.ResultManagement.LatestResult.Verdict``. Values are written in one go, without a pause between.
"""

from __future__ import annotations

import math
import uuid
from datetime import UTC, datetime
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import structlog
from asyncua import ua

from edge_agent.opcua.results import RESULT_FIELDS, RESULTS_KEPT, result_of, result_words, severity_of
from edge_agent.opcua.states import MODE_STATES, VISION_STATES, VisionState

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edge_agent.feed.current import SeenPart
    from edge_agent.opcua.hello import Hello

__all__ = ["NAMESPACE", "Space"]

log = structlog.get_logger(__name__)

NAMESPACE = "urn:edge-agent:machine-vision"
_ROOT = "VisionSystem"
_STATE_SEVERITY = {"Operational": 100, "Preoperational": 400, "Halted": 500, "Error": 800}
_COUNTERS = (
    ("SinceUtc", "String"),
    ("Pass", "Int64"),
    ("Reject", "Int64"),
    ("Fault", "Int64"),
    ("Yield", "Double"),
    ("PerMinute", "Double"),
)

_RESULTS = f"{_ROOT}.ResultManagement.Results"
_MODE_TYPE = "VisionAutomaticModeStateMachineType"
_RESULT = tuple((field.name, field.kind) for field in RESULT_FIELDS)
_OBJECT, _MACHINE, _EVENT = (
    ua.ObjectIds.BaseObjectType,
    ua.ObjectIds.FiniteStateMachineType,
    ua.ObjectIds.BaseEventType,
)
Fields = tuple[tuple[str, str], ...]
_TYPES: tuple[tuple[str, int, Fields], ...] = (
    ("VisionSystemType", _OBJECT, (("Condition", "String"),)),
    ("VisionStateMachineType", _MACHINE, ()),
    (_MODE_TYPE, _MACHINE, ()),
    ("ConfigurationManagementType", _OBJECT, ()),
    ("ConfigurationType", _OBJECT, (("InternalId", "String"), ("LastModified", "String"))),
    ("RecipeManagementType", _OBJECT, (("ActiveProgram", "Int32"),)),
    (
        "RecipeType",
        _OBJECT,
        (("ExternalId", "String"), ("InternalId", "String"), ("Camera", "Int32"), ("IsPrepared", "Boolean")),
    ),
    ("ResultManagementType", _OBJECT, ()),
    ("ResultType", _OBJECT, _RESULT),
    ("HealthType", _OBJECT, (("Line", "String"), ("SoftwareVersion", "String"))),
    ("ShiftCountersType", _OBJECT, _COUNTERS),
    ("ResultReadyEventType", _EVENT, _RESULT),
    ("StateChangedEventType", _EVENT, (("State", "String"),)),
)
_OBJECTS = (
    (_ROOT, "VisionSystemType"),
    (f"{_ROOT}.VisionStateMachine", "VisionStateMachineType"),
    (f"{_ROOT}.VisionStateMachine.AutomaticModeStateMachine", _MODE_TYPE),
    (f"{_ROOT}.ConfigurationManagement", "ConfigurationManagementType"),
    (f"{_ROOT}.ConfigurationManagement.ActiveConfiguration", "ConfigurationType"),
    (f"{_ROOT}.RecipeManagement", "RecipeManagementType"),
    (f"{_ROOT}.RecipeManagement.Recipes", "FolderType"),
    (f"{_ROOT}.ResultManagement", "ResultManagementType"),
    (f"{_ROOT}.ResultManagement.LatestResult", "ResultType"),
    (_RESULTS, "FolderType"),
    (f"{_ROOT}.Health", "HealthType"),
    (f"{_ROOT}.Health.Shift", "ShiftCountersType"),
)
"""Outer ones first. What is there once for each result or bundle is beside it, in ``_repeated``."""
_EMPTY: dict[str, Any] = {
    "String": "",
    "Boolean": False,
    "Double": math.nan,
    "Int32": 0,
    "Int64": 0,
    "DateTime": datetime(1970, 1, 1, tzinfo=UTC),
}


class Space:
    """What clients see, and how it is written. Lives in the server's event loop."""

    def __init__(self, server: Any, hello: Hello, namespace: int) -> None:
        self._server = server
        self._hello = hello
        self._namespace = namespace
        self._written: dict[str, Any] = {}
        self._state_ids: dict[str, Any] = {}
        self._events: dict[str, Any] = {}
        self._state: VisionState | None = None

    @classmethod
    async def made(cls, server: Any, hello: Hello) -> Space:
        """All types and objects, before the first client."""
        space = cls(server, hello, await server.register_namespace(NAMESPACE))
        await space._make()
        return space

    async def tell_state(self, now: VisionState) -> None:
        """The state as it is; where it changed, an event too."""
        if now == self._state:
            return
        before, self._state = self._state, now
        machine = f"{_ROOT}.VisionStateMachine"
        await self._write(f"{_ROOT}.Condition", now.words)
        for path, state in ((machine, now.state), (f"{machine}.AutomaticModeStateMachine", now.mode)):
            await self._write(f"{path}.CurrentState", ua.LocalizedText(state))
            await self._write(f"{path}.CurrentState.Id", self._state_ids.get(state, ua.NodeId()))
        if before is not None and (before.state, before.words) == (now.state, now.words):
            return  # Ready and SingleExecution take turns with each part: its result is the event
        words = f"{now.state}: {now.words}" if now.words else now.state
        await self._event("StateChangedEventType", words, _STATE_SEVERITY[now.state], {"State": now.state})

    async def tell_program(self, program: int | None) -> None:
        """Which program the controller runs, and which of the recipes are prepared for it."""
        await self._write(f"{_ROOT}.RecipeManagement.ActiveProgram", -1 if program is None else program)
        for bundle in self._hello.bundles:
            await self._write(f"{_recipe(bundle.program, bundle.camera)}.IsPrepared", bundle.program == program)

    async def tell_counters(self, counters: Mapping[str, Any]) -> None:
        """The numbers of the shift, as ``feed.current`` counts them."""
        path = f"{_ROOT}.Health.Shift"
        keys = ("since_utc", "PASS", "REJECT", "FAULT", "yield", "per_minute")
        for (name, kind), key in zip(_COUNTERS, keys, strict=True):
            value = counters[key]
            await self._write(f"{path}.{name}", math.nan if value is None else _typed(value, kind))

    async def tell_result(self, part: SeenPart, *, is_news: bool) -> None:
        """A part's result in its slot, and as the latest one where it is the newest; with an event where it is news."""
        values = result_of(part, self._hello.config_sha256)
        number = part.row.part_seq
        for place in (f"{_RESULTS}.Result{number % RESULTS_KEPT}", f"{_ROOT}.ResultManagement.LatestResult"):
            if number < int(self._written.get(f"{place}.ResultId") or 0):
                continue  # what became of an older part's verdict was known late: a newer one stands there
            for name, value in values.items():
                await self._write(f"{place}.{name}", value)
        if is_news:
            await self._event("ResultReadyEventType", result_words(part), severity_of(part), values)

    # --- made once ------------------------------------------------------------------------------------------

    async def _make(self) -> None:
        types = {name: await self._type(name, base, fields) for name, base, fields in _TYPES}
        for owner, names in (("VisionStateMachineType", VISION_STATES), (_MODE_TYPE, MODE_STATES)):
            for number, name in enumerate(names, 1):
                await self._state_of(types[owner], f"{owner}.{name}", number)
        for path, kind in (*_OBJECTS, *self._repeated()):
            await self._object(path, types[kind].nodeid if kind in types else ua.NodeId(ua.ObjectIds.FolderType))
        root = self._id(_ROOT)
        for emitter in (self._server.get_node(root), self._server.nodes.server):
            await emitter.set_event_notifier([ua.EventNotifier.SubscribeToEvents])
        for name in ("ResultReadyEventType", "StateChangedEventType"):
            self._events[name] = await self._server.get_event_generator(types[name], root)
        await self._write_constants()

    def _repeated(self) -> list[tuple[str, str]]:
        """A slot for each result that is kept, and a recipe for each bundle."""
        slots = [(f"{_RESULTS}.Result{number}", "ResultType") for number in range(RESULTS_KEPT)]
        return slots + [(_recipe(bundle.program, bundle.camera), "RecipeType") for bundle in self._hello.bundles]

    async def _write_constants(self) -> None:
        hello = self._hello
        for bundle in hello.bundles:
            path = _recipe(bundle.program, bundle.camera)
            await self._write(f"{path}.ExternalId", str(bundle.program))
            await self._write(f"{path}.InternalId", bundle.bundle_id)
            await self._write(f"{path}.Camera", bundle.camera)
        configuration = f"{_ROOT}.ConfigurationManagement.ActiveConfiguration"
        await self._write(f"{configuration}.InternalId", hello.config_sha256)
        await self._write(f"{configuration}.LastModified", hello.config_saved_utc)
        await self._write(f"{_ROOT}.Health.Line", hello.settings.line.name)
        await self._write(f"{_ROOT}.Health.SoftwareVersion", version("edge-agent"))

    async def _type(self, name: str, base: int, fields: Fields) -> Any:
        made = await self._server.get_node(ua.NodeId(base)).add_object_type(self._id(name), self._name(name))
        add = made.add_property if base == ua.ObjectIds.BaseEventType else made.add_variable
        for field, kind in fields:
            member = await add(self._id(f"{name}.{field}"), self._name(field), _EMPTY[kind], ua.VariantType[kind])
            await member.set_modelling_rule(True)
        return made

    async def _state_of(self, owner: Any, path: str, number: int) -> None:
        name = path.rpartition(".")[2]
        node = await owner.add_object(self._id(path), self._name(name), objecttype=ua.NodeId(ua.ObjectIds.StateType))
        for member in await node.get_properties():
            if (await member.read_browse_name()).Name == "StateNumber":
                await member.write_value(number, ua.VariantType.UInt32)
        self._state_ids[name] = node.nodeid

    async def _object(self, path: str, kind: Any) -> None:
        above, _, name = path.rpartition(".")
        parent = self._server.get_node(self._id(above)) if above else self._server.nodes.objects
        await parent.add_object(self._id(path), self._name(name), objecttype=kind, instantiate_optional=False)

    # --- written often --------------------------------------------------------------------------------------

    async def _write(self, path: str, value: Any) -> None:
        if path in self._written and self._written[path] == value:
            return
        self._written[path] = value
        node = self._id(path)
        known = self._server.read_attribute_value(node).Value.VariantType
        kind = None if known is ua.VariantType.Null else known  # of a state that was never written
        now = datetime.now(UTC)
        said = ua.DataValue(
            ua.Variant(value, kind),
            SourceTimestamp=now,
            ServerTimestamp=now,
        )
        await self._server.write_attribute_value(node, said)

    async def _event(self, kind: str, words: str, severity: int, values: Mapping[str, Any]) -> None:
        made = self._events[kind].event
        made.EventId = ua.Variant(uuid.uuid4().bytes, ua.VariantType.ByteString)
        made.Time = made.ReceiveTime = datetime.now(UTC)
        made.Message = ua.LocalizedText(words)
        made.Severity = severity
        for name, value in values.items():
            setattr(made, name, value)
        for emitter in (self._id(_ROOT), ua.NodeId(ua.ObjectIds.Server)):
            made.emitting_node = emitter
            for number, sub in list(self._server.iserver.subscription_service.subscriptions.items()):
                try:
                    await sub.monitored_item_srv.trigger_event(made)
                except Exception as err:  # noqa: BLE001 - a client's filter: it may break its own subscription alone
                    log.warning("opcua_event_not_told", subscription=number, why=f"{type(err).__name__}: {err}"[:200])

    def _id(self, path: str) -> Any:
        return ua.NodeId(path, self._namespace)

    def _name(self, name: str) -> Any:
        return ua.QualifiedName(name, self._namespace)


def _recipe(program: int, camera: int) -> str:
    return f"{_ROOT}.RecipeManagement.Recipes.Program{program}Camera{camera}"


def _typed(value: Any, kind: str) -> Any:
    return float(value) if kind == "Double" else value
