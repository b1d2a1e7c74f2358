"""Status, text and headers of every path and method, as fleet 1.0 has them."""

from __future__ import annotations

from contextlib import closing
from http.client import HTTPConnection
from urllib.parse import quote

import pytest

from fleetish import __version__
from fleetish.wire import Wish
from tests.api.cluster import A, B, Cluster, machine
from tests.fleet_api.speak import OTHER, SLEEP, Fleet, fleet_options, option

JSON = {"Content-Type": "application/json"}
ONLY_GET = "only GET supported against this resource"
ITEM = "only GET, PUT and DELETE supported against this resource"
MACHINES = "only GET and PATCH supported against this resource"
NO_UNIT = "unit does not exist"


@pytest.mark.parametrize("prefix", ["/fleet/v1", "/v1-alpha"])
@pytest.mark.parametrize(
    ("method", "path", "status", "says"),
    [
        ("GET", "", 405, ""),
        ("POST", "", 405, ""),
        ("GET", "/", 404, ""),
        ("GET", "/nothing", 404, ""),
        ("GET", "/units/", 404, ""),
        ("GET", "/machines/", 404, ""),
        ("GET", "/state/", 404, ""),
        ("GET", "/discovery/", 404, ""),
        ("GET", "/machines/x", 404, ""),
        ("GET", "/units/a.service/", 404, ""),
        ("GET", "/units/a.service/b", 404, ""),
        ("GET", "/units/a%2Fb.service", 404, ""),
        ("POST", "/units", 405, ONLY_GET),
        ("DELETE", "/units", 405, ONLY_GET),
        ("POST", "/state", 405, ONLY_GET),
        ("PUT", "/state/a.service", 405, ONLY_GET),
        ("POST", "/machines", 405, MACHINES),
        ("POST", "/units/a.service", 405, ITEM),
        ("PATCH", "/units/a.service", 405, ITEM),
        ("POST", "/discovery", 400, "only HTTP GET supported against this resource"),
        ("GET", "/units/a.service", 404, NO_UNIT),
        ("GET", "/units/no%20name", 404, NO_UNIT),
        ("GET", "/units/%FF%0A", 404, NO_UNIT),
        ("DELETE", "/units/a.service", 404, NO_UNIT),
        ("GET", "/state/a.service", 404, NO_UNIT),
        ("GET", "/units?nextPageToken=EwBMLg==", 400, "token limit must be 100"),
        ("GET", "/state?nextPageToken=EwBMLg==", 400, "token limit must be 100"),
        ("GET", "/machines?nextPageToken=EwBMLg==", 400, "token limit must be 100"),
    ],
)
def test_a_refusal_has_fleets_status_and_text(
    cluster: Cluster, prefix: str, method: str, path: str, status: int, says: str
) -> None:
    with Fleet(cluster.url, prefix) as fleet:
        assert fleet.refused(method, path) == (status, says)


def test_any_letter_of_a_path_may_be_percent_encoded(cluster: Cluster, fleet: Fleet) -> None:
    fleet.submit("a@1.service")
    with closing(HTTPConnection(cluster.url.removeprefix("http://"))) as raw:
        for path in ("/fleet/v1/units/%61%401%2Eservice", "/%66leet/v1/units/a@1.service"):
            raw.request("GET", path)
            assert b'"name":"a@1.service"' in raw.getresponse().read()


def test_head_is_refused_without_a_body(fleet: Fleet) -> None:
    fleet.submit("a.service")
    answer = fleet.ask("HEAD", "/units/a.service")
    assert (answer.status_code, answer.content) == (405, b"")


def test_every_answer_names_fleet_and_fleetish(fleet: Fleet) -> None:
    for path in ("/units", "/nothing", "/discovery"):
        assert fleet.ask("GET", path).headers["Server"] == f"fleetd/1.0.0 fleetish/{__version__}"


def test_what_succeeds_has_fleets_status_and_type(fleet: Fleet) -> None:
    fleet.submit("a.service")
    for path in ("/units", "/units/a.service", "/state", "/state/a.service", "/machines"):
        answer = fleet.ask("GET", f"{path}?alt=json&unknown=1")
        assert (answer.status_code, answer.headers["Content-Type"]) == (200, "application/json")
    patch = fleet.ask("PATCH", "/machines", data="[]")
    assert (patch.status_code, patch.headers["Content-Type"]) == (204, "application/json")
    deleted = fleet.ask("DELETE", "/units/a.service")
    assert (deleted.status_code, deleted.content) == (204, b"")


def test_an_empty_list_is_an_empty_object(fleet: Fleet) -> None:
    assert (fleet.get("/units"), fleet.get("/state")) == ({}, {})


