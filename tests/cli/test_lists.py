"""Listings: fleetctl's columns to the tab, and the same as JSON."""

from __future__ import annotations

import json

from fleetish.units.file import content_hash, parse
from tests.api.cluster import SERVICE, A, B, Cluster, machine
from tests.cli.conftest import Run, call

HASH = content_hash(parse(SERVICE))


def running(cluster: Cluster, fleetish: Run) -> None:
    fleetish("start", "--no-block", "web@1", "web@2")
    cluster.run("web@1.service")


def test_list_units_prints_fleetctls_columns(cluster: Cluster, fleetish: Run) -> None:
    running(cluster, fleetish)
    assert fleetish("list-units").out == (
        "UNIT\t\tMACHINE\t\t\tACTIVE\tSUB\nweb@1.service\taaaaaaaa.../10.0.0.1\tactive\trunning\n"
    )
    assert fleetish("list-units", "--no-legend", "--fields", "unit,load,hash").out == (
        f"web@1.service\tloaded\t{HASH[:7]}\n"
    )
    assert fleetish("list-units", "--full", "--no-legend", "--fields=machine,hash").out == (
        f"{A}/10.0.0.1\t{HASH}\n"
    )


def test_list_units_as_json_has_the_columns_as_keys(cluster: Cluster, fleetish: Run) -> None:
    running(cluster, fleetish)
    (row,) = json.loads(fleetish("list-units", "--json").out)
    keys = ("unit", "machine", "load", "active", "sub", "hash", "host")
    assert [row[key] for key in keys] == [
        "web@1.service",
        A,
        "loaded",
        "active",
        "running",
        HASH,
        "node1",
    ]
    (only,) = json.loads(fleetish("list-units", "--json", "--fields", "unit,sub").out)
    assert only == {"unit": "web@1.service", "sub": "running"}


def test_list_unit_files_prints_fleetctls_columns(cluster: Cluster, fleetish: Run) -> None:
    running(cluster, fleetish)
    assert fleetish("list-unit-files").out == (
        "UNIT\t\tHASH\tDSTATE\t\tSTATE\t\tTARGET\n"
        f"web@1.service\t{HASH[:7]}\tlaunched\tlaunched\taaaaaaaa.../10.0.0.1\n"
        f"web@2.service\t{HASH[:7]}\tlaunched\tinactive\t-\n"
    )
    fields = "unit,desc,global,tmachine,waiting"
    assert fleetish("list-unit-files", "--no-legend", "--fields", fields).out == (
        "web@1.service\tA test\tfalse\taaaaaaaa.../10.0.0.1\t-\n"
        "web@2.service\tA test\tfalse\t-\t\t\tfor a machine that fits\n"
    )


def test_list_machines_prints_fleetctls_columns(cluster: Cluster, fleetish: Run) -> None:
    cluster.register(machine(B, "node2", rack="r2"))
    assert fleetish("list-machines").out == (
        "MACHINE\t\tIP\t\tMETADATA\n"
        "aaaaaaaa...\t10.0.0.1\thost=node1\n"
        "bbbbbbbb...\t10.0.0.2\thost=node2,rack=r2\n"
    )
    rows = json.loads(fleetish("list-machines", "--json").out)
    assert [(row["machine"], row["ip"], row["metadata"]) for row in rows] == [
        (A, "10.0.0.1", {"host": "node1"}),
        (B, "10.0.0.2", {"host": "node2", "rack": "r2"}),
    ]


def test_an_empty_listing_is_its_legend_or_an_empty_list(fleetish: Run) -> None:
    assert fleetish("list-units").out == "UNIT\tMACHINE\tACTIVE\tSUB\n"
    assert fleetish("list-units", "--json").out == "[]\n"


def test_commands_may_be_shortened_as_far_as_they_are_one(fleetish: Run) -> None:
    assert fleetish("list-m", "--no-legend").code == 0
    done = fleetish("list-u")
    assert (done.code, "may be list-units, list-unit-files" in done.err) == (2, True)


def test_an_api_that_is_not_there_is_told_with_the_way_out() -> None:
    done = call("http://127.0.0.1:1", "list-units")
    assert done.code == 1
    assert done.err == (
        "cannot reach the API at http://127.0.0.1:1: connection refused "
        "(set FLEETISH_ENDPOINT, or start fleetish here)\n"
    )
    assert "there is no such socket" in call("unix:///No/Such.sock", "list-units").err


def test_the_next_endpoint_is_asked_when_one_does_not_answer(cluster: Cluster) -> None:
    assert call(f"http://127.0.0.1:1,{cluster.url}", "list-machines").code == 0
