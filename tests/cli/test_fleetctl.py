"""The command under the name fleetctl: what scripts written for fleet 1.0 read from it."""

from __future__ import annotations

from pathlib import Path

import pytest

from fleetish.cli.fleetctl.main import COMMANDS
from tests.api.cluster import SERVICE, A, Cluster
from tests.cli.conftest import Run

SHORT = f"{A[:8]}.../10.0.0.1"
GLOBAL = SERVICE + "[X-Fleet]\nGlobal=true\n"
LOADED = f"Unit web@1.service loaded on {SHORT}\n"
LAUNCHED = f"Unit web@1.service launched on {SHORT}\n"
CREATED = "Unit web@1.service inactive\n"


def test_a_unit_is_submitted_started_stopped_unloaded_and_destroyed(
    cluster: Cluster, fleetctl: Run
) -> None:
    with cluster.obeyed():
        assert fleetctl("submit", "web@1.service") == (0, CREATED, "")
        assert fleetctl("submit", "web@1.service") == (0, "", "")
        assert fleetctl("start", "web@1") == (0, LAUNCHED, "")
        assert fleetctl("start", "web@1") == (0, "", "")
        assert fleetctl("restart", "web@1") == (0, LAUNCHED, "")
        stopped = "Successfully stopped units [web@1.service].\n"
        assert fleetctl("stop", "web@1") == (0, LOADED, stopped)
        assert fleetctl("stop", "web@1") == (0, "", "Successfully stopped units [].\n")
        assert fleetctl("restart", "web@1") == (0, LAUNCHED, "")
        unloaded = "Successfully unloaded units [web@1.service].\n"
        assert fleetctl("unload", "web@1") == (0, CREATED, unloaded)
        assert fleetctl("unload", "web@1") == (0, "", "Successfully unloaded units [].\n")
        assert fleetctl("load", "web@1") == (0, LOADED, "")
        assert fleetctl("destroy", "web@1", "ghost") == (0, "Destroyed web@1.service\n", "")
        assert fleetctl("destroy", "web@1") == (0, "", "Units not found in registry\n")


def test_start_of_a_new_unit_tells_both_steps(cluster: Cluster, fleetctl: Run) -> None:
    with cluster.obeyed():
        assert fleetctl("start", "web@1.service") == (0, CREATED + LAUNCHED, "")


def test_nobody_waits_with_no_block(fleetctl: Run) -> None:
    triggered = "Triggered unit web@1.service start\n"
    assert fleetctl("start", "--no-block", "web@1") == (0, CREATED + triggered, "")
    assert fleetctl("unload", "--no-block", "web@1") == (
        0,
        "Triggered unit web@1.service unload\n",
        "Successfully unloaded units [web@1.service].\n",
    )


def test_nobody_waits_for_global_units(fleetctl: Run, tmp_path: Path) -> None:
    (tmp_path / "all.service").write_text(GLOBAL)
    created = "Unit all.service inactive\n"
    triggered = "Triggered global unit all.service {}\n"
    assert fleetctl("start", "all.service") == (0, created + triggered.format("start"), "")
    assert fleetctl("restart", "all").out == triggered.format("restart")
    assert fleetctl("stop", "all").out == triggered.format("stop")
    assert fleetctl("unload", "all").out == triggered.format("unload")
    assert fleetctl("list-unit-files", "--no-legend", "--fields", "unit,state,target").out == (
        "all.service\t-\tglobal\n"
    )


def test_block_attempts_are_windows_of_two_seconds(fleetctl: Run) -> None:
    done = fleetctl("start", "--block-attempts=1", "web@1")
    assert (done.code, done.out) == (1, CREATED)
    assert done.err.splitlines()[-1] == (
        "Error waiting for units: timed out waiting for unit web@1.service to report state launched"
    )


def test_a_oneshot_that_has_finished_is_no_failure(cluster: Cluster, fleetctl: Run) -> None:
    with cluster.obeyed(("web@1.service", "inactive", "dead")):
        assert fleetctl("start", "web@1") == (0, CREATED + LAUNCHED, "")


def test_a_unit_that_fails_exits_1_with_the_reason(cluster: Cluster, fleetctl: Run) -> None:
    with cluster.obeyed(("web@1.service", "failed", "failed")):
        done = fleetctl("start", "web@1")
    assert (done.code, done.out) == (1, CREATED)
    assert done.err.startswith("Error waiting for units: cannot start web@1.service: failed on ")


def test_no_units_are_told_and_exit_0(fleetctl: Run) -> None:
    for verb in ("submit", "load", "start", "stop", "unload", "restart", "destroy"):
        assert fleetctl(verb) == (0, "", "No units given\n")


def test_what_cannot_be_stopped_or_restarted_is_told_as_fleetctl_did(fleetctl: Run) -> None:
    fleetctl("submit", "web@1.service")
    assert fleetctl("stop", "web@1") == (
        1,
        "",
        "Unable to stop unit web@1.service in state inactive\n",
    )
    for verb in ("stop", "unload", "destroy"):
        assert fleetctl(verb, "ghost") == (0, "", "Units not found in registry\n")
    assert fleetctl("restart", "web@1") == (
        0,
        "",
        "Unable to restart unit web@1.service in state inactive\n",
    )