@pytest.mark.parametrize(
    ("headers", "says"),
    [
        ({}, "expected 1 Content-Type, got 0"),
        ({"Content-Type": "text/plain"}, "only acceptable Content-Type is application/json"),
    ],
)
def test_a_put_must_say_that_it_is_json(fleet: Fleet, headers: dict[str, str], says: str) -> None:
    found = fleet.refused("PUT", "/units/a.service", data=b"{}", headers=headers)
    assert found == (415, says)


def test_a_content_type_may_have_parameters(fleet: Fleet) -> None:
    headers = {"Content-Type": "application/json; charset=utf-8"}
    assert fleet.refused("PUT", "/units/a.service", data="{}", headers=headers)[0] == 409


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b'{"options": 1}', b'{"name": 1}', b'{"name": "\xff"}']
)
def test_a_body_that_is_no_unit_is_refused(fleet: Fleet, body: bytes) -> None:
    status, says = fleet.refused("PUT", "/units/a.service", data=body, headers=JSON)
    assert status == 400
    assert says.startswith("unable to decode body: ")


def test_null_counts_as_absent(fleet: Fleet) -> None:
    body = b'{"name": null, "options": null, "desiredState": null, "machineID": "x"}'
    assert fleet.refused("PUT", "/units/a.service", data=body, headers=JSON)[0] == 409


def test_a_body_is_not_read_without_end(fleet: Fleet) -> None:
    body = b'{"name": "' + b"x" * (1 << 20) + b'"}'
    assert fleet.refused("PUT", "/units/a.service", data=body, headers=JSON)[0] == 413


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("hello", 'unit name must contain "."'),
        ("hello.", 'unit name cannot end in "."'),
        ("hello.foo", 'invalid unit type: "foo"'),
        ("he llo.service", "invalid character ' ' in unit name"),
        ("he'llo.service", "invalid character '\\'' in unit name"),
        ("héllo.service", "invalid character 'é' in unit name"),
        ("a\nb.service", "invalid character '\\n' in unit name"),
        ("@.service", 'unit name cannot start in "@"'),
        ("x" * 249 + ".service", "unit name exceeds maximum length (256)"),
        ("a@b.mount", "cannot use a@b.mount: a mount unit has no instances"),
    ],
)
def test_a_name_that_fleet_would_not_take_is_refused_in_its_words(
    fleet: Fleet, name: str, says: str
) -> None:
    path = f"/units/{quote(name, safe='')}"
    assert fleet.refused("PUT", path, json={"name": name, "options": SLEEP}) == (400, says)


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("x" * 248 + ".service", "longer than 255 bytes"),
        ("a.busname", "systemd has no unit type 'busname'"),
        ("a.snapshot", "systemd has no unit type 'snapshot'"),
        ("a.target", "cannot"),
        ("a.device", "cannot"),
        ("a.swap", "cannot"),
        ("a.scope", "cannot"),
    ],
)
def test_a_unit_that_could_never_run_is_refused_when_it_is_made(
    fleet: Fleet, name: str, says: str
) -> None:
    body = {"name": name, "options": [option("Unit", "Description", "x")]}
    status, text = fleet.refused("PUT", f"/units/{name}", json=body)
    assert status == 400
    assert text.startswith("cannot ")
    assert says in text
    assert fleet.get("/units") == {}


@pytest.mark.parametrize(
    ("pairs", "says"),
    [
        ((("MachineID", "a"), ("MachineOf", "b.service")), "MachineID cannot be used with Peers"),
        ((("MachineID", "a"), ("Conflicts", "b")), "MachineID cannot be used with Conflicts"),
        ((("MachineID", "a"), ("Global", "true")), "MachineID cannot be used with Global"),
        ((("MachineID", "a"), ("Replaces", "b")), "MachineID cannot be used with Replaces"),
        ((("Global", "true"), ("MachineOf", "b.service")), "Global cannot be used with Peers"),
        ((("Global", "true"), ("Replaces", "b")), "Global cannot be used with Replaces"),
        ((("Conflicts", "a"), ("Replaces", "b")), "Conflicts cannot be used with Replaces"),
        (
            (("MachineOf", "b.service"), ("Conflicts", "b.*")),
            'unresolvable requirements: peer "b.service" matches conflict "b.*"',
        ),
        (
            (("MachineOf", "b.service"), ("Replaces", "b.*")),
            'unresolvable requirements: peer "b.service" matches replace "b.*"',
        ),
    ],
)
def test_options_that_exclude_each_other_are_refused_in_fleets_words(
    fleet: Fleet, pairs: tuple[tuple[str, str], ...], says: str
) -> None:
    body = {"options": fleet_options(*pairs)}
    assert fleet.refused("PUT", "/units/a.service", json=body) == (400, says)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ([option("Service", "NoSuch", "1"), *SLEEP], "[Service] has no such directive"),
        ([option("Unit", "Description", "x")], "ExecStart="),
        ([option("Service", "ExecStart", "/bin/a\nExecStop=/bin/b")], "cannot"),
        ([option("Service", "ExecStart", "/bin/a\x00")], "control character"),
        ([option("Ser]vice", "ExecStart", "/bin/a")], "section"),
        ([option("Service", "Exec=Start", "/bin/a")], "cannot write option"),
        ([option("", "ExecStart", "/bin/a")], "section"),
        ([option("Service", "ExecStart", "x" * 600_000)], "the limit is"),
        (fleet_options(("MachineMetadata", "zone")), "'zone' is not key=value"),
    ],
)
def test_a_unit_file_that_cannot_be_meant_is_refused_whether_it_is_new_or_not(
    fleet: Fleet, options: list[dict[str, str]], says: str
) -> None:
    for _ in ("new", "known"):
        status, text = fleet.refused("PUT", "/units/a.service", json={"options": options})
        assert status == 400
        assert says in text
        fleet.put("a.service", SLEEP)
    assert fleet.get("/units/a.service")["options"] == SLEEP


