"""What is answered of a world, without HTTP: tasks, counters, failures; and what is kept of it."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from fleetish.model import (
    Assignment,
    CheckState,
    Document,
    Machine,
    Placement,
    Record,
    Target,
    Unit,
    UnitState,
)
from fleetish.units.health import CheckKind, HealthCheck
from fleetish.units.xfleet import Requirements
from fleetish.world import Ident, Revision, Touched, World, ident, touch
from marathon_compat.apps import ids, queue, records, task, timestamps
from marathon_compat.apps.app import (
    App,
    Container,
    PersistentVolume,
    PortDefinition,
    ReadinessCheck,
    VersionInfo,
    Volume,
)
from marathon_compat.apps.embed import LISTED, SINGLE
from marathon_compat.apps.records import Deployment, Edit, Failure, Instance
from marathon_compat.apps.view import Views

NOW = 1_800_000_000.0
VERSION = timestamps.text(NOW)
UUIDS = [f"0000000{n}-0000-4000-8000-000000000000" for n in range(4)]
WEB = App(
    id="/shop/web",
    cmd="serve",
    instances=2,
    version=VERSION,
    version_info=VersionInfo(last_scaling_at=VERSION, last_config_change_at=VERSION),
    port_definitions=(PortDefinition(port=10_000, name="http"),),
)


class Story:
    """A world that is written to, and what is answered of it."""

    def __init__(self) -> None:
        self.world = World()
        self.views = Views()
        self.views.take(self.world, Touched(everything=True))

    def put(self, *found: Record) -> None:
        """Write records, as their owners would."""
        touched = Touched()
        for record in found:
            self.world.revision += 1
            self.world.put(record, Revision(self.world.revision, self.world.revision))
            touch(touched, ident(record))
        self.views.take(self.world, touched)

    def drop(self, where: Ident) -> None:
        """Delete a record."""
        touched = Touched()
        self.world.revision += 1
        self.world.drop(where)
        touch(touched, where)
        self.views.take(self.world, touched)

    def document(self, kind: str, name: str, body: object) -> None:
        self.put(Document(kind=kind, id=name, body=msgspec.Raw(msgspec.json.encode(body))))

    def define(self, app: App = WEB) -> None:
        """An app is stored, and its version."""
        self.document(records.VERSION, f"{app.id}@{app.version}", app)
        self.document(records.APP, app.id, app)

    def run(
        self,
        number: int = 0,
        app: App = WEB,
        checks: int = 0,
        asked: Requirements | None = None,
        **state: Any,
    ) -> str:
        """An instance of an app runs on the machine ``a``; its unit."""
        unit = ids.unit_name(app.id, UUIDS[number])
        asked = asked or Requirements(health=(HealthCheck(kind=CheckKind.TCP, index=0),) * checks)
        held = Instance(unit=unit, app=app.id, version=VERSION, config=VERSION, staged=NOW)
        self.document(records.INSTANCE, unit, held)
        on: dict[str, Any] = {"unit": unit, "machine": "a"}
        self.put(
            Machine(id="a", host="node1", address="10.0.0.1", metadata={"zone": "z1"}),
            Unit(name=unit, hash="h", target=Target.LAUNCHED, launch=1, requirements=asked),
            Placement(**on),
            Assignment(**on, hash="h", target=Target.LAUNCHED, launch=1, ports=(31_000 + number,)),
            UnitState(**{**on, "hash": "h", "active": "active", "sub": "running", "launch": 1,
                         "seen": 1, "since": NOW + 1, "invocation": "i", **state}),
        )  # fmt: skip
        return unit

    def app(self, parts: frozenset[str] = SINGLE) -> dict[str, Any]:
        found = msgspec.json.decode(self.views.app("/shop/web", parts, NOW + 11))
        assert isinstance(found, dict)
        return found


def test_a_running_task_is_told_with_all_that_is_known_of_it() -> None:
    story = Story()
    story.define()
    story.run()
    assert story.app()["tasks"] == [
        {
            "appId": "/shop/web",
            "healthCheckResults": [],
            "host": "node1",
            "id": f"shop_web.instance-{UUIDS[0]}._app.1",
            "ipAddresses": [{"ipAddress": "10.0.0.1", "protocol": "IPv4"}],
            "ports": [31_000],
            "servicePorts": [],
            "slaveId": "a",
            "state": "TASK_RUNNING",
            "stagedAt": timestamps.text(NOW),
            "startedAt": timestamps.text(NOW + 1),
            "version": VERSION,
            "localVolumes": [],
            "role": "*",
            "zone": "z1",
        }
    ]


def test_a_task_is_healthy_when_every_check_that_answered_says_so() -> None:
    story = Story()
    story.define()
    good = CheckState(alive=True, first_success=NOW, last_success=NOW + 5)
    bad = CheckState(alive=False, failures=2, last_failure=NOW + 6, cause="status 500")
    story.run(0, checks=2, health=(good, good))
    story.run(1, checks=2, health=(good, bad))
    story.run(2, checks=1, health=(CheckState(),))
    app = story.app()
    counted = [app[f"tasks{word}"] for word in ("Staged", "Running", "Healthy", "Unhealthy")]
    assert counted == [0, 3, 1, 1]
    assert app["tasks"][1]["healthCheckResults"][1] == {
        "alive": False,
        "consecutiveFailures": 2,
        "instanceId": f"shop_web.instance-{UUIDS[1]}",
        "lastFailure": timestamps.text(NOW + 6),
        "lastFailureCause": "status 500",
    }
    assert app["tasks"][2]["healthCheckResults"] == []


@pytest.mark.parametrize(
    ("check", "row", "told"),
    [
        ({"http": {}}, CheckState(), None),
        ({"http": {}}, CheckState(alive=False, code=404), {"http": {"statusCode": 404}}),
        ({"http": {}}, CheckState(alive=False), {"http": {}}),
        ({"tcp": {}}, CheckState(alive=False), {"tcp": {"succeeded": False}}),
        ({"exec": {}}, CheckState(alive=True), {"command": {"exitCode": 0}}),
        ({"exec": {}}, CheckState(alive=False, code=3), {"command": {"exitCode": 3}}),
        ({"exec": {}}, CheckState(alive=False), {"command": {}}),
    ],
)
def test_a_check_is_told_of_and_counts_for_nothing(
    check: dict[str, Any], row: CheckState, told: dict[str, Any] | None
) -> None:
    story, app = Story(), msgspec.structs.replace(WEB, check=check)
    story.define(app)
    asked = Requirements(health=(HealthCheck(kind=CheckKind.TCP, advisory=True),))
    story.run(app=app, asked=asked, health=(row,))
    found = story.app()
    (one,) = found["tasks"]
    assert (one.get("checkResult"), one["healthCheckResults"]) == (told, [])
    assert (found["tasksHealthy"], found["tasksUnhealthy"]) == (0, 0)


def test_an_ended_run_is_no_task_and_its_failure_is_kept() -> None:
    story = Story()
    story.define()
    story.run(active="failed", sub="failed", result="exit-code", exit_status=1)
    failure = Failure(
        task="t", state="TASK_FAILED", message="m", host="node1", machine="a", version=VERSION,
        at=NOW,
    )  # fmt: skip
    assert "lastTaskFailure" not in story.app()
    story.document(records.QUEUE, "/shop/web", records.Delay(app="/shop/web", failure=failure))
    app = story.app()
    assert app["tasks"] == []
    assert app["lastTaskFailure"] == {
        "appId": "/shop/web", "host": "node1", "message": "m", "state": "TASK_FAILED",
        "taskId": "t", "timestamp": VERSION, "version": VERSION, "slaveId": "a",
    }  # fmt: skip


def test_a_task_on_a_machine_that_is_lost_is_unreachable_and_back_when_it_is() -> None:
    story = Story()
    story.define()
    story.run()
    before, revision = story.app(), story.views.changed
    story.drop(("machines", "a"))
    (lost,) = story.app()["tasks"]
    kept = ("host", "ipAddresses")
    assert lost["state"] == "TASK_UNREACHABLE"
    assert [lost[key] for key in kept] == [before["tasks"][0][key] for key in kept]
    assert story.app()["tasksRunning"] == 0
    assert story.views.changed > revision
    story.put(Machine(id="a", host="node1", address="10.0.0.1", metadata={"zone": "z1"}))
    assert story.app() == before


def test_what_concerns_no_app_changes_no_answer() -> None:
    story = Story()
    story.define()
    story.run()
    revision = story.views.changed
    story.put(Unit(name="other.service", hash="x"))
    assert story.views.changed == revision


def test_a_full_list_changes_only_what_differed() -> None:
    story = Story()
    story.define()
    story.run()
    kept = story.views.app("/shop/web", LISTED, NOW)
    revision = story.views.changed
    story.views.take(story.world, Touched(everything=True))
    assert story.views.app("/shop/web", LISTED, NOW) is kept
    assert story.views.changed == revision


def test_an_app_that_is_deployed_says_by_what_and_how_ready_it_is() -> None:
    story = Story()
    story.define(msgspec.structs.replace(WEB, readiness_checks=(ReadinessCheck(),)))
    story.run(ready=True)
    assert story.app(frozenset({"readiness"}))["readinessCheckResults"] == []
    edit = Edit(before={"/shop/web": VERSION}, after={"/shop/web": VERSION})
    story.document(
        records.DEPLOYMENT, "d", Deployment(id="d", version=VERSION, since=NOW, steps=(), edit=edit)
    )
    app = story.app(frozenset({"readiness", "deployments"}))
    assert app["deployments"] == [{"id": "d"}]
    assert app["readinessCheckResults"] == [
        {
            "name": "readinessCheck",
            "taskId": f"shop_web.instance-{UUIDS[0]}._app.1",
            "ready": True,
        }
    ]


def test_volumes_that_stay_with_an_instance_are_named() -> None:
    story = Story()
    kept = Volume(container_path="data", mode="RW", persistent=PersistentVolume(size=10))
    story.define(msgspec.structs.replace(WEB, container=Container(type="MESOS", volumes=(kept,))))
    story.run()
    assert story.app()["tasks"][0]["localVolumes"] == [
        {
            "runSpecId": "/shop/web",
            "containerPath": "data",
            "persistenceId": f"shop_web#data#{UUIDS[0]}",
            "uuid": UUIDS[0],
        }
    ]


def test_life_times_are_those_of_now() -> None:
    story = Story()
    story.define()
    story.run()
    stats = story.app(frozenset({"taskStats"}))["taskStats"]
    assert stats["totalSummary"]["stats"] == {
        "counts": {"staged": 0, "running": 1, "healthy": 0, "unhealthy": 0},
        "lifeTime": {"averageSeconds": 10.0, "medianSeconds": 10.0},
    }
    assert "withOutdatedConfig" not in stats


def test_what_is_left_to_launch_waits_until_its_back_off_is_over() -> None:
    story = Story()
    story.define()
    story.run()
    tree, members = story.views.tree, story.views.members("/shop/web")
    row = queue.waiting(tree, WEB, members, NOW)
    assert row is not None
    assert (row.launches, row.left, row.unit) == (1, 0.0, None)
    delay = records.Delay(app="/shop/web", config=VERSION, seconds=20.0, until=NOW + 20)
    story.document(records.QUEUE, "/shop/web", delay)
    later = queue.waiting(tree, WEB, members, NOW + 5)
    assert later is not None
    assert later.left == 15.0
    changed = VersionInfo(last_scaling_at=VERSION, last_config_change_at="2031-01-01T00:00:00.000Z")
    newer = msgspec.structs.replace(WEB, version_info=changed)
    old_counts = queue.waiting(tree, newer, members, NOW + 5)
    waits = records.Delay(
        app="/shop/web", config=changed.last_config_change_at, seconds=20.0, until=NOW + 20
    )
    story.document(records.QUEUE, "/shop/web", waits)
    old_do_not = queue.waiting(tree, newer, members, NOW + 5)
    assert (old_counts and old_counts.launches, old_do_not and old_do_not.launches) == (1, 2)
    enough = msgspec.structs.replace(WEB, instances=1)
    assert queue.waiting(tree, enough, members, NOW) is None


def test_counters_of_no_task_are_all_zero() -> None:
    assert set(task.counts(()).values()) == {0}
