"""Which instances go first."""

from __future__ import annotations

from collections import Counter

from fleetish.changes import DestroyUnit, PutDocument, SetTarget
from fleetish.model import Placement
from fleetish.testing import build
from marathon_compat.apps import records
from marathon_compat.apps.app import App, Container, PersistentVolume, Volume
from marathon_compat.apps.instances import Condition, Member
from marathon_compat.apps.kills import kill, select
from marathon_compat.apps.records import Instance
from marathon_compat.apps.tree import put
from tests.marathon.field import app
from tests.marathon.written import Written

WORLD = build.world(
    build.machine("m1", metadata={"rack": "a"}),
    build.machine("m2", metadata={"rack": "a"}),
    build.machine("m3", metadata={"rack": "b"}),
)


def member(
    name: str,
    condition: Condition = Condition.RUNNING,
    age: float = 0.0,
    machine: str = "m1",
    ready: bool = True,
) -> Member:
    instance = Instance(unit=name, app="/a", version="v", config="v", staged=100.0 - age)
    return Member(instance, None, None, machine, condition, ready=ready)


def names(members: list[Member], count: int, one: App, *chosen: str) -> list[str]:
    return [m.name for m in select(members, count, one, WORLD, chosen)]


def test_the_chosen_go_before_all_others() -> None:
    members = [member("a"), member("b", Condition.STAGING), member("c")]
    assert names(members, 2, app("/a"), "c") == ["c", "b"]
    assert names(members, 1, app("/a"), "c", "a") == ["a"]


def test_those_of_least_use_go_first() -> None:
    members = [
        member("running"),
        member("not-ready", ready=False),
        member("starting", Condition.STARTING),
        member("staging", Condition.STAGING),
        member("unreachable", Condition.UNREACHABLE),
        member("failed", Condition.FAILED),
        member("waiting", Condition.SCHEDULED),
    ]
    assert names(members, 7, app("/a")) == [
        "failed", "unreachable", "waiting", "staging", "starting", "not-ready", "running",
    ]  # fmt: skip


def test_the_youngest_or_the_oldest_goes_as_the_app_says() -> None:
    members = [member("old", age=50), member("young", age=1), member("middle", age=20)]
    assert names(members, 3, app("/a")) == ["young", "middle", "old"]
    assert names(members, 3, app("/a", kill_selection="OLDEST_FIRST")) == ["old", "middle", "young"]


def test_groups_stay_even() -> None:
    one = app("/a", constraints=(("rack", "GROUP_BY"), ("hostname", "GROUP_BY")))
    members = [member(f"{m}-{n}", age=n, machine=m) for m in ("m1", "m2", "m3") for n in range(4)]
    going = names(members, 6, one)
    assert Counter(name[:2] for name in going[:4]) == {"m1": 2, "m2": 2}
    assert going[4:] == ["m3-0", "m1-2"]


def test_no_more_are_killed_than_there_are_and_none_for_nothing() -> None:
    assert names([member("a")], 5, app("/a")) == ["a"]
    assert names([member("a")], 0, app("/a"), "a") == []
    assert names([member("a")], -3, app("/a"), "a") == []


def _with_instance(one: App) -> Written:
    made = Written(build.machine("m1"))
    made.put(one)
    unit = build.unit("u.service", launch=4)
    held = Instance(unit="u.service", app=one.id, version="v", config="v")
    build.put(made.world, unit)
    build.put(made.world, Placement(unit="u.service", machine="m1"))
    made.write([put(records.INSTANCE, "u.service", held, "made")])
    return made


def test_to_kill_is_to_destroy_the_unit_and_to_say_why() -> None:
    made = _with_instance(app("/a"))
    first, second = kill(made.tree, made.world, ["u.service", "u.service", "x"], 5.0)
    assert isinstance(first, PutDocument)
    assert second == DestroyUnit("u.service", "killed on request")
    made.write([first, second])
    assert made.tree.instances["u.service"].leaving == "killed on request"
    assert kill(made.tree, made.world, ["u.service"], 6.0) == ()


def test_an_instance_that_keeps_data_is_started_again_unless_it_is_wiped() -> None:
    data = Volume(container_path="d", persistent=PersistentVolume(size=1))
    made = _with_instance(app("/a", container=Container(type="MESOS", volumes=(data,))))
    _, again = kill(made.tree, made.world, ["u.service"], 5.0)
    assert isinstance(again, SetTarget)
    assert again.launch == 5
    _, gone = kill(made.tree, made.world, ["u.service"], 5.0, wipe=True)
    assert isinstance(gone, DestroyUnit)