def test_a_template_is_refused_when_it_is_made_or_replaced_to_run(fleet: Fleet) -> None:
    text = 'cannot activate template "a@.service"'
    for options in (SLEEP, OTHER):
        body = {"options": options, "desiredState": "launched"}
        assert fleet.refused("PUT", "/units/a%40.service", json=body) == (400, text)
        fleet.put("a@.service", SLEEP)


def test_a_state_that_does_not_exist_is_refused_and_changes_nothing(fleet: Fleet) -> None:
    fleet.submit("a.service")
    for name in ("a.service", "b.service"):
        body = {"desiredState": "LAUNCHED", "options": OTHER}
        status, text = fleet.refused("PUT", f"/units/{name}", json=body)
        assert (status, text.partition(":")[0]) == (400, 'invalid desiredState "LAUNCHED"')
    assert [unit["desiredState"] for unit in fleet.listed("units")] == ["inactive"]


def test_options_come_back_as_they_were_given(fleet: Fleet) -> None:
    options = [
        option("Unit", "Description", "Two  words"),
        option("Service", "ExecStartPre", "/bin/echo a \\\n  b"),
        option("Service", "ExecStart", "/bin/sleep 9"),
        option("Service", "Environment", ""),
        option("X-Fleet", "SomethingOfTheFuture", "1"),
        option("X-Fleet", "Conflicts", "a*.service"),
        option("X-Fleet", "Conflicts", "b*.service"),
    ]
    fleet.submit("a.service", options)
    assert fleet.get("/units/a.service")["options"] == options
    assert fleet.put("a.service", options, "inactive").status_code == 204


def test_a_file_that_was_submitted_otherwise_has_the_same_options(
    cluster: Cluster, fleet: Fleet
) -> None:
    text = "# why\n[Service]\n; how\nExecStart=/bin/sleep 600\n"
    with cluster.client() as native:
        native.submit([Wish(name="a.service", text=text)])
    assert fleet.get("/units/a.service")["options"] == SLEEP
    assert fleet.put("a.service", SLEEP, "loaded").status_code == 204


def test_a_state_that_is_put_again_starts_nothing_anew(cluster: Cluster, fleet: Fleet) -> None:
    with cluster.obeyed(("a.service", "inactive", "dead")):
        fleet.submit("a.service", state="launched")
        fleet.reaches("a.service", "launched")
        fleet.want("a.service", "launched")
        with cluster.client() as native:
            assert native.unit("a.service").launch == 1


def test_machines_are_listed_by_id_and_lost_ones_are_not(cluster: Cluster, fleet: Fleet) -> None:
    cluster.register(machine(B, "node2"))
    assert [one["id"] for one in fleet.listed("machines")] == [A, B]
    cluster.lose(A)
    assert fleet.until("/machines", lambda page: len(page["machines"]) == 1) == {
        "machines": [{"id": B, "primaryIP": "10.0.0.2", "metadata": {"host": "node2"}}]
    }


def test_a_record_that_nobody_can_read_is_refused_with_the_reason(
    cluster: Cluster, fleet: Fleet
) -> None:
    cluster.garbage(("units", "a.service"))
    fleet.until("/units", lambda page: page == {})
    for method, more in (("GET", {}), ("PUT", {"json": {"options": SLEEP}})):
        status, text = fleet.refused(method, "/units/a.service", **more)
        assert status == 400
        assert "unreadable" in text
    fleet.destroy("a.service")
    assert fleet.refused("GET", "/units/a.service") == (404, NO_UNIT)
