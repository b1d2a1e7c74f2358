"""Units over the API: what is stored, what is refused, and that nothing is done by halves."""

from __future__ import annotations

import pytest

from fleetish.client import Client
from fleetish.errors import BadName, Conflict, NotFound, Refused
from fleetish.units.file import content_hash, parse
from fleetish.wire import FileText, Outcome, Wish
from fleetish.wire_faults import Invalid, Missing
from tests.api.cluster import SERVICE, A, B, Cluster, machine

HASH = content_hash(parse(SERVICE))
OTHER = SERVICE.replace("60", "61")


def names(fleet: Client) -> list[str]:
    return [unit.name for unit in fleet.units()]


def test_a_submitted_unit_is_read_back_whole(fleet: Client) -> None:
    written = fleet.submit([Wish(name="web.service", text=SERVICE, target="launched")])
    assert written.units == (
        Outcome(name="web.service", outcome="created", target="launched", launch=1, hash=HASH),
    )
    unit = fleet.unit("web.service")
    assert (unit.text, unit.hash, unit.target, unit.desc) == (SERVICE, HASH, "launched", "A test")
    assert (unit.settled, unit.waiting) == (False, "for a machine that fits")


def test_an_instance_without_text_takes_that_of_its_template(fleet: Client) -> None:
    fleet.submit([Wish(name="web@.service", text=SERVICE)])
    fleet.submit([Wish(name=f"web@{number}.service", target="launched") for number in range(30)])
    assert len(names(fleet)) == 31
    assert fleet.unit("web@7.service").text == SERVICE


def test_a_template_may_name_its_instance_in_what_it_asks_for(fleet: Client) -> None:
    text = f"{SERVICE}[X-Fleet]\nMachineMetadata=host=%i\n"
    fleet.submit([Wish(name="web@.service", text=text)])
    fleet.submit([Wish(name="web@node1.service")])
    assert names(fleet) == ["web@.service", "web@node1.service"]


def test_a_template_itself_is_not_launched(fleet: Client) -> None:
    with pytest.raises(Refused, match=r"cannot make web@.service launched: it is a template"):
        fleet.submit([Wish(name="web@.service", text=SERVICE, target="launched")])
    assert names(fleet) == []


def test_one_bad_row_and_nothing_is_done(fleet: Client) -> None:
    with pytest.raises(Invalid) as caught:
        fleet.submit(
            [
                Wish(name="good.service", text=SERVICE),
                Wish(name="bad.service", text="[Service]\nExecStart=/bin/true\nNoSuch=1\n"),
                Wish(name="worse.service", text="[Service\n"),
            ]
        )
    assert [(one.name, one.where) for one in caught.value.problems] == [
        ("bad.service", "bad.service:3"),
        ("worse.service", "worse.service:1"),
    ]
    assert names(fleet) == []


def test_units_without_a_text_are_all_named(fleet: Client) -> None:
    with pytest.raises(Missing) as caught:
        fleet.submit([Wish(name="a.service", target="loaded"), Wish(name="b@1.service")])
    assert caught.value.names == ("a.service", "b@1.service")


@pytest.mark.parametrize(
    "name", ["web", "we b.service", "x" * 252 + ".service", "web.socks", "@.x"]
)
def test_a_name_that_systemd_would_not_take_is_refused(fleet: Client, name: str) -> None:
    with pytest.raises((BadName, Invalid)):
        fleet.submit([Wish(name=name, text=SERVICE)])
    assert names(fleet) == []


def test_the_same_text_again_changes_nothing(fleet: Client) -> None:
    wish = Wish(name="web.service", text=SERVICE, target="loaded")
    first = fleet.submit([wish])
    again = fleet.submit([wish])
    assert [row.outcome for row in again.units] == ["unchanged"]
    assert again.revision == first.revision


def test_another_text_is_refused_kept_or_put_in_place(fleet: Client) -> None:
    fleet.submit([Wish(name="web.service", text=SERVICE, target="launched")])
    wish = Wish(name="web.service", text=OTHER, target="launched")
    with pytest.raises(Conflict, match="it exists with another text"):
        fleet.submit([wish])
    assert fleet.submit([wish], keep=True).units[0].outcome == "kept"
    assert fleet.unit("web.service").text == SERVICE
    replaced = fleet.submit([wish], replace=True).units[0]
    assert (replaced.outcome, replaced.launch) == ("replaced", 2)
    assert fleet.unit("web.service").text == OTHER


def test_a_running_unit_is_not_replaced_by_submit(fleet: Client) -> None:
    fleet.submit([Wish(name="web.service", text=SERVICE, target="launched")])
    with pytest.raises(Conflict, match=r"cannot replace web.service as inactive: it is launched"):
        fleet.submit([Wish(name="web.service", text=OTHER)], replace=True)


def test_many_units_share_one_text_by_its_hash(fleet: Client) -> None:
    rows = [Wish(name=f"u{number}.service", hash=HASH) for number in range(200)]
    fleet.submit(rows, texts={HASH: SERVICE})
    assert len(names(fleet)) == 200
    with pytest.raises(Refused, match="its hash is another"):
        fleet.submit([Wish(name="x.service", hash="0" * 40)], texts={"0" * 40: SERVICE})
    with pytest.raises(NotFound):
        fleet.submit([Wish(name="x.service", hash="0" * 40)])


