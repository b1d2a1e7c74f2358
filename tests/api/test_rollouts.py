"""Rolling updates and rebalances over the API, with the real engine behind it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from fleetish.cli.wait import Watch
from fleetish.client import Client
from fleetish.errors import Conflict, NotFound, Refused
from fleetish.wire import Wish
from fleetish.wire_faults import Invalid
from fleetish.wire_orders import ReplaceBody, RolloutView
from tests.api.cluster import SERVICE, A, B, Cluster, machine
from tests.api.engine import engine

NEW = SERVICE.replace("60", "61")
WEB = [f"web@{n}.service" for n in range(1, 4)]


@pytest.fixture(autouse=True)
def three_instances(cluster: Cluster, fleet: Client) -> None:
    cluster.register(machine(A, "node1"))
    cluster.register(machine(B, "node2"))
    template = Wish(name="web@.service", text=SERVICE)
    fleet.submit([template])
    fleet.submit([Wish(name=name, target="launched") for name in WEB])


def until(fleet: Client, holds: Callable[[], object]) -> None:
    """Look again at each event, until something is so."""
    watch = Watch(fleet)
    assert watch.next(20) is not None
    while not holds():
        assert watch.next(20) is not None, "it never came true"


def ended(fleet: Client, begun: RolloutView) -> RolloutView:
    until(fleet, lambda: not fleet.rollout(begun.id).going)
    return fleet.rollout(begun.id)


@pytest.fixture
def running(cluster: Cluster, fleet: Client) -> Iterator[None]:
    """An engine, and all instances active."""
    with engine(cluster, lambda held: "exit-code" if _is_bad(cluster, held.hash) else ""):
        until(fleet, lambda: all(view.settled for view in fleet.units(WEB)))
        yield


def _is_bad(cluster: Cluster, digest: str) -> bool:
    item = cluster.etcd.current(cluster.keys.key(("content", digest)))
    return item is not None and b"bad" in item.value


@pytest.mark.usefixtures("running")
def test_a_template_is_replaced_with_all_of_its_instances(fleet: Client) -> None:
    body = ReplaceBody(units=("web@.service",), texts={"web@.service": NEW}, settle=0)
    begun = fleet.replace(body)
    assert (begun.stage, begun.total, begun.max_unavailable) == ("replacing", 4, "1")
    done = ended(fleet, begun)
    assert (done.stage, done.done, {one.stands for one in done.units}) == ("done", 4, {"done"})
    assert [one.unit for one in done.units] == ["web@.service", *WEB]
    assert {fleet.unit(name).text for name in ("web@.service", *WEB)} == {NEW}
    assert [view.launch for view in fleet.units(WEB)] == [2, 2, 2]
    assert [one.id for one in fleet.rollouts()] == [begun.id]


@pytest.mark.usefixtures("running")
def test_instances_without_a_text_take_that_of_their_stored_template(fleet: Client) -> None:
    fleet.submit([Wish(name="web@.service", text=NEW)], replace=True)
    done = ended(fleet, fleet.replace(ReplaceBody(units=("web@.service",), settle=0)))
    assert (done.stage, [one.unit for one in done.units]) == ("done", WEB)
    assert {fleet.unit(name).text for name in WEB} == {NEW}


@pytest.mark.usefixtures("running")
def test_one_that_fails_stops_it_and_undo_brings_the_old_text_back(fleet: Client) -> None:
    bad = SERVICE.replace("60", "bad")
    body = ReplaceBody(units=tuple(WEB), texts={"web@.service": bad}, settle=0)
    stopped = ended(fleet, fleet.replace(body))
    assert stopped.stage == "stopped"
    assert stopped.reason.startswith("web@1.service failed (exit-code) on node")
    assert [one.stands for one in stopped.units] == ["failed", "kept", "kept"]
    fleet.undo_rollout(stopped.id)
    undone = ended(fleet, stopped)
    assert (undone.stage, {one.stands for one in undone.units}) == ("undone", {"done"})
    assert {fleet.unit(name).text for name in WEB} == {SERVICE}


@pytest.mark.usefixtures("running")
def test_a_new_text_takes_the_place_of_a_rollout_that_was_stopped(fleet: Client) -> None:
    bad = SERVICE.replace("60", "bad")
    first = fleet.replace(ReplaceBody(units=tuple(WEB), texts={"web@.service": bad}, settle=0))
    ended(fleet, first)
    again = ReplaceBody(units=tuple(WEB), texts={"web@.service": NEW}, settle=0)
    done = ended(fleet, fleet.replace(again))
    assert (done.stage, done.done) == ("done", 3)
    with pytest.raises(NotFound, match="cannot find rollout"):
        fleet.rollout(first.id)
    fleet.undo_rollout(done.id)
    ended(fleet, done)
    assert {fleet.unit(name).text for name in WEB} == {SERVICE}


@pytest.mark.usefixtures("running")
def test_a_global_unit_is_replaced_machine_by_machine_and_kept_when_that_is_stopped(
    fleet: Client,
) -> None:
    text = SERVICE + "[X-Fleet]\nGlobal=true\n"
    fleet.submit([Wish(name="log.service", text=text, target="launched")])
    until(fleet, lambda: fleet.unit("log.service").settled)
    bad = text.replace("60", "bad")
    body = ReplaceBody(units=("log.service",), texts={"log.service": bad}, settle=0)
    stopped = ended(fleet, fleet.replace(body))
    assert stopped.reason == "log.service failed (exit-code) on node1"
    assert [(one.host, one.stands) for one in stopped.units] == [
        ("node1", "failed"), ("node2", "kept"),
    ]  # fmt: skip
    with pytest.raises(Conflict, match=r"it keeps log\.service as it is on some machines"):
        fleet.cancel_rollout(stopped.id)
    fleet.undo_rollout(stopped.id)
    assert ended(fleet, stopped).stage == "undone"
    assert [state.active for state in fleet.states("log.service")] == ["active", "active"]


def test_while_one_goes_on_its_units_are_not_taken_and_it_can_be_cancelled(fleet: Client) -> None:
    body = ReplaceBody(units=tuple(WEB), texts={"web@.service": NEW})
    begun = fleet.replace(body)
    with pytest.raises(Conflict, match=rf"cannot replace web@1.service: rollout {begun.id}"):
        fleet.replace(body)
    fleet.cancel_rollout(begun.id)
    view = fleet.rollout(begun.id)
    assert (view.stage, view.going, {one.stands for one in view.units}) == (
        "cancelled", False, {"kept"},
    )  # fmt: skip
    fleet.cancel_rollout(begun.id)
    assert fleet.rollouts() == ()


@pytest.mark.parametrize(
    ("fields", "error", "said"),
    [
        ({"units": ("ghost.service",)}, NotFound, "cannot find unit ghost.service"),
        ({"units": ("ghost@.service",)}, NotFound, "ghost@.service or an instance of it"),
        ({"units": ()}, Refused, "none are named"),
        ({"max_unavailable": "0"}, Refused, "neither a number nor a share"),
        ({"on_failure": "panic"}, Refused, "cannot 'panic' on failure"),
        ({"settle": -1.0}, Refused, "settle is 0 to 3600"),
        ({"texts": {"web@.service": SERVICE + "NoSuch=1\n"}}, Invalid, "NoSuch"),
        ({"texts": {"web@.service": SERVICE + "[X-Fleet]\nGlobal=true\n"}}, Refused, "Global="),
        ({"units": ("web.service",), "texts": {}}, Refused, "no text is given"),
    ],
)
def test_what_cannot_be_replaced_is_refused_and_nothing_is_written(
    cluster: Cluster, fleet: Client, fields: dict[str, object], error: type[Exception], said: str
) -> None:
    fleet.submit([Wish(name="web.service", text=SERVICE)])
    before = cluster.etcd.revision
    body = {"units": tuple(WEB), "texts": {"web@.service": NEW}, **fields}
    with pytest.raises(error, match=said):
        fleet.replace(ReplaceBody(**body))  # type: ignore[arg-type]
    assert cluster.etcd.revision == before
    assert fleet.rollouts() == ()


def test_a_rollout_whose_answer_never_came_begins_once_all_the_same(
    cluster: Cluster, fleet: Client
) -> None:
    cluster.kv.faults.unheard = 1
    begun = fleet.replace(ReplaceBody(units=tuple(WEB), texts={"web@.service": NEW}))
    assert [one.id for one in fleet.rollouts()] == [begun.id]


@pytest.mark.usefixtures("running")
def test_a_machine_that_joins_gets_its_share_when_that_is_asked_for(
    cluster: Cluster, fleet: Client
) -> None:
    fleet.submit([Wish(name=f"web@{n}.service", target="launched") for n in range(4, 7)])
    until(fleet, lambda: all(view.settled for view in fleet.units()))
    cluster.register(machine("c" * 32, "node3"))
    planned = fleet.rebalance(dry_run=True)
    assert {(one.host, one.reason.split(": ")[0]) for one in planned.shifts} == {
        ("node3", "rebalanced"),
    }  # fmt: skip
    assert (len(planned.shifts), planned.going, fleet.rebalancing().going) == (2, False, False)
    begun = fleet.rebalance(at_once=1)
    assert (begun.going, begun.shifts) == (True, planned.shifts)
    until(fleet, lambda: not fleet.rebalancing().going)
    until(fleet, lambda: all(view.settled for view in fleet.units()))
    assert sorted(one.units for one in fleet.machines()) == [2, 2, 2]
    assert fleet.rebalance(dry_run=True).shifts == ()


def test_one_rebalance_at_a_time_and_none_when_all_is_even(cluster: Cluster, fleet: Client) -> None:
    assert fleet.rebalance().going is False
    for name in WEB:
        cluster.run(name, A)
    assert fleet.rebalance(most=1).going is True
    with pytest.raises(Conflict, match="it is being done"):
        fleet.rebalance()
    fleet.cancel_rebalance()
    assert fleet.rebalancing().going is False
    with pytest.raises(Refused, match="most and at_once"):
        fleet.rebalance(most=0)


def test_events_tell_that_a_rollout_has_changed(cluster: Cluster, fleet: Client) -> None:
    with cluster.client() as listening:
        events = listening.events(kinds=["rollout"])
        assert next(events).kind == "hello"
        begun = fleet.replace(ReplaceBody(units=tuple(WEB), texts={"web@.service": NEW}))
        fleet.cancel_rollout(begun.id)
        fleet.cancel_rollout(begun.id)
        told = [next(events) for _ in range(3)]
        events.close()
    assert {one.text for one in told} == {begun.id}
    assert [one.what for one in told] == ["created", "changed", "gone"]
