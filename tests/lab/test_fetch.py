"""Sandboxes and what is fetched into them, on real hosts, from a server that is a unit itself."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from fleetish.wire import StateView, Wish
from tests.lab.hearing import Cluster, cluster

pytestmark = pytest.mark.lab

#: A name with characters that mean something else in a line of a unit file.
AGAIN = r"again:a\x2db@1.service"

SANDBOXES = "/var/lib/fleetish/sandbox"
FILES = """\
import io, os, tarfile
os.makedirs("/srv/files", exist_ok=True)
os.chdir("/srv/files")
def add(archive, name, text, mode=0o644):
    info = tarfile.TarInfo(name)
    info.size, info.mode = len(text), mode
    archive.addfile(info, io.BytesIO(text.encode()))
with tarfile.open("app.tar.gz", "w:gz") as good:
    add(good, "app/run", "#!/bin/sh\\nexec sleep infinity\\n", 0o755)
    add(good, "app/name", "one")
with tarfile.open("evil.tgz", "w:gz") as evil:
    add(evil, "good", "x")
    add(evil, "../../../../srv/out", "x")
open("setup", "w").write("#!/bin/sh\\ntouch was-set-up\\n")
"""


@pytest.fixture(scope="module")
def c() -> Iterator[Cluster]:
    with cluster(f"tu{os.getpid()}", 2) as found:
        server = found.lab.hosts[0]
        found.lab.exec(server.name, ["python3", "-c", FILES], check=True)
        text = (
            "[Service]\n"
            f"ExecStart=/usr/bin/python3 -m http.server --directory /srv/files 7900\n"
            f"[X-Fleet]\nMachineMetadata=host={server.name}\n"
        )
        submit(found, "files.service", text)
        wait_active(found, "files.service")
        yield found


def submit(c: Cluster, name: str, text: str) -> None:
    c.fleet.submit([Wish(name=name, text=text, target="launched")])


def state(c: Cluster, unit: str) -> StateView | None:
    return next(iter(c.fleet.unit(unit).states), None)


def wait_active(c: Cluster, unit: str, active: str = "active") -> StateView:
    def look() -> StateView | None:
        found = state(c, unit)
        return found if found and found.active == active else None

    found = c.until(look)
    assert found is not None
    return found


def uri(c: Cluster, name: str) -> str:
    return f"http://{c.lab.hosts[0].address}:7900/{name}"


def on(c: Cluster, unit: str, *command: str) -> str:
    """What a command prints on the unit's host."""
    return c.lab.exec(c.home(unit), list(command), check=True).stdout


def prop(c: Cluster, unit: str, name: str) -> str:
    return on(c, unit, "systemctl", "show", "--value", "-p", name, unit).strip()


@pytest.mark.parametrize("user", ["User=games", "DynamicUser=yes\nProtectSystem=strict"])
def test_a_unit_runs_what_was_fetched_in_a_directory_of_its_users_own(
    c: Cluster, user: str
) -> None:
    text = (
        f"[Service]\n{user}\nMemoryMax=256M\n"
        "ExecStartPre=/bin/sh ./setup\n"
        'ExecStart=/bin/sh -c "exec $FLEETISH_SANDBOX/app/run"\n'
        f"[X-Fleet]\nFetch={uri(c, 'app.tar.gz')} extract cache\nFetch={uri(c, 'setup')}\n"
    )
    submit(c, "app.service", text)
    wait_active(c, "app.service")
    where = f"{SANDBOXES}/app.service"
    pid = prop(c, "app.service", "MainPID")
    owner = on(c, "app.service", "stat", "-c", "%U", f"/proc/{pid}").strip()
    assert (
        on(c, "app.service", "readlink", "-f", f"/proc/{pid}/cwd")
        .strip()
        .endswith("/fleetish/sandbox/app.service")
    )
    found = on(c, "app.service", "stat", "-L", "-c", "%n %U %a", *(
        f"{where}/{name}" for name in ("app/run", "app/name", "setup", "was-set-up")
    ))  # fmt: skip
    assert [line.removeprefix(f"{where}/") for line in found.splitlines()] == [
        f"app/run {owner} 755",
        f"app/name {owner} 644",
        f"setup {owner} 644",
        f"was-set-up {owner} 644",
    ]
    home = c.home("app.service")
    if owner == "games":
        cached = on(c, "app.service", "sh", "-c", "stat -c %U /var/cache/fleetish/fetch/*/*.data")
        assert cached.split() == ["games"]
    c.destroy("app.service")
    gone = ["sh", "-c", "ls -d /var/lib/fleetish/*/* /var/lib/private/fleetish/*/app* 2>&1"]
    c.until(lambda: "app.service" not in c.lab.exec(home, gone).stdout)


def test_a_daemon_reload_changes_nothing_of_what_is_run_before_the_start(c: Cluster) -> None:
    text = (
        "[Service]\nExecStartPre=/bin/sh ./setup\nExecStart=/bin/sleep infinity\n"
        "Environment=A=$PATH%%\nRestart=always\nRestartSec=0\n"
        f"[X-Fleet]\nFetch={uri(c, 'setup')}?price=$HOME%25\n"
    )
    submit(c, AGAIN, text)
    wait_active(c, AGAIN)
    told = "ExecStartPre,StateDirectory,WorkingDirectory,Environment"

    def shown() -> list[str]:
        lines = on(c, AGAIN, "systemctl", "show", "-p", told, AGAIN)
        return [line.partition(" ; start_time")[0] for line in lines.splitlines()]

    before = shown()
    on(c, AGAIN, "systemctl", "daemon-reload")
    assert shown() == before
    on(c, AGAIN, "systemctl", "kill", "--signal=KILL", AGAIN)
    c.until(lambda: (found := state(c, AGAIN)) and found.restarts == 1)
    wait_active(c, AGAIN)
    c.destroy(AGAIN)


@pytest.mark.parametrize(
    ("item", "why"),
    [
        ("nothing?token=hush", "the server answers 404"),
        ("evil.tgz extract", "leads out of the archive"),
        ("setup sha256=" + "0" * 64, "its SHA-256 is"),
    ],
)
def test_a_unit_that_cannot_have_its_files_fails_and_says_why(
    c: Cluster, item: str, why: str
) -> None:
    text = f"[Service]\nExecStart=/bin/true\n[X-Fleet]\nFetch={uri(c, item)}\n"
    submit(c, "bad.service", text)
    found = wait_active(c, "bad.service", "failed")
    assert found.error.startswith("Failed to fetch all URIs for container: cannot fetch http://")
    assert why in found.error
    logged = on(c, "bad.service", "journalctl", "-o", "cat", "-u", "bad.service")
    assert why in logged
    assert "hush" not in found.error + logged
    assert on(c, "bad.service", "ls", "-A", f"{SANDBOXES}/bad.service").split() == [".fetch-failed"]
    c.destroy("bad.service")


def test_a_file_of_the_machine_is_fetched_only_where_its_settings_allow_it(c: Cluster) -> None:
    text = "[Service]\nExecStart=/bin/true\n[X-Fleet]\nFetch=file:///etc/shadow\n"
    submit(c, "shadow.service", text)
    found = wait_active(c, "shadow.service", "failed")
    assert "the setting fetch_file_roots names directories" in found.error
    c.destroy("shadow.service")