def test_a_unit_that_cannot_be_found_exits_1(fleetctl: Run) -> None:
    text = "Error creating units: unable to find Unit({}) in Registry or on filesystem\n"
    for verb in ("submit", "load", "start", "restart"):
        assert fleetctl(verb, "ghost") == (1, "", text.format("ghost.service"))
    assert fleetctl("start", "ghost@1", "other").err == (
        text.format("ghost@1.service") + text.format("other.service")
    )


def test_a_bad_file_is_told_with_its_line(fleetctl: Run, tmp_path: Path) -> None:
    (tmp_path / "bad.service").write_text("[Service]\nExecStart=/bin/true\nNoSuch=1\n")
    done = fleetctl("submit", "bad.service")
    assert done.code == 1
    assert done.err.startswith("Error creating units: bad.service:3: cannot")


def test_a_file_that_differs_is_told_and_not_taken(fleetctl: Run, tmp_path: Path) -> None:
    (tmp_path / "a.service").write_text(SERVICE)
    fleetctl("submit", "a.service")
    (tmp_path / "a.service").write_text(SERVICE.replace("60", "61"))
    assert fleetctl("load", "--no-block", "a.service").err == (
        "WARNING: Unit a.service in registry differs from local unit file a.service. "
        "Add --replace to override.\n"
    )
    assert fleetctl("cat", "a").out == SERVICE


def test_an_instance_is_compared_with_the_template_beside_it(fleetctl: Run, tmp_path: Path) -> None:
    fleetctl("submit", "web@1.service")
    newer = SERVICE.replace("60", "61")
    (tmp_path / "web@.service").write_text(newer)
    assert "differs from local template unit file" in fleetctl("submit", "web@1.service").err
    assert fleetctl("submit", "--replace", "web@1.service").out == CREATED
    assert fleetctl("cat", "web@1").out == newer


def test_replace_takes_what_is_here_but_not_below_what_is_wanted(
    fleetctl: Run, tmp_path: Path
) -> None:
    (tmp_path / "a.service").write_text(SERVICE)
    fleetctl("start", "--no-block", "a.service")
    assert fleetctl("submit", "--replace", "a.service") == (
        0,
        "Found same Unit(a.service) in Registry, nothing to do\n",
        "",
    )
    newer = SERVICE.replace("60", "61")
    (tmp_path / "a.service").write_text(newer)
    for verb in ("submit", "load"):
        assert fleetctl(verb, "--replace", "a.service").err == (
            "Warning: can not replace Unit(a.service) in state 'launched', "
            "use the appropriate command\n"
        )
    assert fleetctl("cat", "a").out == SERVICE
    assert fleetctl("start", "--replace", "--no-block", "a.service").out == (
        "Unit a.service inactive\nTriggered unit a.service start\n"
    )
    assert fleetctl("cat", "a").out == newer


def test_cat_takes_one_unit_that_exists(fleetctl: Run) -> None:
    assert fleetctl("cat") == (1, "", "One unit file must be provided\n")
    assert fleetctl("cat", "ghost") == (1, "", "Unit ghost.service not found\n")


def test_listings_are_fleetctls_to_the_tab(cluster: Cluster, fleetctl: Run) -> None:
    fleetctl("start", "--no-block", "web@1", "web@2")
    cluster.run("web@1.service")
    assert fleetctl("list-units").out == (
        f"UNIT\t\tMACHINE\t\t\tACTIVE\tSUB\nweb@1.service\t{SHORT}\tactive\trunning\n"
    )
    assert fleetctl("list-unit-files", "--no-legend", "--fields=unit,dstate,state,target").out == (
        f"web@1.service\tlaunched\tlaunched\t{SHORT}\nweb@2.service\tlaunched\tinactive\t-\n"
    )
    assert fleetctl("list-machines").out == (
        "MACHINE\t\tIP\t\tMETADATA\naaaaaaaa...\t10.0.0.1\thost=node1\n"
    )


def test_a_listing_is_cut_by_awk_and_grep_in_the_same_places_by_either_name(
    cluster: Cluster, fleetctl: Run, fleetish: Run
) -> None:
    fleetctl("start", "--no-block", "web@1", "web@2")
    cluster.run("web@1.service")
    for words in (
        ("list-units", "--no-legend", "--full"),
        ("list-unit-files", "--fields=unit,hash,dstate,state,target,global,desc"),
        ("list-machines", "--no-legend", "--fields", "machine,ip,metadata"),
    ):
        assert fleetctl(*words).out == fleetish(*words).out


def test_fields_that_cannot_be_listed_exit_1(fleetctl: Run) -> None:
    for listing in ("list-units", "list-unit-files", "list-machines"):
        invalid = 'Invalid key in output format: "colour"\n'
        assert fleetctl(listing, "--fields=unit,colour".replace("unit,", "")) == (1, "", invalid)
        assert fleetctl(listing, "--fields=") == (1, "", "Must define output format\n")
    done = fleetctl("list-unit-files", "--no-legend", "--fields=tmachine")
    assert done == (0, "", 'WARNING: The "tmachine" field is deprecated. Use "target" instead\n')


