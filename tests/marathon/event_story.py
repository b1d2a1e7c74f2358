"""A cluster whose every change is told, for tests of events: records in, events out."""

from __future__ import annotations

from typing import Any

from fleetish.model import CheckState, Document, Record, UnitState
from fleetish.testing.build import drop, machine, placed, put, unit
from fleetish.units.health import HealthCheck
from fleetish.world import Touched, World
from marathon_compat.apps import records, tree
from marathon_compat.apps.app import App, VersionInfo
from marathon_compat.apps.event_diff import Teller
from marathon_compat.apps.events import Event
from marathon_compat.apps.ids import unit_name
from marathon_compat.apps.records import Action, Deployment, Edit, Instance, Past

UUID = "11111111-2222-3333-4444-555555555555"
UNIT = unit_name("/shop/web", UUID)
INSTANCE = f"shop_web.instance-{UUID}"
TASK = f"{INSTANCE}._app.1"
V1, V2 = "2026-01-01T00:00:00.000Z", "2026-01-02T00:00:00.000Z"
T1 = "2026-01-01T00:00:01.000Z"
AT = 1767225601.0


def document(kind: str, name: str, body: object) -> Document:
    """A document of Marathon's."""
    return tree.put(kind, name, body, "").document


def app(version: str = V1, config: str = "", **fields: Any) -> App:
    """The app /shop/web."""
    info = VersionInfo(last_scaling_at=version, last_config_change_at=config or version)
    return App(id="/shop/web", cmd="sleep 1", version=version, version_info=info, **fields)


def stored(one: App) -> tuple[Document, Document]:
    """An app as it is stored, with its version."""
    return (
        document(records.VERSION, tree.version_id(one.id, one.version), one),
        document(records.APP, one.id, one),
    )


def deployment(step: int = 0, **fields: Any) -> Deployment:
    """A deployment of one step or more that starts and scales /shop/web."""
    start = Action(kind="StartApplication", app="/shop/web")
    scale = Action(kind="ScaleApplication", app="/shop/web")
    told: dict[str, Any] = {
        "steps": ((start,), (scale,)),
        "edit": Edit(before={"/shop/web": ""}, after={"/shop/web": V1}),
        "client": "192.0.2.1",
        "uri": "/v2/apps/shop/web",
    }
    return Deployment(id="d1", version=V1, since=AT, step=step, **{**told, **fields})


def over(one: Deployment, outcome: Any = "success", reason: str = "") -> Past:
    """What is remembered of a deployment."""
    return Past(
        version=one.version, deployment=one.id, since=one.since, ended=AT, outcome=outcome,
        reason=reason, steps=one.steps, step=one.step, edit=one.edit,
    )  # fmt: skip


def instance(**fields: Any) -> Document:
    """The instance of /shop/web."""
    body = Instance(unit=UNIT, app="/shop/web", version=V1, config=V1, **fields)
    return document(records.INSTANCE, UNIT, body)


def state(active: str = "active", **fields: Any) -> UnitState:
    """What machine m1 says of the instance's unit."""
    told: dict[str, Any] = {"hash": "h", "launch": 1, "seen": 1, "since": AT, **fields}
    return UnitState(unit=UNIT, machine="m1", active=active, load="loaded", **told)


def waiting() -> tuple[Record, ...]:
    """The instance, on no machine yet."""
    return (instance(), unit(UNIT))


def running(**fields: Any) -> tuple[Record, ...]:
    """The instance on machine m1 with a port, and running."""
    checks = fields.pop("checks", 0)
    one = unit(UNIT, health=(HealthCheck(port=80),) * checks)
    return (instance(), *placed(one, "m1", (31001,)), state(**fields))


def check(alive: bool | None, failures: int = 0) -> CheckState:
    """What a health check has shown."""
    return CheckState(alive=alive, failures=failures, first_success=1.0 if alive else 0.0)


class Story:
    """A world, and what is told of it."""

    def __init__(self, *known: Record | tuple[Record, ...]) -> None:
        self.world = World()
        self.teller = Teller()
        self.put(machine("m1", host="node1", address="10.0.0.1"), *known)
        self.teller.look(self.world, Touched(everything=True))

    def put(self, *known: Record | tuple[Record, ...]) -> Touched:
        """Write records as one change."""
        touched = Touched()
        for item in known:
            for record in item if isinstance(item, tuple) else (item,):
                _join(touched, put(self.world, record))
        return touched

    def tell(self, *known: Record | tuple[Record, ...]) -> list[Event]:
        """Write records as one change; what is told of it."""
        return self.teller.look(self.world, self.put(*known))

    def drop(self, *places: tuple[str, ...]) -> list[Event]:
        """Delete records as one change; what is told of it."""
        touched = Touched()
        for where in places:
            _join(touched, drop(self.world, *where))
        return self.teller.look(self.world, touched)

    def swap(self, gone: tuple[str, ...], *known: Record) -> list[Event]:
        """Delete one record and write others as one change; what is told of it."""
        touched = drop(self.world, *gone)
        _join(touched, self.put(*known))
        return self.teller.look(self.world, touched)


def _join(touched: Touched, more: Touched) -> None:
    touched.units |= more.units
    touched.machines |= more.machines
    touched.documents |= more.documents


def kinds(events: list[Event]) -> list[str]:
    """The kinds of events, in order."""
    return [event.kind for event in events]
