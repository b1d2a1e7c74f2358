"""host/install.sh makes a fresh Debian host a member, and refuses what it cannot do."""

from __future__ import annotations

import os
import re
import subprocess
import tomllib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from fleetish.config import load
from fleetish.lab.cluster import Lab
from fleetish.lab.layout import Host
from fleetish.lab.registration import await_machines
from fleetish.resources import NOTHING

ROOT = Path(__file__).parent.parent.parent
INSTALL = ROOT / "host" / "install.sh"
COPY = "/srv/fleetish-source"


def install(*argv: str) -> subprocess.CompletedProcess[str]:
    """Run the script here, with options that it refuses before it looks at the machine."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith("FLEETISH_")}
    command = ["sh", str(INSTALL), *argv]
    return subprocess.run(command, capture_output=True, text=True, env=clean, check=False)


@pytest.mark.parametrize(
    ("argv", "reason"),
    [
        ([], "cannot join a cluster without --etcd URL (or --with-etcd NAME)"),
        (["--etcd"], "cannot use --etcd without a value"),
        (["--colour", "red"], "cannot understand --colour (see --help)"),
        (["--etcd", "http://a", "--metadata", "rack"], "cannot read metadata 'rack'"),
        (["--etcd", "http://a", "--metadata", "=r1"], "cannot read metadata '=r1'"),
        (["--etcd", 'http://a"\n'], "cannot take the value 'http://a\""),
        (["--etcd", "http://a", "--address", "$(id)"], "cannot take the value '$(id)'"),
        (["--with-etcd", "m1"], "cannot run an etcd member without --address"),
        (["--etcd", "http://a", "--initial-cluster", "a=b"], "cannot use --initial-cluster"),
    ],
)
def test_wrong_usage_is_refused_before_anything_is_done(argv: list[str], reason: str) -> None:
    done = install(*argv)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"install: {reason}")


def test_the_header_is_the_help() -> None:
    done = install("--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("Make this Debian machine")
    for option in (
        "--etcd",
        "--address",
        "--metadata",
        "--socket",
        "--with-etcd",
        "--initial-cluster",
    ):
        assert option in done.stdout


def test_the_example_of_the_settings_is_what_the_daemon_takes(tmp_path: Path) -> None:
    example = ROOT / "host" / "fleetish.toml"
    shown = tmp_path / "all.toml"
    shown.write_text(re.sub(r"^# (?=[a-z_]+ = |\[)", "", example.read_text(), flags=re.MULTILINE))
    assert load(example).etcd == load(shown).etcd
    assert load(shown).metadata == {"host": "node1", "rack": "r1"}
    assert load(shown).ports == (31000, 32000)
    everything = replace(load(shown), metadata={}, capacity=NOTHING, ports=None, address="")
    assert everything == replace(load(example), listen=everything.listen)


@pytest.fixture
def fresh() -> Iterator[Lab]:
    """One host as Debian leaves it, with the sources on its disk, and an etcd member to join."""
    with Lab(f"tr{os.getpid()}", machines=1, bare=True) as lab:
        tree = ["pyproject.toml", "README.md", "fleetish", "marathon_compat", "host"]
        # A lab host starts from the root of this machine, where the folder may exist already.
        lab.exec("node1", ["rm", "-rf", COPY], check=True)
        lab.exec("node1", ["mkdir", COPY], check=True)
        lab.exec("node1", ["cp", "-r", *(f"{ROOT}/{name}" for name in tree), COPY], check=True)
        yield lab


def run_inside(lab: Lab, wheels: Path, *argv: str) -> subprocess.CompletedProcess[str]:
    pip = ["PIP_NO_INDEX=1", f"PIP_FIND_LINKS={wheels}"]
    return lab.exec("node1", ["env", *pip, "sh", f"{COPY}/host/install.sh", *argv])


def options(lab: Lab, host: Host) -> list[str]:
    return [
        *("--etcd", ",".join(lab.etcd_endpoints), "--address", host.address),
        *("--metadata", "host=node1,rack=r1", "--cluster", lab.name),
    ]


def main_pid(lab: Lab, unit: str) -> str:
    return lab.exec("node1", ["systemctl", "show", unit, "-pMainPID", "--value"]).stdout


@pytest.mark.lab
def test_a_fresh_host_joins_and_a_second_run_changes_nothing(fresh: Lab, wheels: Path) -> None:
    host = fresh.hosts[0]
    done = run_inside(fresh, wheels, *options(fresh, host))
    assert done.returncode == 0, done.stdout + done.stderr
    await_machines(fresh.endpoint, [host], 30, lambda line: None)
    listed = fresh.exec("node1", ["fleetctl", "list-machines", "--no-legend", "--full"])
    assert listed.stdout.split()[:2] == [host.machine, host.address], listed.stderr
    before = main_pid(fresh, "fleetish")
    again = run_inside(fresh, wheels, *options(fresh, host))
    assert (again.returncode, again.stderr) == (0, "")
    assert again.stdout == "install: done; see systemctl status fleetish\n"
    assert main_pid(fresh, "fleetish") == before


@pytest.mark.lab
def test_a_member_can_have_its_socket_held_by_systemd_also_later(fresh: Lab, wheels: Path) -> None:
    host = fresh.hosts[0]
    for more in ([], ["--socket"], ["--socket"]):
        done = run_inside(fresh, wheels, *options(fresh, host), *more)
        assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout == "install: done; see systemctl status fleetish\n"
    await_machines(fresh.endpoint, [host], 30, lambda line: None)
    show = ["systemctl", "show", "fleetish.socket", "-P", "SubState", "-P", "Listen"]
    shown = fresh.exec("node1", show, check=True).stdout
    assert "running\n" in shown
    assert "/run/fleet.sock (Stream)" in shown
    curl = ["curl", "-sf", "--unix-socket", "/var/run/fleet.sock", "http://x/fleet/v1/machines"]
    assert host.machine in fresh.exec("node1", curl, check=True).stdout


@pytest.mark.lab
def test_a_fresh_host_gets_the_units_of_the_recipe(fresh: Lab, wheels: Path) -> None:
    host = fresh.hosts[0]
    done = run_inside(fresh, wheels, *options(fresh, host), "--no-start")
    assert done.returncode == 0, done.stdout + done.stderr
    units = ["fleetish.service", "fleetish.slice"]
    verify = fresh.exec("node1", ["systemd-analyze", "verify", "--man=no", *units])
    assert (verify.returncode, verify.stdout, verify.stderr) == (0, "", "")
    for unit in units:
        installed = fresh.exec("node1", ["cat", f"/etc/systemd/system/{unit}"], check=True)
        assert installed.stdout == (ROOT / "host" / unit).read_text()
    enabled = fresh.exec("node1", ["systemctl", "is-enabled", "fleetish"])
    assert enabled.stdout == "enabled\n"
    config = fresh.exec("node1", ["cat", "/etc/fleetish/fleetish.toml"], check=True).stdout
    assert tomllib.loads(config) == {
        "cluster": fresh.name,
        "etcd": [*fresh.etcd_endpoints],
        "address": host.address,
        "metadata": {"host": "node1", "rack": "r1"},
    }


@pytest.mark.lab
def test_a_fresh_host_can_run_a_member_of_etcd(fresh: Lab) -> None:
    fresh.exec("node1", ["ln", "-s", str(ROOT / ".venv"), "/opt/fleetish/venv"], check=True)
    member = ["--with-etcd", "m1", "--address", fresh.hosts[0].address]
    fresh.exec("node1", ["sh", str(INSTALL), *member, "--no-start"], check=True)
    fresh.exec("node1", ["systemctl", "start", "etcd"], check=True)
    url = f"http://{fresh.hosts[0].address}:2379"
    etcdctl = ["env", "ETCDCTL_API=3", "etcdctl", f"--endpoints={url}", "member", "list"]
    members = fresh.exec("node1", etcdctl, check=True).stdout
    assert f"started, m1, http://{fresh.hosts[0].address}:2380, {url}" in members
