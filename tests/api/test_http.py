"""The shape of HTTP: strict bodies, one shape of error, outages, events, relays."""

from __future__ import annotations

import json
from typing import Any

import pytest
import requests
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from fleetish import __version__
from fleetish.client import Client
from fleetish.errors import Conflict, NotFound, Refused, Unavailable
from fleetish.wire import ClusterEvent, Wish
from tests.api.cluster import SERVICE, A, B, Cluster, machine, running


def post(cluster: Cluster, path: str, body: Any, **more: Any) -> requests.Response:
    return requests.post(cluster.url + path, timeout=10, **{"json": body, **more})


def fault(response: requests.Response) -> tuple[int, str, str]:
    error = response.json()["error"]
    return response.status_code, error["code"], error["message"]


@pytest.mark.parametrize(
    ("path", "body", "status", "code", "says"),
    [
        ("/v1/units", {"units": [], "x": 1}, 400, "refused", "unknown field `x`"),
        ("/v1/units", {"units": [{"name": 1}]}, 400, "refused", "$.units[0].name"),
        ("/v1/units", {}, 400, "refused", "missing required field `units`"),
        ("/v1/units/a.service/target", {"target": "on"}, 400, "refused", "set the target 'on'"),
        (
            "/v1/units/a.service/target",
            {"target": "loaded"},
            404,
            "missing",
            "cannot find a.service",
        ),
        ("/v1/units/nope/target", {"target": "loaded"}, 400, "bad-name", "no type suffix"),
        ("/v1/targets", {"names": ["a.service"]}, 400, "refused", "one of target, restart"),
        ("/v1/machines/x/cordon", {}, 404, "not-found", "cannot find machine 'x'"),
        ("/v1/machines", {}, 405, "no-such-method", "cannot do this"),
        ("/v2/apps", {}, 404, "no-such-path", "cannot do this"),
        ("/v1/units/", {}, 404, "no-such-path", "cannot do this"),
    ],
)
def test_what_is_wrong_is_told_in_one_shape(
    cluster: Cluster, path: str, body: Any, status: int, code: str, says: str
) -> None:
    found = fault(post(cluster, path, body))
    assert found[:2] == (status, code)
    assert says in found[2]


def test_a_body_must_be_json_and_say_so(cluster: Cluster) -> None:
    where = cluster.url + "/v1/units"
    text = requests.post(where, data="{}", headers={"Content-Type": "text/plain"}, timeout=10)
    assert fault(text)[:2] == (415, "not-json")
    headers = {"Content-Type": "application/json; charset=utf-8"}
    broken = requests.post(where, data=b'{"units": [', headers=headers, timeout=10)
    assert fault(broken)[:2] == (400, "refused")
    not_text = requests.post(where, data=b'{"units": "\xff"}', headers=headers, timeout=10)
    assert fault(not_text)[:2] == (400, "refused")


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_over_1_mib_is_refused_announced_or_not(cluster: Cluster, chunked: bool) -> None:
    body = b'{"units": [], "texts": {"x": "' + b"x" * (1 << 20) + b'"}}'
    data = iter([body]) if chunked else body
    headers = {"Content-Type": "application/json"}
    found = requests.post(cluster.url + "/v1/units", data=data, headers=headers, timeout=10)
    assert fault(found)[:2] == (413, "too-large")


def test_a_unit_file_over_the_limit_is_refused_with_the_limit(fleet: Client) -> None:
    text = SERVICE + "# " + "x" * (600 * 1024) + "\n"
    with pytest.raises(Refused, match="the limit is 524288"):
        fleet.submit([Wish(name="big.service", text=text)])


def test_names_may_be_percent_encoded(cluster: Cluster, fleet: Client) -> None:
    fleet.submit([Wish(name="web@a\\x2fb.service", text=SERVICE)])
    found = requests.get(cluster.url + "/v1/units/web%40a%5Cx2fb.service", timeout=10)
    assert found.json()["name"] == "web@a\\x2fb.service"