def test_unknown_flags_and_commands_tell_the_usage_and_exit_0(fleetctl: Run) -> None:
    for words in (("start", "--colour", "web@1"), ("frobnicate",), ("list-u",)):
        done = fleetctl(*words)
        assert (done.code, done.out, "Usage: fleetctl" in done.err) == (0, "", True)
    assert fleetctl("list-unit-files", "--no-legend").out == ""


def test_a_command_may_be_shortened_as_far_as_it_is_one(fleetctl: Run) -> None:
    assert fleetctl("list-m", "--no-legend").out.startswith("aaaaaaaa...")


@pytest.mark.parametrize(
    "words",
    [
        ("--endpoint", "URL", "list-machines", "--full", "--no-legend"),
        ("--endpoint=URL", "list-machines", "--full=true", "--no-legend=1"),
        ("list-machines", "--endpoint=URL", "-l", "--no-legend"),
        ("list-machines", "--l", "-no-legend", "-endpoint", "URL"),
        ("list-machines", "--full=false", "--full", "--no-legend", "--endpoint", "URL"),
    ],
)
def test_flags_stand_where_go_takes_them(
    cluster: Cluster, fleetctl: Run, words: tuple[str, ...]
) -> None:
    asked = [word.replace("URL", cluster.url) for word in words]
    done = fleetctl(*asked, FLEETCTL_ENDPOINT="http://127.0.0.1:1")
    assert done == (0, f"{A}\t10.0.0.1\thost=node1\n", "")


def test_the_endpoint_is_fleetctls_variable_or_ours(cluster: Cluster, fleetctl: Run) -> None:
    ours = {"FLEETCTL_ENDPOINT": "", "FLEETISH_ENDPOINT": cluster.url}
    assert fleetctl("list-machines", **ours).code == 0
    wrong = fleetctl("list-machines", FLEETCTL_ENDPOINT="127.0.0.1:7100")
    assert wrong.code == 1
    assert wrong.err.startswith("Unable to initialize client: cannot use the endpoint")


def test_the_etcd_driver_is_refused_with_the_way_out(fleetctl: Run) -> None:
    for words in (("--driver=etcd",), ("--experimental-api=false",)):
        done = fleetctl(*words, "list-units")
        assert done.code == 1
        assert done.err.startswith(f"Unable to initialize client: cannot use {words[0]}: ")
    assert fleetctl("list-units", FLEETCTL_DRIVER="etcd").code == 1
    assert fleetctl("list-units", FLEETCTL_DRIVER="API").code == 0


def test_debug_tells_each_request(fleetctl: Run) -> None:
    assert '"GET /v1/machines HTTP/1.1" 200' in fleetctl("--debug", "list-machines").err
    assert fleetctl("list-machines").err == ""


def test_a_certificate_that_is_not_there_is_told(fleetctl: Run) -> None:
    done = fleetctl("--ca-file=/no/such.pem", "list-machines")
    assert (done.code, "cannot read /no/such.pem" in done.err) == (1, True)


def test_version_and_help_are_there_in_every_form(fleetctl: Run) -> None:
    for words in (("version",), ("--version",), ("-v",)):
        assert fleetctl(*words).out.startswith("fleetctl version 1.0.0+fleetish.")
    assert fleetctl().out == fleetctl("help").out == fleetctl("--help").out
    assert fleetctl("help", "start").out == fleetctl("start", "-h").out
    assert fleetctl("help", "frobnicate").code == 1


def test_verify_refuses_as_it_has_done_since_signatures_went(fleetctl: Run) -> None:
    done = fleetctl("verify", "web@.service")
    assert (done.code, done.out, "cannot be used" in done.err) == (2, "", True)


def test_every_command_has_help_with_an_example(fleetctl: Run) -> None:
    for name in COMMANDS:
        done = fleetctl(name, "--help")
        assert done.code == 0, name
        assert f"fleetctl {name}" in done.out.split("\n", 1)[1], name


def test_names_of_units_are_completed(fleetctl: Run, fleetish: Run) -> None:
    assert "_FLEETCTL_COMPLETE=bash_complete" in (
        fleetish("completion", "bash", "--for", "fleetctl").out
    )
    fleetctl("start", "--no-block", "web@1", "web@2")
    asked = {"_FLEETCTL_COMPLETE": "bash_complete", "COMP_CWORD": "2"}
    words = fleetctl(**asked, COMP_WORDS="fleetctl stop web@").out.splitlines()
    assert words[:2] == ["plain,web@1.service", "plain,web@2.service"]


def test_only_what_the_command_needs_is_loaded(fleetctl: Run) -> None:
    told = fleetctl("version", PYTHONPROFILEIMPORTTIME="1").err
    loaded = {row.rpartition("|")[2].strip() for row in told.splitlines()}
    assert "fleetish.cli.fleetctl.main" in loaded
    assert not loaded & {"requests", "msgspec", "rich", "fleetish.client", "fleetish.cli.wait"}
