"""Settings: which source wins, and what is refused in which words."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pytest

from fleetish.config import SETTINGS, Config, load
from fleetish.errors import BadConfig
from fleetish.resources import MIB, Resources


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


@pytest.fixture
def toml(tmp_path: Path) -> Path:
    return tmp_path / "fleetish.toml"


def test_every_setting_is_a_field_and_every_field_a_setting() -> None:
    rows = {setting.name for setting in SETTINGS} | {"ports"}
    assert rows == {row.name for row in fields(Config)}


def test_a_file_sets_everything_that_it_names(toml: Path) -> None:
    write(
        toml,
        """
        etcd = ["http://10.0.0.1:2379", "http://10.0.0.2:2379"]
        cluster = "blue"
        roles = ["agent"]
        listen = ["unix:/run/x.sock"]
        machine_ttl = 20
        [metadata]
        rack = "r1"
        [capacity]
        cpus = 1.5
        memory = "512M"
        ports = "4000-4010"
        """,
    )
    assert load(toml) == Config(
        etcd=("http://10.0.0.1:2379", "http://10.0.0.2:2379"),
        cluster="blue",
        roles=("agent",),
        listen=("unix:/run/x.sock",),
        machine_ttl=20,
        metadata={"rack": "r1"},
        capacity=Resources(millicpus=1500, memory=512 * MIB),
        ports=(4000, 4010),
    )


def test_the_environment_wins_over_the_file_and_flags_over_both(toml: Path) -> None:
    write(toml, 'cluster = "file"\naddress = "file"\nbus = "user"\n')
    environ = {"FLEETISH_CLUSTER": "environment", "FLEETISH_ADDRESS": "environment"}
    found = load(toml, environ, {"address": "flag"})
    assert (found.cluster, found.address, found.bus) == ("environment", "flag", "user")


def test_lists_and_tables_are_comma_separated_in_the_environment(toml: Path) -> None:
    environ = {
        "FLEETISH_ETCD": "http://a:2379, http://b:2379",
        "FLEETISH_METADATA": "rack=r1,host=node1",
        "FLEETISH_CAPACITY": "cpus=2,disk=10G",
        "FLEETISH_MACHINE_TTL": "30",
    }
    assert load(write(toml, ""), environ) == Config(
        etcd=("http://a:2379", "http://b:2379"),
        metadata={"rack": "r1", "host": "node1"},
        capacity=Resources(millicpus=2000, disk=10 * 1024 * MIB),
        machine_ttl=30,
    )


def test_an_unknown_key_names_the_file_and_the_likely_key(toml: Path) -> None:
    write(toml, 'clustr = "x"\n')
    with pytest.raises(BadConfig) as caught:
        load(toml)
    assert str(caught.value) == (
        f"cannot use 'clustr' in {toml}: there is no such setting (did you mean cluster?)"
    )


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("machine_ttl = 'x'", "it must be a whole number"),
        ("machine_ttl = true", "it must be a whole number"),
        ("etcd = 'http://a:2379'", "it must be a list of strings"),
        ("etcd = ['10.0.0.1:2379']", "etcd takes URLs such as http://10.0.0.1:2379"),
        ("etcd = []", "etcd names no member"),
        ("etcd = ['http://a:1', 'https://b:1']", "etcd mixes http and https"),
        ("etcd_ca = '/x'", "need https URLs"),
        ("etcd = ['https://a:1']\netcd_cert = '/x'", "etcd_cert and etcd_key go together"),
        ("etcd_user = 'root'", "etcd_user and etcd_password_file go together"),
        ("roles = ['agent', 'ghost']", "roles are agent, engine, api"),
        ("bus = 'private'", "it must be one of system, user"),
        ("engine_ttl = 11", "engine_ttl must be at least 2 seconds and at most machine_ttl"),
        ("machine_ttl = 2\nengine_ttl = 2", "machine_ttl must be 4 to 600 seconds"),
        ("listen = []", "the api needs something in listen"),
        ("prefix = 'fleetish/'", "prefix must begin with /"),
        ("cluster = 'a b'", "cluster must be letters"),
        ("run_directory = 'run'", "run_directory must be an absolute path"),
        ("metadata = 1", "it must be a table whose values are strings"),
        ("[capacity]\ncpu = 1", "did you mean cpus?"),
        ("[capacity]\nmemory = 'lots'", "cannot use [capacity]"),
        ("[capacity]\nports = '9-1'", "is not a range such as 31000-32000"),
        ("etcd = [", "cannot read"),
    ],
)
def test_a_setting_that_cannot_be_used_is_refused(toml: Path, text: str, says: str) -> None:
    with pytest.raises(BadConfig) as caught:
        load(write(toml, text))
    assert says in str(caught.value)


def test_a_named_file_must_exist(toml: Path) -> None:
    with pytest.raises(BadConfig, match="there is no such file"):
        load(toml)