def test_put_creates_with_201_and_delete_forgets(cluster: Cluster) -> None:
    where = cluster.url + "/v1/units/a.service"
    assert requests.put(where, json={"text": SERVICE}, timeout=10).status_code == 201
    assert requests.put(where, json={"target": "loaded"}, timeout=10).status_code == 200
    assert requests.delete(where, timeout=10).json()["units"][0]["outcome"] == "destroyed"
    assert requests.delete(where, timeout=10).status_code == 404


def test_version_leader_and_health(cluster: Cluster, fleet: Client) -> None:
    assert fleet.version() == __version__
    assert fleet.leader().machine == ""
    cluster.lead()
    found = requests.get(cluster.url + "/v1/health", timeout=10)
    assert (found.status_code, found.json()["status"]) == (200, "ok")
    cluster.garbage(("units", "x.service"))
    written = fleet.submit([Wish(name="a.service", text=SERVICE)])
    health = requests.get(cluster.url + "/v1/health", timeout=10).json()
    assert health["revision"] >= written.revision
    assert [alarm.split(" is")[0] for alarm in health["alarms"]] == ["the record units/x.service"]
    assert fleet.leader().host == "node1"


def test_metrics_are_prometheus_text(cluster: Cluster, fleet: Client) -> None:
    cluster.register(machine())
    fleet.submit([Wish(name="a.service", text=SERVICE, target="launched")])
    found = requests.get(cluster.url + "/metrics?cluster=1", timeout=10)
    lines = found.text.splitlines()
    assert 'fleetish_machines{state="ready"} 1.0' in lines
    assert 'fleetish_units{target="launched"} 1.0' in lines
    assert "fleetish_units_waiting 1.0" in lines


def test_while_etcd_is_silent_reads_are_marked_and_writes_answer_503(
    cluster: Cluster, fleet: Client
) -> None:
    fleet.submit([Wish(name="a.service", text=SERVICE)])
    cluster.kv.faults.cut = True
    cluster.etcd.wake()
    found = post(cluster, "/v1/units/a.service/target", {"target": "loaded"})
    assert (found.status_code, found.headers["Retry-After"]) == (503, "1")
    reads = requests.get(cluster.url + "/v1/units", timeout=10)
    assert [unit["name"] for unit in reads.json()["units"]] == ["a.service"]
    cluster.kv.faults.cut = False
    cluster.etcd.wake()
    assert fleet.set_target(["a.service"], "loaded").units[0].outcome == "target"


def test_events_tell_wishes_placements_states_and_machines_in_order(
    cluster: Cluster, fleet: Client
) -> None:
    events = fleet.events()
    assert next(events).kind == "hello"
    cluster.register(machine())
    cluster.client().submit([Wish(name="a.service", text=SERVICE, target="launched")])
    cluster.place("a.service")
    cluster.publish("a.service")
    cluster.lose(A)
    told = [short(next(events)) for _ in range(6)]
    assert told == [
        ("machine", "joined", "", "node1 ready"),
        ("unit", "created", "a.service", "launched"),
        ("placement", "placed", "a.service", "least loaded of 1 that fit"),
        ("state", "changed", "a.service", ""),
        ("machine", "lost", "", ""),
        ("unit", "changed", "a.service", ""),
    ]


def short(event: ClusterEvent) -> tuple[str, str, str, str]:
    return (event.kind, event.what, event.unit, event.text)


def test_who_comes_back_with_the_last_event_id_misses_nothing(
    cluster: Cluster, fleet: Client
) -> None:
    cluster.register(machine("c" * 32, "node3"))
    events = fleet.events()
    next(events)
    cluster.register(machine())
    seen = next(events)
    events.close()
    cluster.register(machine(B, "node2"))
    again = fleet.events(after=seen.revision)
    assert (next(again).kind, next(again).machine) == ("hello", B)
    late = fleet.events(after=1)
    assert next(late).what == "gap"


