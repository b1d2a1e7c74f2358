"""``fleetish app``, as people call it, against Marathon's API over a store in memory."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Done, Run, call
from tests.marathon.face import Marathon, marathon

SLEEP = {"id": "/sleep", "cmd": "sleep 60", "cpus": 0.1, "mem": 16, "instances": 2}
RUN_SLEEP = ("app", "run", "/sleep", "cmd=sleep 60", "cpus=0.1", "mem=16", "instances=2")


@pytest.fixture
def server() -> Iterator[Marathon]:
    with marathon() as one:
        yield one


@pytest.fixture
def still() -> Iterator[Marathon]:
    """A server on whose machines nothing is done of what is wanted."""
    with marathon(moving=False) as one:
        yield one


Caller = Callable[[Marathon], Run]


@pytest.fixture
def fleetish(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Caller:
    """Runs ``fleetish …`` in an empty directory, against a server."""
    monkeypatch.chdir(tmp_path)

    def of(server: Marathon) -> Run:
        def run(*args: str) -> Done:
            monkeypatch.setenv("MARATHON_URL", server.url)
            return call(server.cluster.url, *args)

        return run

    return of


def rows(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def test_run_creates_an_app_and_waits_until_it_runs(server: Marathon, fleetish: Caller) -> None:
    done = fleetish(server)(*RUN_SLEEP, "env.TIER=7", "labels.team=blue")
    assert (done.code, done.err) == (0, "")
    first, *_, last = done.out.splitlines()
    name = first.removeprefix("Creating /sleep: deployment ")
    assert last == f"Deployment {name} done"
    app = server.get("/v2/apps//sleep")["app"]
    assert {**SLEEP, "env": {"TIER": "7"}, "labels": {"team": "blue"}}.items() <= app.items()
    assert app["tasksRunning"] == 2


def test_run_takes_a_file_and_refuses_what_exists(
    server: Marathon, fleetish: Caller, tmp_path: Path
) -> None:
    run = fleetish(server)
    (tmp_path / "sleep.json").write_text(json.dumps(SLEEP))
    assert run("app", "run", "sleep.json", "instances=1").code == 0
    again = run("app", "run", "sleep.json")
    assert (again.code, again.out) == (1, "")
    assert again.err == ("cannot create /sleep: An app with id [/sleep] already exists\n")
    wrong = run("app", "run", "/other", "cmd=sleep 1", "cpus=-1")
    assert (wrong.code, wrong.err.startswith("cannot create /other: Object is not valid")) == (
        1,
        True,
    )
    assert "/cpus" in wrong.err
    assert [one["id"] for one in server.get("/v2/apps")["apps"]] == ["/sleep"]


def test_a_file_of_a_group_makes_the_group_and_destroy_takes_it_away(
    server: Marathon, fleetish: Caller, tmp_path: Path
) -> None:
    run = fleetish(server)
    group = {"id": "/shop", "apps": [{**SLEEP, "id": "web"}, {**SLEEP, "id": "db"}]}
    (tmp_path / "shop.json").write_text(json.dumps(group))
    assert run("app", "run", "shop.json").code == 0
    listed = run("app", "list", "--no-legend", "--fields", "id,tasks").out
    assert [line.split() for line in listed.splitlines()] == [
        ["/shop/db", "2/2"],
        ["/shop/web", "2/2"],
    ]
    (tmp_path / "less.json").write_text(json.dumps({**group, "apps": group["apps"][:1]}))
    assert run("app", "update", "less.json").code == 0
    assert run("app", "destroy", "/shop", "--group").code == 0
    assert run("app", "list", "--json").out == "[]\n"


def test_an_update_of_one_variable_keeps_the_others(server: Marathon, fleetish: Caller) -> None:
    run = fleetish(server)
    run(*RUN_SLEEP, "env.A=1", "env.B=2")
    assert run("app", "update", "/sleep", "env.B=3", "labels.a.b=4").code == 0
    app = server.get("/v2/apps//sleep")["app"]
    assert (app["env"], app["labels"]) == ({"A": "1", "B": "3"}, {"a.b": "4"})
    assert run("app", "update", "/sleep").code == 2
    assert run("app", "update", "/sleep", "instances").code == 1


def test_scale_restart_and_rollback_are_carried_out(server: Marathon, fleetish: Caller) -> None:
    run = fleetish(server)
    run(*RUN_SLEEP)
    assert run("app", "rollback", "/sleep").err == (
        "cannot roll /sleep back: it never was anything else\n"
    )
    assert run("app", "scale", "/sleep", "3").code == 0
    assert server.get("/v2/apps//sleep")["app"]["tasksRunning"] == 3
    first = {one["id"] for one in server.get("/v2/apps//sleep/tasks")["tasks"]}
    assert run("app", "restart", "/sleep").code == 0
    second = {one["id"] for one in server.get("/v2/apps//sleep/tasks")["tasks"]}
    assert (len(second), first & second) == (3, set())
    versions = run("app", "show", "/sleep", "--versions").out.splitlines()
    assert run("app", "rollback", "/sleep", "--to", versions[-1]).code == 0
    assert server.get("/v2/apps//sleep")["app"]["instances"] == 2
    gone = run("app", "scale", "/nothing", "1")
    assert (gone.code, gone.err) == (1, "cannot read /nothing: App '/nothing' does not exist\n")
    assert len(server.get("/v2/apps")["apps"]) == 1


def test_what_is_told_as_json_is_a_line_for_each_thing_that_happens(
    server: Marathon, fleetish: Caller
) -> None:
    told = rows(fleetish(server)(*RUN_SLEEP, "--json").out)
    name = told[0]["deployment"]
    assert told[0] == {"deployment": name, "stage": "begun"}
    assert told[-1] == {"deployment": name, "stage": "done", "reason": ""}
    assert {row["stage"] for row in told[1:-1]} <= {"running"}


def test_a_change_that_is_not_done_in_time_goes_on_and_is_undone(
    still: Marathon, fleetish: Caller
) -> None:
    run = fleetish(still)
    late = run(*RUN_SLEEP, "--timeout", "0.3")
    assert (late.code, "it goes on" in late.err) == (3, True)
    name = late.out.split()[3]
    locked = run("app", "update", "/sleep", "mem=32", "--no-block")
    assert (locked.code, f"the deployment {name} is at work on it" in locked.err) == (1, True)
    (listed,) = rows(run("app", "deployments", "--json").out)
    assert (listed["deployment"], listed["apps"], listed["step"]) == (name, ["/sleep"], 1)
    shown = run("app", "show", "/sleep").out
    assert "  0/2 instances run; 0.1 cpus, 16 MiB each" in shown
    assert f"  deployment {name}, step 1 of" in shown
    undone = run("app", "rollback", name, "--no-block")
    assert (undone.code, undone.out.startswith(f"Undoing {name}: deployment ")) == (0, True)
    (left,) = rows(run("app", "deployments", "--json").out)
    cancelled = run("app", "deployments", left["deployment"], "--cancel")
    assert (cancelled.code, run("app", "deployments", "--json").out) == (0, "")
    assert run("app", "deployments", name, "--follow").code == 1


def test_a_definition_can_be_shown_edited_and_sent_again(
    server: Marathon, fleetish: Caller, tmp_path: Path
) -> None:
    run = fleetish(server)
    run(*RUN_SLEEP)
    before = server.get("/v2/apps//sleep")["app"]["version"]
    shown = run("app", "show", "/sleep", "--definition")
    (tmp_path / "same.json").write_text(shown.out)
    assert run("app", "update", "same.json", "--whole").code == 0
    assert server.get("/v2/apps//sleep")["app"]["version"] == before
    as_json = json.loads(run("app", "show", "/sleep", "--json").out)
    assert {one["state"] for one in as_json["tasks"]} == {"TASK_RUNNING"}
    (tmp_path / "all.json").write_text(json.dumps(server.get("/v2/groups")))
    assert run("app", "update", "all.json").code == 0
    assert server.get("/v2/apps//sleep")["app"]["version"] == before
    assert run("app", "show", "/sleep").out.count("running") == 2


def test_a_server_that_is_not_there_is_told_with_the_way_out(
    fleetish: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MARATHON_URL", "http://me:secret@127.0.0.1:1")
    done = call("", "app", "list")
    assert done.err == (
        "cannot reach Marathon's API at http://127.0.0.1:1: connection refused (set MARATHON_URL)\n"
    )
    assert done.code == 1
    assert call("", "app", "--url", "ftp://x", "list").code == 1


def test_apps_and_deployments_are_completed(
    still: Marathon, fleetish: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    fleetish(still)(*RUN_SLEEP, "--no-block")

    from click.shell_completion import ShellComplete

    from fleetish.cli.main import cli

    monkeypatch.setenv("MARATHON_URL", still.url)
    complete = ShellComplete(cli, {}, "fleetish", "_FLEETISH_COMPLETE")

    def words(args: list[str], begun: str) -> list[str]:
        return [item.value for item in complete.get_completions(args, begun)]

    assert "app" in words([], "a")
    assert words(["app"], "sc") == ["scale"]
    assert words(["app", "scale"], "/s") == ["/sleep"]
    (deployment,) = words(["app", "deployments"], "")
    assert words(["app", "rollback"], "") == ["/sleep", deployment]
    (version,) = words(["app", "rollback", "/sleep", "--to"], "")
    assert version.endswith("Z")


def test_every_command_has_help_with_an_example() -> None:
    from marathon_compat.cli.rows import COMMANDS

    for name in COMMANDS:
        done = call("", "app", name, "--help")
        assert done.code == 0, name
        assert f"fleetish app {name}" in done.out.split("\n", 1)[1], name