def test_targets_of_many_units_are_set_at_once_or_not_at_all(fleet: Client) -> None:
    fleet.submit([Wish(name=f"{one}.service", text=SERVICE) for one in "abc"])
    with pytest.raises(Missing):
        fleet.set_target(["a.service", "ghost.service"], "launched")
    assert {unit.target for unit in fleet.units()} == {"inactive"}
    fleet.set_target(["a.service", "b.service"], "launched")
    assert [unit.target for unit in fleet.units()] == ["launched", "launched", "inactive"]
    with pytest.raises(Refused, match="cannot set the target 'running'"):
        fleet.set_target(["a.service"], "running")
    with pytest.raises(Refused, match=r"names a.service twice"):
        fleet.set_target(["a.service", "a.service"], "loaded")


def test_a_target_is_raised_but_not_lowered_where_asked(fleet: Client) -> None:
    fleet.submit([Wish(name="a.service", text=SERVICE, target="launched")])
    row = fleet.submit([Wish(name="a.service", target="loaded")], at_least=True).units[0]
    assert (row.outcome, row.target) == ("unchanged", "launched")
    assert fleet.submit([Wish(name="a.service", target="loaded")]).units[0].target == "loaded"


def test_start_of_what_runs_does_nothing_and_of_what_has_ended_starts_it_again(
    cluster: Cluster, fleet: Client
) -> None:
    cluster.register(machine())
    fleet.submit([Wish(name="a.service", text=SERVICE, target="launched")])
    cluster.run("a.service")
    assert fleet.set_target(["a.service"], "launched").units[0].outcome == "unchanged"
    cluster.publish("a.service", "failed", "failed", result="exit-code")
    row = fleet.set_target(["a.service"], "launched").units[0]
    assert (row.outcome, row.launch) == ("target", 2)
    assert fleet.set_target(["a.service"], "launched").units[0].outcome == "unchanged"


def test_restart_asks_for_one_more_launch(fleet: Client) -> None:
    fleet.submit([Wish(name="a.service", text=SERVICE, target="launched")])
    assert fleet.restart(["a.service"]).units[0].launch == 2
    fleet.set_target(["a.service"], "loaded")
    row = fleet.restart(["a.service"]).units[0]
    assert (row.target, row.launch) == ("launched", 3)


def test_destroy_passes_over_what_does_not_exist(fleet: Client) -> None:
    fleet.submit([Wish(name="a.service", text=SERVICE)])
    rows = fleet.destroy(["a.service", "ghost.service"]).units
    assert [row.outcome for row in rows] == ["destroyed", "unchanged"]
    assert names(fleet) == []
    with pytest.raises(NotFound, match=r"cannot find unit a.service"):
        fleet.unit("a.service")


def test_a_conflict_is_met_by_planning_again(cluster: Cluster, fleet: Client) -> None:
    fleet.submit([Wish(name="a.service", text=SERVICE)])
    cluster.kv.faults.held = cluster.etcd.revision  # this node hears nothing newer for now
    other = cluster.etcd.client()

    async def elsewhere() -> None:
        from fleetish.changes import SetTarget
        from fleetish.model import Target
        from fleetish.store.live import LiveStore

        store = LiveStore(other)
        async with store.observe() as seen:
            await store.commit([SetTarget("a.service", Target.LAUNCHED, 1, "x")], seen.world)

    cluster.call(elsewhere())
    cluster.kv.faults.held = None
    cluster.etcd.wake()
    assert fleet.set_target(["a.service"], "loaded").units[0].target == "loaded"
    assert cluster.target("a.service") == "loaded"


def test_a_write_whose_answer_never_came_is_done_once_all_the_same(
    cluster: Cluster, fleet: Client
) -> None:
    fleet.submit([Wish(name="a.service", text=SERVICE, target="launched")])
    cluster.kv.faults.unheard = 1
    row = fleet.restart(["a.service"]).units[0]
    assert (row.launch, fleet.unit("a.service").launch) == (2, 2)


def test_states_are_listed_by_unit_and_machine_and_say_unknown_of_lost_machines(
    cluster: Cluster, fleet: Client
) -> None:
    cluster.register(machine())
    cluster.register(machine(B, "node2"))
    fleet.submit([Wish(name=f"{n}.service", text=SERVICE, target="launched") for n in "ab"])
    cluster.run("a.service", A)
    cluster.run("b.service", B)
    assert [(s.unit, s.machine, s.active) for s in fleet.states()] == [
        ("a.service", A, "active"),
        ("b.service", B, "active"),
    ]
    assert [s.unit for s in fleet.states(machine="node2")] == ["b.service"]
    cluster.lose(B)
    assert [(s.active, s.sub, s.stale) for s in fleet.states("b.service")] == [
        ("unknown", "lost", True)
    ]


def test_an_unreadable_unit_is_named_and_disturbs_nothing_else(
    cluster: Cluster, fleet: Client
) -> None:
    fleet.submit([Wish(name=f"{n}.service", text=SERVICE) for n in "ab"])
    cluster.garbage(("units", "a.service"))
    assert names(fleet) == ["b.service"]
    with pytest.raises(Refused, match=r"cannot use a.service: its record in etcd is unreadable"):
        fleet.unit("a.service")
    with pytest.raises(Refused, match="unreadable"):
        fleet.submit([Wish(name="a.service", text=SERVICE)])
    assert fleet.destroy(["a.service"]).units[0].outcome == "destroyed"
    fleet.submit([Wish(name="a.service", text=SERVICE)])
    assert names(fleet) == ["a.service", "b.service"]


def test_verify_tells_everything_that_is_wrong_and_stores_nothing(fleet: Client) -> None:
    text = "[Service]\nExecStart=/bin/true\nNoSuch=1\nMemoryMax=lots\n"
    found = fleet.verify([FileText(name="a.service", text=text)])
    assert [one.where for one in found] == ["a.service:3", "a.service:4"]
    assert fleet.verify([FileText(name="b.service", text=SERVICE)]) == ()
    assert names(fleet) == []