def test_the_mass_loss_brake_and_unreadable_records_raise_alarms(
    cluster: Cluster, fleet: Client
) -> None:
    names = [f"u{number}.service" for number in range(3)]
    fleet.submit([Wish(name=name, text=SERVICE, target="launched") for name in names])
    for number, name in enumerate(names):
        cluster.register(machine(str(number) * 32, f"node{number}"))
        cluster.run(name, str(number) * 32)
    events = fleet.events(kinds=["alarm"])
    next(events)
    for number in range(3):
        cluster.lose(str(number) * 32)
    brake = next(events)
    assert (brake.what, brake.text.split(":")[0]) == (
        "raised",
        "3 of 3 machines are lost at once",
    )
    cluster.garbage(("units", "x.service"))
    assert next(events).text.startswith("the record units/x.service is unreadable")
    cluster.register(machine("0" * 32, "node0"))
    assert (next(events).what, next(fleet.events()).kind) == ("cleared", "hello")


def test_explain_tells_per_machine_what_turned_a_unit_away(cluster: Cluster, fleet: Client) -> None:
    cluster.register(machine(A, "node1"))
    cluster.register(machine(B, "node2", zone="x"))
    text = SERVICE + "[X-Fleet]\nMachineMetadata=zone=x\nMemory=64G\n"
    fleet.submit([Wish(name="a.service", text=text, target="launched")])
    found = fleet.explain("a.service")
    assert [(row.host, row.fits) for row in found.machines] == [("node1", False), ("node2", False)]
    assert "zone=x" in found.machines[0].reason
    assert "memory" in found.machines[1].reason
    with pytest.raises(NotFound):
        fleet.explain("ghost.service")


def test_events_are_filtered_by_kind_and_unit(cluster: Cluster, fleet: Client) -> None:
    events = fleet.events(kinds=["unit"], units=["b*"])
    next(events)
    cluster.register(machine())
    cluster.client().submit([Wish(name=f"{n}.service", text=SERVICE) for n in "ab"])
    assert next(events).unit == "b.service"


async def journal(request: Request) -> Response:
    async def lines() -> Any:
        for number in range(int(request.query_params["lines"])):
            yield json.dumps({"MESSAGE": str(number)}).encode() + b"\n"

    return StreamingResponse(lines(), media_type="application/x-ndjson")


async def status(request: Request) -> Response:
    if request.path_params["unit"] == "gone.service":
        raise NotFound("cannot find gone.service here")
    return PlainTextResponse(f"● {request.path_params['unit']}\n")


async def figures(_: Request) -> Response:
    return Response(json.dumps({"a.service": {"memory": 1024, "cpu": 1.5}}))


LOCAL = [
    Route("/v1/local/journal/{unit}", journal),
    Route("/v1/local/status/{unit}", status),
    Route("/v1/local/figures", figures),
]


def test_journal_status_and_figures_come_from_the_units_machine() -> None:
    with running(LOCAL) as cluster, cluster.client() as fleet:
        cluster.register(machine(A, "node1", endpoint=cluster.url))
        cluster.register(machine(B, "node2", endpoint="http://127.0.0.1:1"))
        names = ["a.service", "b.service", "gone.service", "idle.service"]
        fleet.submit([Wish(name=name, text=SERVICE, target="launched") for name in names])
        for name, on in (("a.service", A), ("gone.service", A), ("b.service", B)):
            cluster.run(name, on)
        assert [entry["MESSAGE"] for entry in fleet.journal("a.service", 3)] == ["0", "1", "2"]
        assert fleet.status("a.service") == "● a.service\n"
        with pytest.raises(NotFound, match=r"cannot find gone.service here"):
            fleet.status("gone.service")
        with pytest.raises(Unavailable, match="cannot reach"):
            fleet.status("b.service")
        with pytest.raises(Conflict, match="it is on no machine"):
            fleet.status("idle.service")
        found = fleet.top()
        assert [(row.unit, row.machine, row.memory, row.cpu) for row in found.units] == [
            ("a.service", A, 1024, 1.5)
        ]
        assert found.silent == (B,)
